"""What the documentation says of backbones, licences and citation is what the code says."""

from __future__ import annotations

import re

import pytest
import yaml
from pages import ROOT

from glm2x import __version__
from glm2x.backbones.info import BackboneInfo
from glm2x.backbones.registry import backbones

PAGES = ROOT / "docs/backbones"
TEMPLATES = sorted((ROOT / ".github/ISSUE_TEMPLATE").glob("*.yml"))


def row(text: str, name: str) -> list[str]:
    """Return the cells of the one line of a page's tables that begins with a backbone's name."""
    found = re.findall(rf"^\| \[?`{name}`(?:\]\(\S+\))? \|(.*)\|$", text, re.MULTILINE)
    assert len(found) == 1, name
    return [cell.strip() for cell in found[0].split("|")]


@pytest.mark.parametrize("info", backbones(), ids=lambda info: info.name)
def test_a_page_for_each_backbone(info: BackboneInfo) -> None:
    text = (PAGES / f"{info.name}.md").read_text()
    cells = dict(re.findall(r"^\| ([^|]+) \| (.+) \|$", text, re.MULTILINE))
    assert cells["kind"] == info.kind
    assert f"`{info.head}`" in cells["head"]
    assert all(f"`{name}`" in text or f"hf download {name}" in text for name in info.hub[:1])
    if info.name == "huggingface":
        return  # all else is the model's own
    assert f", {info.width}]" in cells["output"]
    assert info.licence in " ".join(cells.values())
    assert info.parameters.split(":")[0] in " ".join(cells.values())


def test_the_comparison_has_them_all() -> None:
    text = (PAGES / "index.md").read_text()
    trainable, frozen = text.split("**Trainable**")[1].split("**Frozen**")
    for info in backbones():
        _, _, width, licence = row(trainable if info.kind == "trainable" else frozen, info.name)
        assert width == (f"{info.width:,}" if info.width else "the model's")
        assert licence == ("none" if info.licence == "as glm2x" else info.licence.split(":")[0])


def test_licences_are_those_of_the_registry() -> None:
    text = (ROOT / "docs/licences.md").read_text()
    for info in backbones():
        weights, licence, _ = row(text, info.name)
        assert licence == info.licence
        assert weights == (f"`{info.hub[0]}`" if info.hub else weights)
        assert ("non-commercial" in info.licence) == ("non-commercial" in licence)


def test_the_citation_is_valid() -> None:
    """The keys that the Citation File Format 1.2.0 asks for, and no others of our making."""
    content = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert {"authors", "cff-version", "message", "title"} <= content.keys()
    assert content.keys() <= {
        *("abstract", "authors", "cff-version", "commit", "contact", "date-released", "doi", "identifiers"),
        *("keywords", "license", "license-url", "message", "preferred-citation", "references", "repository"),
        *("repository-artifact", "repository-code", "title", "type", "url", "version"),
    }
    assert content["cff-version"] == "1.2.0"
    assert content["type"] == "software"
    assert content["license"] == "Apache-2.0"
    assert str(content["version"]) == __version__
    (paper,) = content["references"]
    assert {"authors", "title", "type"} <= paper.keys()
    assert paper["doi"] == "10.1101/2025.07.09.664024"
    assert (paper["type"], paper["status"]) == ("article", "preprint")
    for work in (content, paper):
        assert all(author.keys() == {"name"} and author["name"] for author in work["authors"])


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.name)
def test_issue_templates_are_forms(path) -> None:
    content = yaml.safe_load(path.read_text())
    if path.name == "config.yml":
        assert content == {"blank_issues_enabled": False}
        return
    assert {"name", "description", "body"} <= content.keys()
    ids = [part["id"] for part in content["body"] if part["type"] != "markdown"]
    assert len(ids) == len(set(ids))
    assert all(part["attributes"].get("label") for part in content["body"] if part["type"] != "markdown")
    if path.name != "feature.yml":
        assert "`glm2x --version`" in path.read_text()
        assert "`glm2x cohort check COHORT --json`" in path.read_text()
