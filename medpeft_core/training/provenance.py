"""Where a run comes from: versions, commit, machine, data. Written once, when the run is made."""

import importlib.metadata
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

import medpeft_core
from medpeft_core.datasets.prepare import PreparedData
from medpeft_core.training.check import CheckedRun
from medpeft_core.training.device import describe_device

PACKAGES = ("torch", "torchvision", "timm", "peft", "numpy", "pandas", "pillow", "safetensors", "kornia", "grad-cam")
GIT_TIMEOUT_S = 5.0


def collect_provenance(checked: CheckedRun, prepared: PreparedData) -> dict[str, Any]:
    """All that is needed to understand, and to repeat, a run, beside its config."""
    return {
        **describe_origin(prepared, device=checked.config.train.device),
        "num_train_images": checked.num_train_images,
        "num_train_patients": checked.num_train_patients,
        "positives": {
            label: {"num_positive": positive, "num_negative": negative, "num_unknown": unknown}
            for label, (positive, negative, unknown) in checked.positives.items()
        },
        "num_params": checked.num_params,
        "num_trainable_params": checked.num_trainable_params,
        "warnings": checked.warnings,
    }


def describe_origin(prepared: PreparedData, *, device: str) -> dict[str, Any]:
    """Versions, machine and data, whatever is trained on them."""
    manifest = prepared.manifest
    return {
        "lab_version": medpeft_core.__version__,
        "git_commit": find_git_commit(),
        "python": sys.version.split()[0],
        "platform": platform.platform(),
        "packages": find_versions(),
        "device": device,
        "device_name": describe_device(device),
        "data_fingerprint": prepared.fingerprint,
        "pixels_sha256": prepared.pixels_sha256,
        "task": manifest.task,
        "is_ordered": manifest.is_ordered,
        "labels": list(manifest.labels),
        "is_synthetic": manifest.is_synthetic,
        "data_notes": list(manifest.notes),
        "num_images": {name: int((manifest.table["split"] == name).sum()) for name in ("train", "val", "test")},
    }


def find_versions() -> dict[str, str | None]:
    """Versions of the packages that decide numbers; None for one that is not installed."""
    versions: dict[str, str | None] = {}
    for name in PACKAGES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            versions[name] = None
    return versions


def find_git_commit() -> str | None:
    """The commit of the lab's own code, with "-dirty" after it when files were changed; None outside a checkout."""
    folder = Path(medpeft_core.__file__).resolve().parent.parent
    try:
        answer = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=GIT_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return answer.stdout.strip() or None if answer.returncode == 0 else None
