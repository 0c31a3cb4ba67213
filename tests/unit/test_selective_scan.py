from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from glm2x.backbones import selective_scan as module
from glm2x.backbones.selective_scan import scan_both_ways, selective_scan, steps_at_once

ROWS, NUMBERS, WIDTH = 3, 4, 6


def inputs(steps: int, *, largest: float = 1.0, seed: int = 0) -> list[Tensor]:
    """u, delta, a, b, c and state; deltas from a billionth of the largest up, in equal parts of the log."""
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator)

    delta = largest * 10 ** (-9 * torch.rand(steps, ROWS, WIDTH, generator=generator))
    u = normal(steps, ROWS, WIDTH) / delta.clamp(min=1)  # of outputs around one
    a = -16 * torch.rand(ROWS, NUMBERS, WIDTH, generator=generator) - 0.01
    b, c = normal(steps, ROWS, NUMBERS), normal(steps, ROWS, NUMBERS)
    return [u, delta, a, b, c, normal(ROWS, NUMBERS, WIDTH)]


def recurrence(*arguments: Tensor) -> tuple[Tensor, Tensor]:
    """The outputs and the last state by definition, in float64."""
    u, delta, a, b, c, h = (x.double() for x in arguments)
    y = []
    for t in range(len(u)):
        h = torch.exp(delta[t][:, None] * a) * h + (delta[t] * u[t])[:, None] * b[t][:, :, None]
        y.append((c[t][:, :, None] * h).sum(1))
    return torch.stack(y), h


def test_two_steps_by_hand() -> None:
    u, delta = torch.tensor([2.0, 3.0]).view(2, 1, 1), torch.tensor([0.5, 0.25]).view(2, 1, 1)
    a = torch.tensor([-1.0, -2.0]).view(1, 2, 1)
    b, c = (
        torch.tensor([[1.0, 4.0], [2.0, 0.0]]).view(2, 1, 2),
        torch.tensor([[1.0, 1], [1, 10]]).view(2, 1, 2),
    )
    state = torch.tensor([0.0, 1.0]).view(1, 2, 1)
    y = selective_scan(u, delta, a, b, c, state)
    first = [1.0, torch.e**-1 + 4]
    second = [torch.e**-0.25 + 1.5, torch.e**-0.5 * first[1]]
    assert y.flatten().tolist() == pytest.approx([sum(first), second[0] + 10 * second[1]], rel=1e-6)
    assert state.flatten().tolist() == pytest.approx(second, rel=1e-6)


