"""What became of things that were read: how many met each fate, and the first of each."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class Counts:
    """How many met each fate, and the first of each, in words."""

    counts: dict[str, int] = field(default_factory=dict)
    first: dict[str, str] = field(default_factory=dict)

    def add(self, fate: str, example: str, count: int = 1) -> None:
        """Count `count` of a fate, and keep the first example."""
        self.counts[fate] = self.counts.get(fate, 0) + count
        self.first.setdefault(fate, example)
