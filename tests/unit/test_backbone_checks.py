"""What a package's author is told of a backbone that does not hold to the contract."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from backbone_packages import FROZEN, TRAINABLE, install
from glm2x.backbones.checks import check_backbone
from glm2x.errors import UsageError


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    for name in [name for name in sys.modules if name.startswith("other_")]:
        del sys.modules[name]


@pytest.mark.parametrize("name", ["onehot", "kmer"])
def test_our_own_hold_to_it(name: str) -> None:
    check_backbone(name)


@pytest.mark.parametrize(("kind", "code"), [("frozen", FROZEN), ("trainable", TRAINABLE)])
def test_the_fakes_hold_to_it(site: Path, kind: str, code: str) -> None:
    """So that what is found below is what was put in."""
    install(site, "other-a", "counting", kind=kind, code=code)
    check_backbone("counting", window=64)


BOTH = {
    "a window alone has other tokens than in a batch": "tokens = tokens - tokens.mean(0, keepdim=True) / 2",
    "the same input gives other tokens the second time": "tokens = tokens + torch.rand(1)",
    "none of the other bases in the middle changes any token": "tokens = tokens * 0 + 1",
    "its tokens are [3, 15, 2], and not [3, 16, 2]": "tokens = tokens[:, 1:]",
    "its tokens are not finite": "tokens = tokens / (tokens - tokens)",
    "its tokens are torch.int64, and no": "tokens = tokens.long()",
}
OF_FROZEN = {
    "it changes its input": ("padded =", "codes[:, 0] = 1; padded ="),
    "tiles of both strands have other tokens": (
        "return tokens",
        "return tokens[:, 1:] if codes.shape[1] == 32 else tokens",
    ),
    "has other than 16 tokens of 4 bp": ("padded =", "codes = codes[:, : codes.shape[1] // 4 * 4]; padded ="),
    "built again, it has another spec": ('{"architecture": {}}', '{"architecture": {"number": self.number}}'),
    "built again, it gives other tokens": ("return tokens", "return tokens + self.number"),
}
OF_TRAINABLE = {
    "these parameters get no gradient: other": (
        "self.linear =",
        "self.other = torch.nn.Parameter(torch.ones(1)); self.linear =",
    ),
    "a parameter is in none of its stages": (
        "def tokens(",
        "def stages(self):\n        return [torch.nn.Linear(2, 2)]\n\n    def tokens(",
    ),
    "what is built of its spec has other parameters": (
        "return Model()",
        "model = Model()\n    if spec is None:\n        model.more = torch.nn.Linear(2, 2)\n    return model",
    ),
    "what is built of its spec gives other tokens": ("return tokens", "return tokens + self.number"),
}


@pytest.mark.parametrize("kind", ["frozen", "trainable"])
@pytest.mark.parametrize("found", BOTH)
def test_what_neither_kind_may_do(site: Path, kind: str, found: str) -> None:
    code = FROZEN if kind == "frozen" else TRAINABLE
    spoilt = code.replace("return tokens", f"{BOTH[found]}\n        return tokens")
    install(site, "other-a", "counting", kind=kind, code=spoilt)
    with pytest.raises(AssertionError, match="^" + found.replace("[", r"\[")):
        check_backbone("counting", window=64)


@pytest.mark.parametrize("found", [*OF_FROZEN, *OF_TRAINABLE])
def test_what_one_kind_may_not_do(site: Path, found: str) -> None:
    kind, code = ("frozen", FROZEN) if found in OF_FROZEN else ("trainable", TRAINABLE)
    old, new = (OF_FROZEN | OF_TRAINABLE)[found]
    assert code.count(old) == 1
    install(site, "other-a", "counting", kind=kind, code=code.replace(old, new))
    with pytest.raises(AssertionError, match=found):
        check_backbone("counting", window=64)


def test_a_window_is_even(site: Path) -> None:
    install(site, "other-a", "counting")
    with pytest.raises(UsageError, match="a window is an even number"):
        check_backbone("counting", window=63)
