from __future__ import annotations

import pytest
import torch
from torch import nn

from glm2x.errors import UsageError
from glm2x.heads.attention_pool import AttentionPool
from glm2x.heads.position_pool import PositionPool
from glm2x.heads.registry import build_head, heads
from glm2x.heads.tower import MINIMUM_TOKENS, SoftmaxPool, Tower, tokens_out


@pytest.mark.parametrize("name", heads())
def test_every_head_gives_one_number_a_haplotype(name: str) -> None:
    output = build_head(name, width=6, tokens=200)(torch.randn(3, 200, 6))
    assert output.shape == (3,)


def test_an_unknown_head_names_the_nearest() -> None:
    with pytest.raises(UsageError, match=r"no head is called towre") as error:
        build_head("towre", 4, 200)
    assert error.value.do == "did you mean tower?"
    assert error.value.wanted == "attention-pool, position-pool, tower"


def test_attention_pool_by_hand() -> None:
    pool = AttentionPool(2)
    with torch.no_grad():
        pool.score.weight.copy_(torch.tensor([[1.0, 0.0]]))
        pool.score.bias.zero_()
        pool.output.weight.copy_(torch.tensor([[0.0, 1.0]]))
        pool.output.bias.fill_(0.5)
    # scores 0 and log 3, so weights 1/4 and 3/4 of the second channel's 4 and 8
    tokens = torch.tensor([[[0.0, 4.0], [1.0986123, 8.0]]])
    assert pool(tokens).item() == pytest.approx(0.25 * 4 + 0.75 * 8 + 0.5)


def test_position_pool_by_hand() -> None:
    pool = PositionPool(2, tokens=2)
    with torch.no_grad():
        pool.weight.copy_(torch.tensor([[1.0, 2.0], [3.0, 4.0]]))
    pool.start_at(7.0)
    assert pool(torch.tensor([[[1.0, 1.0], [10.0, 0.0]]])).item() == pytest.approx(1 + 2 + 30 + 7)


def test_position_pool_refuses_another_number_of_tokens() -> None:
    with pytest.raises(UsageError, match="reads windows of one length only") as error:
        PositionPool(2, tokens=3)(torch.zeros(1, 4, 2))
    assert error.value.got == "tokens of shape [4, 2]"
    assert error.value.wanted == "[3, 2]"


def test_softmax_pool_starts_at_twice_the_identity() -> None:
    pool = SoftmaxPool(1)
    x = torch.tensor([[[0.0, 1.0]]])
    weight = torch.tensor([0.0, 2.0]).softmax(0)[1]
    torch.testing.assert_close(pool(x), weight.reshape(1, 1, 1))


def test_softmax_pool_masks_the_remainder() -> None:
    """The last of three tokens has no partner: it comes out as it is, also where it is below zero."""
    x = torch.tensor([[[1.0, 1.0, -5.0]], [[2.0, 2.0, 3.0]]])
    torch.testing.assert_close(SoftmaxPool(1)(x), torch.tensor([[[1.0, -5.0]], [[2.0, 3.0]]]))


@pytest.mark.parametrize("tokens", [146, 147, 600, 1834])
def test_tokens_out_is_what_the_blocks_leave(tokens: int) -> None:
    tower = Tower(2, tokens).eval()
    x = torch.randn(1, 2, tokens)
    for block in tower.blocks:
        x = block(x)
    assert x.shape[-1] == tokens_out(tokens) > 0


def test_the_minimum_of_tokens_is_the_smallest_that_the_blocks_take() -> None:
    """Blocks 3 and 4 need 2 and 1 tokens in; so block 2 must leave 3 before its pool, hence 10 in, hence 19
    before block 1's pool: (T + 14 - 16) // 8 + 1 >= 19 from T = 146."""
    assert MINIMUM_TOKENS == 146
    x = torch.randn(1, 2, 145)
    tower = Tower(2, 146).eval()
    with pytest.raises(RuntimeError):
        nn.Sequential(*tower.blocks)(x)


def test_too_few_tokens_are_refused_when_built_and_when_run() -> None:
    for attempt in (lambda: Tower(2, 145), lambda: Tower(2, 146).eval()(torch.zeros(1, 145, 2))):
        with pytest.raises(UsageError, match="leave nothing of a window this short") as error:
            attempt()
        assert error.value.got == "145 tokens"
        assert error.value.wanted == "at least 146 tokens"


def test_the_tower_needs_two_values_for_batchnorm_in_training() -> None:
    tower = Tower(2, 146)
    with pytest.raises(UsageError, match="batch of one short haplotype"):
        tower(torch.zeros(1, 146, 2))
    assert tower(torch.zeros(2, 146, 2)).shape == (2,)
    assert tower.eval()(torch.zeros(1, 146, 2)).shape == (1,)
