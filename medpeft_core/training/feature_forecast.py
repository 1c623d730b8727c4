"""What cached features add to a forecast: their memory, and the time to compute those that are not there. Heavy."""

from dataclasses import replace

import torch
from torch import nn

from medpeft_core.config import RunConfig
from medpeft_core.datasets.prepare import PreparedData
from medpeft_core.training.build import BuiltModel
from medpeft_core.training.features import describe_features, find_path
from medpeft_core.training.memory import ModelNeeds
from medpeft_core.training.speed import time_features

FLOAT = torch.finfo(torch.float32).bits // 8


def weigh_head_alone(needs: ModelNeeds, built: BuiltModel) -> ModelNeeds:
    """The needs of a model whose head trains on cached features: a batch takes its features and logits only.

    Evaluation keeps its figure, since features are computed in batches of an evaluation.
    """
    head = built.adapted.network.get_submodule(built.backbone.head)
    assert isinstance(head, nn.Linear)
    feature, logits = FLOAT * head.in_features, FLOAT * head.out_features
    return replace(needs, forward=((1, feature + logits), (2, 2 * (feature + logits))), feature=feature)


def forecast_features(built: BuiltModel, config: RunConfig, prepared: PreparedData | None) -> tuple[float, str]:
    """Seconds that a run will spend on features before it trains, and a sentence on that.

    Args:
        built: its model; throw it away afterwards.
        config: complete.
        prepared: its data; None: not known yet, so neither is the time.
    """
    if prepared is None:
        return 0.0, "That is the head alone; before, the features of every image are computed once."
    about = describe_features(config, built, pixels_sha256=prepared.pixels_sha256)
    if find_path(about).is_file():
        return 0.0, "That is the head alone; the features of these images are stored already."
    num_images = len(prepared.cache_rows)
    seconds = num_images / time_features(built, config, config.train.device)
    return seconds, (
        f"That is the head alone; before, the features of {num_images:,} images are computed once, in about "
        f"{max(round(seconds), 1):,} s."
    )
