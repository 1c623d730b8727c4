"""How large are exports, and how exact? Each method on backbones of real size, in each format that it fits.

    python -m benchmarks.export_sizes [--backbones vit_small_patch16_224,resnet50] [--methods A,B]
        [--formats peft,tensors,merged,onnx] [--json FILE]

Base weights are random, and every trained number is moved by noise, so that no adapter is at its start; nothing is
trained. Each export is opened as its receiver would open it (the lab's own check) and compared on 8 images; "diff" is
the largest difference of a logit. MB are millions of bytes of all files but the model card, without the base: it would
add the same to each adapter and is told in the heading. "s" is how long the export took, opening and comparing
included. Methods that take minutes on a large CNN (BOFT, HRA) are best left out there.
"""

import argparse
import os
import tempfile
from pathlib import Path
from typing import Any

import torch

from medpeft_core.config import BackboneConfig, MethodConfig, RunConfig
from medpeft_core.errors import MedPeftError
from medpeft_core.exports import EXPORTS, ExportOptions
from medpeft_core.exports.write import export_run
from medpeft_core.methods import METHODS
from medpeft_core.paths import HOME_VARIABLE, write_json
from medpeft_core.runs.run import Run
from medpeft_core.runs.states import FINISHED
from medpeft_core.runs.store import RunStore
from medpeft_core.training.best import save_best
from medpeft_core.training.build import build_bare_backbone, build_model

LABELS = ("Cardiomegaly", "Effusion", "Consolidation", "Nodule", "Pneumothorax")
IMAGE_SIZE = 224
NOISE = 0.01
CARD = "README.md"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backbones", default="vit_small_patch16_224,resnet50", help="timm names, commas between")
    parser.add_argument("--methods", help="names with commas between; without it all that fit")
    parser.add_argument("--formats", default="peft,tensors,merged,onnx")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="medpeft-sizes-") as home:
        os.environ[HOME_VARIABLE] = home  # base weights are stored there
        measure_all(options, Path(home))


def measure_all(options: argparse.Namespace, home: Path) -> None:
    """Print a table for each backbone row by row; the file is written anew after each."""
    formats, rows = options.formats.split(","), []
    for backbone in options.backbones.split(","):
        bare = build_bare_backbone(make_config(backbone, "linear"), num_classes=len(LABELS))
        num_bytes = sum(tensor.nbytes for tensor in bare.model.state_dict().values())
        print(f"\n{backbone}, {IMAGE_SIZE} px, {len(LABELS)} labels; base {num_bytes / 1e6:.2f} MB")
        print(f"{'method':<20}{'trained':>10}" + "".join(f"{item + ' MB':>12}{'diff':>9}{'s':>6}" for item in formats))
        for method in options.methods.split(",") if options.methods else METHODS.names():
            try:
                run, num_trained = save_run(home, make_config(backbone, method))
            except MedPeftError:  # it does not fit
                continue
            row: dict[str, Any] = {"backbone": backbone, "method": method, "trained": num_trained}
            row |= {item: measure(run, item, home / "exports") for item in formats}
            print(f"{method:<20}{num_trained:>10,}" + "".join(say(row[item]) for item in formats), flush=True)
            rows.append(row)
            if options.json:
                write_json(options.json, rows)


def make_config(backbone: str, method: str) -> RunConfig:
    """Random weights, and the method's default knobs."""
    return RunConfig(
        backbone=BackboneConfig(name=backbone, image_size=IMAGE_SIZE), method=MethodConfig(name=method, knobs={})
    )


def save_run(home: Path, config: RunConfig) -> tuple[Run, int]:
    """A run whose adapter has moved in all its parts, and how many numbers were trained."""
    adapted = build_model(config, num_classes=len(LABELS)).adapted
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in adapted.trainable().values():
            parameter.add_(NOISE * torch.randn(parameter.shape, generator=generator))
    provenance = {"labels": list(LABELS), "task": "multilabel", "is_synthetic": True}
    run = RunStore(home).create(config, status=FINISHED, provenance=provenance)
    save_best(adapted, run.adapter_dir)
    return run, adapted.num_trainable_params()


def measure(run: Run, format: str, folder: Path) -> dict[str, Any]:
    """Bytes, difference and seconds of one export, or why there is none."""
    try:
        EXPORTS[format].check_fit(METHODS[run.config().method.name])
    except MedPeftError:
        return {}
    try:
        exported = export_run(run, format, folder, options=ExportOptions(include_base=False), may_replace=True)
    except MedPeftError as error:
        return {"error": str(error)}
    num_bytes = sum(item.num_bytes for item in exported.files if item.name != CARD)
    return {"bytes": num_bytes, "max_difference": exported.max_difference, "seconds": exported.seconds}


def say(cell: dict[str, Any]) -> str:
    """One format's part of a row; a dash where the method has no such format."""
    if "bytes" not in cell:
        return f"{'failed' if cell else '-':>12}{'':>15}"
    return f"{cell['bytes'] / 1e6:>12.2f}{cell['max_difference']:>9.0e}{cell['seconds']:>6.1f}"


if __name__ == "__main__":
    main()
