"""The shipped experiments of Borzoi and AlphaGenome have the published settings, and windows that fit."""

from __future__ import annotations

import pytest

from glm2x.backbones.registry import build
from glm2x.config import BackboneConfig, load_config

STRATEGIES = ("reference", "personal", "reference-then-personal")


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("name", ["borzoi", "alphagenome"])
def test_settings_are_the_published_ones(name: str, strategy: str) -> None:
    config = load_config(f"{name}-{strategy}")
    assert (config.backbone.name, config.strategy) == (name, strategy)
    assert config.backbone == BackboneConfig(name=name, weights=None, revision="main")
    assert config.window == {"borzoi": 64_000, "alphagenome": 65_536}[name]
    assert (config.head.name, config.freeze, config.haplotypes) == ("attention-pool", None, "both")
    training = config.training
    assert (training.epochs, training.batch_size, training.batch, training.sampler) == (
        40,
        8,
        "people",
        "random",
    )
    assert (training.optimizer, training.learning_rate, training.schedule) == ("adam", 1e-6, "published")
    pairwise = "none" if strategy == "reference" else "published"
    assert (config.loss.kind, config.loss.pairwise, config.loss.alpha) == ("smooth-l1", pairwise, 0.3)


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("name", ["borzoi", "alphagenome"])
def test_the_model_takes_the_window(name: str, strategy: str) -> None:
    if name == "alphagenome":
        pytest.importorskip("alphagenome_pt", reason="needs the extra alphagenome")
    config = load_config(f"{name}-{strategy}")
    architecture = {
        "borzoi": {},
        "alphagenome": {"organisms": ["human"], "max_seq_len": 1_048_576, "num_channels": 12},
    }[name]
    model = build(name, config.window, config.backbone, {"architecture": architecture})
    assert model.tokens(config.window) == 10
