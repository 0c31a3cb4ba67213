"""Backbones that other packages declare: found, refused by name, and missing where one is needed."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from backbone_packages import declare, install
from glm2x.backbones.info import Package
from glm2x.backbones.packages import package_of
from glm2x.backbones.registry import build, build_language_model, foreign, get, get_as_made
from glm2x.cli import run
from glm2x.config import BackboneConfig
from glm2x.errors import DataError, UsageError


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder on the path of imports."""
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    for name in [name for name in sys.modules if name.startswith("other_")]:
        del sys.modules[name]


def test_a_package_s_backbone_is_one_of_ours(site: Path) -> None:
    install(site, "other-a", "counting")
    install(site, "other-b", "learning", kind="trainable", version="2.1.dev3")
    infos, refused = foreign()
    assert [(info.name, str(info.package)) for info in infos] == [
        ("counting", "other-a 1.0"),
        ("learning", "other-b 2.1.dev3"),
    ]
    assert refused == ()
    assert get("counting").package == Package("other-a", "1.0")
    assert "other_a_model" not in sys.modules
    model = build_language_model(BackboneConfig(name="counting"))
    assert model.spec == {"architecture": {}, "package": {"name": "other-a", "version": "1.0"}}
    assert not model.training
    assert build("learning", 512, BackboneConfig(name="learning")).tokens(512) == 128


def test_using_one_imports_no_other(site: Path) -> None:
    install(site, "other-a", "counting")
    install(site, "other-b", "learning", kind="trainable")
    get("counting")
    assert "other_b_info" not in sys.modules


REFUSED = {
    "ModuleNotFoundError: No module named 'not_there'": "import not_there",
    "ZeroDivisionError: division by zero": "1 / 0",
    "it gives a str, and no BackboneInfo of glm2x.backbones.info": "INFO = 'counting'",
    "it describes the backbone 'other'": "INFO = replace(INFO, name='other')",
    "its kind is 'both', and neither 'trainable' nor 'frozen'": "INFO = replace(INFO, kind='both')",
}


@pytest.mark.parametrize("why", REFUSED)
def test_a_broken_entry_is_named_and_breaks_nothing_else(
    site: Path, capsys: pytest.CaptureFixture[str], why: str
) -> None:
    install(site, "other-a", "counting")
    install(site, "other-b", "learning", kind="trainable")
    with (site / "other_a_info.py").open("a") as file:
        file.write(f"\nfrom dataclasses import replace\n{REFUSED[why]}\n")
    assert run(["backbones"]) == 0
    said = capsys.readouterr()
    assert f"refused: the backbone counting of the package other-a 1.0: {why}\n" in said.err
    assert "counting" not in said.out
    assert "learning" in said.out
    assert get("learning").package == Package("other-b", "1.0")
    with pytest.raises(
        DataError, match=r"the backbone counting of the package other-a 1\.0 cannot be used"
    ) as e:
        get("counting")
    assert (e.value.where, e.value.got) == ("entry point other_a_info:INFO", why)


def test_a_name_that_is_no_name(site: Path) -> None:
    install(site, "other-a", "Two_Words")
    assert "small letters" in foreign()[1][0].why


