"""Plans and their execution on small models: what is computed, once, in what order, and what is refused."""

from __future__ import annotations

import dataclasses
import fcntl
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from extract_fakes import WINDOW, extract, planned, spec_for, work_of

from caduceus_checkpoints import write_caduceus
from glm2x.backbones.registry import build_language_model
from glm2x.claims import CLAIMS, claims
from glm2x.cohort.cohort import Cohort
from glm2x.cohort.dictionary import HaplotypeDictionary
from glm2x.config import BackboneConfig
from glm2x.embeddings import launch
from glm2x.embeddings.describe import rows_of, seconds_a_window, spec_of
from glm2x.embeddings.gc import collect
from glm2x.embeddings.key import sequence_key
from glm2x.embeddings.plan import (
    REFERENCE,
    Plan,
    read_plans,
    require_room,
    unplanned,
    waiting,
    wanted_haplotypes,
    write_plan,
)
from glm2x.embeddings.pooled import Pooled
from glm2x.embeddings.reduce import bin_edges, kept_of
from glm2x.embeddings.shard import shard_path
from glm2x.embeddings.status import require_complete, status
from glm2x.embeddings.store import Store
from glm2x.errors import DataError, UsageError
from glm2x.progress import silent
from glm2x.seal import sealed
from glm2x.work.kinds.embed import EmbedWork
from glm2x.work.planned import Where
from glm2x.work.unit import run_shard
from language_fakes import Counting
from nt_checkpoints import write_nt


@pytest.fixture
def genes(demo_cohort: Cohort) -> tuple[str, ...]:
    return demo_cohort.gene_ids[3:6]


def test_each_different_sequence_is_wanted_once_the_reference_first(
    demo_cohort: Cohort, genes: tuple[str, ...]
) -> None:
    people = demo_cohort.individuals[:40]
    wanted = wanted_haplotypes(demo_cohort, WINDOW, genes, people, silent)
    dictionary = HaplotypeDictionary(demo_cohort, WINDOW)
    letters = set()
    for name in genes:
        gene = dictionary.gene(name)
        letters |= {codes.tobytes() for codes in gene.codes(gene.index[:40].ravel())}
        letters.add(gene.reference.tobytes())
        assert wanted.table.filter(pl.col("gene") == name)["row"][0] == REFERENCE
    assert len(wanted.table) == wanted.table["key"].n_unique() == len(letters)
    assert (wanted.genes, wanted.individuals, wanted.windows) == (3, 40, 3 * 81)


