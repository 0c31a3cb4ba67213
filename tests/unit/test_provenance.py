"""Records of how things were made: what they hold, when they count, and that they never break anything."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from glm2x import __version__
from glm2x.files import sha256
from glm2x.provenance import (
    artefact,
    artefacts,
    command,
    count_passes,
    peak_memory,
    record,
    record_with_history,
    words,
)
from glm2x.sidecar import Artefact, history_of, read, sidecar_of


def make(path: Path, text: str, *inputs: Artefact, role: str = "predictions", **options: object) -> Artefact:
    """Write a file as the command `make NAME` would, and return it."""
    with command(["make", path.name]):
        path.write_text(text)
        made = artefact(role, path)
        record(path, outputs=[made], inputs=inputs, **options)  # type: ignore[arg-type]
    return made


def test_a_record_says_what_the_command_was_and_read(tmp_path: Path) -> None:
    (tmp_path / "list").write_text("HG00096\n")
    with command(["predict", "--out", "a b.parquet"]):
        assert words() == ("predict", "--out", "a b.parquet")
        (tmp_path / "a b.parquet").write_text("table")
        count_passes(716, 192)
        count_passes(716, 8)
        record(
            tmp_path / "a b.parquet",
            outputs=[artefact("predictions", tmp_path / "a b.parquet")],
            inputs=artefacts(individuals=tmp_path / "list", genes=None),
            device="cpu",
        )
    assert words() is None
    said = read(tmp_path / "a b.parquet.made.json")
    assert said is not None
    (made,) = said.made
    assert made.words == ("predict", "--out", "a b.parquet")
    assert (made.windows, made.passes, made.device, made.processes) == (1432, 200, "cpu", 1)
    (read_list,) = made.inputs
    assert (read_list.role, read_list.size) == ("individuals", 8)
    assert read_list.digest == sha256(tmp_path / "list")
    assert made.versions["glm2x"] == __version__
    assert {"python", "numpy", "polars"} <= made.versions.keys()
    assert made.seconds is not None
    assert 0 <= made.seconds < 60
    assert made.peak is not None
    assert made.peak > 10_000_000  # a Python process


def test_outside_a_command_nothing_is_written(tmp_path: Path) -> None:
    record(tmp_path, outputs=[artefact("cohort", tmp_path)])
    assert list(tmp_path.iterdir()) == []


def test_a_record_that_cannot_be_written_is_told(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "table.csv.made.json").mkdir()
    make(tmp_path / "table.csv", "rows")
    assert (tmp_path / "table.csv").read_text() == "rows"
    assert "could not be recorded" in capfd.readouterr().err


def test_each_command_of_another_has_its_own_words_and_memory() -> None:
    with command(["demo"]):
        with command(["first"]):
            held = bytearray(os.urandom(1)) * 150_000_000
            first = peak_memory()[0]
            del held
        with command(["second"]):
            assert words() == ("second",)
            second = peak_memory()[0]
        assert words() == ("demo",)
        assert first >= 150_000_000
        assert peak_memory()[0] >= 0.99 * first  # the system's counters are not exact
    if Path("/proc/self/clear_refs").exists():
        assert second < first


def test_seconds_of_an_interrupted_training_are_added(tmp_path: Path) -> None:
    make(tmp_path / "run", "", earlier=3600.0)
    said = read(tmp_path / "run.made.json")
    assert said is not None
    assert said.made[0].seconds is not None
    assert said.made[0].seconds >= 3600


def test_several_commands_that_make_one_thing_are_all_kept(tmp_path: Path) -> None:
    for name in ("plan", "run"):
        with command(["embed", name]):
            record(tmp_path, outputs=[artefact("store", tmp_path, "5" * 64)], add=True)
    found = history_of([artefact("store", tmp_path, "5" * 64)])
    assert [made.words for made in found.made] == [("embed", "plan"), ("embed", "run")]


def test_a_history_begins_with_what_nothing_made_and_has_each_command_once(tmp_path: Path) -> None:
    cohort = make(tmp_path / "cohort", "people", role="cohort")
    split = make(tmp_path / "split", "sides", cohort, role="split")
    linear = make(tmp_path / "linear", "1", cohort, split)
    deep = make(tmp_path / "deep", "2", split, cohort)
    found = history_of([linear, deep, cohort])
    assert [made.words[1] for made in found.made] == ["cohort", "split", "linear", "deep"]
    assert found.unrecorded == ()
    (tmp_path / "evaluation").mkdir()
    with command(["evaluate"]):
        record_with_history(tmp_path / "evaluation", outputs=(), inputs=[linear, deep])
    said = read(tmp_path / "evaluation/made.json")
    assert said is not None
    assert [made.words[-1] for made in said.made] == ["cohort", "split", "linear", "deep", "evaluate"]


def test_what_was_made_again_since_is_not_what_was_read(tmp_path: Path) -> None:
    cohort = make(tmp_path / "cohort", "people", role="cohort")
    table = make(tmp_path / "table", "1", cohort)
    make(tmp_path / "cohort", "other people", role="cohort")
    found = history_of([table])
    assert [made.words[1] for made in found.made] == ["table"]
    assert found.unrecorded == (cohort,)


def test_input_files_of_others_need_no_record(tmp_path: Path) -> None:
    (tmp_path / "people.vcf").write_text("##")
    table = make(tmp_path / "table", "1", artefact("variants", tmp_path / "people.vcf"))
    assert history_of([table]).unrecorded == ()


def test_a_checkpoint_is_found_by_the_record_of_its_run(tmp_path: Path) -> None:
    folder = tmp_path / "run/phases/reference/best"
    folder.mkdir(parents=True)
    best = artefact("checkpoint", folder, "a" * 64)
    with command(["train", "config.yml"]):
        record(tmp_path / "run", outputs=[artefact("run", tmp_path / "run"), best])
    assert [made.words for made in history_of([best]).made] == [("train", "config.yml")]
    other = artefact("checkpoint", folder, "b" * 64)
    assert history_of([other]).unrecorded == (other,)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "null",
        '{"format_version": 2, "made": [], "unrecorded": []}',
        '{"format_version": 1, "made": {}, "unrecorded": []}',
        '{"format_version": 1, "made": [{"words": "rm"}], "unrecorded": []}',
        '{"format_version": 1, "made": [], "unrecorded": [{"role": 1}]}',
        "[" * 100_000,
        " " * 2_000_001,
    ],
)
def test_a_damaged_record_is_none(tmp_path: Path, text: str) -> None:
    table = make(tmp_path / "table", "1")
    sidecar_of(tmp_path / "table").write_text(text)
    assert read(sidecar_of(tmp_path / "table")) is None
    assert history_of([table]).unrecorded == (table,)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("words", ["x" * 5_000]),
        ("words", ["x"] * 2_001),
        ("words", [None]),
        ("seconds", -1),
        ("seconds", 10**400),
        ("peak", 1.5),
        ("processes", None),
        ("versions", {"glm2x": 1}),
        ("inputs", [{"role": "cohort"}]),
    ],
)
def test_a_value_that_cannot_be_makes_a_record_none(tmp_path: Path, key: str, value: object) -> None:
    make(tmp_path / "table", "1")
    place = sidecar_of(tmp_path / "table")
    content = json.loads(place.read_text())
    del content["checksum"]
    content["made"][0][key] = value
    place.write_text(json.dumps(content))
    assert read(place) is None


def test_records_that_name_each_other_end(tmp_path: Path) -> None:
    one, two = (Artefact("predictions", str(tmp_path / name), name * 64, 1) for name in ("1", "2"))
    for made, before in ((one, two), (two, one)):
        with command(["make", made.path]):
            Path(made.path).touch()
            record(made.path, outputs=[made], inputs=[before])
    assert [made.words[1] for made in history_of([one]).made] == [two.path, one.path]


def test_a_large_file_is_known_by_its_size_alone(tmp_path: Path) -> None:
    large = tmp_path / "genotypes.vcf.gz"
    with large.open("wb") as handle:
        handle.truncate(64_000_001)
    assert artefact("variants", large) == Artefact("variants", str(large), None, 64_000_001)