def test_no_package_takes_a_name_of_ours(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    install(site, "other-a", "onehot", kind="trainable")
    assert run(["backbones"]) == 0
    assert "onehot of the package other-a 1.0: glm2x has a backbone of this name" in capsys.readouterr().err
    assert get("onehot").package is None
    assert "other_a_info" not in sys.modules


def test_two_packages_of_one_name_are_both_refused(site: Path) -> None:
    install(site, "other-a", "counting")
    install(site, "other-b", "counting")
    infos, refused = foreign()
    assert infos == ()
    assert [(str(r.package), r.why) for r in refused] == [
        ("other-a 1.0", "the name is also declared by other-b 1.0"),
        ("other-b 1.0", "the name is also declared by other-a 1.0"),
    ]
    with pytest.raises(UsageError, match="several packages have a backbone called counting") as error:
        get("counting")
    assert error.value.got == "other-a 1.0, other-b 1.0"


def test_an_unknown_name_may_be_nearest_to_a_package_s(site: Path) -> None:
    install(site, "other-a", "counting")
    with pytest.raises(UsageError, match="no backbone is called counting-2") as error:
        get("counting-2")
    assert error.value.do == "did you mean counting?"
    assert error.value.wanted.endswith("kmer, counting")


def test_what_was_made_with_a_package_that_is_not_here() -> None:
    with pytest.raises(DataError, match="the backbone counting needs the package other-a") as error:
        get_as_made("counting", Package("other-a", "1.0"), "run/checkpoint")
    assert (error.value.where, error.value.got) == ("run/checkpoint", "it is not installed")
    assert error.value.do.startswith("pip install other-a==1.0, ")


def test_what_was_made_with_a_package_whose_name_is_another_s_here(site: Path) -> None:
    install(site, "other-b", "counting")
    with pytest.raises(DataError, match="needs the package other-a") as error:
        get_as_made("counting", Package("other-a", "1.0"), "store")
    assert (error.value.got, error.value.wanted) == ("counting of other-b 1.0", "other-a 1.0")
    with pytest.raises(DataError, match="glm2x's own there, and another package's here") as error:
        get_as_made("counting", None, "store")
    assert error.value.got == "other-b 1.0"
    with pytest.raises(DataError, match="needs the package other-a") as error:
        get_as_made("onehot", Package("other-a", "1.0"), "store")
    assert error.value.got == "onehot of glm2x itself"


@pytest.mark.parametrize(
    "told",
    [
        {"name": "x; rm -rf ~", "version": "1"},
        {"name": "x", "version": "1 --index-url http://elsewhere"},
        {"name": "x", "version": 1},
        {"name": "x"},
        "x 1.0",
    ],
)
def test_a_file_s_package_is_a_name_and_a_version(told: object) -> None:
    """The message shows them in a command."""
    with pytest.raises(DataError, match="the package of a backbone is damaged"):
        package_of({"package": told}, "store")


def test_a_module_that_cannot_be_imported_is_named(site: Path) -> None:
    install(site, "other-a", "counting", code="import not_there")
    with pytest.raises(
        DataError, match=r"the backbone counting of the package other-a 1\.0 cannot be"
    ) as error:
        build_language_model(BackboneConfig(name="counting"))
    assert error.value.where == "other_a_model"
    assert error.value.got == "ModuleNotFoundError: No module named 'not_there'"


def test_a_model_that_is_not_as_described(site: Path) -> None:
    install(site, "other-b", "learning", kind="trainable")
    (site / "other_b_info.py").write_text(
        (site / "other_b_info.py").read_text().replace("width=2", "width=3")
    )
    with pytest.raises(DataError, match=r"not as its package other-b 1\.0 describes it") as error:
        build("learning", 512, BackboneConfig(name="learning"))
    assert (error.value.got, error.value.wanted) == ("128 tokens of 2 channels", "128 tokens of 3 channels")


@pytest.mark.parametrize("field", ["model", "remote_code"])
def test_it_is_one_model_without_code_of_its_own(site: Path, field: str) -> None:
    install(site, "other-a", "counting")
    asked = {"model": "x/y"} if field == "model" else {"remote_code": True}
    with pytest.raises(UsageError, match=r"is one model, whose code comes with other-a 1\.0"):
        build_language_model(BackboneConfig(name="counting", **asked))


def test_an_extra_is_the_package_s(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    install(site, "other-a", "counting")
    text = (site / "other_a_info.py").read_text()
    (site / "other_a_info.py").write_text(text.replace("needs=()", "needs=('not_there',), extra='all'"))
    assert run(["backbones", "counting"]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[1].split() == ["package:", "other-a", "1.0"]
    assert said[-1].endswith("lacks not_there: pip install 'other-a[all]'")


def test_help_does_not_look_for_packages(site: Path) -> None:
    declare(site, "other-a", {"counting": "other_a_info:INFO"})
    (site / "other_a_info.py").write_text("raise SystemExit('imported')")
    assert run(["backbones", "--help"]) == 0
    assert run(["embed", "plan", "--help"]) == 0
