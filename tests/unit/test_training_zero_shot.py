"""Published heads without training: the library's numbers around the TSS, and what a person gets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import zero_shot_checkpoints as checkpoints
from glm2x.backbones.one_hot_input import one_hot
from glm2x.backbones.squashed import Unsquash, read_tracks
from glm2x.backbones.zero_shot import ZeroShot, build_zero_shot
from glm2x.cohort.cohort import Cohort
from glm2x.cohort.dictionary import HaplotypeDictionary
from glm2x.cohort.split import Split
from glm2x.config import BackboneConfig
from glm2x.errors import DataError, Glm2xError, UsageError
from glm2x.training.zero_shot import zero_shot, zero_shot_predictions

WINDOW = 2048
RNA, CAGE, DNASE = 6112, 870, 1288  # GM12878 in Borzoi's table


@pytest.fixture(scope="module")
def library_enformer() -> Any:
    return checkpoints.enformer()


@pytest.fixture(scope="module")
def enformer(library_enformer: Any, tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("weights") / "enformer"
    return str(checkpoints.save(library_enformer, checkpoints.ENFORMER, folder))


@pytest.fixture(scope="module")
def library_borzoi() -> Any:
    return checkpoints.borzoi()


@pytest.fixture(scope="module")
def borzoi(library_borzoi: Any, tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("weights") / "borzoi"
    return str(checkpoints.save(library_borzoi, checkpoints.BORZOI, folder))


def build(name: str, weights: str, **options: Any) -> ZeroShot:
    return build_zero_shot(BackboneConfig(name=name, weights=weights), **options)


def codes(window: int, count: int = 3) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(0).integers(0, 5, (count, window), dtype=np.uint8))


# a TSS at L/2 = 1024 is the first base of bin 8 of 16; one at 1023 the last of bin 7
@pytest.mark.parametrize(("tss", "bins"), [(1024, [7, 8, 9]), (1023, [6, 7, 8])], ids=["plus", "minus"])
def test_enformer_is_the_sum_of_the_library_s_bins_around_the_tss(
    library_enformer: Any, enformer: str, tss: int, bins: list[int]
) -> None:
    model = build("enformer", enformer, window=WINDOW, tracks=[5, 2])
    inputs = codes(WINDOW)
    with torch.no_grad():
        whole = library_enformer(one_hot(inputs).transpose(1, 2), target_length=16)["human"]
        ours = model(inputs, tss)
    by_hand = (whole[:, bins, 5] + whole[:, bins, 2]).sum(dim=1) / 2
    torch.testing.assert_close(ours, by_hand)
    assert by_hand.std() > 0.01  # windows differ


@pytest.mark.parametrize(("tss", "bins"), [(512, range(10, 23)), (511, range(9, 22))], ids=["plus", "minus"])
def test_borzoi_is_the_sum_of_coverage_in_the_library_s_bins(
    library_borzoi: Any, borzoi: str, tss: int, bins: range
) -> None:
    from borzoi_pytorch.pytorch_borzoi_utils import undo_squashed_scale

    model = build("borzoi", borzoi, window=1024, tracks=[CAGE, RNA])
    inputs = codes(1024)
    library_borzoi.crop.target_length = -1
    with torch.no_grad():
        whole = library_borzoi(one_hot(inputs))[:, :, list(bins)]
        ours = model(inputs, tss)
    cage = undo_squashed_scale(whole[:, CAGE], track_transform=1, track_scale=1.0)
    rna = undo_squashed_scale(whole[:, RNA], track_scale=0.3)
    torch.testing.assert_close(ours, (cage.sum(dim=1) + rna.sum(dim=1)) / 2)
    assert ours.std() > 0.01


def test_enformer_s_positions_are_tensorflow_s_at_the_native_window_and_there_only(tmp_path: Path) -> None:
    """A head of 192 channels, as the official model has, is what the stored positions are made for."""
    sizes = {"dim": 192, "heads": 1, "depth": 1}
    library = checkpoints.enformer(**sizes, use_tf_gamma=True)
    weights = str(checkpoints.save(library, {**checkpoints.ENFORMER, **sizes}, tmp_path / "weights"))
    model = build("enformer", weights, tracks=[3])
    assert model.window == 196_608
    inputs = codes(196_608, count=1)
    with torch.no_grad():
        kept = library(one_hot(inputs).transpose(1, 2))["human"]  # 896 bins: the TSS's is the 449th
        torch.testing.assert_close(model(inputs, 98_304), kept[:, 447:450, 3].sum(dim=1))
        short = build("enformer", weights, tracks=[3], window=WINDOW)
        assert torch.isfinite(short(codes(WINDOW), 1024)).all()


def squash(coverage: float, power: float, clip_soft: float, scale: float) -> float:
    """As the targets of Borzoi were written."""
    value = coverage**power
    return scale * (value if value <= clip_soft else clip_soft + (value - clip_soft) ** 0.5)


@pytest.mark.parametrize(
    ("track", "power", "clip_soft", "scale"),
    [(RNA, 0.75, 384, 0.3), (CAGE, 1.0, 384, 1.0), (DNASE, 1.0, 32, 2.0)],
    ids=["rna", "cage", "dnase"],
)
@pytest.mark.parametrize("coverage", [0.0, 0.5, 31.0, 383.0, 2_500.0, 60_000.0])
def test_the_output_scale_is_undone(
    track: int, power: float, clip_soft: float, scale: float, coverage: float
) -> None:
    squashed = torch.tensor([squash(coverage, power, clip_soft, scale)])
    assert Unsquash([read_tracks()[track]])(squashed).item() == pytest.approx(coverage, rel=2e-4)


def test_the_output_scale_by_hand() -> None:
    """10,000 to the 3/4 is 1,000; 384 + sqrt(616) = 408.8194; times 0.3."""
    assert Unsquash([read_tracks()[RNA]])(torch.tensor([122.64581])).item() == pytest.approx(10_000, rel=1e-4)


def test_borzoi_s_table() -> None:
    tracks = read_tracks()
    assert len(tracks) == 7611
    assert tracks[CAGE].identifier == "CNhs12332+"
    assert tracks[CAGE].description.startswith("CAGE:B lymphoblastoid cell line: GM12878")


def wrong(error: type[Glm2xError], match: str, name: str, weights: str, **options: Any) -> Glm2xError:
    with pytest.raises(error, match=match) as found:
        build(name, weights, **options)
    return found.value


def test_what_is_asked_wrongly_is_said(enformer: str, borzoi: str) -> None:
    small = {"window": WINDOW, "tracks": [0]}
    error = wrong(UsageError, "no track 12", "enformer", enformer, **{**small, "tracks": [3, 12]})
    assert error.wanted == "different numbers from 0 to 11"
    assert "no track 5110" in str(wrong(UsageError, "no track", "enformer", enformer, window=WINDOW))
    wrong(UsageError, "named twice", "enformer", enformer, **{**small, "tracks": [3, 3]})
    wrong(UsageError, "no track 7611", "borzoi", borzoi, window=1024, tracks=[7611])
    for window in (2_000, 2_049, 512, 196_736, 0):
        error = wrong(UsageError, "no window", "enformer", enformer, **{**small, "window": window})
        assert error.wanted.startswith("a multiple of 128 bp from 1280 to 196608")
    wrong(UsageError, "middle one", "enformer", enformer, **small, bins=4)
    wrong(UsageError, "no output head", "onehot", enformer)


def test_weights_without_a_head_or_of_another_model_are_refused(
    library_enformer: Any, enformer: str, borzoi: str, tmp_path: Path
) -> None:
    trunk = checkpoints.enformer(output_heads={"mouse": 3})
    bare = checkpoints.save(trunk, checkpoints.ENFORMER, tmp_path / "bare")
    wrong(DataError, "no human output head", "enformer", str(bare), window=WINDOW, tracks=[0])
    wrong(DataError, "not Borzoi's", "borzoi", enformer, window=WINDOW)
    wrong(DataError, "not describe an Enformer", "enformer", borzoi, window=WINDOW)
    deeper = checkpoints.save(library_enformer, {**checkpoints.ENFORMER, "depth": 3}, tmp_path / "deeper")
    error = wrong(DataError, "not those of this arch", "enformer", str(deeper), window=WINDOW, tracks=[0])
    assert error.where == str(deeper)
    wrong(DataError, "does not hold", "enformer", str(tmp_path / "nowhere"), window=WINDOW, tracks=[0])


def test_it_says_what_it_reads(enformer: str, borzoi: str) -> None:
    said = "\n".join(build("enformer", enformer, window=WINDOW, tracks=[7]).describe())
    assert "tracks: 7" in said
    assert "3 bins of 128 bp" in said
    assert "shorter than the 196608 bp" in said
    assert enformer in said
    assert "870 (CNhs12332+ CAGE:" in "\n".join(build("borzoi", borzoi, window=1024).describe())


class Base(torch.nn.Module):
    """Coverage is the code at the TSS; counts what it is asked."""

    window = WINDOW
    windows_at_once = 10

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[int] = []

    def forward(self, codes: torch.Tensor, tss: int) -> torch.Tensor:
        self.asked.append(len(codes))
        return codes[:, tss].float()


def test_the_tss_is_the_gene_s_on_both_strands(demo_cohort: Cohort) -> None:
    base: Any = Base()
    people = demo_cohort.individuals[:4]
    predicted = 2 ** zero_shot(base, demo_cohort, demo_cohort.gene_ids, people, device="cpu") - 1
    strands = set()
    for gene, row in zip(demo_cohort.genes, predicted, strict=True):
        if not len(demo_cohort.dosages(gene.gene, 2).position):
            code = demo_cohort.reference(gene.contig)[gene.tss]
            expected = code if gene.strand == "+" or code == 4 else 3 - code
            np.testing.assert_allclose(row, expected)
            strands.add(gene.strand)
    assert strands == {"+", "-"}


def test_a_person_is_the_logarithm_of_the_mean_coverage(demo_cohort: Cohort, enformer: str) -> None:
    model = build("enformer", enformer, window=WINDOW, tracks=[4])
    model.windows_at_once = 16
    genes = [next(g.gene for g in demo_cohort.genes if g.strand == strand) for strand in "+-"]
    people = demo_cohort.individuals[::7]
    predicted = zero_shot(model, demo_cohort, genes, people, device="cpu")
    columns = demo_cohort.individual_index(people)
    for name, row, tss in zip(genes, predicted, (1024, 1023), strict=True):
        gene = HaplotypeDictionary(demo_cohort, WINDOW).gene(name)
        with torch.no_grad():
            each = model(torch.from_numpy(gene.codes()), tss).double().numpy()
        first, second = each[gene.index[columns]].T
        np.testing.assert_allclose(row, np.log2((first + second) / 2 + 1), rtol=1e-5)
    model.windows_at_once = 5  # how many go through together changes nothing
    np.testing.assert_allclose(
        zero_shot(model, demo_cohort, genes, people, device="cpu"), predicted, rtol=1e-5
    )


def test_each_unique_haplotype_is_computed_once(demo_cohort: Cohort) -> None:
    base: Any = Base()
    name = demo_cohort.gene_ids[0]
    zero_shot(base, demo_cohort, [name], demo_cohort.individuals, device="cpu")
    unique = HaplotypeDictionary(demo_cohort, WINDOW).gene(name).n_unique
    assert sum(base.asked) == unique < 2 * len(demo_cohort.individuals)
    assert max(base.asked) == base.windows_at_once


def test_the_table(demo_cohort: Cohort, demo_split: Split) -> None:
    base: Any = Base()
    people = [demo_split.test[0], demo_split.train[0]]
    options: dict[str, Any] = {"individuals": people, "genes": demo_cohort.gene_ids[:2], "device": "cpu"}
    bare = zero_shot_predictions(base, "enformer", demo_cohort, **options)
    assert bare.frame["strategy"].unique().to_list() == ["zero-shot"]
    assert bare.frame["individual_split"].null_count() == len(bare.frame) == 4
    table = zero_shot_predictions(base, "enformer", demo_cohort, split=demo_split, **options)
    assert table.frame["individual_split"].to_list() == ["test", "train"] * 2
    assert table.frame["observed"].equals(bare.frame["observed"])
    assert table.metadata.split_digest == demo_split.digest
    assert table.metadata.window == WINDOW
    residual = zero_shot_predictions(
        base, "enformer", demo_cohort, split=demo_split, target="residual", **options
    )
    assert residual.metadata.target == "residual"
    assert residual.metadata.covariates == tuple(sorted(demo_cohort.covariate_names))
    kept = zero_shot_predictions(
        base,
        "enformer",
        demo_cohort,
        split=demo_split,
        target="residual",
        covariates_keep=["genotype_PC1"],
        **options,
    )
    assert kept.metadata.covariates == ("genotype_PC1",)
    assert not residual.frame["observed"].equals(table.frame["observed"])
    assert residual.frame["predicted"].equals(table.frame["predicted"])
    with pytest.raises(UsageError, match="relative to training people"):
        zero_shot_predictions(base, "enformer", demo_cohort, target="residual", **options)
