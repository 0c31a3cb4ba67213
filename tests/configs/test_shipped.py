"""Every shipped experiment is read, and says what its name says."""

from __future__ import annotations

import pytest

from glm2x.backbones.registry import get
from glm2x.config import PhaseSettings, load_config, shipped_names, show_config

TRAINABLE = ("onehot", "enformer", "borzoi", "alphagenome")
FROZEN = ("nucleotide-transformer-v2", "caduceus-ph", "evo2", "kmer")


def test_there_is_one_for_each_backbone_and_strategy() -> None:
    strategies = ("personal", "reference", "reference-then-personal")
    assert shipped_names() == sorted(f"{name}-{s}" for name in (*TRAINABLE, *FROZEN) for s in strategies)


@pytest.mark.parametrize("name", [n for n in shipped_names() if n.startswith(TRAINABLE[1:])])
def test_sequence_to_function_models_have_the_published_settings(name: str) -> None:
    config = load_config(name)
    training = config.training
    window = 65_536 if config.backbone.name == "alphagenome" else 64_000  # a multiple of 2,048
    assert (config.window, config.target, config.haplotypes) == (window, "log", "both")
    assert (config.head.name, config.loss.kind, config.freeze) == ("attention-pool", "smooth-l1", None)
    assert (training.learning_rate, training.batch_size, training.epochs) == (1e-6, 8, 40)
    assert (training.optimizer, training.schedule, training.sampler) == ("adam", "published", "random")
    assert (training.batch, training.accumulate, training.reference) == ("people", 1, PhaseSettings())
    if config.strategy != "reference":
        assert (config.loss.pairwise, config.loss.alpha) == ("published", 0.3)
    assert config.backbone.weights is None


@pytest.mark.parametrize("name", [n for n in shipped_names() if n.startswith(FROZEN)])
def test_towers_have_the_published_settings(name: str) -> None:
    config = load_config(name)
    training = config.training
    window = 11_000 if config.backbone.name == "nucleotide-transformer-v2" else 64_000
    assert (config.window, config.target, config.haplotypes) == (window, "log", "both")
    assert (config.head.name, config.loss.kind, config.freeze) == ("tower", "smooth-l1", None)
    assert (training.learning_rate, training.batch_size, training.epochs) == (1e-4, 8, 40)
    assert (training.optimizer, training.schedule, training.sampler) == ("adam", "published", "random")
    assert (training.batch, training.accumulate, training.reference) == ("people", 1, PhaseSettings())
    if config.strategy != "reference":
        assert (config.loss.pairwise, config.loss.alpha) == ("published", 0.3)
    assert config.embeddings == f"stores/{config.backbone.name}"


@pytest.mark.parametrize("name", shipped_names())
def test_it_is_what_its_name_says(name: str) -> None:
    config = load_config(name)
    assert name == f"{get(config.backbone.name).name}-{config.strategy}"
    assert show_config(name).startswith("#")
