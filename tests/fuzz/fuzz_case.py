"""One damaged input: how it is made, and what may come of it."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from fuzz_base import Inputs, inputs

Run = Callable[..., dict[str, Any]]  # what the fixture `run_case` gives
Spoil = Callable[[Inputs, random.Random], None]


@dataclass(frozen=True)
class Case:
    """A damaged input.

    Attributes
    ----------
    name
        Its pytest id.
    spoil
        Damages the inputs, given a random generator seeded by `name`.
    verdict
        ``either``: an error, or what the damaged files say. ``right``: the damage does not matter, and
        the cohort must be what the files say. ``same``: an error, or the undamaged cohort (the damaged
        file cannot be read by the oracle, or is an index). ``refused``: an error.
    variants, reference
        The forms the inputs come in.
    blamed
        Names of which one must stand in the message; by default the file that was spoilt.
    """

    name: str
    spoil: Spoil
    verdict: str = "either"
    variants: str = "v.vcf"
    reference: str = "ref.fa"
    blamed: tuple[str, ...] = ()

    def make(self) -> Inputs:
        """Return the damaged inputs."""
        made = inputs(self.variants, self.reference)
        self.spoil(made, random.Random(self.name))
        return made


def bytes_case(
    name: str,
    file: str,
    how: Callable[[bytes, random.Random], bytes],
    verdict: str = "either",
    blamed: tuple[str, ...] = (),
    **forms: str,
) -> Case:
    """Return a case in which one file's bytes become others; a message names it, or one of `blamed`."""

    def spoil(made: Inputs, rng: random.Random) -> None:
        made.change(file, lambda data: how(data, rng))

    return Case(name, spoil, verdict, blamed=blamed or (file,), **forms)


def flip(data: bytes, rng: random.Random, start: int = 0, end: int | None = None) -> bytes:
    """Flip one random bit in ``[start, end)``."""
    at = rng.randrange(start, len(data) if end is None else end)
    return data[:at] + bytes([data[at] ^ (1 << rng.randrange(8))]) + data[at + 1 :]


def cut(data: bytes, rng: random.Random) -> bytes:
    """Cut off the end, anywhere."""
    return data[: rng.randrange(len(data))]


def cut_at_line(data: bytes, rng: random.Random) -> bytes:
    """Cut off the end, after a line."""
    ends = [i + 1 for i, byte in enumerate(data[:-1]) if byte == 10]
    return data[: rng.choice(ends)]


def edit(old: str, new: str, count: int = 1) -> Callable[[bytes, random.Random], bytes]:
    """Return a damage that replaces text, which must be there."""

    def how(data: bytes, _: random.Random) -> bytes:
        assert old.encode() in data, old
        return data.replace(old.encode(), new.encode(), count)

    return how


def on_lines(how: Callable[[list[bytes], random.Random], list[bytes]]) -> Callable[..., bytes]:
    """Return a damage that works on the list of lines (without their ends)."""

    def whole(data: bytes, rng: random.Random) -> bytes:
        return b"\n".join(how(data.split(b"\n"), rng))

    return whole


ENCODINGS: dict[str, tuple[Callable[[bytes, random.Random], bytes], str]] = {
    "utf-16": (lambda data, _: data.decode().encode("utf-16"), "refused"),
    "utf-16-be": (lambda data, _: data.decode().encode("utf-16-be"), "refused"),
    "utf-32": (lambda data, _: data.decode().encode("utf-32"), "refused"),
    "bom": (lambda data, _: b"\xef\xbb\xbf" + data, "either"),
    "crlf": (lambda data, _: data.replace(b"\n", b"\r\n"), "either"),
    "cr": (lambda data, _: data.replace(b"\n", b"\r"), "either"),
    "nul-first": (lambda data, _: b"\0" + data, "either"),
    "nul-middle": (lambda data, _: data[: len(data) // 2] + b"\0" + data[len(data) // 2 :], "either"),
    "nul-last": (lambda data, _: data + b"\0" * 9, "either"),
    "latin-1": (lambda data, _: data[: len(data) // 2] + b"\xe9\xff" + data[len(data) // 2 :], "either"),
    "high-bits": (lambda data, _: bytes(byte | 128 for byte in data), "refused"),
    "no-last-newline": (lambda data, _: data[:-1], "either"),
    "doubled": (lambda data, _: data + data, "refused"),
    "empty": (lambda data, _: b"", "refused"),
    "newline-only": (lambda data, _: b"\n", "refused"),
    "blank-lines-after": (lambda data, _: data + b"\n\n\n", "either"),
    "random-bytes": (lambda data, rng: rng.randbytes(len(data)), "refused"),
    "spaces-for-tabs": (lambda data, _: data.replace(b"\t", b" "), "either"),
    "gzip-of-nothing": (lambda *_: bytes.fromhex("1f8b0800000000000003030000000000") + bytes(4), "refused"),
    "gzip-head-only": (lambda data, _: b"\x1f\x8b", "refused"),
}


def encodings(file: str, *, leave: tuple[str, ...] = (), **forms: str) -> list[Case]:
    """Return a case for each wrong encoding of a text file."""
    return [
        bytes_case(f"{file}-{name}", file, how, verdict, **forms)
        for name, (how, verdict) in ENCODINGS.items()
        if name not in leave
    ]


def not_files(option: str, file: str, **forms: str) -> list[Case]:
    """Return cases in which the path of an option is no file."""

    def instead(what: str) -> Spoil:
        def spoil(made: Inputs, _: random.Random) -> None:
            made.files.pop(file)
            if what != "absent":
                made.files[file] = what  # type: ignore[assignment]

        return spoil

    def empty_name(made: Inputs, _: random.Random) -> None:
        made.options[option] = ""

    return [
        *(
            Case(f"{file}-is-{what}", instead(what), "refused", blamed=(file,), **forms)  # type: ignore[arg-type]
            for what in ("absent", "folder", "fifo")
        ),
        Case(f"{file}-is-the-folder-above", empty_name, "refused", blamed=("",), **forms),  # type: ignore[arg-type]
    ]
