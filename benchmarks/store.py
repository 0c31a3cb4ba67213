"""What the embedding store costs, beside plain files and the published layout.

    python benchmarks/store.py [FOLDER] [--rounds 7]

In FOLDER (default: the system's temporary one) it writes some 2.5 GB, which are removed again.

Writing: 800 MB of bf16 as shards of 100 MB with index and checksums, beside the same bytes written to as many
plain files, each fsynced. Reading, from a warm page cache: batches of 8 haplotypes taken at random into a
batch that is there already, and into a new one, beside `torch.load(..., weights_only=True)` of one
``[1, tokens, width]`` file each, copied into the same or joined; and views that copy nothing beside such a
load alone.

The two are measured in turns, each round one after the other, in a turning order; figures are medians of the
rounds, and medians of the rounds' ratios: other people's work on the machine falls on both. One thread of
torch.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import random
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import torch
from torch import Tensor

from glm2x.embeddings.index import index_path, write_rows
from glm2x.embeddings.key import shard_name
from glm2x.embeddings.spec import StoreSpec
from glm2x.embeddings.store import Store

TOKENS, WIDTH = 1_000, 1_600
ONE = TOKENS * WIDTH * 2  # bytes
EACH = 32  # haplotypes of a shard
SHARDS = 8
BATCH = 8
GOALS = {"write": 2.0, "batch": 1.3, "view": 10.0}
SPEC = StoreSpec(
    backbone="kmer",
    model={},
    window=TOKENS * 6,
    token_bp=6,
    strand="gene",
    tiling=None,
    keep="tokens",
    rows=TOKENS,
    width=WIDTH,
    dtype="bf16",
    device="cpu",
)


def key(number: int) -> str:
    return hashlib.blake2b(str(number).encode(), digest_size=16).hexdigest()


KEYS = [key(number) for number in range(EACH * SHARDS)]


def write_store(folder: Path, values: Tensor) -> None:
    store = Store.create(folder, SPEC)
    for first in range(0, len(KEYS), EACH):
        store.write_shard(KEYS[first : first + EACH], values[first : first + EACH])


def write_plain(folder: Path, values: Tensor) -> None:
    folder.mkdir()
    for first in range(0, len(KEYS), EACH):
        with (folder / str(first)).open("wb") as handle:
            handle.write(values[first : first + EACH].reshape(-1).view(torch.uint8).numpy())
            handle.flush()
            os.fsync(handle.fileno())


class Pair:
    """Two ways to do the same, measured in turns."""

    def __init__(self, name: str, goal: float, rounds: int, per: int = 1) -> None:
        self.name, self.goal, self.rounds, self.per = name, goal, rounds, per

    def run(
        self, ours: Callable[[], object], theirs: Callable[[], object], before: Callable[[], object]
    ) -> None:
        """Print milliseconds of both, divided by `per`, and the ratio that the goal is of."""
        times: dict[str, list[float]] = {"ours": [], "theirs": []}
        for turn in range(self.rounds + 1):
            order = [("ours", ours), ("theirs", theirs)]
            for name, work in order if turn % 2 else order[::-1]:
                before()
                started = time.perf_counter()
                work()
                times[name].append((time.perf_counter() - started) / self.per * 1e3)
        pairs = list(zip(times["ours"], times["theirs"], strict=True))[1:]  # the first warms up
        slower = self.goal == GOALS["write"]
        ratio = median(a / b if slower else b / a for a, b in pairs)
        wanted = f"at {'most' if slower else 'least'} {self.goal:g}"
        mine, other = (median(column) for column in zip(*pairs, strict=True))
        print(f"{self.name:<46}{mine:>11.3f}{other:>11.3f}{ratio:>9.2f}   {wanted}", flush=True)


def writing(folder: Path, values: Tensor, rounds: int) -> None:
    ours, theirs = folder / "written", folder / "plain"

    def clear() -> None:
        for path in (ours, theirs):
            shutil.rmtree(path, ignore_errors=True)
        os.sync()  # what others left to be written does not fall on one of the two

    name = f"write {values.nbytes / 1e6:.0f} MB, checksums and fsync included"
    pair = Pair(name, GOALS["write"], rounds)
    pair.run(lambda: write_store(ours, values), lambda: write_plain(theirs, values), clear)
    clear()


def reading(folder: Path, values: Tensor, rounds: int) -> None:
    write_store(folder / "store", values)
    (folder / "pt").mkdir()
    for number, one in enumerate(values):
        torch.save(one[None].clone(), folder / f"pt/{number}.pt")
    store = Store.open(folder / "store")
    rng = random.Random(0)
    asked: list[list[int]] = []
    batches = len(KEYS) // BATCH

    def draw() -> None:
        asked[:] = [rng.sample(range(len(KEYS)), BATCH) for _ in range(batches)]

    def load(number: int) -> Tensor:
        return torch.load(folder / f"pt/{number}.pt", weights_only=True)  # type: ignore[no-any-return]

    batch = torch.empty(BATCH, TOKENS, WIDTH, dtype=torch.bfloat16)

    def gathered(out: Tensor | None) -> Callable[[], None]:
        def work() -> None:
            for numbers in asked:
                store.gather([KEYS[number] for number in numbers], out)

        return work

    def copied() -> None:
        for numbers in asked:
            for place, number in zip(batch, numbers, strict=True):
                place.copy_(load(number)[0])

    def joined() -> None:
        for numbers in asked:
            torch.cat([load(number) for number in numbers])

    def viewed() -> None:
        for numbers in asked:
            for number in numbers:
                store.read(KEYS[number])

    def loaded() -> None:
        for numbers in asked:
            for number in numbers:
                load(number)

    count = batches * BATCH
    size = f"{ONE / 1e6:.1f} MB"
    draw()
    for numbers in asked:
        for number in numbers:
            assert torch.equal(store.read(KEYS[number]), load(number)[0])
    Pair(f"{size} into a batch that is there", GOALS["batch"], rounds, count).run(
        gathered(batch), copied, draw
    )
    Pair(f"{size} into a new batch", GOALS["batch"], rounds, count).run(gathered(None), joined, draw)
    Pair(f"{size} as a view", GOALS["view"], rounds, count).run(viewed, loaded, draw)


def opening(folder: Path, shards: int) -> None:
    """Print what the index of many small shards takes to open, before and after it is merged."""
    store = Store.create(folder / "many", SPEC)
    (store.folder / "index").mkdir()
    for first in range(0, 16 * shards, 16):
        keys = [key(number) for number in range(first, first + 16)]
        write_rows(index_path(store.folder, shard_name(keys)), keys, range(16))
    for state in ("one file each", "merged"):
        times = []
        for _ in range(3):
            started = time.perf_counter()
            Store.open(store.folder)
            times.append(time.perf_counter() - started)
        print(f"open an index of {shards:,} shards, {state}: {median(times) * 1e3:.0f} ms")
        started = time.perf_counter()
        if store.consolidate() > 1:
            print(f"merge it: {time.perf_counter() - started:.1f} s")


def main(folder: Path, rounds: int) -> None:
    torch.set_num_threads(1)
    values = torch.empty(len(KEYS), TOKENS, WIDTH, dtype=torch.bfloat16)
    for one in values:
        one.copy_(torch.randn(TOKENS, WIDTH))
    print(
        f"{'median of ' + str(rounds) + ' rounds, in ms':<46}{'store':>11}{'beside':>11}{'ratio':>9}   goal"
    )
    writing(folder, values, rounds)
    reading(folder, values, rounds)
    opening(folder, 2_000)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", nargs="?", type=Path)
    parser.add_argument("--rounds", type=int, default=7)
    words = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=words.folder) as made:
        main(Path(made), words.rounds)
