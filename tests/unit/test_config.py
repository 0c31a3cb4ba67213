"""The configuration: what it knows, and what it says of what it does not."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from glm2x.config import dump_config, load_config, parse_config, show_config
from glm2x.errors import DataError, UsageError

LEAST = {"cohort": "c", "split": "s", "backbone": {"name": "onehot"}, "out": "o"}


def written(folder: Path, **keys: object) -> Path:
    path = folder / "config.yml"
    path.write_text(yaml.safe_dump(LEAST | keys))
    return path


def test_the_least_configuration_has_the_published_defaults(tmp_path: Path) -> None:
    config = load_config(written(tmp_path))
    assert config.window == 64_000
    assert (config.loss.kind, config.loss.pairwise, config.loss.alpha) == ("smooth-l1", "published", 0.3)
    training = config.training
    assert (training.epochs, training.batch_size, training.learning_rate) == (40, 8, 1e-4)
    assert (training.batch, training.sampler, training.schedule, training.optimizer) == (
        "people",
        "random",
        "published",
        "adam",
    )


def test_overrides_are_yaml_values(tmp_path: Path) -> None:
    config = load_config(
        written(tmp_path),
        ["training.epochs=5", "training.reference.epochs=2", "haplotypes=1", "backbone.weights=w"],
    )
    assert config.training.epochs == 5
    assert config.training.reference.epochs == 2
    assert config.haplotypes == 1
    assert config.backbone.weights == "w"


@pytest.mark.parametrize("keys", [{}, {"target": "residual", "covariates_keep": ["PC1", "PC2"]}])
def test_a_resolved_configuration_reads_as_itself(tmp_path: Path, keys: dict) -> None:
    config = load_config(written(tmp_path, **keys))
    assert parse_config(yaml.safe_load(dump_config(config)), where="resolved") == config


@pytest.mark.parametrize(
    ("keys", "message", "detail"),
    [
        ({"windw": 5}, "unknown key 'windw'", "did you mean window?"),
        ({"training": {"epoch": 5}}, "unknown key 'training.epoch'", "did you mean epochs?"),
        ({"training": {"reference": {"epoch": 5}}}, "'training.reference.epoch'", "did you mean epochs?"),
        ({"window": 7}, "window is not allowed", "7"),
        ({"strategy": "both"}, "strategy is not allowed", "'reference-then-personal'"),
        ({"loss": {"pairwise": "signed-within-gene"}}, "not allowed", "sampler: gene"),
        ({"loss": {"kind": "mean-difference", "pairwise": "none"}}, "not allowed", "sampler: gene"),
        ({"training": {"batch_size": None}}, "not allowed", "sampler: gene"),
        ({"freeze": "head"}, "configuration's freeze is not allowed", "'head'"),
        ({"freeze": True}, "configuration's freeze is not allowed", "True"),
        ({"freeze": 0}, "configuration's freeze is not allowed", "0"),
        ({"training": {"devices": "all"}}, "configuration's training.devices is not allowed", "'all'"),
        ({"covariates_keep": ["PC1"]}, "not allowed", "goes with target: residual"),
        ({"target": "residual", "covariates_keep": []}, "covariates_keep is not allowed", "at least 1 item"),
        ({"training": {"accumulate": 0}}, "configuration's training.accumulate is not allowed", "0"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, keys: dict, message: str, detail: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        load_config(written(tmp_path, **keys))
    assert detail in str(caught.value)


def test_a_missing_key_is_named(tmp_path: Path) -> None:
    path = tmp_path / "config.yml"
    path.write_text("cohort: c\nsplit: s\nout: o\n")
    with pytest.raises(UsageError, match="lacks the key 'backbone'"):
        load_config(path)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("epochs", "--set takes key=value"),
        ("window.x=1", "window holds no keys"),
        ("out.x=1", "out holds no keys"),
        ("out=[", "not YAML"),
    ],
)
def test_overrides_that_cannot_be_set(tmp_path: Path, override: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        load_config(written(tmp_path, window=64_000), [override])


def test_what_is_no_yaml(tmp_path: Path) -> None:
    path = tmp_path / "config.yml"
    path.write_text("a: [")
    with pytest.raises(UsageError, match="is not YAML"):
        load_config(path)
    path.write_text("- a")
    with pytest.raises(UsageError, match="holds no keys"):
        load_config(path)
    path.write_text("!!python/object/apply:os.system ['exit 1']")
    with pytest.raises(UsageError, match="is not YAML"):
        load_config(path)
    with pytest.raises(DataError, match="does not exist"):
        load_config(tmp_path / "none.yml")


def test_an_unknown_experiment_names_the_nearest() -> None:
    with pytest.raises(UsageError, match="no shipped experiment is called onehot-ref") as caught:
        show_config("onehot-ref")
    assert "did you mean onehot-reference?" in str(caught.value)


def test_a_key_that_stands_twice(tmp_path: Path) -> None:
    path = tmp_path / "config.yml"
    path.write_text("cohort: c\nsplit: s\nsplit: t\nbackbone: {name: onehot}\nout: o\n")
    with pytest.raises(UsageError, match="not YAML") as caught:
        load_config(path)
    assert "split stands twice" in str(caught.value)
