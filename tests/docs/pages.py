"""The documentation's pages, and which of their code is commands.

A fenced block with the info string ``bash`` holds commands, which run in the order of the page, in one shell.
One that cannot run here has the line ``% not run: REASON`` right before it. A ``python`` block runs, alone,
where the line before it is ``% run``. A page names its world, a function of worlds.py, in its front matter:
``glm2x-world: demo``. The README, where GitHub would show these lines, has them as comments of HTML:
``<!-- not run: REASON -->`` and ``<!-- glm2x-world: readme -->``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import yaml
from markdown_it import MarkdownIt
from markdown_it.token import Token

ROOT = Path(__file__).parents[2]
REASONS = (
    "installs packages",
    "needs a GPU",
    "needs a container runtime",
    "needs a scheduler",
    "needs the network",
    "run by CI",
)
OTHER_LANGUAGES = frozenset({"console", "json", "python", "text", "toml", "yaml"})
COMMAND = re.compile(
    r"^\s*(\$ |(glm2x|torchrun|python|pip|hf|make|sbatch|snakemake|apptainer|docker) +\S)", re.MULTILINE
)
_REMARK = re.compile(r"^\s*(?:%|<!--) *(run|not run: *(?P<reason>.*?)) *(?:-->)?$")
_FRONT_MATTER = re.compile(r"\A---\n(.*?)\n---\n", re.DOTALL)
_END = "END_OF_THE_BLOCK"


class PageError(Exception):
    """A page breaks the conventions above."""


@dataclass(frozen=True)
class Block:
    """A block of code: its first line in the page (1-based) and what the line before the fence says of it."""

    language: str
    source: str
    line: int
    run: bool = False
    reason: str | None = None

    @property
    def runs(self) -> bool:
        return (self.language == "bash" and self.reason is None) or (self.language == "python" and self.run)


@dataclass(frozen=True)
class Page:
    """A page of Markdown."""

    name: str
    text: str

    @classmethod
    def read(cls, path: Path) -> Page:
        return cls(path.relative_to(ROOT).as_posix(), path.read_text())

    @cached_property
    def front_matter(self) -> dict[str, object]:
        found = _FRONT_MATTER.match(self.text)
        return yaml.safe_load(found[1]) if found else {}

    @property
    def world(self) -> str:
        found = re.search(r"^<!-- glm2x-world: (\S+) -->$", self.text, re.MULTILINE)
        return found[1] if found else str(self.front_matter.get("glm2x-world", "demo"))

    @property
    def executed_by_the_build(self) -> bool:
        return "kernelspec" in self.front_matter

    @cached_property
    def blocks(self) -> list[Block]:
        found = _FRONT_MATTER.match(self.text)
        skipped = found[0].count("\n") if found else 0
        lines = self.text.split("\n")
        return self._blocks("\n" * skipped + "\n".join(lines[skipped:]), lines, 0)

    def _blocks(self, text: str, lines: list[str], before: int) -> list[Block]:
        """Return the blocks of a text that begins ``before`` lines down the page."""
        blocks = []
        for token in MarkdownIt("commonmark").enable("table").parse(text):
            if token.type not in ("fence", "code_block"):
                continue
            assert token.map is not None
            first = before + token.map[0]  # 0-based: of the fence, or of indented code
            language = token.info.strip() if token.type == "fence" else ""
            directive = re.match(r"\{([\w:-]+)\}", language)
            if directive and directive[1] not in ("code", "code-block", "code-cell", "sourcecode"):
                blocks += self._blocks(token.content, lines, first + 1)
            else:
                blocks.append(self._block(token, language, first, lines[first - 1] if first else ""))
        return blocks

    def _block(self, token: Token, language: str, first: int, line_before: str) -> Block:
        where = f"{self.name}:{first + 1}"
        if language.startswith("{code-cell}") and self.executed_by_the_build:
            return Block("code-cell", token.content, first + 2)
        if language != "bash" and COMMAND.search(token.content) and language not in ("python", "yaml"):
            raise PageError(f"{where}: commands in a block of {language or 'no language'}: write ```bash")
        if language and language != "bash" and language not in OTHER_LANGUAGES:
            raise PageError(f"{where}: no language that is known here: {language}")
        remark = _REMARK.match(line_before)
        reason = remark["reason"] if remark else None
        if reason is not None and reason not in REASONS:
            raise PageError(f"{where}: not run for a reason that is none: {reason!r}. Reasons: {REASONS}")
        line = first + (2 if token.type == "fence" else 1)
        return Block(language, token.content, line, run=remark is not None and reason is None, reason=reason)

    def script(self) -> str:
        """Return one shell script of all blocks that run; lines keep the numbers that the page has."""
        script = [""] * len(self.text.split("\n"))
        for block in self.blocks:
            if not block.runs:
                continue
            lines = block.source.rstrip("\n").split("\n")
            script[block.line - 1 : block.line - 1 + len(lines)] = lines
            if block.language == "python":
                script[block.line - 2] = f"python - <<'{_END}'"
                script[block.line - 1 + len(lines)] = _END
        return "\n".join(script) + "\n"


def all_pages() -> list[Page]:
    """Return every page of the documentation."""
    outside = [ROOT / name for name in ("README.md", "CONTRIBUTING.md")]
    paths = [path for path in outside if path.exists()] + sorted((ROOT / "docs").rglob("*.md"))
    return [Page.read(path) for path in paths]
