"""Fixtures that several files of this folder use."""

from typing import Any

import pytest
import torch

from medpeft_core.paths import get_home
from medpeft_core.runs.store import RunStore
from medpeft_core.training import features as features_module
from medpeft_core.training.forecast import Forecaster
from medpeft_core.training.known_data import KnownData

LIBRARIES = 10**9


@pytest.fixture
def forecaster() -> Forecaster:
    return Forecaster(RunStore(get_home()), KnownData(), library_bytes=LIBRARIES)


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Images in each batch whose features were computed."""
    sizes: list[int] = []
    real = features_module.read_features

    def read(network: Any, head: Any, images: torch.Tensor) -> torch.Tensor:
        sizes.append(len(images))
        return real(network, head, images)

    monkeypatch.setattr(features_module, "read_features", read)
    return sizes
