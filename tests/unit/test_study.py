"""What a study needs: counts by hand, arithmetic by hand, and what is said to fit does."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from glm2x.cli import run
from glm2x.errors import DataError, UsageError
from glm2x.study.costs import Costs, read_costs, reckoned, tower, write_costs
from glm2x.study.needs import Kept, Needs, Training, alternatives, kept
from glm2x.study.show import hours_words
from glm2x.study.size import Size, count_unique, on_paper


class FakeWindow:
    """Four haplotypes of two people over three variants."""

    width = 3

    def patterns(self) -> np.ndarray:
        carried = np.array([[0, 0, 0], [1, 0, 0], [1, 0, 0], [1, 1, 0]], dtype=np.uint8)
        return np.packbits(carried, axis=1)


def size(unique: int = 30, genes: int = 10) -> Size:
    return Size(genes, 4, 64_000, unique, "by hand")


def needs(stored: Kept | None = None, *, gpus: int = 1, unique: int = 30) -> Needs:
    training = Training(people=2, genes=10, reference_genes=20, epochs=3)
    return Needs("a", size(unique), Costs(36.0, 72.0, "by hand"), stored, training, gpus)


def test_unique_haplotypes_are_counted_with_the_reference() -> None:
    everyone = np.arange(4)
    assert count_unique(FakeWindow(), everyone) == 3  # 000 (also the reference), 100, 110
    assert count_unique(FakeWindow(), np.array([1, 2])) == 2  # 100, and the reference
    # the second variant is carried by a quarter
    assert count_unique(FakeWindow(), everyone, min_maf=0.26) == 1
    assert count_unique(FakeWindow(), everyone, min_maf=0.25) == 3


def test_windows_hold_the_reference() -> None:
    assert size().windows == 10 * (2 * 4 + 1)
    assert size().of_genes(5) == Size(5, 4, 64_000, 15, "by hand")


def test_on_paper_meets_the_numbers_it_was_drawn_through() -> None:
    assert on_paper(200, 150, 64_000).unique == 200 * 151
    assert on_paper(20_000, 490_000, 64_000).unique == pytest.approx(20_000 * 13_001)
    assert on_paper(20_000, 490_000, 64_000, min_maf=0.001).unique == pytest.approx(20_000 * 2_501)
    # never more than there are haplotypes
    assert on_paper(1, 2, 196_608).unique == 5
    assert on_paper(1, 150, 11_000).unique < on_paper(1, 150, 64_000).unique


def test_hours_by_hand() -> None:
    found = needs()
    assert found.pass_hours == pytest.approx(30 * 36 / 3_600)
    assert found.reference_hours == pytest.approx(3 * 20 * 72 / 3_600)
    assert found.personal_hours == pytest.approx(3 * 2 * 2 * 10 * 72 / 3_600)
    assert found.hours == pytest.approx(0.3 + 1.2 + 2 * 2.4)
    assert needs(gpus=2).hours == pytest.approx(found.hours / 2)
    assert found.bytes == found.bytes_without_dictionary == 0


def test_bytes_by_hand() -> None:
    found = needs(kept("tokens", 1_834, 1_024, None))
    assert found.bytes == 30 * 1_834 * 1_024 * 2
    assert found.bytes_without_dictionary == 90 * 1_834 * 1_024 * 2
    assert kept("bins", 1_834, 1_024, 40).bytes == 40 * 1_024 * 4
    assert kept("mean", 1_834, 1_024, None).bytes == 1_024 * 4


def test_reading_a_store_may_take_longer_than_computing() -> None:
    slow = needs(Kept(10**6, 10**6, 2))
    assert slow.personal_hours == pytest.approx(slow.training.personal_windows * 2e12 / 2e9 / 3_600)


def test_alternatives_fit_as_they_say() -> None:
    found = needs(Kept(64_000, 256, 2))
    room = found.bytes / 4

    def fits(one: Needs) -> bool:
        return one.bytes <= room

    smaller = [("fewer variants", size(20)), ("no fewer", size(30))]
    others = alternatives(found, 64_000, smaller, lambda _: Costs(1.0, 1.0, ""), fits)
    bins = "--keep bins --bins 400"
    assert [o.change for o in others] == [
        "fewer variants",
        bins,
        f"fewer variants and {bins}",
        "--keep mean",
        "2 genes",
    ]
    by_change = {o.change: o.needs for o in others}
    assert by_change["fewer variants"].bytes == 20 * 64_000 * 256 * 2
    assert by_change[f"fewer variants and {bins}"].bytes == 20 * 400 * 256 * 4
    assert by_change[bins].costs.train == 1.0
    assert fits(by_change["2 genes"])
    assert not fits(needs(Kept(64_000, 256, 2), unique=9))  # three genes would not


def test_reckoned_costs() -> None:
    found = reckoned("enformer", 64_000, None, "a100", 0.5)
    assert found.forward == pytest.approx(1.022e12 / 156e12)
    assert found.train == pytest.approx(3 * found.forward)
    # the Tower as counted by torch, see benchmarks/flops.py
    assert tower(64_000, 4_096) == pytest.approx(0.6243e12, rel=0.01)
    assert tower(64_000, 256) == pytest.approx(2.5e9, rel=0.04)
    with pytest.raises(UsageError, match="no such device"):
        reckoned("enformer", 64_000, None, "abacus")
    with pytest.raises(UsageError, match="not known"):
        reckoned("kmer", 64_000, None, "a100")


def test_costs_come_back(tmp_path: Path) -> None:
    write_costs(tmp_path / "costs.json", {"evo2": Costs(3.4, 0.5, "measured")})
    assert read_costs(tmp_path / "costs.json") == {"evo2": Costs(3.4, 0.5, "given in costs.json")}


@pytest.mark.parametrize(
    "said",
    [
        "[]",
        '{"format_version": 2, "costs": {}}',
        '{"format_version": 1, "costs": {"a": {"forward_seconds": -1, "train_seconds": 1}}}',
        '{"format_version": 1, "costs": {"a": {"forward_seconds": true, "train_seconds": 1}}}',
        '{"format_version": 1, "costs": {"a": 3}}',
    ],
)
def test_other_costs_are_refused(tmp_path: Path, said: str) -> None:
    (tmp_path / "costs.json").write_text(said)
    with pytest.raises(DataError, match="does not say what a window costs"):
        read_costs(tmp_path / "costs.json")


@pytest.mark.parametrize(
    ("hours", "words"), [(0.5, "30 min"), (47.0, "47.0 h"), (72.0, "3 d"), (30 * 8_766.0, "30 years")]
)
def test_hours_in_words(hours: float, words: str) -> None:
    assert hours_words(hours) == words


def test_a_study_on_paper_that_fits(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["plan", "--people", "150", "--genes", "200", "--disk-gb", "20000"]) == 0
    said = capsys.readouterr().out
    assert "15.8 TB" in said
    assert "within a factor of two" in said
    assert "does not fit" not in said


def test_a_study_that_does_not_fit(capsys: pytest.CaptureFixture[str]) -> None:
    words = [
        "plan",
        "--people",
        "150",
        "--genes",
        "200",
        "--disk-gb",
        "2000",
        "--backbones",
        "evo2,caduceus-ph",
        "--json",
    ]
    assert run(words) == 1
    said = capsys.readouterr()
    assert "1 of 2 backbones do not fit: evo2" in said.err
    content = json.loads(said.out)
    evo2, caduceus = content["backbones"]
    assert (evo2["fits"], caduceus["fits"]) == (False, True)
    assert evo2["stored_bytes"] == 30_200 * 64_000 * 4_096 * 2
    assert {o["change"]: o["fits"] for o in evo2["alternatives"]}["--keep bins --bins 400"]
    assert all(o["stored_bytes"] <= 2e12 for o in evo2["alternatives"] if o["fits"])


def test_too_many_hours_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["plan", "--people", "150", "--genes", "200", "--backbones", "enformer", "--hours", "2"]
    assert run(words) == 1
    said = capsys.readouterr()
    assert "enformer does not fit: 14.7 h" in said.out
    assert "fits: 26 genes: 2.0 h" in said.out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--people 5", "a cohort, or a number of people and genes"),
        ("--people 5 --genes 5", "--train-people not more than --people"),
        ("--people 50 --genes 5 --min-maf 0.6", "a frequency below 0.5"),
        ("--people 50 --genes 5 --window 3", "an even number"),
        ("--people 50 --genes 5 --gpus 0", "1 or more"),
        ("--people 50 --genes 5 --bins 4", "--keep bins"),
        ("--people 50 --genes 5 --backbones ,", "names none"),
        ("--people 50 --genes 5 --measure costs.json", "one backbone is measured at a time"),
        ("--people 50 --genes 5 --cohort there", "the cohort's where there is one"),
    ],
)
def test_what_is_no_study(words: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["plan", *words.split()]) == 2
    assert message in capsys.readouterr().err


def test_measured_on_this_machine(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "costs.json"
    for name in ("kmer", "onehot"):
        words = f"plan --people 9 --genes 2 --train-people 5 --window 2048 --backbones {name} --force"
        assert run([*words.split(), "--measure", str(out)]) == 0
        found = read_costs(out)[name]
        assert 0 < found.forward < 60
        assert 0 < found.train < 60
        assert "given in costs.json" in capsys.readouterr().out
