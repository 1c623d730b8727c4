"""The head alone against the whole network: the same features, logits and dropout, for ViTs and CNNs."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from medpeft_core.backbones.build import build_backbone
from medpeft_core.errors import BackboneError
from medpeft_core.training.cached_head import (
    CachedHead,
    FeatureSource,
    Unvaried,
    check_head,
    find_dropout,
    read_features,
)

SIZE = 32
CASES = [("test_vit", "token"), ("test_vit", "avg"), ("test_resnet", None), ("test_convnext", None)]


def draw_images(num_images: int = 5) -> torch.Tensor:
    return torch.randn(num_images, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(("name", "pool"), CASES)
def test_head_of_features_is_the_network(name: str, pool: str | None) -> None:
    backbone = build_backbone(name, num_classes=3, image_size=SIZE, pool=pool, head_init_std=1.0)
    network = backbone.model.eval()
    head = network.get_submodule(backbone.head)
    with torch.inference_mode():
        features = read_features(network, head, draw_images())
        expected = network.forward_head(network.forward_features(draw_images()), pre_logits=True)
        logits = CachedHead(head, dropout=0.0).eval()(features)
        assert torch.equal(features, expected)
        torch.testing.assert_close(logits, network(draw_images()), rtol=0, atol=1e-5)
    check_head(network, head, name=name, image_size=SIZE)


class Odd(nn.Module):
    """A network that does something with what its head gives."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind
        self.head = nn.Linear(3, 2)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        tokens = images.flatten(2).transpose(1, 2)  # (B, N, 3)
        if self.kind == "map":
            return self.head(tokens).mean(dim=1)
        if self.kind == "twice":
            return (self.head(tokens[:, 0]) + self.head(tokens[:, 1])) / 2
        return 2 * self.head(tokens.mean(dim=1))


@pytest.mark.parametrize("kind", ["map", "twice", "scaled"])
def test_check_head_refuses_a_network_that_is_not_its_head(kind: str) -> None:
    network = Odd(kind)
    with pytest.raises(BackboneError, match="'odd' does not end with one layer on one vector for each image"):
        check_head(network, network.head, name="odd", image_size=SIZE)


class Dropping(nn.Module):
    """Drops inside as well as before its head."""

    def __init__(self, before_head: float, *, as_module: bool) -> None:
        super().__init__()
        self.before_head = nn.Dropout(before_head) if as_module else None
        self.rate = before_head
        self.head = nn.Linear(3, 2)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        pooled = F.dropout(images, 0.7, training=self.training).mean(dim=(2, 3))
        pooled = self.before_head(pooled) if self.before_head else F.dropout(pooled, self.rate, self.training)
        return self.head(pooled.flatten(1))


@pytest.mark.parametrize("as_module", [True, False])
@pytest.mark.parametrize("rate", [0.0, 0.25])
def test_find_dropout_tells_the_one_before_the_head(rate: float, as_module: bool) -> None:
    network = Dropping(rate, as_module=as_module)
    assert find_dropout(network.train(), network.head, image_size=SIZE) == rate
    assert find_dropout(network.eval(), network.head, image_size=SIZE) == 0


def test_cached_head_drops_while_the_network_trains_only() -> None:
    network = Dropping(0.5, as_module=True).train()
    predictor = CachedHead(network.head, dropout=0.5)
    nn.init.constant_(network.head.weight, 1.0)
    features = torch.ones(200, 3)
    torch.manual_seed(0)
    assert len(predictor(features).unique()) > 2
    predictor.eval()
    assert len(predictor(features)[:, 0].unique()) == 1
    network.train()  # as the loop does after an evaluation
    assert len(predictor(features).unique()) > 2


def test_feature_source_finds_features_by_the_row_of_the_pixels() -> None:
    """Unreadable images leave holes among the rows."""
    features = torch.arange(6.0).view(3, 2)
    source = FeatureSource(features, np.array([1, 4, 5]))
    batch, sizes = source.batch(np.array([5, 1, 5]))
    assert batch.tolist() == [[4.0, 5.0], [0.0, 1.0], [4.0, 5.0]]
    assert sizes.shape == (3, 0)
    assert Unvaried().varied(batch, sizes, torch.Generator()) is batch
    assert Unvaried().plain(batch, sizes) is batch
    with pytest.raises(IndexError):
        source.batch(np.array([2]))