@pytest.mark.parametrize(("steps", "largest"), [(1, 1.0), (700, 1.0), (700, 1e6), (20_000, 1e4)])
def test_it_is_the_recurrence(steps: int, largest: float) -> None:
    """Far above and far below what exp can tell from 0 and 1."""
    u, delta, a, b, c, state = inputs(steps, largest=largest)
    expected, last = recurrence(u, delta, a, b, c, state)
    y = selective_scan(u, delta, a, b, c, state, chunk=64)
    assert expected.abs().max() > 1
    torch.testing.assert_close(y, expected.float(), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(state, last.float(), rtol=1e-5, atol=1e-5)


def test_what_decays_slowly_adds_up_over_a_long_sequence() -> None:
    """All of one sign, with the steps and decays that Mamba starts its training from."""
    u, delta, a, b, c, state = inputs(20_000)
    u, b, c, state = u.abs(), b.abs(), c.abs(), torch.zeros_like(state)
    delta = 0.001 * (delta / delta.max()) ** (-2 / 9)  # 0.001 to 0.1
    a = torch.arange(-1.0, -1 - NUMBERS, -1)[:, None].expand_as(a)
    expected, _ = recurrence(u, delta, a, b, c, state)
    y = selective_scan(u, delta, a, b, c, state)
    assert (delta.amin(), delta.amax()) == pytest.approx((0.001, 0.1), rel=0.01)
    assert expected.mean() > 1
    torch.testing.assert_close(y, expected.float(), rtol=1e-5, atol=0)


@pytest.mark.parametrize("chunk", [1, 7, 100, 299, 300, 1_000, None])
def test_the_chunk_does_not_matter(chunk: int | None) -> None:
    *arguments, state = inputs(300)
    expected = selective_scan(*arguments, state.clone(), chunk=64)
    torch.testing.assert_close(selective_scan(*arguments, state, chunk=chunk), expected, rtol=0, atol=1e-6)


def test_a_chunk_fits_the_caches_of_a_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    cpu, gpu = torch.device("cpu"), torch.device("cuda", 0)
    for threads in (1, 4):
        monkeypatch.setattr(torch, "get_num_threads", lambda threads=threads: threads)
        assert steps_at_once(cpu, 2 * 512 * 16) == 8 * threads
        assert steps_at_once(cpu, 10**9) == 1
        assert steps_at_once(gpu, 2 * 512 * 16) == 1_024


def test_the_state_goes_on() -> None:
    u, delta, a, b, c, state = inputs(100)
    whole = selective_scan(u, delta, a, b, c, state.clone())
    parts = [selective_scan(u[p], delta[p], a, b[p], c[p], state) for p in (slice(0, 37), slice(37, 100))]
    torch.testing.assert_close(torch.cat(parts), whole, rtol=0, atol=1e-6)


class Made(TorchDispatchMode):
    """Notes the size of the largest tensor made, and the smallest number that exp gave."""

    def __init__(self) -> None:
        super().__init__()
        self.largest, self.smallest = 0, 1.0

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = function(*args, **(kwargs or {}))
        if isinstance(out, Tensor):
            self.largest = max(self.largest, out.numel())
        if function.overloadpacket is torch.ops.aten.exp_:
            self.smallest = min(self.smallest, out.min().item())
        return out


@torch.no_grad()
def test_it_never_holds_the_states_of_all_steps() -> None:
    forward, reverse = mixer(0), mixer(1)
    scan_both_ways(forward, reverse, torch.ones(1, 8, WIDTH))
    with Made() as made:
        scan_both_ways(forward, reverse, torch.ones(1, 20_000, WIDTH))
    assert made.largest < 20_000 * 2 * NUMBERS * WIDTH / 4


def test_exp_gives_no_denormal_numbers() -> None:
    arguments = inputs(50, largest=100)
    assert (arguments[1][:, :, None] * arguments[2]).min() < -200
    with Made() as made:
        selective_scan(*arguments)
    assert torch.finfo(torch.float32).tiny < made.smallest < 1e-20


def mixer(seed: int) -> Any:
    """What `scan_both_ways` takes of transformers' mixer."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return SimpleNamespace(
            conv1d=nn.Conv1d(WIDTH, WIDTH, 4, groups=WIDTH, padding=3),
            x_proj=nn.Linear(WIDTH, 2 + 2 * NUMBERS, bias=False),
            dt_proj=nn.Linear(2, WIDTH),
            A_log=torch.randn(WIDTH, NUMBERS),
            D=torch.randn(WIDTH),
            time_step_rank=2,
            ssm_state_size=NUMBERS,
        )


def one_way(mixer: Any, x: Tensor) -> Tensor:
    """The mixer's definition from the convolution to the skip connection, left to right."""
    u = nn.functional.silu(mixer.conv1d(x.transpose(1, 2))[..., : x.shape[1]]).permute(2, 0, 1)
    step, b, c = mixer.x_proj(u).split([2, NUMBERS, NUMBERS], dim=-1)
    delta = nn.functional.softplus(mixer.dt_proj(step))
    a = -mixer.A_log.exp().T.expand(len(x), -1, -1)
    y, _ = recurrence(u, delta, a, b, c, torch.zeros_like(a))
    return (y + u * mixer.D).transpose(0, 1).float()


@pytest.mark.parametrize("block", [1, 2, 5, 256])
@pytest.mark.parametrize("length", [1, 2, 3, 4, 37])
@torch.no_grad()
def test_both_ways(block: int, length: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BLOCK", block)
    forward, reverse = mixer(0), mixer(1)
    x = torch.randn(2, length, WIDTH, generator=torch.Generator().manual_seed(2))
    expected = one_way(forward, x) + one_way(reverse, x.flip(1)).flip(1)
    torch.testing.assert_close(scan_both_ways(forward, reverse, x), expected, rtol=1e-5, atol=1e-5)
    mirrored = scan_both_ways(reverse, forward, x.flip(1)).flip(1)
    torch.testing.assert_close(mirrored, expected, rtol=1e-5, atol=1e-5)
