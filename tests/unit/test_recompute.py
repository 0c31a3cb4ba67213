from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks

from glm2x.backbones.recompute import computed


class OwnAverage(nn.Module):
    """Keeps a running mean in Python, as AlphaGenome's normalisation does."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("average", torch.zeros(8))

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            with torch.no_grad():
                self.average.mul_(0.9).add_(0.1 * x.mean(dim=(0, 2)))
        return x * (x.mean(dim=(0, 2), keepdim=True) + 1)


def part() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv1d(4, 8, 3),
        nn.BatchNorm1d(8),
        nn.Dropout(0.3),
        OwnAverage(),
        nn.Conv1d(8, 8, 1),
        nn.BatchNorm1d(8),
    )


def step(module: nn.Module, call: Any) -> dict[str, Tensor]:
    """Two steps: what they give, the gradients, the buffers."""
    torch.manual_seed(1)
    given = torch.randn(3, 4, 20)
    outputs = []
    for _ in range(2):
        outputs.append(call(given))
        (outputs[-1] ** 2 * torch.linspace(0, 1, 18)).sum().backward()
    gradients = {name: p.grad for name, p in module.named_parameters() if p.grad is not None}
    return {"first": outputs[0], "second": outputs[1], **gradients, **dict(module.named_buffers())}


@pytest.mark.parametrize("training", [True, False])
def test_a_step_is_that_without_checkpointing(training: bool) -> None:
    plain = part().train(training)
    saving = copy.deepcopy(plain)
    expected = step(plain, plain)
    found = step(saving, lambda x: computed(saving, saving, x, checkpointing=True))
    assert len(expected) == 2 + 8 + 7
    assert torch.equal(plain[1].num_batches_tracked, torch.tensor(2 if training else 0))
    assert (plain[3].average.abs().max() > 0) == training
    torch.testing.assert_close(found, expected, rtol=0, atol=0)


def test_a_frozen_norm_in_a_part_that_is_trained_stays_in_use() -> None:
    """In evaluation mode it normalises by its running statistics, in the second computation too."""
    plain = part().train()
    plain[1].running_mean.fill_(3)
    plain[1].requires_grad_(False).eval()
    saving = copy.deepcopy(plain)
    expected = step(plain, plain)
    assert torch.equal(plain[1].running_mean, torch.full((8,), 3.0))
    found = step(saving, lambda x: computed(saving, saving, x, checkpointing=True))
    torch.testing.assert_close(found, expected, rtol=0, atol=0)


def test_it_keeps_the_inputs_alone() -> None:
    module, given = part().train(), torch.randn(3, 4, 20)
    own = {p.data_ptr() for p in [*module.parameters(), *module.buffers()]}

    def kept(call: Any) -> int:
        sizes: dict[int, int] = {}

        def pack(tensor: Tensor) -> Tensor:
            if tensor.data_ptr() not in own:
                sizes[tensor.data_ptr()] = tensor.numel()
            return tensor

        with saved_tensors_hooks(pack, lambda tensor: tensor):
            output = call(given)
        assert output.requires_grad
        return sum(sizes.values())

    assert kept(module) > 1_000
    assert kept(lambda x: computed(module, module, x, checkpointing=True)) <= given.numel()


def test_several_inputs_one_of_them_none() -> None:
    layer = nn.Linear(2, 2)

    def function(x: Tensor, bias: Tensor | None) -> tuple[Tensor, Tensor]:
        y = layer(x)
        return y, y if bias is None else y + bias

    x = torch.randn(3, 2)
    for bias in (None, torch.ones(2, requires_grad=True)):
        first, second = computed(function, layer, x, bias, checkpointing=True)
        (first.sum() + second.sum()).backward()
        assert torch.equal(second, first if bias is None else first + 1)
    assert bias is not None
    assert torch.equal(bias.grad, torch.full((2,), 3.0))
