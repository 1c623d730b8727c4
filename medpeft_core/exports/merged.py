"""A run as one plain timm model, in the folder format of timm's hub: config.json and model.safetensors. Heavy."""

import runpy
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import nn

from medpeft_core.backbones.qkv import fuse_qkv
from medpeft_core.errors import ExportError
from medpeft_core.exports.about import NOTICE, describe_model, say_notes
from medpeft_core.exports.context import ExportContext, Outcome
from medpeft_core.exports.merged_code import load_merged
from medpeft_core.exports.missing_biases import make_fit
from medpeft_core.exports.plain_timm import PlainModel, check_same_logits, find_base
from medpeft_core.exports.preprocessing import compute_probs, prepare_image, read_rgb
from medpeft_core.exports.source_text import write_program
from medpeft_core.exports.spec import ExportOptions
from medpeft_core.exports.tensors_code import predict
from medpeft_core.paths import write_json

MODEL_FILE, CONFIG_FILE, ABOUT_FILE, PROGRAM_FILE = "model.safetensors", "config.json", "method.json", "load.py"
# of a model's own pretrained_cfg, what also holds for the trained one
KEPT = ("first_conv", "classifier", "fixed_input_size", "pool_size", "min_input_size")

_DOC = """Loads a merged model by timm, and shows what it predicts for images.

It is the model of the run {run_id}.

    python load.py FILE ...

or in a program of your own: `timm.create_model("local-dir:FOLDER", pretrained=True)`. It needs timm, and torch,
safetensors, Pillow and numpy, which come with timm. {notice}"""
_ENDING = '''
def build(**options: Any) -> nn.Module:
    """The model in eval mode; (B, {channels}, S, S) normalised images to (B, {num_classes}) logits."""
    return load_merged(Path(__file__).resolve().parent, **options)


if __name__ == "__main__":
    predict(build)
'''


def write(context: ExportContext, folder: Path, options: ExportOptions) -> Outcome:
    """Merge, write the model as timm reads it, and `load.py`; then run that program and compare its logits.

    Merging is exact but for rounding: the logits may differ by 1e-5 of the largest one, or 1e-5 where that is below 1.

    Raises:
        ExportError: the plain timm model has no place for what was merged, or does not give the run's logits.
        MedPeftError: the method cannot be merged; weights are gone, damaged or have changed.
    """
    context.tell("building the model")
    built, plain = context.build(), find_base(context).plain
    context.tell("merging")
    network = built.adapted.merge()
    fuse_qkv(network)
    further = make_fit(network, plain, method=context.config.method.name)
    context.tell("writing the model")
    tensors = {name: tensor.detach().clone().contiguous() for name, tensor in network.state_dict().items()}
    save_file(tensors, folder / MODEL_FILE, metadata={"format": "pt"})
    write_json(folder / CONFIG_FILE, describe_for_timm(context, plain, network, further))
    write_json(folder / ABOUT_FILE, describe_model(context, built.backbone))
    write_program(
        folder / PROGRAM_FILE,
        doc=_DOC.format(run_id=context.run.run_id, notice=NOTICE),
        parts=(load_merged, read_rgb, prepare_image, compute_probs, predict),
        ending=_ENDING.format(channels=plain.channels, num_classes=plain.num_classes),
    )
    context.tell("comparing the outputs")
    said = "".join(f" It is built with {name}={value}, to hold what was merged." for name, value in further.items())
    note = f'timm.create_model("local-dir:FOLDER", pretrained=True) loads this folder.{said}'
    return Outcome(max_difference=_compare(folder, context), notes=(*say_notes(context), note))


def describe_for_timm(
    context: ExportContext, plain: PlainModel, network: nn.Module, further: dict[str, Any]
) -> dict[str, Any]:
    """`config.json` as `timm.models.save_for_hf` would write it, with the normalisation and labels of the run."""
    own: dict[str, Any] = getattr(network, "pretrained_cfg", {})
    pretrained = {name: own[name] for name in KEPT if own.get(name) is not None}
    pool = getattr(network, "global_pool", None)
    config = {
        "architecture": plain.architecture.partition(".")[0],
        "num_classes": plain.num_classes,
        "num_features": int(getattr(network, "num_features", 0)),
        "label_names": list(context.labels),
        "model_args": {**plain.arguments, **further},
        "pretrained_cfg": {
            **pretrained,
            "num_classes": plain.num_classes,
            "input_size": [plain.channels, plain.image_size, plain.image_size],
            "interpolation": plain.interpolation,
            "crop_pct": 1.0,
            "crop_mode": "center",
            "mean": list(plain.mean),
            "std": list(plain.std),
            "custom_load": False,
        },
    }
    return {**config, "global_pool": pool} if isinstance(pool, str) and pool else config


def _compare(folder: Path, context: ExportContext) -> float:
    try:
        model = runpy.run_path(str(folder / PROGRAM_FILE))["build"]()
    except (RuntimeError, OSError, ValueError, TypeError, KeyError) as error:
        raise ExportError(f"timm cannot load the merged model: {error}. Export the run in another format.") from error
    with torch.inference_mode():
        return check_same_logits(model(context.images), context.logits, what="The merged model")
