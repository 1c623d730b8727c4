"""Grad-CAM with every number worked out on paper: a CNN of two channels, and a ViT of one block."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from medpeft_core.errors import ExplainError
from medpeft_core.explain.cam import check_cam, compute_gradcam, enlarge, find_gradients, tokens_to_map
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
    found = find_gradients(
        TwoChannelCnn(), image_of(red, green), layer="features", index=index, reshape=lambda features: features
    )
    return compute_gradcam(*found).tolist()


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
        self.norm1 = nn.Identity()
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
    activations, gradients = find_gradients(
        OneBlock(pool), image_of(RED, GREEN), layer="norm1", index=0, reshape=lambda tokens: tokens_to_map(tokens, 1)
    )
    assert gradients.flatten(1).T.tolist() == [pytest.approx([2, -1])] * 4
    assert activations.tolist() == [RED, GREEN]
    assert compute_gradcam(activations, gradients).tolist() == [pytest.approx([2, 3]), pytest.approx([5, 0])]


def test_the_output_of_a_block_is_flat_under_token_pooling() -> None:
    """Why the map is taken at the first norm: after the block only the class token has a gradient."""

    class Wrapped(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.block, self.head = nn.Identity(), nn.Linear(2, 1, bias=False)

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            tokens = torch.cat((torch.ones(1, 1, 2), images[:, :2].flatten(2).transpose(1, 2)), dim=1)
            return self.head(self.block(tokens)[:, 0])

    found = find_gradients(
        Wrapped(), image_of(RED, GREEN), layer="block", index=0, reshape=lambda tokens: tokens_to_map(tokens, 1)
    )
    with pytest.raises(ExplainError, match="flat"):
        check_cam(compute_gradcam(*found), "one")


def test_enlarge_by_hand() -> None:
    """A row of two cells over four pixels, whose centres lie at -1/4, 1/4, 3/4 and 5/4 of the way between them."""
    cam = np.array([[0.0, 8.0], [0.0, 8.0]], np.float32)
    assert enlarge(cam, 4)[0].tolist() == [0, 0.25, 0.75, 1]


def test_enlarge_fills_the_whole_range() -> None:
    large = enlarge(np.array([[1.0, 1, 1], [1, 3, 1], [1, 1, 1]], np.float32), 8)
    assert (large.min(), large.max()) == (0, 1)


@pytest.mark.parametrize("scale", [1e-12, 1.0, 1e12])
def test_check_cam_judges_flatness_by_the_sizes_that_were_added(scale: float) -> None:
    """Rounding leaves differences of 1e-7 of what was added up, whatever the scale of the logits is."""
    noise = np.array([[0.0, 1e-7]]) * scale
    with pytest.raises(ExplainError, match="flat"):
        check_cam(noise, "one", scale=scale)
    check_cam(np.array([[0.0, 1e-3]]) * scale, "one", scale=scale)


def test_find_gradients_leaves_the_model_as_it_was() -> None:
    model = TwoChannelCnn().requires_grad_(True)
    find_gradients(model, image_of(RED, GREEN), layer="features", index=0, reshape=lambda features: features)
    assert all(parameter.requires_grad and parameter.grad is None for parameter in model.parameters())
    assert not model.features._forward_hooks
    with pytest.raises(IndexError):
        find_gradients(model, image_of(RED, GREEN), layer="features", index=9, reshape=lambda features: features)
    assert all(parameter.requires_grad for parameter in model.parameters())
    assert not model.features._forward_hooks


def test_loaded_image_is_not_asked_for_gradients() -> None:
    image = LoadedImage(
        path=Path("x.png"), images=image_of(RED, GREEN), source_size=(2, 2), cached_size=(2, 2), warnings=()
    )
    find_gradients(TwoChannelCnn(), image.images, layer="features", index=0, reshape=lambda features: features)
    assert not image.images.requires_grad
