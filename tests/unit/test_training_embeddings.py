"""Training and prediction from a store of embeddings."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import safe_open
from training_fakes import (
    GENES,
    WINDOW,
    FakeCohort,
    FakeSource,
    StoppedError,
    make_config,
    make_split,
    make_values,
    stop_after,
)

from glm2x.backbones.tiling import embed
from glm2x.embeddings.describe import spec_of
from glm2x.embeddings.key import sequence_key
from glm2x.embeddings.reduce import kept_of
from glm2x.embeddings.store import Store
from glm2x.errors import DataError, UsageError
from glm2x.training.batches import Batcher
from glm2x.training.inputs import Codes, Embeddings
from glm2x.training.model import build_model
from glm2x.training.precomputed import Precomputed
from glm2x.training.predict import predict, predict_reference
from glm2x.training.run import train
from glm2x.training.runfolder import RunFolder
from glm2x.training.samples import phase_data
from glm2x.training.strategies import phases
from glm2x.url import Url
from language_fakes import Counting
from s3_server import S3
from small_store import SPEC


def fill(folder: Path | Url, *, without: str | None = None, reach: int = 1, **changes: Any) -> Store:
    """Write the embeddings of all fake haplotypes, but for those of one gene."""
    model = Counting(token_bp=4, reach=reach)
    settings = {"keep": "tokens", "bins": None, "dtype": "fp32", "strand": "gene"} | changes
    spec = spec_of("kmer", model, WINDOW, tile=None, overlap=None, device="cpu", **settings)
    store = Store.create(folder, spec)
    for name, gene in FakeSource().genes.items():
        if name != without:
            codes = np.concatenate([gene.reference[None], gene.haplotypes])
            different = dict(zip(map(sequence_key, codes), codes, strict=True))
            tokens = embed(model, torch.from_numpy(np.stack(list(different.values()))), None, "gene")
            store.write_shard(list(different), kept_of(tokens / 10, spec))
    return store


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return fill(tmp_path_factory.mktemp("embeddings") / "store")


def run_on(store: Store, out: Path, **options: Any) -> RunFolder:
    known = {key: options.pop(key) for key in ("resume", "progress") if key in options}
    settings = {"backbone__name": "kmer", "embeddings": str(store.folder), "head__name": "attention-pool"}
    config = make_config(out, **(settings | options))
    return train(config, FakeCohort(), make_split(), target=make_values(), source=FakeSource(), **known)


def expected(gene: str, codes: np.ndarray) -> torch.Tensor:
    return Counting(token_bp=4)(torch.from_numpy(codes)) / 10


def test_letters_of_several_genes_come_in_the_order_of_the_parts() -> None:
    source = FakeSource()
    rows = np.array([3, 0, 3])
    found = Codes(source).of([("g1", rows), ("g0", None), ("g1", np.array([1]))])
    genes = source.genes
    wanted = [*genes["g1"].haplotypes[rows], genes["g0"].reference, genes["g1"].haplotypes[1]]
    assert (found.numpy() == np.stack(wanted)).all()


def test_so_do_embeddings(store: Store) -> None:
    source = FakeSource()
    rows = np.array([3, 0, 3])
    found = Embeddings(source, store).of([("g1", rows), ("g0", None), ("g1", np.array([1]))])
    genes = source.genes
    wanted = np.stack([*genes["g1"].haplotypes[rows], genes["g0"].reference, genes["g1"].haplotypes[1]])
    assert torch.equal(found, expected("g1", wanted))


@pytest.mark.parametrize("unique", [True, False])
def test_a_batch_holds_each_person_s_tokens_once(store: Store, unique: bool) -> None:
    source = FakeSource()
    samples = phase_data(phases(make_config("out"))[1], FakeCohort(), make_split(), make_values()).train
    rows = np.array([20, 0, 7, 1, 19, 2])
    batch = Batcher(samples, Embeddings(source, store), (0, 1), unique=unique).batch(rows)
    assert batch.seen is None
    for person, row in enumerate(rows):
        gene = source.gene(samples.genes[samples.gene[row]])
        codes = gene.haplotypes[gene.index[samples.individual[row]]]
        assert torch.equal(batch.inputs[batch.index[person]], expected("", codes))
    assert (len(batch.inputs) < 12) == unique


def test_from_object_storage_batches_and_predictions_are_the_same(
    store: Store, s3: S3, tmp_path: Path
) -> None:
    """Also where every fortieth request ends in an error."""
    remote, source = fill(Url("s3://b", "store")), FakeSource()
    samples = phase_data(phases(make_config("out"))[1], FakeCohort(), make_split(), make_values()).train
    s3.fault = lambda method, key: None if len(s3.asked) % 40 else 500
    rows = np.array([20, 0, 7, 1, 19, 2])
    batches = [Batcher(samples, Embeddings(source, one), (0, 1), unique=True) for one in (store, remote)]
    one, other = (batcher.batch(rows).inputs for batcher in batches)
    assert torch.equal(one, other)
    first, second = (
        predict(run_on(one, tmp_path / name).checkpoint, FakeCohort(), source=source, device="cpu")
        for name, one in (("local", store), ("remote", remote))
    )
    np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("strategy", ["reference", "personal", "reference-then-personal"])
def test_each_strategy_trains_and_predicts_from_the_store_alone(
    store: Store, strategy: str, tmp_path: Path
) -> None:
    run = run_on(store, tmp_path / "run", strategy=strategy)
    predicted = predict(run.checkpoint, FakeCohort(), source=FakeSource(), device="cpu")
    assert predicted.shape == (4, 12)
    assert np.isfinite(predicted).all()
    reference = predict_reference(run.checkpoint, FakeCohort(), source=FakeSource(), device="cpu")
    windows = np.stack([FakeSource().gene(gene).reference for gene in GENES])
    with torch.inference_mode(), safe_open(run.checkpoint / "model.safetensors", "pt") as weights:
        assert all(name.startswith("head.") for name in weights.keys())  # noqa: SIM118
        model = build_model(
            make_config("o", backbone__name="kmer", embeddings=str(store.folder), head__name="attention-pool")
        )
        model.load_state_dict({name: weights.get_tensor(name) for name in weights.keys()})  # noqa: SIM118
        by_hand = model.eval().head(expected("", windows))
    np.testing.assert_allclose(reference, by_hand.numpy(), rtol=1e-5)


def test_an_interrupted_run_ends_in_the_same_numbers(store: Store, tmp_path: Path) -> None:
    whole = run_on(store, tmp_path / "whole", head__name="attention-pool")
    with pytest.raises(StoppedError):
        run_on(store, tmp_path / "parts", progress=stop_after(9))
    again = run_on(store, tmp_path / "parts", resume=True)
    first, second = (
        predict(run.checkpoint, FakeCohort(), source=FakeSource(), device="cpu") for run in (whole, again)
    )
    np.testing.assert_array_equal(first, second)


def test_a_run_goes_on_with_its_own_store_only(store: Store, tmp_path: Path) -> None:
    other = fill(tmp_path / "other", reach=2)
    with pytest.raises(StoppedError):
        run_on(store, tmp_path / "run", progress=stop_after(9))
    with pytest.raises(DataError, match="another store"):
        run_on(other, tmp_path / "run", resume=True)
    moved = fill(tmp_path / "moved")  # the same under another name
    assert run_on(moved, tmp_path / "run", resume=True).facts()["done"]


def test_a_model_starts_from_one_of_its_own_store_only(store: Store, tmp_path: Path) -> None:
    """The channels of another layer or another model mean something else, however many they are."""
    start = str(run_on(store, tmp_path / "start", strategy="personal").checkpoint)
    other = fill(tmp_path / "other", reach=2)
    with pytest.raises(DataError, match="made with another model") as error:
        run_on(other, tmp_path / "run", strategy="personal", start_from=start)
    assert f"{other.folder}, and start_from {start}" in str(error.value)
    assert not (tmp_path / "run").exists()
    moved = fill(tmp_path / "moved")
    assert run_on(moved, tmp_path / "run", strategy="personal", start_from=start).facts()["done"]


def test_predictions_are_made_from_the_model_s_own_store_only(store: Store, tmp_path: Path) -> None:
    run = run_on(store, tmp_path / "run", strategy="personal")
    ask: dict[str, Any] = {"source": FakeSource(), "device": "cpu"}
    with pytest.raises(DataError, match="made with another model") as error:
        predict(run.checkpoint, FakeCohort(), embeddings=fill(tmp_path / "other", reach=2).folder, **ask)
    assert f"where:  {tmp_path / 'other'}" in str(error.value)
    moved = fill(tmp_path / "moved").folder
    np.testing.assert_array_equal(
        predict(run.checkpoint, FakeCohort(), embeddings=moved, **ask),
        predict(run.checkpoint, FakeCohort(), **ask),
    )


def test_what_the_store_lacks_is_counted_before_anything_is_trained(tmp_path: Path) -> None:
    partial = fill(tmp_path / "store", without="g1")
    with pytest.raises(DataError, match="the embedding store lacks") as error:
        run_on(partial, tmp_path / "run")
    assert "1 of 3 genes are not complete, such as g1" in str(error.value)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"window": 1024}, "another model than the configuration"),
        ({"backbone__name": "evo2"}, "another model than the configuration"),
        ({"backbone__layer": 3}, "another model than the configuration"),
        ({"backbone__revision": "a" * 40}, "another model than the configuration"),
        ({"backbone__name": "onehot", "head__name": "position-pool"}, "reads no embeddings"),
        ({"backbone__weights": "weights"}, "here they are read"),
        ({"embeddings": None}, "none is named"),
        ({"freeze": "trunk"}, "cannot be frozen"),
        ({"training__activation_checkpointing": True}, "knows no activation checkpointing"),
    ],
)
def test_configurations_that_do_not_fit_the_store(
    store: Store, changes: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=message):
        run_on(store, tmp_path / "run", **changes)
    assert not (tmp_path / "run").exists()


def test_a_model_of_letters_takes_no_embeddings(store: Store, tmp_path: Path) -> None:
    config = make_config(tmp_path / "run", strategy="personal")
    run = train(config, FakeCohort(), make_split(), target=make_values(), source=FakeSource())
    with pytest.raises(UsageError, match="reads letters"):
        predict(run.checkpoint, FakeCohort(), source=FakeSource(), embeddings=store.folder, device="cpu")


@pytest.mark.parametrize(
    ("window", "token_bp", "width", "at_once"),
    [(64_000, 1, 4_096, 1), (64_000, 1, 256, 7), (11_000, 6, 1_024, 68)],
)
def test_few_gigabytes_go_through_the_head_together(
    window: int, token_bp: int, width: int, at_once: int
) -> None:
    """Evo2, Caduceus and the Nucleotide Transformer in bf16; the Tower takes five times as much besides."""
    spec = replace(SPEC, window=window, token_bp=token_bp, rows=-(-window // token_bp), width=width)
    assert Precomputed(spec).at_once(window) == at_once
    assert at_once == 1 or at_once * spec.bytes_of_one * 6 < 2_000_000_000


def test_reduced_stores_train_a_head_that_takes_one_token(tmp_path: Path) -> None:
    reduced = fill(tmp_path / "store", keep="mean")
    run = run_on(reduced, tmp_path / "run", strategy="personal")
    assert np.isfinite(predict(run.checkpoint, FakeCohort(), source=FakeSource(), device="cpu")).all()
    with pytest.raises(UsageError, match="leave nothing of a window this short"):
        run_on(reduced, tmp_path / "tower", head__name="tower")
