"""An embedding store as work: its plans' shards, which any launcher may have made."""

from __future__ import annotations

from glm2x.embeddings.launch import Opened
from glm2x.embeddings.store import Store
from glm2x.place import Place
from glm2x.progress import silent
from glm2x.work.planned import Where
from glm2x.work.unit import MISSING


class EmbedWork:
    """The shards of all plans of a store; see `glm2x.work.unit.Work`.

    Parameters
    ----------
    opened
        The store's plans, and what computes their shards.
    """

    kind = "embed"

    def __init__(self, opened: Opened) -> None:
        self._opened, self._store = opened, opened.store
        self.folder, self.device = self._store.folder, self._store.spec.device
        self._shards = [(plan, lines) for plan in opened.plans for lines in plan.shards()]
        self.threads = max((plan.threads or 1 for plan in opened.plans), default=1)

    @classmethod
    def of(cls, folder: Place, where: Where) -> EmbedWork:
        """Open the store in a folder; see `Opened` for what is refused."""
        told = {"cohort": where.cohort, "weights": where.weights}
        return cls(Opened(Store.open(folder), **told, remote_code=where.remote_code))

    def __len__(self) -> int:
        return len(self._shards)

    def name(self, i: int) -> str:
        """Return the name of a shard's files."""
        name: str = self._shards[i][1]["shard"][0]
        return name

    def title(self, i: int) -> str:
        """Return what a shard holds."""
        genes = self._shards[i][1]["gene"].unique(maintain_order=True).to_list()
        to = f" to {genes[-1]}" if len(genes) > 1 else ""
        return f"shard {i}: {len(self._shards[i][1]):,} haplotypes of {genes[0]}{to}"

    def lacking(self, i: int) -> str | None:
        """Return why a shard is not done."""
        lines = self._shards[i][1]
        there = self._store.has_shard(self.name(i)) or not self._store.missing(lines["key"].to_list())
        return None if there else MISSING

    def undone(self) -> list[int]:
        """Return the shards that are not done."""
        self._store.refresh()
        return [i for i, (_, lines) in enumerate(self._shards) if self._store.missing(lines["key"].to_list())]

    def compute(self, i: int) -> None:
        """Send a shard's haplotypes through the model, and store what it makes of them."""
        plan, lines = self._shards[i]
        with silent("", 0) as bar:
            self._opened.extractor(plan).write(lines, bar)

    def haplotypes(self, shards: list[int]) -> int:
        """Return how many haplotypes shards hold."""
        return sum(len(self._shards[i][1]) for i in shards)
