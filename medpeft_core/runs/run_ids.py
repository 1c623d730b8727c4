"""Names of runs: they sort by time, read well, and are safe as folder names everywhere."""

import random
import re
from datetime import datetime
from typing import Any

from medpeft_core.errors import RunError

MAX_LENGTH = 80
MAX_PART_LENGTH = 24
_PATTERN = re.compile(r"[0-9]{8}-[0-9]{4}-[a-z0-9_]+(-r[0-9]{1,5})?-[a-z0-9_]+-[0-9a-f]{4}")
_DETAIL_OF_BACKBONE = re.compile(r"patch[0-9]+|window[0-9]+|[0-9]{2,}")  # patch size, window and image size


def make_run_id(method: str, knobs: dict[str, Any], backbone: str, now: datetime, rng: random.Random) -> str:
    """A name such as "20261121-2154-lora-r8-vit_tiny-4f2a".

    Args:
        method: name of the method.
        knobs: its settings; `rank`, where there is one, becomes part of the name.
        backbone: full timm name; patch size, image size and weights tag are left out.
        now: local time.
        rng: draws the four hexadecimal digits at the end.
    """
    rank = knobs.get("rank")
    has_rank = isinstance(rank, int) and not isinstance(rank, bool) and 0 <= rank < 100_000
    parts = [f"{now:%Y%m%d-%H%M}", _clean(method)]
    if has_rank:
        parts.append(f"r{rank}")
    return "-".join([*parts, _clean(shorten_backbone(backbone)), f"{rng.randrange(16**4):04x}"])


def shorten_backbone(name: str) -> str:
    """The family and size of a timm name: "vit_tiny_patch16_224.augreg_in21k" becomes "vit_tiny"."""
    stem = name.rsplit("/", 1)[-1].split(".", 1)[0]
    kept = [part for part in stem.split("_") if not _DETAIL_OF_BACKBONE.fullmatch(part)]
    return "_".join(kept) or stem


def is_run_id(text: str) -> bool:
    """Whether `text` is a name as `make_run_id` gives it."""
    return len(text) <= MAX_LENGTH and _PATTERN.fullmatch(text) is not None


def check_run_id(text: str) -> None:
    """Refuse anything that is not the name of a run, so that no text can lead to another folder.

    Raises:
        RunError: `text` is no such name.
    """
    if not is_run_id(text):
        raise RunError(
            f"{text!r} is not the name of a run. Names look like 20261121-2154-lora-r8-vit_tiny-4f2a; "
            "`python -m medpeft_core runs` lists them."
        )


def _clean(text: str) -> str:
    cleaned = re.sub(r"[^a-z0-9_]+", "_", text.lower()).strip("_")
    return cleaned[:MAX_PART_LENGTH].strip("_") or "unnamed"
