"""The selective scan of Mamba in plain torch, in bounded memory, both directions of a sequence at once."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

BLOCK = 256  # steps whose projections are held at a time
CACHED = 2**17  # numbers of a buffer that a core's cache holds beside another one
HELD = 2**24  # numbers of a buffer elsewhere: a GPU wants few and large operations
# e^-60 is nothing beside a float32's 24 bits, and where exp would come to denormal numbers or to zero
# it takes 100 times as long
FASTEST_DECAY = -60.0


def scan_both_ways(forward: Any, reverse: Any, x: Tensor) -> Tensor:
    """Return what two Mamba mixers make of a sequence, the second reading it from its end, added up.

    That is convolution, selection, scan and skip connection: what lies between a mixer's `in_proj` and its
    gate. The directions go through the scan side by side.

    Parameters
    ----------
    forward, reverse
        `MambaMixer` of transformers, of the same sizes, with SiLU; either gives `conv1d`, `x_proj`,
        `dt_proj`, `A_log` and `D`.
    x
        float [B, L, D]: the first half of what `in_proj` gives.

    Returns
    -------
    float [B, L, D], of position i what both directions read at i.
    """
    batch, length, width = x.shape
    mixers = (forward, reverse)
    before = forward.conv1d.kernel_size[0] - 1
    a = torch.stack([-m.A_log.float().exp().T for m in mixers])
    a = a[:, None].expand(-1, batch, -1, -1).reshape(2 * batch, -1, width)
    state = torch.zeros_like(a)
    y = torch.zeros_like(x)
    for start in range(0, length, BLOCK):
        stop = min(start + BLOCK, length)
        ahead, back = slice(start, stop), slice(length - stop, length - start)
        read = [x[:, max(start - before, 0) : stop], x[:, back.start : back.stop + before].flip(1)]
        parts = [_select(m, part, stop - start) for m, part in zip(mixers, read, strict=True)]
        u, delta, b, c = (torch.cat(both, dim=1) for both in zip(*parts, strict=True))
        out = selective_scan(u, delta, a, b, c, state).view(stop - start, 2, batch, width)
        skipped = u.view_as(out)
        for direction, (mixer, where) in enumerate(zip(mixers, (ahead, back), strict=True)):
            made = out[:, direction].addcmul_(skipped[:, direction], mixer.D).transpose(0, 1)
            y[:, where] += made if direction == 0 else made.flip(1)
    return y


def selective_scan(
    u: Tensor, delta: Tensor, a: Tensor, b: Tensor, c: Tensor, state: Tensor, *, chunk: int | None = None
) -> Tensor:
    """Return the outputs of ``h = exp(delta a) h + delta b u; y = c h`` for every step, and move the state.

    Steps are taken one after the other, as the recurrence is written: numbers stay as small as they are,
    however long the sequence and however large `delta`. A chunk of steps shares what does not depend on the
    steps before; only this much of [L, G, N, D] is ever held.

    Parameters
    ----------
    u, delta
        float [L, G, D], L steps of G sequences of width D; `delta` is positive.
    a
        float [G, N, D], negative, N numbers of state a channel.
    b, c
        float [L, G, N].
    state
        float [G, N, D], contiguous: h before the first step; afterwards that of the last.
    chunk
        Steps; None: as `steps_at_once` says.

    Returns
    -------
    float [L, G, D].

    Notes
    -----
    Method: Gu and Dao, arXiv 2312.00752 (2023), algorithm 2; not differentiable, since it works in place.
    """
    steps, _, width = u.shape
    if chunk is None:
        chunk = steps_at_once(u.device, state.numel())
    decay, states = (u.new_empty(min(chunk, steps), *state.shape) for _ in range(2))
    decays, moments = decay.unbind(), states.unbind()
    too_fast = bool((delta.amax(0)[:, None] * a).amin() < FASTEST_DECAY)
    inputs = delta * u
    y = torch.empty_like(u)
    for start in range(0, steps, chunk):
        count = min(chunk, steps - start)
        part = slice(start, start + count)
        exponent, driven = decay[:count], states[:count]
        torch.mul(delta[part, :, None], a, out=exponent)
        if too_fast:
            exponent.clamp_(min=FASTEST_DECAY)
        exponent.exp_()
        torch.mul(inputs[part, :, None], b[part, ..., None], out=driven)
        last = state
        for moment, kept in zip(moments[:count], decays[:count], strict=True):
            last = moment.addcmul_(kept, last)
        state.copy_(last)
        torch.bmm(c[part].flatten(0, 1)[:, None], driven.flatten(0, 1), out=y[part].view(-1, 1, width))
    return y


def steps_at_once(device: torch.device, numbers: int) -> int:
    """Return how many steps of `numbers` of state are in hand at a time: what the caches of a CPU hold."""
    held = CACHED * torch.get_num_threads() if device.type == "cpu" else HELD
    return max(1, held // numbers)


def _select(mixer: Any, x: Tensor, steps: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return u, delta [T, B, D], B and C [T, B, N] of a mixer for the last `steps` positions of x [B, .., D].

    Those before are what the convolution looks back on; what it lacks of them are zeros.
    """
    weight, bias = mixer.conv1d.weight[:, 0], mixer.conv1d.bias
    x = x.transpose(0, 1)
    x = functional.pad(x, (0, 0, 0, 0, weight.shape[1] - 1 + steps - len(x), 0))
    u = bias.expand(steps, *x.shape[1:]).clone()
    for tap, factor in enumerate(weight.T.contiguous()):
        u.addcmul_(x[tap : tap + steps], factor)
    u = functional.silu(u, inplace=True)
    numbers = mixer.ssm_state_size
    step, b, c = mixer.x_proj(u).split([mixer.time_step_rank, numbers, numbers], dim=-1)
    return u, functional.softplus(mixer.dt_proj(step)), b, c
