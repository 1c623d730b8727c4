"""A run's adapter as a folder that plain peft lays over the plain timm model. Heavy."""

import runpy
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from medpeft_core.backbones.qkv import SplitQKV
from medpeft_core.errors import ExportError
from medpeft_core.exports.about import NOTICE, describe_model, say_notes
from medpeft_core.exports.context import ExportContext, Outcome
from medpeft_core.exports.fused import PlainAdapter, convert_adapter
from medpeft_core.exports.peft_code import lay_over, load_base
from medpeft_core.exports.plain_timm import BASE_FILE, Base, check_same_logits, describe_base, find_base
from medpeft_core.exports.preprocessing import compute_probs, prepare_image, read_rgb
from medpeft_core.exports.source_text import write_program
from medpeft_core.exports.spec import ExportOptions
from medpeft_core.exports.tensors_code import predict
from medpeft_core.methods.adapted import BUFFERS_FILE, save_tensors
from medpeft_core.methods.peft_adapted import PeftAdaptedModel, without_warnings
from medpeft_core.paths import weights_dir, write_json
from medpeft_core.training.build import HUB_DIR

ADAPTER_FILE, ABOUT_FILE, PROGRAM_FILE = "adapter_model.safetensors", "method.json", "load.py"

_DOC = """Lays an adapter over its plain timm model, and shows what the two predict for images.

It is the adapter of the run {run_id}.

    python load.py FILE ...

or in a program of your own: `from load import build`. It needs timm and peft, and torch, safetensors, Pillow and numpy,
which come with these. {notice}"""
_ENDING = '''
def build(**options: Any) -> nn.Module:
    """The model in eval mode; (B, {channels}, S, S) normalised images to (B, {num_classes}) logits.

    `options` are further arguments for `timm.create_model`.
    """
    folder = Path(__file__).resolve().parent
    model = load_base(folder, **options)
{split}    return lay_over(model, folder)


if __name__ == "__main__":
    predict(build)
'''
_SPLIT = """    # trained on q, k and v apart, with no exact form on the one layer that timm makes of them
    for name in {names}:
        model.set_submodule(name, SplitQKV(model.get_submodule(name)))
"""


def write(context: ExportContext, folder: Path, options: ExportOptions) -> Outcome:
    """Write adapter, base weights where timm has none, and `load.py`; then run that program and compare its logits.

    Raises:
        ExportError: what was written does not give the run's logits, or timm alone builds another model.
        MedPeftError: weights are gone, damaged or have changed.
    """
    context.tell("building the model")
    built, base = context.build(), find_base(context)
    adapted = built.adapted
    assert isinstance(adapted, PeftAdaptedModel)
    context.tell("writing the adapter")
    dropout = float(context.config.method.knobs.get("dropout", 0.0))
    adapter = convert_adapter(adapted, base.state, dropout=dropout)
    _save_adapter(adapter, base, folder)
    changed = _find_changed_buffers(adapted, base)
    if changed:
        save_tensors(changed, folder / BUFFERS_FILE)
    described, notes = describe_base(context, base, is_included=options.include_base)
    if described["source"] == "file" and options.include_base:
        save_tensors(base.state, folder / BASE_FILE)
    about = {
        **describe_model(context, built.backbone),
        "architecture": base.plain.architecture,
        "arguments": base.plain.arguments,
        "head": base.plain.head,
        "base": described,
    }
    write_json(folder / ABOUT_FILE, about)
    _write_program(folder / PROGRAM_FILE, context, adapter)
    context.tell("comparing the outputs")
    difference = _compare(folder, context, base, has_base=options.include_base or described["source"] != "file")
    notes = (*notes, *_say_how(context, adapter, base, has_buffers=bool(changed)))
    return Outcome(max_difference=difference, notes=(*say_notes(context), *notes))


def _save_adapter(adapter: PlainAdapter, base: Base, folder: Path) -> None:
    config: Any = adapter.config
    config.base_model_name_or_path = base.plain.architecture
    config.inference_mode = True
    config.save_pretrained(str(folder))
    tensors = {name: tensor.detach().clone().contiguous() for name, tensor in adapter.tensors.items()}
    save_file(tensors, folder / ADAPTER_FILE, metadata={"format": "pt"})


def _find_changed_buffers(adapted: PeftAdaptedModel, base: Base) -> dict[str, torch.Tensor]:
    """BatchNorm statistics that are not the base's; peft would not carry them."""
    return {
        name: buffer
        for name, buffer in adapted.buffers().items()
        if name in base.state and not torch.equal(buffer, base.state[name])
    }


def _write_program(path: Path, context: ExportContext, adapter: PlainAdapter) -> None:
    own = (SplitQKV,) if adapter.split else ()
    split = _SPLIT.format(names=repr(adapter.split)) if adapter.split else ""
    write_program(
        path,
        doc=_DOC.format(run_id=context.run.run_id, notice=NOTICE),
        parts=(*own, load_base, lay_over, read_rgb, prepare_image, compute_probs, predict),
        ending=_ENDING.format(channels=context.config.backbone.channels, num_classes=len(context.labels), split=split),
    )


def _compare(folder: Path, context: ExportContext, base: Base, *, has_base: bool) -> float:
    """Run `load.py` and its `build`; the base lies beside it for that time where it does not go along."""
    if not has_base:
        save_tensors(base.state, folder / BASE_FILE)
    options = {"cache_dir": weights_dir() / HUB_DIR} if base.plain.is_downloadable else {}
    try:
        with without_warnings():
            model = runpy.run_path(str(folder / PROGRAM_FILE))["build"](**options)
    except (RuntimeError, OSError, ValueError, KeyError) as error:
        raise ExportError(f"peft cannot load what was written: {error}. Export the run in another format.") from error
    finally:
        if not has_base:
            (folder / BASE_FILE).unlink(missing_ok=True)
    with torch.inference_mode():
        return check_same_logits(model(context.images), context.logits, what="The adapter over the plain timm model")


def _say_how(context: ExportContext, adapter: PlainAdapter, base: Base, *, has_buffers: bool) -> tuple[str, ...]:
    call, notes = base.plain.say_call(), []
    if adapter.split:
        notes.append(
            "The adapter fits a plain model only after its qkv layers were split, as load.py does: it has no exact "
            "form on the fused layer."
        )
    elif has_buffers:
        notes.append(f"Training changed BatchNorm statistics: {BUFFERS_FILE} must be loaded before, as load.py does.")
    else:
        notes.append(f"PeftModel.from_pretrained lays this folder over {call}, once the base weights are in it.")
    kind = str(getattr(adapter.config.peft_type, "value", adapter.config.peft_type))
    if kind == "LORA" and context.config.method.name not in ("lora", "rslora", "lora_plus", "dora"):
        notes.append(f"What {context.config.method.name} learned is written as a plain LoRA, which gives the same.")
    return tuple(notes)