def test_many_haplotypes_are_planned_some_at_a_time(
    demo_cohort: Cohort, genes: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    people = demo_cohort.individuals[:40]
    whole = wanted_haplotypes(demo_cohort, WINDOW, genes, people, silent).table
    monkeypatch.setattr("glm2x.embeddings.plan._KEYS_AT_ONCE", 5)
    wanted = wanted_haplotypes(demo_cohort, WINDOW, (*genes, genes[0]), people, silent)
    assert wanted.table.equals(whole)
    store, plan = planned(tmp_path / "store", demo_cohort, genes, Counting())
    assert plan.table.select(whole.columns).equals(whole)
    assert [part.height for part in plan.shards()[:-1]] == [3] * ((whole.height - 1) // 3)
    extract(store, plan, demo_cohort, Counting())
    left = unplanned(store, wanted)
    assert (left.height, left.columns) == (0, whole.columns)


def test_each_is_computed_once_in_the_plan_s_batches(
    demo_cohort: Cohort, genes: tuple[str, ...], tmp_path: Path
) -> None:
    model = Counting(token_bp=4)
    store, plan = planned(tmp_path / "store", demo_cohort, genes, model)
    done = extract(store, plan, demo_cohort, model)
    assert (done.passes, done.shards) == (len(plan.table), -(-len(plan.table) // 3))
    assert sum(shape[0] for shape in model.asked) == len(plan.table)
    assert {shape[0] for shape in model.asked} <= {1, 2}
    gene = HaplotypeDictionary(demo_cohort, WINDOW).gene(genes[1])
    for codes in (gene.reference, *gene.codes(gene.index[7])):
        tokens = Counting(token_bp=4)(torch.from_numpy(np.array(codes))[None])[0]
        assert torch.equal(store.read(sequence_key(codes)).float(), tokens)  # small whole numbers
    again = extract(Store.open(store.folder), plan, demo_cohort, model)
    assert (again.passes, again.shards) == (0, 0)


def test_a_second_plan_adds_what_is_neither_stored_nor_planned(
    demo_cohort: Cohort, genes: tuple[str, ...], tmp_path: Path
) -> None:
    model = Counting()
    store, first = planned(tmp_path / "store", demo_cohort, genes[:2], model)
    _, second = planned(tmp_path / "store", demo_cohort, genes, model)
    assert set(second.table["gene"]) == {genes[2]}
    assert {plan.name for plan in read_plans(store.folder)} == {first.name, second.name}
    assert waiting(store) == len(first.table) + len(second.table)
    extract(store, first, demo_cohort, model)
    assert waiting(store) == len(second.table)
    found = {plan.name: (plan.planned, plan.stored) for plan in status(store).plans}
    assert found == {first.name: (len(first.table),) * 2, second.name: (len(second.table), 0)}
    with pytest.raises(
        DataError, match=f"{len(second.table)} of the planned haplotypes are not stored"
    ) as error:
        require_complete(store)
    assert genes[2] in str(error.value)
    extract(store, second, demo_cohort, model)
    assert require_complete(store) == len(first.table) + len(second.table)


def test_a_shard_in_somebody_s_hands_is_left_to_them(
    demo_cohort: Cohort, genes: tuple[str, ...], tmp_path: Path
) -> None:
    model = Counting()
    store, plan = planned(tmp_path / "store", demo_cohort, genes, model)
    held = plan.shards()[1]["shard"][0]
    (store.folder / CLAIMS).mkdir()
    (store.folder / CLAIMS / ("0" * 32)).touch()  # of a process that was killed
    with (store.folder / CLAIMS / held).open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        assert claims(store.folder) == 1
        work = work_of(store, plan, demo_cohort, model)
        states = [run_shard(work, i).state for i in range(len(work))]
        assert states == ["done", "elsewhere", *["done"] * (len(work) - 2)]
        store.refresh()
        assert store.missing(plan.table["key"].to_list()) == plan.shards()[1]["key"].to_list()
    assert extract(store, plan, demo_cohort, model).passes == len(plan.shards()[1])


@pytest.mark.parametrize(("keep", "bins"), [("mean", None), ("bins", 3)])
def test_means_are_kept_in_float32(keep: str, bins: int | None) -> None:
    model = Counting(token_bp=4)
    spec = spec_for(model, keep=keep, bins=bins)
    assert (spec.rows, spec.dtype) == (bins or 1, "fp32")
    tokens = torch.rand(2, 128, 5)
    kept = kept_of(tokens, spec)
    assert kept.dtype == torch.float32
    if keep == "mean":
        torch.testing.assert_close(kept[:, 0], tokens.mean(dim=1))
    else:
        assert bin_edges(128, 3) == [(0, 43), (43, 85), (85, 128)]
        torch.testing.assert_close(kept[:, 1], tokens[:, 43:85].mean(dim=1))


def test_bins_need_a_number_that_the_window_has() -> None:
    assert rows_of(100, "bins", 100) == 100
    for keep, bins, message in (
        ("bins", None, "give both"),
        ("tokens", 3, "give both"),
        ("bins", 101, "so many bins"),
        ("bins", 0, "so many bins"),
    ):
        with pytest.raises(UsageError, match=message):
            rows_of(100, keep, bins)
    with pytest.raises(UsageError, match="fp32 only"):
        spec_for(Counting(), keep="mean", dtype="bf16")


@pytest.mark.parametrize("name", ["caduceus-ph", "nucleotide-transformer-v2"])
def test_the_effect_of_a_snp_survives_storage(name: str, tmp_path: Path) -> None:
    """What a base changes in the tokens, and in their mean, is stored as the model gave it."""
    if name == "caduceus-ph":
        write_caduceus(tmp_path / "weights")
        config = BackboneConfig(name=name, weights=str(tmp_path / "weights"))
    else:
        write_nt(tmp_path / "weights")
        config = BackboneConfig(name=name, weights=str(tmp_path / "weights"), layer=2)
    model = build_language_model(config)
    reference = np.random.default_rng(0).integers(0, 4, WINDOW, dtype=np.uint8)
    changed = reference.copy()
    changed[250] = (changed[250] + 1) % 4
    keys = [sequence_key(codes) for codes in (reference, changed)]
    with torch.inference_mode():
        tokens = model(torch.from_numpy(np.stack([reference, changed])))
    for keep, unstored in (("tokens", tokens), ("mean", tokens.double().mean(dim=1, keepdim=True))):
        store = Store.create(tmp_path / keep, spec_for(model, keep=keep))
        store.write_shard(keys, kept_of(tokens, store.spec))
        stored = store.gather(keys).double()
        pairs = torch.stack([(unstored[1] - unstored[0]).double().ravel(), (stored[1] - stored[0]).ravel()])
        assert float(torch.corrcoef(pairs)[0, 1]) > 0.99


def test_pooled_is_the_mean_over_tokens_and_haplotypes(
    demo_cohort: Cohort, genes: tuple[str, ...], tmp_path: Path
) -> None:
    model = Counting(token_bp=4)
    store, plan = planned(tmp_path / "store", demo_cohort, genes, model)
    people = demo_cohort.individuals[5:40]
    with pytest.raises(DataError, match="lacks") as error:
        Pooled(store, demo_cohort, people).gene(genes[0])
    assert genes[0] in str(error.value)
    extract(store, plan, demo_cohort, model)
    vectors = Pooled(store, demo_cohort, people).gene(genes[0])
    assert vectors.shape == (len(demo_cohort.individuals), 5)
    assert np.isnan(vectors[:5]).all()
    assert np.isfinite(vectors[5:40]).all()
    gene = HaplotypeDictionary(demo_cohort, WINDOW).gene(genes[0])
    both = model(torch.from_numpy(gene.codes(gene.index[9])))
    np.testing.assert_allclose(vectors[9], both.mean(dim=(0, 1)).numpy(), rtol=1e-6)


def test_another_cohort_or_model_is_refused(
    demo_cohort: Cohort, genes: tuple[str, ...], tmp_path: Path
) -> None:
    model = Counting()
    store, plan = planned(tmp_path / "store", demo_cohort, genes, model)
    other = dataclasses.replace(plan, cohort_digest="0" * 64)
    with pytest.raises(DataError, match="cohort is another"):
        extract(store, other, demo_cohort, model)
    with pytest.raises(DataError, match="made with another model"):
        extract(store, plan, demo_cohort, Counting(reach=2))
    table = plan.table.with_columns(key=pl.col("key").reverse())
    with pytest.raises(DataError, match="is not the cohort's"):
        extract(store, dataclasses.replace(plan, table=table), demo_cohort, model)
    assert len(Store.open(store.folder)) == 0


class Threads(Counting):
    """Counts the threads that it computes with."""

    def forward(self, codes: torch.Tensor) -> torch.Tensor:
        self.threads = torch.get_num_threads()
        return super().forward(codes)


def test_the_threads_are_the_plan_s(demo_cohort: Cohort, genes: tuple[str, ...], tmp_path: Path) -> None:
    model = Threads()
    store, plan = planned(tmp_path / "store", demo_cohort, genes, model)
    assert plan.threads is None
    before = torch.get_num_threads()
    extract(store, dataclasses.replace(plan, threads=before + 2), demo_cohort, model)
    assert (model.threads, torch.get_num_threads()) == (before + 2, before)


class Broken(Counting):
    def forward(self, codes: torch.Tensor) -> torch.Tensor:
        return super().forward(codes) / 0


def test_output_that_is_not_finite_is_not_stored(
    demo_cohort: Cohort, genes: tuple[str, ...], tmp_path: Path
) -> None:
    store, plan = planned(tmp_path / "store", demo_cohort, genes, Broken())
    with pytest.raises(DataError, match="not finite"):
        extract(store, plan, demo_cohort, Broken())
    assert len(Store.open(store.folder)) == 0


def test_damaged_plans_are_named(demo_cohort: Cohort, genes: tuple[str, ...], tmp_path: Path) -> None:
    store, plan = planned(tmp_path / "store", demo_cohort, genes, Counting())
    path = store.folder / "plans" / f"{plan.name}.json"
    content = json.loads(path.read_text())
    for damaged in (
        {**content, "format_version": 2},
        {**content, "batch": 0},
        {**content, "threads": 0},
        {**content, "backbone": {}},
        [],
    ):
        path.write_text(json.dumps(damaged))
        with pytest.raises(DataError, match="a plan of the embedding store is damaged"):
            read_plans(store.folder)
    path.write_text(json.dumps(content))
    path.with_suffix(".parquet").write_bytes(b"PAR1")
    with pytest.raises(DataError, match="damaged"):
        read_plans(store.folder)
    path.with_suffix(".parquet").unlink()
    with pytest.raises(DataError, match="does not exist"):
        read_plans(store.folder)


def test_code_of_a_model_runs_only_when_asked_for_again(
    demo_cohort: Cohort, genes: tuple[str, ...], tmp_path: Path
) -> None:
    store, plan = planned(tmp_path / "store", demo_cohort, genes, Counting())
    path = store.folder / "plans" / f"{plan.name}.json"
    content = json.loads(path.read_text())
    content["backbone"] |= {"name": "huggingface", "model": "a/b", "remote_code": True, "revision": "0" * 40}
    path.write_text(json.dumps(sealed(content)))
    opened = launch.Opened(store)
    with pytest.raises(UsageError, match="runs code of its own") as error:
        opened.extractor(opened.plans[0])
    assert "--remote-code" in str(error.value)


def test_a_store_without_a_plan_says_so(tmp_path: Path) -> None:
    store = Store.create(tmp_path / "store", spec_for(Counting()))
    with pytest.raises(UsageError, match="nothing is planned"):
        launch.Opened(store)


def test_room_is_looked_for_where_the_store_will_be(tmp_path: Path) -> None:
    assert require_room(tmp_path / "a" / "b", 10, 10) > 0
    with pytest.raises(DataError, match=r"do not fit on the disk: 1,000,000\.0 PB"):
        require_room(tmp_path / "a" / "b", 10**12, 10**9)


def test_the_time_of_a_window_counts_what_tiles_share_twice() -> None:
    model = Counting(longest=256)
    spec = spec_for(model, tile=256, overlap=128)
    assert spec.tiling == {"tile": 256, "overlap": 128}
    assert seconds_a_window(model, spec, "cpu", 2) > 0
    assert max(shape[1] for shape in model.asked) <= 256


class Large(Counting):
    def forward(self, codes: torch.Tensor) -> torch.Tensor:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has ...")


def test_a_device_that_is_too_small_is_told_of(
    demo_cohort: Cohort, genes: tuple[str, ...], tmp_path: Path
) -> None:
    store, plan = planned(tmp_path / "store", demo_cohort, genes, Large())
    with pytest.raises(DataError, match="memory of the cpu device") as error:
        extract(store, plan, demo_cohort, Large())
    assert "2 windows of 512 bp together; CUDA out of memory" in str(error.value)
    assert "--batch-size" in str(error.value)


def test_the_index_is_not_read_again_for_each_shard(
    demo_cohort: Cohort, genes: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With 20,000 shards each look at it takes a tenth of a second."""
    store, plan = planned(tmp_path / "store", demo_cohort, genes, Counting(), each=1)
    looks = []
    refresh = Store.refresh
    monkeypatch.setattr(Store, "refresh", lambda self: (looks.append(1), refresh(self))[1])
    work = work_of(store, plan, demo_cohort, Counting())
    assert {run_shard(work, i).state for i in work.undone()} == {"done"}
    assert len(work) == len(plan.table) > 3
    assert len(looks) == 1


def moved(cohort: Cohort, folder: Path, **changes: Any) -> Cohort:
    """Return the cohort, with other facts, in another folder."""
    shutil.copytree(cohort.folder, folder)
    facts = json.loads((folder / "cohort.json").read_text())
    (folder / "cohort.json").write_text(json.dumps(sealed(facts | changes)))
    return Cohort.open(folder)


def kmer_plan(store: Path, cohort: Cohort, genes: tuple[str, ...]) -> Plan:
    model = build_language_model(BackboneConfig(name="kmer"))
    settings: dict[str, Any] = dict.fromkeys(("bins", "dtype", "tile", "overlap"))
    spec = spec_of("kmer", model, WINDOW, keep="mean", strand="gene", device="cpu", **settings)
    opened = Store.create(store, spec)
    todo = unplanned(opened, wanted_haplotypes(cohort, WINDOW, genes, cohort.individuals[:9], silent))
    return write_plan(opened, cohort, todo, BackboneConfig(name="kmer"), batch=2)


def test_a_model_is_built_once_for_the_plans_that_name_it(
    demo_cohort: Cohort, genes: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plans = [kmer_plan(tmp_path / "store", demo_cohort, (gene,)) for gene in genes]
    built = []
    build = launch.build_language_model
    monkeypatch.setattr(
        launch, "build_language_model", lambda config: (built.append(config), build(config))[1]
    )
    work = EmbedWork.of(tmp_path / "store", Where())
    assert {run_shard(work, i).state for i in range(len(work))} == {"done"}
    assert require_complete(Store.open(tmp_path / "store")) == sum(len(plan.table) for plan in plans)
    assert len(built) == 1


def test_of_two_cohorts_that_were_planned_with_either_may_have_moved(
    demo_cohort: Cohort, genes: tuple[str, ...], tmp_path: Path
) -> None:
    """`--cohort` says where one of them lies now; whichever it is, its plan is worked on first."""
    facts: dict[str, dict[str, Any]] = {"one": {"expression_scale": "tpm"}, "two": {"covariates": []}}
    here = {name: moved(demo_cohort, tmp_path / name, **changes) for name, changes in facts.items()}
    assert len({demo_cohort.digest, here["one"].digest, here["two"].digest}) == 3
    store = tmp_path / "store"
    for name, gene in zip(here, genes[:2], strict=True):
        kmer_plan(store, here[name], (gene,))
    away = {name: (tmp_path / name).rename(tmp_path / f"{name} moved") for name in here}
    opened = launch.Opened(Store.open(store))
    with pytest.raises(DataError, match="not where it was") as error:
        opened.extractor(opened.plans[0])
    assert "say with --cohort where it lies now" in str(error.value)
    with pytest.raises(DataError, match="cohort is another"):
        launch.Opened(Store.open(store), cohort=demo_cohort.folder)
    for name, states in (("one", ["done", "failed"]), ("two", ["done"])):
        work = EmbedWork.of(store, Where(cohort=away[name]))
        outcomes = [run_shard(work, i) for i in work.undone()]
        assert [outcome.state for outcome in outcomes] == states
        assert all("not where it was" in one.said for one in outcomes if one.state == "failed")
    assert waiting(Store.open(store)) == 0


def test_a_store_is_not_complete_without_plan_or_without_its_shards(
    demo_cohort: Cohort, genes: tuple[str, ...], tmp_path: Path
) -> None:
    empty = Store.create(tmp_path / "empty", spec_for(Counting()))
    with pytest.raises(DataError, match="nothing is planned in this store, and it holds nothing"):
        require_complete(empty)
    store, plan = planned(tmp_path / "store", demo_cohort, genes, Counting())
    extract(store, plan, demo_cohort, Counting())
    path = shard_path(store.folder, plan.shards()[0]["shard"][0])
    path.unlink()
    with pytest.raises(DataError, match="1 shards that were written are gone") as error:
        require_complete(Store.open(store.folder))
    assert f"shards/{path.name}" in str(error.value)
    collect(store)  # as it says
    assert extract(store, plan, demo_cohort, Counting()).shards == 1
    assert require_complete(store) == len(plan.table)
