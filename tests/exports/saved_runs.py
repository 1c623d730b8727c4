"""Runs as they lie in a home after two real steps of training on tiny models, and their exports."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from timm.models import VisionTransformer, build_model_with_cfg, register_model
from tiny_models import ARCHITECTURES, IMAGE_SIZE
from trials import train

from medpeft_core.config import BackboneConfig, MethodConfig, RunConfig, TrainConfig
from medpeft_core.exports.context import ExportContext
from medpeft_core.methods import METHODS
from medpeft_core.runs.run import Run
from medpeft_core.runs.states import FINISHED
from medpeft_core.runs.store import RunStore
from medpeft_core.training.best import save_best
from medpeft_core.training.build import build_model

CONFIG = {"classifier": "head", "input_size": (3, IMAGE_SIZE, IMAGE_SIZE), "fixed_input_size": False}
LABELS = ("Effusion", "Nodule")
STEPS = 2  # in the first one, an adapter that starts at the base learns with one half only


@register_model
def tiny_vit(pretrained: bool = False, **options: Any) -> VisionTransformer:
    """Two blocks, for what takes long with each; `test_vit` has six."""
    sizes = {"img_size": IMAGE_SIZE, "patch_size": 16, "embed_dim": 64, "depth": 2, "num_heads": 2}
    options = {**sizes, "pretrained_cfg": CONFIG, **{name: item for name, item in options.items() if item is not None}}
    return build_model_with_cfg(VisionTransformer, "tiny_vit", pretrained, **options)


def save_run(
    home: Path, method: str, backbone: str, *, task: str = "multilabel", channels: int = 3, **knobs: Any
) -> Run:
    """A finished run with random base weights, whose adapter has moved in all its parts.

    Args:
        backbone: what ARCHITECTURE.md calls the architecture, or a timm name.
    """
    config = RunConfig(
        backbone=BackboneConfig(name=ARCHITECTURES.get(backbone, backbone), image_size=IMAGE_SIZE, channels=channels),
        method=MethodConfig(name=method, knobs=knobs),
        train=TrainConfig(seed=1),
    )
    built = build_model(config, num_classes=len(LABELS))
    hook = built.adapted.network.register_forward_pre_hook(lambda network, images: (images[0][:, :channels],))
    train(built, STEPS, lr=METHODS[method].default_lr)
    hook.remove()
    provenance = {"labels": list(LABELS), "task": task, "is_synthetic": True}
    run = RunStore(home).create(config, status=FINISHED, provenance=provenance)
    save_best(built.adapted, run.adapter_dir)
    return run


def build_context(run: Run) -> ExportContext:
    """The run as writers of exports see it."""
    provenance = run.provenance()
    return ExportContext(
        run=run,
        config=run.config(),
        labels=tuple(provenance["labels"]),
        task=provenance["task"],
        provenance=provenance,
        metrics=run.metrics() or {},
    )


def open_without_lab(program: str, folder: Path) -> tuple[dict[str, torch.Tensor], list[str]]:
    """Run a program of this folder in a new process, on exports that `jobs.json` names.

    Returns:
        The logits by name of the export, and the modules of the lab that were imported for them: none, if all is well.
    """
    here = Path(__file__).resolve().parent
    result = subprocess.run(
        [sys.executable, str(here / program), str(folder)],
        env={**os.environ, "PYTHONPATH": str(here.parent / "methods")},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return safetensors.torch.load_file(folder / "logits.safetensors"), json.loads(result.stdout)
