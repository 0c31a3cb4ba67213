"""What a window costs Caduceus-ph on a CPU, beside transformers' own slow path; and the memory of 64 kb.

    python benchmarks/caduceus_scan.py [--window 4096] [--rounds 3] [--layers 16] [--long 64000]

Seconds of CPU of one thread, for the official sizes with random weights: the same model, with the mixers' own
forward in both directions, and with ours. Each round takes another window and does it both ways, in turning
order; medians of the rounds and of the rounds' ratios. The hidden states of both are compared.

Then, in a process of its own, one window of `--long` bp: its time, and what it adds to the memory of a
process that holds the model. `--long 0` leaves this out.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

import torch
from torch import Tensor

from glm2x.backbones.caduceus import BothWays, Caduceus
from measuring import in_child

SIZES = {
    **{"d_model": 256, "vocab_size": 16, "d_state": 16, "d_conv": 4, "expand": 2, "dt_rank": 16},
    "norm_epsilon": 1e-5,
}
GOAL, LIMIT = 2.5, 3.0  # times faster at 4 kb; GB at 64 kb


def model(layers: int) -> Caduceus:
    """Return the official architecture with random weights."""
    torch.manual_seed(0)
    return Caduceus({**SIZES, "n_layer": layers}).eval()


def window(length: int, number: int) -> Tensor:
    """Return codes, uint8 [1, length]."""
    generator = torch.Generator().manual_seed(number)
    return torch.randint(0, 4, (1, length), dtype=torch.uint8, generator=generator)


@contextmanager
def native() -> Iterator[None]:
    """Let the mixers of transformers work by themselves."""

    def forward(both: BothWays, x: Tensor) -> Tensor:
        out: Tensor = both.mamba_fwd(x) + both.mamba_rev(x.flip(1)).flip(1)
        return out

    ours = BothWays.forward
    BothWays.forward = forward  # type: ignore[method-assign]
    try:
        yield
    finally:
        BothWays.forward = ours  # type: ignore[method-assign]


def compare(length: int, rounds: int, layers: int) -> None:
    """Print the times of both ways."""
    caduceus = model(layers)
    caduceus(window(256, 0))
    times: dict[str, list[float]] = {"ours": [], "native": []}
    apart = 0.0
    print(f"{layers} layers, {length:,} bp, {torch.get_num_threads()} thread")
    for turn in range(rounds):
        codes, made = window(length, turn), {}
        for way in sorted(times, reverse=turn % 2 == 0):
            started = time.process_time()
            if way == "native":
                with native():
                    made[way] = caduceus(codes)
            else:
                made[way] = caduceus(codes)
            times[way].append(time.process_time() - started)
        apart = max(apart, (made["ours"] - made["native"]).abs().max().item())
        print_run(str(turn + 1), times["ours"][-1], times["native"][-1])
    ratios = [theirs / mine for mine, theirs in zip(times["ours"], times["native"], strict=True)]
    print_run("median", median(times["ours"]), median(times["native"]), median(ratios))
    print(f"goal at 4,096 bp: {GOAL:.1f}x; hidden states differ by {apart:.1e} at most")


def print_run(name: str, ours: float, native: float, ratio: float | None = None) -> None:
    """Print one line."""
    print(
        f"{name:<8}ours {ours:7.2f} s   transformers {native:7.2f} s{ratio or native / ours:7.1f}x",
        flush=True,
    )


def long_window(length: int, layers: int) -> dict[str, float]:
    """Return the seconds of one window and the GB that it adds; Linux."""
    caduceus = model(layers)
    caduceus(window(256, 0))
    before = resident("VmRSS")
    started = time.process_time()
    caduceus(window(length, 0))
    return {"seconds": time.process_time() - started, "added": resident("VmHWM") - before, "before": before}


def resident(which: str) -> float:
    """Return the GB that this process holds (``VmRSS``) or has held at most (``VmHWM``).

    `getrusage` would count what the parent held when it started this process.
    """
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(which)) / 1024**2


def main() -> None:
    """Measure, or be the child that the memory of one window is measured in."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--window", type=int, default=4_096)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--layers", type=int, default=16)
    parser.add_argument("--long", type=int, default=64_000)
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    torch.set_num_threads(1)
    if given.child:
        print(json.dumps(long_window(given.long, given.layers)))
        return
    if given.rounds:
        compare(given.window, given.rounds, given.layers)
    if given.long:
        used = in_child(__file__, "--child", "--long", given.long, "--layers", given.layers)
        beside = f"{used['added']:.2f} GB beside the {used['before']:.2f} of the process with the model"
        print(f"{given.long:,} bp: {used['seconds']:.0f} s, {beside} (limit {LIMIT:.0f} GB)")


if __name__ == "__main__":
    main()
