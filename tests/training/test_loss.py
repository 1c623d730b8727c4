"""Losses against loops written out, and unknown labels that must count nowhere."""

import math

import pytest
import torch

from medpeft_core.training.loss import compute_class_weights, compute_loss

NAN = float("nan")


def _draw(batch: int = 7, classes: int = 4) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    logits = 3 * torch.randn(batch, classes, generator=generator)
    targets = torch.randint(0, 2, (batch, classes), generator=generator).float()
    targets[torch.rand(batch, classes, generator=generator) < 0.3] = NAN
    return logits.requires_grad_(), targets


@pytest.mark.parametrize("weights", [None, torch.tensor([1.0, 2.5, 0.5, 10.0])])
def test_loss_of_labels_equals_a_loop(weights: torch.Tensor | None) -> None:
    logits, targets = _draw()
    terms = []
    for row in range(7):
        for column in range(4):
            target, prob = targets[row, column].item(), 1 / (1 + math.exp(-logits[row, column].item()))
            if math.isnan(target):
                continue
            factor = weights[column].item() if weights is not None else 1
            terms.append(-factor * math.log(prob) if target else -math.log(1 - prob))
    found = compute_loss(logits, targets, task="multilabel", class_weights=weights)
    assert found.item() == pytest.approx(sum(terms) / len(terms), rel=1e-5)


def test_loss_unknown_labels_get_no_gradient() -> None:
    logits, targets = _draw()
    compute_loss(logits, targets, task="multilabel", class_weights=None).backward()
    unknown = torch.isnan(targets)
    assert unknown.any()
    assert not logits.grad[unknown].any()
    assert bool((logits.grad[~unknown] != 0).all())


def test_loss_of_nothing_known_is_zero() -> None:
    logits = torch.randn(3, 2, generator=torch.Generator().manual_seed(0), requires_grad=True)
    loss = compute_loss(logits, torch.full((3, 2), NAN), task="multilabel", class_weights=None)
    loss.backward()
    assert loss.item() == 0
    assert not logits.grad.any()


def test_loss_of_classes_equals_a_loop() -> None:
    logits = _draw(5, 3)[0]
    classes = [2, 0, 1, 1, 2]
    targets = torch.zeros(5, 3)
    targets[range(5), classes] = 1
    weights = torch.tensor([1.0, 2.0, 4.0])
    logs = [math.log(logits[row].double().softmax(0)[index].item()) for row, index in enumerate(classes)]
    plain = compute_loss(logits, targets, task="multiclass", class_weights=None)
    assert plain.item() == pytest.approx(-sum(logs) / 5, rel=1e-5)
    shares = [weights[index].item() for index in classes]
    weighted = compute_loss(logits, targets, task="multiclass", class_weights=weights)
    expected = -sum(share * log for share, log in zip(shares, logs, strict=True)) / sum(shares)
    assert weighted.item() == pytest.approx(expected, rel=1e-5)


def test_loss_of_classes_with_unknown_others_takes_the_known_one() -> None:
    """A manifest may say which class an image has and leave the others open; argmax took the open one."""
    logits = torch.tensor([[1.0, 2.0, 3.0]])
    open_targets, full_targets = torch.tensor([[1.0, NAN, 0.0]]), torch.tensor([[1.0, 0.0, 0.0]])
    found = compute_loss(logits, open_targets, task="multiclass", class_weights=None)
    assert found.item() == compute_loss(logits, full_targets, task="multiclass", class_weights=None).item()


def test_loss_is_computed_in_full_precision() -> None:
    logits = torch.tensor([[8.0]], dtype=torch.bfloat16)
    loss = compute_loss(logits, torch.tensor([[1.0]]), task="multilabel", class_weights=None)
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(math.log1p(math.exp(-8)), rel=1e-5)


def test_class_weights_of_labels() -> None:
    targets = torch.tensor([[1.0, 0.0, NAN], [0.0, 0.0, NAN], [0.0, 0.0, 1.0], [0.0, NAN, 0.0]])
    assert compute_class_weights(targets, "multilabel").tolist() == [3.0, 1.0, 1.0]


def test_class_weights_of_classes() -> None:
    targets = torch.tensor([[1.0, 0.0], [1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    assert compute_class_weights(targets, "multiclass").tolist() == pytest.approx([4 / 6, 2.0])


def test_class_weights_are_limited() -> None:
    targets = torch.zeros(1001, 1)
    targets[0] = 1
    assert compute_class_weights(targets, "multilabel").item() == 100
    assert compute_class_weights(1 - targets, "multilabel").item() == pytest.approx(0.01)
