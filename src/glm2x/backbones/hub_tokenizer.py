"""Tokenizers of the Hub, and the base pairs that each of their tokens covers."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glm2x.backbones.hub_model import failures_of
from glm2x.errors import DataError
from glm2x.files import read_json

VARIABLE = 128  # base pairs of a cell where tokens have no length of their own
LETTERS = np.frombuffer(b"ACGTN", dtype=np.uint8)
LONGEST_KMER = 8
# what tokenizers write beside the letters: spaces, the start and the continuation of a word, its end
MARKERS = re.compile(r"^(?:[▁Ġ ]|##)+|(?:</w>|@@|[▁ ])+$")


class HubTokenizer:
    """Cuts DNA as a tokenizer does, and says what each token covers.

    How it wants its text is found by trying: letters in a row, in upper or lower case; or, where its
    vocabulary has all 6-mers (or those of another length), each 6-mer as a word of its own, overlapping in
    all bases but one.

    Stretches of A, C, G and T are cut each by itself, and every N between them is one token: the
    vocabulary's own for N, else its unknown one. Tokenizers differ in what they make of unknown letters, up
    to a single token for the whole text. A 6-mer of those that overlap is the unknown token if it has an N.

    Parameters
    ----------
    tokenizer
        Of transformers.
    where
        Its folder, for messages.

    Attributes
    ----------
    token_bp
        Base pairs of a cell: 1 for single letters and for overlapping k-mers, k for those that follow each
        other, 128 for tokens of variable length.
    overlapping
        The k of overlapping k-mers; None for others.
    prefix, suffix
        The special tokens around a text.

    Raises
    ------
    DataError
        Its tokens do not spell DNA.
    """

    def __init__(self, tokenizer: Any, where: Path) -> None:
        self._tokenizer = tokenizer
        self._where = where
        tokenizer.model_max_length = 10**9  # texts are not cut, and not warned of
        probe = LETTERS[np.random.Philox(key=0).random_raw(1009) % np.uint64(4)].tobytes().decode()
        for case in (str.upper, str.lower):
            self._case: Callable[[str], str] = case
            self.overlapping = None
            lengths = self._lengths(self._ids(probe), probe)
            if lengths is not None:
                self.token_bp = _grid_of(lengths)
                break
            self.overlapping = self._kmers()
            if self.overlapping is not None:
                self.token_bp = 1
                break
        else:
            raise DataError(
                "the tokens of this checkpoint do not spell DNA",
                where=str(where),
                got=f"{probe[:12]} is cut into {', '.join(self._strings(self._ids(probe[:12]))[:12])}",
                wanted="tokens of letters A, C, G, T; or all k-mers of a length as words",
            )
        self.prefix, self.suffix = self._around(probe[:60])
        self._n = self._n_token()
        self._letters = self._letter_tokens(probe)

    def cut(self, codes: NDArray[np.uint8]) -> tuple[list[int], NDArray[np.int64]]:
        """Return a window's tokens with the special ones around it, and what those between these cover.

        Parameters
        ----------
        codes
            uint8 [L], A C G T N = 0 1 2 3 4.

        Returns
        -------
        ids, spans
            The latter int64 [S, 2], 0-based, half-open; S is without the special tokens.

        Raises
        ------
        DataError
            The tokens do not spell the window, or it has an N and the vocabulary no token for it.
        """
        text = LETTERS[codes].tobytes().decode()
        if self.overlapping:
            ids, spans = self._overlapping(text)
        elif self._letters is not None and (self._n is not None or "N" not in text):
            starts = np.arange(len(text))
            ids, spans = self._letters[codes].tolist(), np.stack([starts, starts + 1], axis=1)
        else:
            ids, spans = self._following(text)
        return [*self.prefix, *ids, *self.suffix], spans

    def _overlapping(self, text: str) -> tuple[list[int], NDArray[np.int64]]:
        assert self.overlapping is not None
        starts = np.arange(len(text) - self.overlapping + 1)
        if not len(starts):
            raise DataError("the window is shorter than a token", got=text, wanted=f"{self.overlapping} bp")
        kmers = [self._case(text[start : start + self.overlapping]) for start in starts]
        ids = self._tokenizer.convert_tokens_to_ids(kmers)
        if None in ids:
            raise self._no_n()
        return ids, np.stack([starts, starts + self.overlapping], axis=1)

    def _following(self, text: str) -> tuple[list[int], NDArray[np.int64]]:
        ids: list[int] = []
        covered: list[int] = []
        for stretch in re.findall("[ACGT]+|N+", text):
            if stretch[0] == "N":
                if self._n is None:
                    raise self._no_n()
                ids += [self._n] * len(stretch)
                covered += [1] * len(stretch)
                continue
            found = self._ids(stretch)
            lengths = self._lengths(found, stretch)
            if lengths is None:
                raise DataError(
                    "the tokens do not spell the window",
                    where=str(self._where),
                    got=f"{', '.join(self._strings(found)[:6])}, ... for {stretch[:60]}",
                )
            ids += found
            covered += lengths
        ends = np.cumsum(covered, dtype=np.int64)
        return ids, np.stack([ends - covered, ends], axis=1)

    def _no_n(self) -> DataError:
        return DataError(
            "the tokenizer has no token for N, nor for what is unknown",
            where=str(self._where),
            do="leave out the genes whose windows have N",
        )

    def _ids(self, text: str, *, special: bool = False) -> list[int]:
        ids = self._tokenizer(self._case(text), add_special_tokens=special)["input_ids"]
        return [int(number) for number in ids]

    def _strings(self, ids: Sequence[int]) -> list[str]:
        return [str(token) for token in self._tokenizer.convert_ids_to_tokens(list(ids))]

    def _lengths(self, ids: Sequence[int], text: str) -> list[int] | None:
        """Return how many letters of `text` each token has; None where they do not spell it."""
        special = set(self._tokenizer.all_special_tokens)
        strings = [("?" if s in special else MARKERS.sub("", s)).upper() for s in self._strings(ids)]
        return [len(s) for s in strings] if "".join(strings) == text else None

    def _kmers(self) -> int | None:
        """Return the k of which the vocabulary has all k-mers."""
        vocabulary = [
            len(word) for word in self._tokenizer.get_vocab() if set(word) <= set(self._case("ACGT"))
        ]
        lengths = range(LONGEST_KMER, 0, -1)
        return next((k for k in lengths if vocabulary.count(k) == 4**k), None)

    def _around(self, text: str) -> tuple[list[int], list[int]]:
        """Return the special tokens that stand before and after a text."""
        k = self.overlapping
        words = " ".join(text[start : start + k] for start in range(len(text) - k + 1)) if k else text
        bare, whole = self._ids(words), self._ids(words, special=True)
        for start in range(len(whole) - len(bare) + 1):
            if whole[start : start + len(bare)] == bare:
                return whole[:start], whole[start + len(bare) :]
        raise DataError(
            "the tokenizer changes a text that it puts special tokens around", where=str(self._where)
        )

    def _n_token(self) -> int | None:
        """Return the token of an N: what the tokenizer makes of it if that is one token, else the unknown."""
        ids = self._ids("N")
        letters = [number for number, s in zip(ids, self._strings(ids), strict=True) if MARKERS.sub("", s)]
        unknown: int | None = self._tokenizer.unk_token_id
        return letters[0] if len(letters) == 1 else unknown

    def _letter_tokens(self, probe: str) -> NDArray[np.int64] | None:
        """Return the token of each of A, C, G, T, N, int64 [5], where a text is cut into just these."""
        if self.token_bp != 1 or self.overlapping:
            return None
        tokens = [self._ids(letter) for letter in "ACGT"]
        if any(len(ids) != 1 for ids in tokens):
            return None
        table = np.array([*(ids[0] for ids in tokens), -1 if self._n is None else self._n])
        codes = ["ACGT".index(letter) for letter in probe]
        return table if table[codes].tolist() == self._ids(probe) else None


def _grid_of(lengths: Sequence[int]) -> int:
    """Return the base pairs of a cell for tokens that follow each other."""
    size = lengths[0]
    full = sum(lengths) // size
    alike = all(length == size for length in lengths[:full]) and all(
        length < size for length in lengths[full:]
    )
    return size if alike else VARIABLE


def load_tokenizer(folder: Path, settings: Any, *, remote_code: bool) -> HubTokenizer:
    """Return the tokenizer in a checkpoint's folder. No code that comes with it is run unless asked for.

    Parameters
    ----------
    settings
        The checkpoint's configuration, of transformers.

    Raises
    ------
    DataError
        There is none, it is damaged, it needs code, or its tokens do not spell DNA.
    """
    from transformers import AutoTokenizer, PreTrainedTokenizerBase

    auto: Any = AutoTokenizer
    do = "" if remote_code else "if it comes as code: set backbone.remote_code and backbone.revision"
    with failures_of("the checkpoint has no tokenizer that can be read", folder, do=do):
        for name in _class_names(folder, settings):
            if not name.removesuffix("Fast").endswith("Tokenizer"):  # any class of transformers would do
                raise TypeError(f"{name} is no tokenizer")
        tokenizer = auto.from_pretrained(
            folder, config=settings, trust_remote_code=remote_code, local_files_only=True
        )
        if not isinstance(tokenizer, PreTrainedTokenizerBase):
            raise TypeError(f"{type(tokenizer).__name__} is no tokenizer")
        return HubTokenizer(tokenizer, folder)


def _class_names(folder: Path, settings: Any) -> list[str]:
    """Return the tokenizer's class as the checkpoint names it, in one file or two."""
    described = folder / "tokenizer_config.json"
    own = read_json(described).get("tokenizer_class") if described.is_file() else None
    return [str(name) for name in (own, getattr(settings, "tokenizer_class", None)) if name is not None]
