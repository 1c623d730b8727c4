"""What was trained as safetensors, with a short program that puts it into the plain timm model. Heavy."""

import runpy
from pathlib import Path

import torch

from medpeft_core.errors import ExportError
from medpeft_core.exports.about import NOTICE, describe_model, say_notes
from medpeft_core.exports.context import ExportContext, Outcome
from medpeft_core.exports.plain_timm import BASE_FILE, Base, check_same_logits, describe_base, find_base
from medpeft_core.exports.preprocessing import compute_probs, prepare_image, read_rgb
from medpeft_core.exports.source_text import write_program
from medpeft_core.exports.spec import ExportOptions
from medpeft_core.exports.tensors_code import load_model, predict
from medpeft_core.methods.adapted import AdaptedModel, save_tensors
from medpeft_core.methods.insertion import Insertion
from medpeft_core.paths import weights_dir, write_json
from medpeft_core.training.build import HUB_DIR

WEIGHTS_FILE, ABOUT_FILE, PROGRAM_FILE = "weights.safetensors", "method.json", "load.py"

_DOC = """Builds the model of a run from plain timm, and shows what it predicts for images.

The run is {run_id}, of MedPEFT Lab.

    python load.py FILE ...

or in a program of your own: `from load import build`. It needs timm, and torch, safetensors, Pillow and numpy, which
come with timm. {notice}"""
_ENDING = '''
def build(**options: Any) -> nn.Module:
    """The model in eval mode; (B, {channels}, S, S) normalised images to (B, {num_classes}) logits.

    `options` are further arguments for `timm.create_model`.
    """
    return load_model(Path(__file__).resolve().parent, {put_in}, **options)


if __name__ == "__main__":
    predict(build)
'''


def write(context: ExportContext, folder: Path, options: ExportOptions) -> Outcome:
    """Write the tensors, what they are, and `load.py`; then run that program's `build` and compare its logits.

    Tensors that the plain timm model has go by its names, those of the method's own modules by the lab's.

    Raises:
        ExportError: the plain model or the program does not give the run's logits.
        MedPeftError: weights are gone, damaged or have changed.
    """
    context.tell("building the model")
    built, base = context.build(), find_base(context)
    adapted = built.adapted
    context.tell("writing the tensors")
    tensors, needs_base = collect_tensors(adapted, base)
    save_tensors(tensors, folder / WEIGHTS_FILE)
    if needs_base:
        described, notes = describe_base(context, base, is_included=options.include_base)
    else:
        described, notes = {"source": "none"}, ()
    if described["source"] == "file" and options.include_base:
        save_tensors(base.state, folder / BASE_FILE)
    insertion = adapted.insertion
    about = {
        **describe_model(context, built.backbone),
        "architecture": base.plain.architecture,
        "arguments": base.plain.arguments,
        "base": described,
        "put_in": insertion.settings if insertion else {},
    }
    write_json(folder / ABOUT_FILE, about)
    _write_program(folder / PROGRAM_FILE, context, insertion)
    context.tell("comparing the outputs")
    difference = _compare(folder, context, base, has_base=options.include_base or described["source"] != "file")
    return Outcome(max_difference=difference, notes=(*say_notes(context), *notes))


def collect_tensors(adapted: AdaptedModel, base: Base) -> tuple[dict[str, torch.Tensor], bool]:
    """What makes the run's model of the plain one.

    Returns:
        By name, every trained tensor and every buffer that is not what it was in the base; and whether tensors of the
        base are needed beside them. Where none is, all buffers are among them.

    Raises:
        ExportError: a tensor has no place in the plain model, although the method says of no modules of its own.
    """
    plain = base.plain.create()
    names = {id(tensor): name for name, tensor in plain.state_dict(keep_vars=True).items()}
    wanted = set(names.values())
    if adapted.insertion is not None:
        adapted.insertion.apply(plain)
    plain_names = {name: names.get(id(tensor), name) for name, tensor in plain.state_dict(keep_vars=True).items()}
    tensors: dict[str, torch.Tensor] = {}
    for name, parameter in adapted.trainable().items():
        if name not in plain_names:
            raise ExportError(
                f"The trained tensor {name!r} has no place in the plain timm model, and the method {adapted.method!r} "
                "does not say how its modules get there (AdaptedModel.insertion)."
            )
        tensors[plain_names[name]] = parameter
    buffers = {plain_names[name]: buffer for name, buffer in adapted.buffers().items()}
    if wanted <= tensors.keys() | buffers.keys():
        return {**tensors, **buffers}, False
    changed = {name: buffer for name, buffer in buffers.items() if not torch.equal(buffer, base.state[name])}
    return {**tensors, **changed}, True


def _write_program(path: Path, context: ExportContext, insertion: Insertion | None) -> None:
    own = (*insertion.code, insertion.put_in) if insertion else ()
    write_program(
        path,
        doc=_DOC.format(run_id=context.run.run_id, notice=NOTICE),
        parts=(*own, load_model, read_rgb, prepare_image, compute_probs, predict),
        ending=_ENDING.format(
            channels=context.config.backbone.channels,
            num_classes=len(context.labels),
            put_in=insertion.put_in.__name__ if insertion else None,
        ),
    )


def _compare(folder: Path, context: ExportContext, base: Base, *, has_base: bool) -> float:
    """Run `load.py` and its `build`; the base lies beside it for that time where it does not go along."""
    if not has_base:
        save_tensors(base.state, folder / BASE_FILE)
    try:
        program = runpy.run_path(str(folder / PROGRAM_FILE))
        options = {"cache_dir": weights_dir() / HUB_DIR} if base.plain.is_downloadable else {}
        model = program["build"](**options)
    except (RuntimeError, OSError) as error:
        raise ExportError(f"The program {PROGRAM_FILE} cannot load what was written: {error}.") from error
    finally:
        if not has_base:
            (folder / BASE_FILE).unlink(missing_ok=True)
    with torch.inference_mode():
        return check_same_logits(model(context.images), context.logits, what=f"The model of {PROGRAM_FILE}")
