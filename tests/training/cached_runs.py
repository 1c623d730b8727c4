"""Runs on cached features for tests, and the files that they leave."""

from pathlib import Path
from typing import Any

from toy_set import (
    SPLIT_SIZES,
    make_config,
)

from medpeft_core.config import RunConfig

NUM_IMAGES = sum(SPLIT_SIZES.values())


STILL = {"crop_scale_min": 1.0, "crop_ratio_max": 1.0, "flip": 0.0, "rotation_deg": 0.0, "brightness": 0.0,
         "contrast": 0.0}  # fmt: skip


def make_cached(**sections: dict[str, Any]) -> RunConfig:
    sections = {"method": {"name": "linear"}, "augment": STILL, **sections}
    return make_config(**{**sections, "train": {"cached_features": True, **sections.get("train", {})}})


def find_files(home: Path) -> list[Path]:
    return sorted((home / "cache" / "features").glob("*.safetensors"))
