"""Every command that the documentation shows runs, in the world that its page names."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import published_world  # noqa: F401  (it registers its world)
import pytest
from commands import COMMON, path_with, started_at_once
from pages import ROOT, Page, PageError, all_pages
from running import run_script
from worlds import WORLDS

from glm2x.cli import app

PAGES = all_pages()
WITH_COMMANDS = [page for page in PAGES if re.search(r"^\s*(```+bash|% run$)", page.text, re.MULTILINE)]


@pytest.fixture(scope="session")
def shared_by_worlds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("worlds")


@pytest.fixture(scope="session")
def binaries(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of a `glm2x` that starts at once."""
    with started_at_once(tmp_path_factory.mktemp("commands"), COMMON, {}) as binaries:
        yield binaries


@pytest.mark.parametrize("page", WITH_COMMANDS, ids=lambda page: page.name)
def test_the_commands_of(page: Page, tmp_path: Path, shared_by_worlds: Path, binaries: Path) -> None:
    world = WORLDS[page.world]
    script, told, unused = world.substitute(page.script())
    print(f"{page.name}: world {page.world}, {sum(block.runs for block in page.blocks)} blocks")
    for reason, number in Counter(block.reason for block in page.blocks if block.reason).items():
        print(f"not run, {reason}: {number}")
    for line in told:
        print(f"substituted: {line}")
    folder, aside = tmp_path / "folder", tmp_path / "aside"
    folder.mkdir()
    aside.mkdir()
    with world.prepare(folder, shared_by_worlds) as given:
        environment = {"PATH": path_with(binaries), **given}
        outcome = run_script(page.name, script, folder, aside, environment)
    assert outcome.code == 0, str(outcome)
    assert not unused, f"{page.name} does not use what world {page.world} substitutes: {unused}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_all_code_of(page: Page) -> None:
    """It is commands, or says what else it is."""
    assert all(block.language for block in page.blocks if re.search(r"\bglm2x\b", block.source))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_of(page: Page) -> None:
    """What is linked by its path is there; Sphinx looks at the rest."""
    folder = (ROOT / page.name).parent
    links = re.findall(r"\]\(([^)#:]+?)(?:#[^)]*)?\)", page.text)
    assert not [link for link in links if not (folder / link).exists()]


def test_every_world_is_that_of_a_page() -> None:
    assert {page.world for page in WITH_COMMANDS} == set(WORLDS)


def test_every_verb_is_shown() -> None:
    shown = "\n".join(
        block.source for page in PAGES for block in page.blocks if block.language in ("bash", "code-cell")
    )
    lacking = [verb for verb in _verbs() if not re.search(rf"^.*\bglm2x {verb}\b", shown, re.MULTILINE)]
    assert not lacking, f"no page shows a command with: {lacking}"


def test_verbs_in_running_text_exist() -> None:
    """`glm2x WORD` in backquotes names a command that there is."""
    verbs = {word for verb in _verbs() for word in (verb, verb.split()[0])}
    unknown = []
    for page in PAGES:
        for words in re.findall(r"`(?:\s*)glm2x\s+([a-z][a-z-]*(?:\s+[a-z]+)?)", page.text):
            first, _, second = " ".join(words.split()).partition(" ")
            grouped = any(verb.startswith(f"{first} ") for verb in verbs)
            if first not in verbs or (grouped and second and f"{first} {second}" not in verbs):
                unknown.append(f"{page.name}: glm2x {words}")
    assert not unknown


def _verbs() -> list[str]:
    """Return every command there is: ``demo``, ``cohort build``, ..."""
    verbs = []
    for name in app:
        if name.startswith("-"):
            continue
        below = [inner for inner in app[name] if not inner.startswith("-")] if _is_group(name) else []
        verbs += [f"{name} {inner}" for inner in below] or [name]
    return verbs


def _is_group(name: str) -> bool:
    return app[name].default_command is None


def _page(text: str) -> Page:
    return Page("page.md", text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("```\nglm2x demo\n```\n", r"page.md:1: commands in a block of no language"),
        ("text\n\n    glm2x demo --out d\n", r"page.md:3: commands in a block of no language"),
        ("```sh\nls\n```\n", r"page.md:1: no language that is known here: sh"),
        ("```text\n$ ls\n```\n", r"page.md:1: commands in a block of text"),
        (
            "% not run: too slow\n```bash\nglm2x demo\n```\n",
            r"page.md:2: not run for a reason that is none: 'too slow'",
        ),
        ("````{tip}\n\n```\nglm2x demo\n```\n````\n", r"page.md:3: commands in a block of no language"),
    ],
)
def test_what_would_escape_is_refused(text: str, message: str) -> None:
    with pytest.raises(PageError, match=message):
        _page(text).blocks  # noqa: B018


def test_blocks_keep_the_lines_of_the_page() -> None:
    text = (
        "---\nglm2x-world: study\n---\n# A page\n\n```bash\none \\\n  more\n```\n\n"
        "% not run: needs a GPU\n```bash\ntwo\n```\n\n````{tip}\ntext\n\n% run\n"
        "```python\nprint(3)\n```\n````\n"
    )
    page = _page(text)
    assert page.world == "study"
    assert [(block.line, block.runs, block.reason) for block in page.blocks] == [
        (7, True, None),
        (13, False, "needs a GPU"),
        (21, True, None),
    ]
    lines = page.script().split("\n")
    assert {number: line for number, line in enumerate(lines, 1) if line} == {
        7: "one \\",
        8: "  more",
        20: "python - <<'END_OF_THE_BLOCK'",
        21: "print(3)",
        22: "END_OF_THE_BLOCK",
    }


def test_a_failure_names_line_command_exit_code_and_output(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    script = "\n\necho before\nword=lost\n(echo $word; exit 3)\necho never\n"
    outcome = run_script("page.md", script, tmp_path / "folder", tmp_path, {})
    assert (outcome.code, outcome.line) == (3, 5)
    told = str(outcome)
    assert told.startswith("page.md:5: a command of the page failed\n")
    assert "exit code: 3" in told
    assert "    before\n    lost" in told
    assert "never" not in told


@pytest.mark.parametrize(
    "script", ["false | cat\n", "echo $not_set\n", "python - <<'E'\nraise SystemExit(1)\nE\n"]
)
def test_a_script_fails_where_a_careful_shell_does(script: str, tmp_path: Path) -> None:
    assert run_script("page.md", script, tmp_path, tmp_path, {}).code != 0
