"""Precomputed embeddings in the published layout, into a store and out of one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from glm2x.backbones.weights import read_tensor
from glm2x.cohort.cohort import Cohort
from glm2x.cohort.dictionary import HaplotypeDictionary
from glm2x.embeddings import importing, reader
from glm2x.embeddings.alike import TOLERANCE, largest_difference
from glm2x.embeddings.exporting import export_published
from glm2x.embeddings.importing import Imported, import_published
from glm2x.embeddings.key import sequence_key
from glm2x.embeddings.layout import Haplotype, find_files
from glm2x.embeddings.reader import Origin
from glm2x.embeddings.store import Store
from glm2x.errors import DataError

WINDOW = 2_000
WIDTH = 6
ORIGIN = Origin("evo2", WINDOW, token_bp=1, width=WIDTH)
PEOPLE = 4


def embed(codes: NDArray[np.uint8]) -> Tensor:
    """A model without weights: a token is the vector of its letter and less and less of those before it."""
    letters = torch.randn(5, WIDTH, generator=torch.Generator().manual_seed(1))
    tokens = letters[codes.astype(np.int64)]
    return torch.stack([torch.roll(tokens, shift, dims=0) / 2**shift for shift in range(4)]).sum(dim=0)


def save(path: Path, tensor: Tensor) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(tensor, path)


class Published:
    """A folder in the published layout: two genes, one on each strand, of four people, and the reference."""

    def __init__(self, cohort: Cohort, folder: Path, dtype: torch.dtype = torch.bfloat16) -> None:
        self.cohort, self.folder, self.dtype = cohort, folder, dtype
        self.people = list(cohort.individuals[:PEOPLE])
        self.dictionary = HaplotypeDictionary(cohort, WINDOW)
        self.forward, self.backward = (self.varied(strand) for strand in "+-")
        self.genes = [name for name in cohort.gene_ids if name in (self.forward, self.backward)]
        self.made: dict[bytes, Tensor] = {}
        for name in self.genes:
            gene = self.dictionary.gene(name)
            for row, person in enumerate(self.people):
                for number in (1, 2):
                    codes = gene.codes(gene.index[row, number - 1 : number])[0]
                    save(self.path(person, name, number), self.of(codes)[None])
            save(self.path("ref", name, ""), self.of(gene.reference)[None])

    def varied(self, strand: str) -> str:
        """The gene of a strand of which these people have the most haplotypes, short of everybody's own."""
        names = [gene.gene for gene in self.cohort.genes if gene.strand == strand]
        counts = {name: len(np.unique(self.dictionary.gene(name).index[:PEOPLE])) for name in names}
        return max((name for name in names if counts[name] < 2 * PEOPLE), key=lambda name: counts[name])

    def of(self, codes: NDArray[np.uint8]) -> Tensor:
        if codes.tobytes() not in self.made:
            self.made[codes.tobytes()] = embed(codes).to(self.dtype)
        return self.made[codes.tobytes()]

    def path(self, person: str, gene: str, number: int | str) -> Path:
        return self.folder / person / f"{gene}_allele_{number}.pt"

    def unique(self) -> set[str]:
        """The keys of all haplotypes, the references included."""
        keys = set()
        for name in self.genes:
            gene = self.dictionary.gene(name)
            keys |= {sequence_key(codes) for codes in gene.codes(np.unique(gene.index[:PEOPLE]))}
            keys.add(sequence_key(gene.reference))
        return keys

    def shared(self) -> tuple[Path, Path]:
        """Two files of one haplotype, the one that is read first first."""
        index = self.dictionary.gene(self.forward).index[:PEOPLE].reshape(-1)
        first, second = next(
            (i, j) for i in range(2 * PEOPLE) for j in range(i + 1, 2 * PEOPLE) if index[i] == index[j]
        )
        one, other = (self.path(self.people[i // 2], self.forward, i % 2 + 1) for i in (first, second))
        return one, other

    def somebody_is_reference(self, name: str) -> bool:
        gene = self.dictionary.gene(name)
        return any(np.array_equal(c, gene.reference) for c in gene.codes(gene.index[:PEOPLE].reshape(-1)))

    def to(self, out: Path, origin: Origin = ORIGIN, **options: list[str]) -> Imported:
        return import_published(self.folder, self.cohort, origin, out, **options)


@pytest.fixture
def published(demo_cohort: Cohort, tmp_path: Path) -> Published:
    return Published(demo_cohort, tmp_path / "published")


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


# import


def test_every_haplotype_is_stored_once_by_its_sequence(published: Published, tmp_path: Path) -> None:
    done = published.to(tmp_path / "store")
    store = Store.open(tmp_path / "store")
    assert len(store) == done.written == done.haplotypes == len(published.unique())
    assert len(store) < 2 * (2 * PEOPLE + 1)
    assert not store.missing(published.unique())
    for name in published.genes:
        gene = published.dictionary.gene(name)
        for codes in (gene.reference, *gene.codes(gene.index[:PEOPLE, 0])):
            assert torch.equal(store.read(sequence_key(codes)), published.of(codes))
    assert (done.genes, done.individuals, done.stored, done.lacking) == (2, PEOPLE, 0, [])
    assert done.compared.files == 2 * (2 * PEOPLE + 1) - len(published.unique())
    assert done.compared.difference == 0
    assert done.counts.counts == {
        "genes of the cohort without a file": len(published.cohort.genes) - 2,
        "individuals of the cohort without a file": len(published.cohort.individuals) - PEOPLE,
    }


def test_what_the_spec_of_an_imported_store_says(published: Published, tmp_path: Path) -> None:
    origin = replace(ORIGIN, width=0, layer="blocks.28.mlp.l3", source="the cluster", device="cpu")
    published.to(tmp_path / "store", origin)
    spec = Store.open(tmp_path / "store").spec
    assert (spec.backbone, spec.window, spec.token_bp, spec.rows, spec.width) == (
        "evo2",
        WINDOW,
        1,
        WINDOW,
        WIDTH,
    )
    assert (spec.keep, spec.strand, spec.tiling, spec.dtype, spec.device) == (
        "tokens",
        "gene",
        None,
        "bf16",
        "cpu",
    )
    assert spec.model["layer"] == "blocks.28.mlp.l3"
    assert (spec.model["weights"], spec.model["source"]) == ("imported", "the cluster")
    with pytest.raises(DataError, match="another") as caught:
        published.to(tmp_path / "store", replace(origin, layer=20))
    assert "layer" in str(caught.value)


def test_float32_stays_float32(demo_cohort: Cohort, tmp_path: Path) -> None:
    published = Published(demo_cohort, tmp_path / "published", torch.float32)
    published.to(tmp_path / "store")
    store = Store.open(tmp_path / "store")
    assert store.spec.dtype == "fp32"
    reference = published.dictionary.gene(published.forward).reference
    assert torch.equal(store.read(sequence_key(reference)), published.of(reference))


def test_what_the_store_has_is_not_read_again(
    published: Published, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    published.to(tmp_path / "store")
    before = contents(tmp_path / "store")
    read: list[Path] = []
    monkeypatch.setattr(reader, "read_tensor", lambda path: read.append(path) or read_tensor(path))
    done = published.to(tmp_path / "store")
    assert (done.written, done.stored, done.compared.files) == (0, len(published.unique()), 0)
    assert len(read) == 1  # it says type and width
    assert contents(tmp_path / "store") == before


def test_an_interrupted_import_ends_as_an_uninterrupted_one(
    published: Published, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importing, "SHARD_BYTES", 2 * WINDOW * WIDTH * 2)  # two haplotypes a shard
    published.to(tmp_path / "whole")
    assert len(list((tmp_path / "whole/shards").iterdir())) == -(-len(published.unique()) // 2) > 2
    write_shard, calls = Store.write_shard, []

    def stops(store: Store, keys: list[str], values: Tensor) -> str:
        calls.append(keys)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return write_shard(store, keys, values)

    monkeypatch.setattr(Store, "write_shard", stops)
    with pytest.raises(KeyboardInterrupt):
        published.to(tmp_path / "broken")
    monkeypatch.setattr(Store, "write_shard", write_shard)
    done = published.to(tmp_path / "broken")
    assert (done.stored, done.written) == (2, len(published.unique()) - 2)
    assert contents(tmp_path / "broken") == contents(tmp_path / "whole")


def test_missing_files_are_counted_and_what_the_store_lacks_is_named(
    published: Published, tmp_path: Path
) -> None:
    one, _ = published.shared()
    one.unlink()
    done = published.to(tmp_path / "shared")
    assert done.counts.counts["files missing"] == 1
    assert one.parent.name in done.counts.first["files missing"]
    assert done.lacking == []  # the other one has it
    for path in published.folder.rglob(f"{published.backward}_*"):
        if path.parent.name in published.people[:3]:
            path.unlink()
    done = published.to(tmp_path / "lacking")
    assert done.counts.counts["files missing"] == 1 + 6
    gene = published.dictionary.gene(published.backward)
    reference = gene.codes(np.unique(gene.index[:PEOPLE])).tolist().index(gene.reference.tolist())
    rows = np.unique(gene.index[:PEOPLE])
    lacking = set(rows) - set(gene.index[3]) - {rows[reference]}
    assert len(done.lacking) == len(lacking) == done.haplotypes - done.written
    for haplotype in done.lacking:
        row = published.people.index(haplotype.sample)
        assert gene.index[row, haplotype.number - 1] in lacking


def test_lists_say_what_is_expected(published: Published, tmp_path: Path, demo_cohort: Cohort) -> None:
    third = next(name for name in demo_cohort.gene_ids if name not in published.genes)
    wanted = {"genes": [published.forward, third], "individuals": [published.people[0]]}
    done = published.to(tmp_path / "store", **wanted)
    assert (done.genes, done.individuals) == (2, 1)
    assert done.counts.counts == {
        "files missing": 3,
        "files of other genes or people than those asked for": 2 * (2 * PEOPLE + 1) - 3,
    }
    assert {haplotype.gene for haplotype in done.lacking} == {third}
    with pytest.raises(DataError, match="1 of 1 genes are not in the cohort"):
        published.to(tmp_path / "store", genes=["ENSG00000000001"])
    with pytest.raises(DataError, match="no file holds embeddings of these genes and people"):
        published.to(tmp_path / "store", genes=[third])


def test_what_is_of_nobody_is_counted(published: Published, tmp_path: Path) -> None:
    tensor = torch.zeros(1, WINDOW, WIDTH)
    save(published.folder / "NA00001/ENSG00000000001_allele_1.pt", tensor)
    save(published.path(published.people[0], "ENSG00000000001", 1), tensor)
    save(published.path(published.people[0], published.forward, ""), tensor)
    save(published.path(published.people[0], published.forward, 3), tensor)
    save(published.path("ref", published.forward, 1), tensor)
    (published.folder / "readme.txt").write_text("read me")
    counts = published.to(tmp_path / "store").counts
    assert counts.counts["folders of nobody in the cohort"] == 1
    assert counts.first["folders of nobody in the cohort"].endswith("NA00001")
    assert counts.counts["files of genes that are not in the cohort"] == 1
    assert counts.counts["other files"] == 4


def test_the_names_of_the_guide_and_genes_with_versions(demo_cohort: Cohort, tmp_path: Path) -> None:
    gene, person = demo_cohort.gene_ids[0], demo_cohort.individuals[0]
    stem = gene.partition(".")[0]
    for name in (f"{stem}_h_1.pt", f"{stem}.99_2_2.pt"):
        save(tmp_path / person / name, torch.zeros(1))
    found, counts = find_files(tmp_path, demo_cohort)
    assert set(found) == {Haplotype(person, gene, 1), Haplotype(person, gene, 2)}
    assert counts.counts == {}
    save(tmp_path / person / f"{gene}_allele_1.pt", torch.zeros(1))
    with pytest.raises(DataError, match="a haplotype has two files") as caught:
        find_files(tmp_path, demo_cohort)
    assert f"{gene}_allele_1.pt and {stem}_h_1.pt of {person}" in str(caught.value)
    with pytest.raises(DataError, match="does not exist"):
        find_files(tmp_path / "none", demo_cohort)


def test_the_base_too_many_of_the_published_reference(published: Published, tmp_path: Path) -> None:
    """The published window of the reference goes one base further on the forward strand."""
    extra = torch.full((1, WIDTH), 7.0, dtype=torch.bfloat16)
    for name, parts in ((published.forward, (0, 1)), (published.backward, (1, 0))):
        path = published.path("ref", name, "")
        tokens = read_tensor(path)[0].clone()
        save(path, torch.cat([(tokens, extra)[i] for i in parts])[None])
    done = published.to(tmp_path / "store", individuals=[])
    assert (done.compared.trimmed, done.written) == (2, 2)
    store = Store.open(tmp_path / "store")
    for name in published.genes:
        reference = published.dictionary.gene(name).reference
        assert torch.equal(store.read(sequence_key(reference)), published.of(reference))


def test_a_longer_reference_is_not_judged_and_a_persons_embeddings_are_kept(
    published: Published, tmp_path: Path
) -> None:
    name = next(name for name in published.genes if published.somebody_is_reference(name))
    path = published.path("ref", name, "")
    save(path, torch.randn(1, WINDOW + 1, WIDTH).to(torch.bfloat16))
    done = published.to(tmp_path / "store")
    assert done.compared.trimmed == 1
    assert done.compared.trimmed_difference > TOLERANCE > done.compared.difference
    reference = published.dictionary.gene(name).reference
    assert torch.equal(Store.open(tmp_path / "store").read(sequence_key(reference)), published.of(reference))


def test_two_dimensions_do_as_well(published: Published, tmp_path: Path) -> None:
    published.to(tmp_path / "three")
    for path in published.folder.rglob("*.pt"):
        save(path, read_tensor(path)[0].clone())
    published.to(tmp_path / "two")
    assert contents(tmp_path / "two") == contents(tmp_path / "three")


def test_people_who_share_a_haplotype_have_the_same_embeddings(published: Published, tmp_path: Path) -> None:
    one, other = published.shared()
    tokens = read_tensor(one)[0].float()
    save(other, (tokens + 0.01 * torch.randn(WINDOW, WIDTH)).bfloat16())
    done = published.to(tmp_path / "noise")
    assert 0 < done.compared.difference < TOLERANCE
    assert done.compared.differing == str(other)
    gene = published.dictionary.gene(published.forward)
    row = published.people.index(one.parent.name)
    codes = gene.codes(gene.index[row, int(one.stem[-1]) - 1 :][:1])[0].copy()
    codes[100] = (codes[100] + 1) % 4
    save(other, published.of(codes)[None])
    with pytest.raises(DataError, match="have different embeddings") as caught:
        published.to(tmp_path / "another")
    assert f"{one} and {other}" in str(caught.value)
    assert f"at most {TOLERANCE:g}" in str(caught.value)


@pytest.mark.parametrize(
    ("tensor", "message", "got"),
    [
        (
            torch.zeros(1, WINDOW - 1, WIDTH, dtype=torch.bfloat16),
            "another shape",
            f"[1, {WINDOW - 1}, {WIDTH}]",
        ),
        (
            torch.zeros(1, WINDOW + 1, WIDTH, dtype=torch.bfloat16),
            "another shape",
            f"[1, {WINDOW + 1}, {WIDTH}]",
        ),
        (
            torch.zeros(1, WINDOW, WIDTH + 1, dtype=torch.bfloat16),
            "another shape",
            f"[1, {WINDOW}, {WIDTH + 1}]",
        ),
        (torch.zeros(2, WINDOW, WIDTH, dtype=torch.bfloat16), "another shape", f"[2, {WINDOW}, {WIDTH}]"),
        (torch.zeros((), dtype=torch.bfloat16), "another shape", "[]"),
        (torch.zeros(1, WINDOW, WIDTH), "another type", "torch.float32"),
        (torch.zeros(1, WINDOW, WIDTH, dtype=torch.float16), "another type", "torch.float16"),
        (torch.full((1, WINDOW, WIDTH), torch.nan, dtype=torch.bfloat16), "hold no numbers", "NaN"),
    ],
)
def test_what_no_embeddings_of_the_window_are(
    published: Published, tmp_path: Path, tensor: Tensor, message: str, got: str
) -> None:
    path = published.path(published.people[-1], published.backward, 2)
    save(path, tensor)
    with pytest.raises(DataError, match=f"precomputed embeddings (have )?{message}") as caught:
        published.to(tmp_path / "store")
    assert str(path) in str(caught.value)
    assert got in str(caught.value)


def test_the_first_file_says_type_and_width(published: Published, tmp_path: Path) -> None:
    for tensor, message in ((torch.zeros(2, dtype=torch.long), "type"), (torch.tensor(1.0), "shape")):
        for path in published.folder.rglob("*.pt"):
            save(path, tensor)
        with pytest.raises(DataError, match=f"precomputed embeddings have another {message}"):
            published.to(tmp_path / "store", replace(ORIGIN, width=0))
        assert not (tmp_path / "store").exists()


# how far two sets of embeddings are apart


def test_a_difference_is_counted_in_standard_deviations_of_the_channels() -> None:
    one = torch.tensor([[0.0, 0.0], [2.0, 200.0], [0.0, 0.0], [2.0, 200.0]])  # 1 and 100
    assert largest_difference(one, one.clone()) == 0
    other = one.clone()
    other[2, 1] += 30  # 0.3 of a standard deviation in one of two channels
    assert largest_difference(one, other) == pytest.approx(0.3 / 2**0.5)
    assert largest_difference(one * 1e-12, other * 1e-12) == pytest.approx(0.3 / 2**0.5)


def test_a_channel_that_hardly_varies_counts_by_its_size() -> None:
    one = torch.full((3, 1), 256.0)
    assert largest_difference(one, one + 1) == pytest.approx(32 / 256)
    assert largest_difference(one * 0, one * 0 + 1e-9) == float("inf")


# export


def test_what_was_exported_is_imported_as_it_was(published: Published, tmp_path: Path) -> None:
    published.to(tmp_path / "store")
    store = Store.open(tmp_path / "store")
    lists = {"genes": published.genes, "individuals": published.people}
    done = export_published(store, published.cohort, tmp_path / "out", reference=True, **lists)
    assert (done.written, done.kept) == (2 * (2 * PEOPLE + 1), 0)
    for path in (tmp_path / "out").rglob("*.pt"):
        written, original = (
            read_tensor(p) for p in (path, published.folder / path.relative_to(tmp_path / "out"))
        )
        assert torch.equal(written, original)
        assert path.stat().st_size < 2 * original.numel() * 2  # the file of a haplotype, not of its shard
    again = Published.__new__(Published)
    again.__dict__ |= vars(published) | {"folder": tmp_path / "out"}
    again.to(tmp_path / "again")
    assert contents(tmp_path / "again") == contents(tmp_path / "store")


def test_an_export_leaves_files_alone_unless_forced(published: Published, tmp_path: Path) -> None:
    published.to(tmp_path / "store")
    store = Store.open(tmp_path / "store")
    lists = {"genes": published.genes, "individuals": published.people}
    export_published(store, published.cohort, tmp_path / "out", **lists)
    assert not (tmp_path / "out/ref").exists()
    path = tmp_path / "out" / published.people[0] / f"{published.forward}_allele_1.pt"
    before = path.read_bytes()
    path.write_bytes(b"mine")
    (tmp_path / "out" / published.people[0] / f"{published.forward}_allele_2.pt").unlink()
    done = export_published(store, published.cohort, tmp_path / "out", **lists)
    assert (done.written, done.kept) == (1, 4 * PEOPLE - 1)
    assert path.read_bytes() == b"mine"
    done = export_published(store, published.cohort, tmp_path / "out", force=True, **lists)
    assert (done.written, done.kept) == (4 * PEOPLE, 0)
    assert path.read_bytes() == before


def test_an_export_of_what_the_store_lacks_writes_nothing(published: Published, tmp_path: Path) -> None:
    published.to(tmp_path / "store", genes=[published.forward])
    store = Store.open(tmp_path / "store")
    with pytest.raises(DataError, match=r"the store lacks \d+ of \d+ haplotypes") as caught:
        export_published(
            store, published.cohort, tmp_path / "out", genes=published.genes, individuals=published.people
        )
    assert f"haplotype 1 of {published.people[0]} of {published.backward}" in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_an_export_of_means_is_refused(published: Published, tmp_path: Path) -> None:
    spec = replace(ORIGIN.spec("fp32", WIDTH), keep="mean", rows=1)
    store = Store.create(tmp_path / "store", spec)
    with pytest.raises(DataError, match="holds all tokens") as caught:
        export_published(store, published.cohort, tmp_path / "out")
    assert "keeps mean" in str(caught.value)


@pytest.mark.parametrize("name", ["a/b", "..", "a\0b", "", "ref"])
def test_names_that_are_no_files(tmp_path: Path, name: str) -> None:
    with pytest.raises(DataError, match="has no place for this name"):
        Haplotype(name, "G", 1).file(tmp_path)
    with pytest.raises(DataError, match="has no place for this name"):
        Haplotype("P", "../G", 1).file(tmp_path)
