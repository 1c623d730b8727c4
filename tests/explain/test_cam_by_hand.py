"""Grad-CAM with every number worked out on paper: a CNN of two channels, and a ViT of one block."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from medpeft_core.errors import ExplainError
from medpeft_core.explain.cam import check_cam, explain_logit, tokens_to_map
from medpeft_core.explain.load import LoadedImage


class TwoChannelCnn(nn.Module):
    """Two feature maps, red and green; each logit is a weighted sum of their means."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Conv2d(3, 2, 1, bias=False)
        self.features.weight.data = torch.tensor([[1.0, 0, 0], [0, 1.0, 0]]).view(2, 3, 1, 1)
        self.head = nn.Linear(2, 2, bias=False)
        self.head.weight.data = torch.tensor([[4.0, -8.0], [-4.0, 4.0]])
        self.requires_grad_(False)  # the hardest case: nothing in the model asks for gradients

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.head(self.features(images).mean(dim=(2, 3)))


RED = [[1.0, 2.0], [3.0, 0.0]]
GREEN = [[0.0, 1.0], [1.0, 2.0]]


def image_of(red: list, green: list) -> torch.Tensor:
    return torch.stack([torch.tensor(red), torch.tensor(green), torch.zeros(2, 2)])[None]


def cnn_cam(index: int, red: list = RED, green: list = GREEN) -> list:
    found = explain_logit(
        TwoChannelCnn(), image_of(red, green), layer="features", index=index, reshape=lambda features: features
    )
    return found.coarse.tolist()


def test_gradcam_of_a_cnn_by_hand() -> None:
    """The mean over 2 x 2 places divides by 4, so the weights are (1, -2) for the first logit and (-1, 1) for the next.

    First: 1 - 0, 2 - 2, 3 - 2, 0 - 4; second: -1 + 0, -2 + 1, -3 + 1, 0 + 2; what is below 0 becomes 0.
    """
    assert cnn_cam(0) == [[1, 0], [1, 0]]
    assert cnn_cam(1) == [[0, 0], [0, 2]]


def test_gradcam_changes_with_the_image() -> None:
    """Red moved to the lower right: 0 - 0, 0 - 2, 0 - 2, 5 - 4."""
    assert cnn_cam(0, red=[[0.0, 0.0], [0.0, 5.0]]) == [[0, 0], [0, 1]]


class OneBlock(nn.Module):
    """A class token, 2 x 2 patches of one pixel, and one block whose attention looks at all tokens alike.

    Tokens are (red, green) of a pixel. Values are the tokens with red doubled. The class token, at first (0, 0), gets
    the mean of the values; the head reads it ("token") or the mean of the patch tokens after the block ("avg").
    """

    def __init__(self, pool: str) -> None:
        super().__init__()
        self.pool = pool
        self.norm1 = nn.Linear(2, 2, bias=False)  # leaves tokens as they are, in a tensor of its own as a norm does
        self.norm1.weight.data = torch.eye(2)
        self.value = nn.Linear(2, 2, bias=False)
        self.value.weight.data = torch.tensor([[2.0, 0.0], [0.0, 1.0]])
        self.head = nn.Linear(2, 1, bias=False)
        self.head.weight.data = torch.tensor([[5.0, -5.0]])
        self.requires_grad_(False)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        patches = images[:, :2].flatten(2).transpose(1, 2)  # (B, 4, 2)
        tokens = torch.cat((torch.zeros(len(images), 1, 2), patches), dim=1)  # (B, 5, 2)
        normed = self.norm1(tokens)
        attention = torch.full((5, 5), 1 / 5)
        tokens = tokens + attention @ self.value(normed)
        return self.head(tokens[:, 0] if self.pool == "token" else tokens[:, 1:].mean(dim=1))


@pytest.mark.parametrize("pool", ["token", "avg"])
def test_gradcam_of_one_block_by_hand(pool: str) -> None:
    """Each token's share in the mean is 1/5, so its gradient is (2 * 5, -5) / 5 = (2, -1), for either pooling.

    The map is 2 red - green: 2 - 0, 4 - 1, 6 - 1, 0 - 2.
    """
    found = explain_logit(
        OneBlock(pool), image_of(RED, GREEN), layer="norm1", index=0, reshape=lambda tokens: tokens_to_map(tokens, 1)
    )
    assert found.coarse.tolist() == [pytest.approx([2, 3]), pytest.approx([5, 0])]
    assert found.scale == pytest.approx(2 * 3 + 1)


def test_the_output_of_a_block_is_flat_under_token_pooling() -> None:
    """Why the map is taken at the first norm: after the block only the class token has a gradient."""

    class Wrapped(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.block, self.head = nn.Identity(), nn.Linear(2, 1, bias=False)

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            tokens = torch.cat((torch.ones(1, 1, 2), images[:, :2].flatten(2).transpose(1, 2)), dim=1)
            return self.head(self.block(tokens)[:, 0])

    found = explain_logit(
        Wrapped(), image_of(RED, GREEN), layer="block", index=0, reshape=lambda tokens: tokens_to_map(tokens, 1)
    )
    with pytest.raises(ExplainError, match="flat"):
        check_cam(found.coarse, "one", scale=found.scale)


def test_large_map_by_hand() -> None:
    """A row of two cells over four pixels, whose centres lie at -1/4, 1/4, 3/4 and 5/4 of the way between them."""

    class Halving(TwoChannelCnn):
        def __init__(self) -> None:
            super().__init__()
            self.features = nn.Sequential(self.features, nn.AvgPool2d(2))
            self.head.weight.data = torch.tensor([[4.0, 0.0], [0.0, 4.0]])

    red = torch.tensor([[0.0, 8.0], [0.0, 8.0]]).repeat_interleave(2, 0).repeat_interleave(2, 1)  # (4, 4)
    images = torch.stack([red, torch.zeros(4, 4), torch.zeros(4, 4)])[None]
    found = explain_logit(Halving(), images, layer="features", index=0, reshape=lambda features: features)
    assert found.coarse.tolist() == [[0, 8], [0, 8]]
    assert found.large[0].tolist() == pytest.approx([0, 0.25, 0.75, 1])


@pytest.mark.parametrize("scale", [1e-12, 1.0, 1e12])
def test_check_cam_judges_flatness_by_the_sizes_that_were_added(scale: float) -> None:
    """Rounding leaves differences of 1e-7 of what was added up, whatever the scale of the logits is."""
    noise = np.array([[0.0, 1e-7]]) * scale
    with pytest.raises(ExplainError, match="flat"):
        check_cam(noise, "one", scale=scale)
    check_cam(np.array([[0.0, 1e-3]]) * scale, "one", scale=scale)


def test_explain_logit_leaves_the_model_as_it_was() -> None:
    model = TwoChannelCnn().requires_grad_(True)
    explain_logit(model, image_of(RED, GREEN), layer="features", index=0, reshape=lambda features: features)
    assert all(parameter.requires_grad and parameter.grad is None for parameter in model.parameters())
    assert not model.features._forward_hooks
    with pytest.raises(IndexError):
        explain_logit(model, image_of(RED, GREEN), layer="features", index=9, reshape=lambda features: features)
    assert all(parameter.requires_grad for parameter in model.parameters())
    assert not model.features._forward_hooks


def test_loaded_image_is_not_asked_for_gradients() -> None:
    image = LoadedImage(
        path=Path("x.png"), images=image_of(RED, GREEN), source_size=(2, 2), cached_size=(2, 2), warnings=()
    )
    explain_logit(TwoChannelCnn(), image.images, layer="features", index=0, reshape=lambda features: features)
    assert not image.images.requires_grad
