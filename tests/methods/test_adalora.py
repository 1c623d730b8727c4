"""AdaLoRA's schedule and its orthogonality term are applied, and survive a stop."""

import copy

import pytest
import torch
from tiny_models import ARCHITECTURES
from trials import build, make_batch, train

from medpeft_core.config import OptimConfig
from medpeft_core.errors import ConfigError
from medpeft_core.methods.layers.adalora import AdaloraAdapted
from medpeft_core.training.optim import build_optimizer

VIT = ARCHITECTURES["ViT"]
STEPS = 20


def _build(**knobs: object) -> AdaloraAdapted:
    adapted = build("adalora", VIT, **knobs).adapted
    assert isinstance(adapted, AdaloraAdapted)
    return adapted


def test_ranks_fall_to_the_budget_and_stay_there() -> None:
    built = build("adalora", VIT, rank=2, init_rank=4, every=1, warmup_share=0.1, final_share=0.3)
    adapted = built.adapted
    assert isinstance(adapted, AdaloraAdapted)
    layers = len(adapted.count_ranks())
    assert sum(adapted.count_ranks().values()) == 4 * layers
    train(built, STEPS, lr=3e-3)
    assert sum(adapted.count_ranks().values()) == 2 * layers
    masked = sum(int((item == 0).sum()) for name, item in adapted.trainable().items() if ".lora_E." in name)
    assert masked == 2 * layers  # what was taken away stays zero, whatever the optimizer does


def test_budget_follows_the_paper() -> None:
    """Equation 12: constant, then cubic, then constant."""
    adapted = _build(rank=2, init_rank=4, warmup_share=0.1, final_share=0.3)
    adapted.begin(100)
    allocator = adapted.peft_model.base_model.rankallocator
    layers = len(adapted.count_ranks())
    first, last = 4 * layers, 2 * layers
    for step in range(101):
        if step <= 10:
            expected = first
        elif step > 70:
            expected = last
        else:
            expected = int((first - last) * (1 - (step - 10) / (70 - 10)) ** 3 + last)
        assert allocator.budget_schedule(step)[0] == expected


@pytest.mark.parametrize(("num_steps", "rank"), [(1, 4), (2, 2), (3, 2), (7, 2)])
def test_short_runs_reach_the_budget_as_soon_as_there_are_scores(num_steps: int, rank: int) -> None:
    built = build("adalora", VIT, rank=2, init_rank=4)
    adapted = built.adapted
    assert isinstance(adapted, AdaloraAdapted)
    train(built, num_steps, lr=3e-3)
    assert sum(adapted.count_ranks().values()) == rank * len(adapted.count_ranks())


def test_orthogonality_term_equals_its_definition_and_pulls() -> None:
    adapted = _build(orthogonality=0.5)
    distances = []
    for name, parameter in adapted.trainable().items():
        if ".lora_A." in name:
            distances.append(torch.sqrt(((parameter @ parameter.T - torch.eye(12)) ** 2).sum()))
        if ".lora_B." in name:
            distances.append(torch.sqrt(((parameter.T @ parameter - torch.eye(12)) ** 2).sum()))
    penalty = adapted.compute_penalty()
    assert penalty is not None
    assert penalty.item() == pytest.approx(0.5 * sum(distances).item() / len(distances), rel=1e-6)
    penalty.backward()
    assert all(item.grad.any() for name, item in adapted.trainable().items() if ".lora_A." in name)
    assert _build(orthogonality=0).compute_penalty() is None


def test_state_continues_exactly() -> None:
    """Scores and masks go through a checkpoint: the next step decides as it would have."""
    built = build("adalora", VIT, rank=2, init_rank=4, every=1)
    train(built, 6, lr=3e-3)
    other = build("adalora", VIT, rank=2, init_rank=4, every=1)
    theirs, ours = built.adapted, other.adapted
    with torch.no_grad():
        for name, parameter in ours.trainable().items():
            parameter.copy_(theirs.trainable()[name])
    ours.begin(6)
    ours.set_state(copy.deepcopy(theirs.get_state()))
    assert ours.count_ranks() == theirs.count_ranks()
    assert theirs.get_state().keys() == ours.get_state().keys()
    assert all(torch.equal(value, ours.get_state()[name]) for name, value in theirs.get_state().items())


def test_steps_that_a_loss_scaler_skipped_spoil_no_scores() -> None:
    """The user saw: one overflow in half precision, and AdaLoRA never took a rank away."""
    built = build("adalora", VIT, rank=2, init_rank=4, every=1)
    adapted = built.adapted
    assert isinstance(adapted, AdaloraAdapted)
    adapted.begin(STEPS)
    images, targets = make_batch()
    optimizer = build_optimizer(adapted, OptimConfig(lr=3e-3), device="cpu")
    for step in range(STEPS):
        torch.nn.functional.binary_cross_entropy_with_logits(adapted.network(images), targets).backward()
        if step in (0, 3, 14):
            next(iter(adapted.trainable().values())).grad.fill_(float("inf"))
        else:
            optimizer.step()
        adapted.after_step(step, is_scaled=True)
        adapted.network.zero_grad()
    assert sum(adapted.count_ranks().values()) == 2 * len(adapted.count_ranks())
    assert all(torch.isfinite(value).all() for name, value in adapted.get_state().items() if "mask" not in name)


def test_start_follows_the_rank_unless_it_is_chosen() -> None:
    for rank, start in ((8, 12), (16, 24), (1, 2)):
        ranks = _build(rank=rank).count_ranks().values()
        assert set(ranks) == {start}


def test_settings_out_of_range_are_refused() -> None:
    with pytest.raises(ConfigError, match="method.init_rank is 8, but it must be 0, or above method.rank, which is 8"):
        _build(rank=8, init_rank=8)
    with pytest.raises(ConfigError, match="method.final_share"):
        _build(final_share=0)
