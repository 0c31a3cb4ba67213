from __future__ import annotations

from pathlib import Path

from training_fakes import make_config

from glm2x.training.losses import Loss
from glm2x.training.strategies import phases


def names(strategy: str) -> list[tuple[str, str, str]]:
    return [(p.name, p.data, p.start) for p in phases(make_config("out", strategy=strategy))]


def test_each_strategy_is_its_list_of_phases() -> None:
    reference = ("reference", "reference", "scratch")
    assert names("reference") == [reference]
    assert names("personal") == [("personal", "personal", "scratch")]
    assert names("reference-then-personal") == [reference, ("personal", "personal", "previous")]


def test_a_reference_phase_has_no_pairs() -> None:
    config = make_config("out", loss={"kind": "smooth-l1", "pairwise": "published", "alpha": 0.3})
    reference, personal = phases(config)
    assert reference.loss == Loss("smooth-l1", "none", 0.0)
    assert personal.loss == Loss("smooth-l1", "published", 0.3)


def test_a_reference_phase_keeps_the_kind_of_loss(tmp_path: Path) -> None:
    loss = {"kind": "mean-difference", "mean_weight": 0.1, "pairwise": "none"}
    config = make_config("out", loss=loss, training__sampler="gene")
    reference, personal = phases(config)
    assert (reference.loss.mean_weight, personal.loss.mean_weight) == (1, 0.1)
    assert (reference.loss.kind, reference.sampler) == ("mean-difference", "random")
    assert (personal.loss.kind, personal.sampler) == ("mean-difference", "gene")


def test_null_in_the_reference_settings_is_the_personal_value() -> None:
    same, _ = phases(make_config("out"))
    assert (same.epochs, same.batch_size, same.learning_rate) == (3, 4, 1e-3)
    own = {"epochs": 9, "batch_size": 2, "learning_rate": 0.5}
    reference, personal = phases(make_config("out", training__reference=own))
    assert (reference.epochs, reference.batch_size, reference.learning_rate) == (9, 2, 0.5)
    assert (personal.epochs, personal.batch_size, personal.learning_rate) == (3, 4, 1e-3)


def test_all_people_of_a_gene_become_eight_genes_in_a_reference_phase() -> None:
    reference, personal = phases(make_config("out", training__sampler="gene", training__batch_size=None))
    assert (reference.batch_size, personal.batch_size) == (8, None)


def test_each_phase_has_its_own_genes() -> None:
    reference, personal = phases(make_config("out", genes={"reference": "all", "personal": "list.txt"}))
    assert (reference.genes, personal.genes) == ("all", "list.txt")
