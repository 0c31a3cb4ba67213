"""What glm2x is told of the two backbones. It imports no torch: `glm2x backbones` reads it."""

from glm2x.backbones.info import BackboneInfo

BIN = 32  # base pairs
WIDTH = 8  # channels of the trained one

CODES = "codes uint8 [batch, window], A C G T N = 0 1 2 3 4"


def bins(window: int) -> int:
    """Return the number of bins of a window, of which the last may be shorter."""
    return -(-window // BIN)


GC_CONTENT = BackboneInfo(
    name="gc-content",
    kind="frozen",
    input=CODES,
    output="float32 [batch, window / 32 rounded up, 1]: the share of G and C; N counts a half",
    width=1,
    tokens_for=bins,
    head="attention-pool",
    weights="none: nothing is learnt",
    licence="Apache-2.0",
    memory="under 1 GB",
    needs=(),
    module="glm2x_gc_content.content",
    parameters="none",
)

GC_TRAINED = BackboneInfo(
    name="gc-trained",
    kind="trainable",
    input=CODES,
    output="float32 [batch, window / 32 rounded up, 8]: a convolution over the GC content of 5 bins",
    width=WIDTH,
    tokens_for=bins,
    head="position-pool",
    weights="none: trained from scratch",
    licence="Apache-2.0",
    memory="under 1 GB",
    needs=(),
    module="glm2x_gc_content.trained",
    parameters="48",
)
