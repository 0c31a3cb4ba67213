"""What is arithmetic on the page of the published benchmark, from the package's own lists and sizes."""

from __future__ import annotations

import re
from collections.abc import Sequence

import pytest
from pages import ROOT

from glm2x.backbones.registry import get
from glm2x.cohort.listed import packaged
from glm2x.config import load_config
from glm2x.console import bytes_words
from glm2x.download.registry import load_collection
from glm2x.embeddings.spec import BYTES

PAGE = (ROOT / "docs/guides/published-benchmark.md").read_text()
TEXT = " ".join(PAGE.split())
GENES = 19_000  # about, of the published table
READING, FLOPS, FLOPS_BF16 = 2e9, 30e12, 300e12  # a second, as the page assumes
UNIQUE = {11_000: 23, 64_000: 131}  # windows a gene in 150 people, measured
FORWARD = {
    "enformer": 1.03e12,
    "borzoi": 0.48e12,
}  # FLOP of a window, counted


def _table(heading: str) -> dict[str, list[str]]:
    """Return the rows of the first table behind a text, by their first cell."""
    lines = PAGE[PAGE.index(heading) :].splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("|"))
    rows = {}
    for line in lines[start + 2 :]:
        if not line.startswith("|"):
            break
        first, *others = (cell.strip() for cell in line.strip("|").split("|"))
        rows[first] = others
    return rows


def _people(side: str) -> int:
    return len(packaged(f"published-{side}.txt"))


def _numbers(text: str) -> list[float]:
    return [float(found.replace(",", "")) for found in re.findall(r"[0-9][0-9,]*(?:\.[0-9]+)?", text)]


def _close(cells: Sequence[str], wanted: Sequence[float]) -> None:
    """Compare cells with numbers, to the digits that the cells have."""
    for cell, number in zip(cells, wanted, strict=True):
        digits = len(cell.partition(".")[2])
        assert float(cell) == pytest.approx(number, abs=0.51 * 10**-digits), cells


def test_windows() -> None:
    people, genes = _people("train-50") + _people("test-100"), len(packaged("published-genes-200.txt"))
    assert (people, genes) == (150, 200)
    assert f"{people} people are {2 * people} haplotypes a gene" in TEXT
    assert f"{genes} genes are {genes * (2 * people + 1):,} windows" in TEXT
    measured = (
        f"{UNIQUE[64_000]} unique windows of {2 * people + 1} a gene at 64 kb, and {UNIQUE[11_000]} at 11 kb"
    )
    assert measured in TEXT


@pytest.mark.parametrize(
    ("row", "backbone", "bins"),
    [
        ("Nucleotide Transformer v2, 11 kb", "nucleotide-transformer-v2", None),
        ("Caduceus-ph, 64 kb", "caduceus-ph", None),
        ("Evo2-7B, 64 kb", "evo2", None),
        ("Evo2-7B, `--keep bins --bins 1000`", "evo2", 1_000),
    ],
)
def test_disk(row: str, backbone: str, bins: int | None) -> None:
    window, info = load_config(f"{backbone}-personal").window, get(backbone)
    each = (bins or info.tokens_for(window)) * info.width * BYTES["fp32" if bins else "bf16"]
    shown = _table("**Disk**")[row]
    for cell, windows in zip(shown, (1, 60_200, 200 * UNIQUE[window], GENES), strict=True):
        assert cell == bytes_words(each * windows)


def test_the_cohort_and_the_consensus_files() -> None:
    lengths = load_collection("reference").lengths
    autosomes = sum(lengths[str(number)] for number in range(1, 23))
    assert (
        f"The cohort takes {bytes_words(autosomes)} of reference and {-(-2 * 465 // 8)} bytes a SNP" in TEXT
    )
    assert f"the published 300 files of {bytes_words(autosomes)} are {300 * autosomes / 1e9:.0f} GB" in TEXT


def test_checkpoints() -> None:
    """Four bytes a parameter."""
    sizes = [4e6 * float(get(name).parameters.split()[0]) for name in ("enformer", "borzoi")]
    enformer, borzoi = (f"{each / 1e9:.1f} GB" for each in sizes)
    assert f"A checkpoint of Enformer is {enformer} and one of Borzoi {borzoi}" in TEXT


@pytest.mark.parametrize("backbone", ["enformer", "borzoi"])
def test_memory(backbone: str) -> None:
    said = _numbers(get(backbone).memory.partition("64 kb:")[2].replace("32-true", "").replace("bf16", ""))
    row = _table("**GPU memory**")[f"{backbone.capitalize()}, training, 8 people"]
    assert _numbers(row[0].replace("bf16", "")) == said
    assert len(said) == 4


def test_memory_of_language_models() -> None:
    rows = _table("**GPU memory**")
    for name, backbone in (("Nucleotide Transformer v2", "nucleotide-transformer-v2"), ("Evo2-7B", "evo2")):
        shown = [f"{number:g}" for number in _numbers(rows[f"{name}, embedding"][0])]
        said = [f"{number:g}" for number in _numbers(get(backbone).memory)]
        assert set(shown) <= set(said)


def test_hours() -> None:
    rows = _table("**Hours on one GPU**")
    people, genes, epochs = _people("train-50"), 200, load_config("evo2-personal").training.epochs
    personal, reference = people * genes * 2 * epochs, GENES * epochs
    assert (
        f"{people} people x {genes} genes x 2 haplotypes x {epochs} epochs = {personal:,} haplotypes" in TEXT
    )
    assert f"a reference phase of {GENES:,} genes {reference:,}" in TEXT
    for backbone, forward in FORWARD.items():
        row = rows[backbone.capitalize()]
        assert row[0] == f"{forward / 1e12:g} TFLOP"
        phases = [3 * forward * haplotypes / FLOPS / 3600 for haplotypes in (reference, personal)]
        _close(row[2:], [*phases, 2 * sum(phases)])
    names = {
        "Nucleotide Transformer v2": "nucleotide-transformer-v2",
        "Caduceus-ph": "caduceus-ph",
        "Evo2-7B": "evo2",
    }
    for name, backbone in names.items():
        info = get(backbone)
        each = info.tokens_for(load_config(f"{backbone}-personal").window) * info.width * BYTES["bf16"]
        phases = [each * haplotypes / READING / 3600 for haplotypes in (reference, personal)]
        _close(rows[name][2:], [*phases, 2 * sum(phases)])
    for name, rate in (("Nucleotide Transformer v2", FLOPS), ("Evo2-7B", FLOPS_BF16)):
        flop = _numbers(rows[name][0])[0] * 1e12
        _close(rows[name][1:2], [60_200 * flop / rate / 3600])
