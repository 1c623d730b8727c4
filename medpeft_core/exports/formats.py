"""The formats that a run can leave the lab in. Light: what writes them is imported when it is called."""

from pathlib import Path
from typing import TYPE_CHECKING

from medpeft_core.exports.spec import EXPORTS, ExportOptions, ExportSpec, Outcome, RunContext
from medpeft_core.methods.spec import MethodSpec

if TYPE_CHECKING:
    from medpeft_core.exports.context import ExportContext


def write_peft(context: "ExportContext", folder: Path, options: ExportOptions) -> Outcome:
    """See `exports.peft_folder`."""
    from medpeft_core.exports.peft_folder import write

    return write(context, folder, options)


def write_tensors(context: "ExportContext", folder: Path, options: ExportOptions) -> Outcome:
    """See `exports.tensors`."""
    from medpeft_core.exports.tensors import write

    return write(context, folder, options)


def write_merged(context: "ExportContext", folder: Path, options: ExportOptions) -> Outcome:
    """See `exports.merged`."""
    from medpeft_core.exports.merged import write

    return write(context, folder, options)


def write_onnx(context: "ExportContext", folder: Path, options: ExportOptions) -> Outcome:
    """See `exports.onnx_model`."""
    from medpeft_core.exports.onnx_model import write

    return write(context, folder, options)


def write_card(context: "ExportContext", folder: Path, options: ExportOptions) -> Outcome:
    """See `exports.model_card`."""
    from medpeft_core.exports.model_card import write

    return write(context, folder, options)


def write_archive(context: RunContext, folder: Path, options: ExportOptions) -> Outcome:
    """See `exports.archive`."""
    from medpeft_core.exports.archive import write

    return write(context, folder, options)


def _needs_peft(method: MethodSpec) -> str | None:
    return None if method.is_made_by_peft else "the peft library does not know this method"


def _needs_own(method: MethodSpec) -> str | None:
    return "its adapter is one of peft, which opens it itself" if method.is_made_by_peft else None


def _needs_merging(method: MethodSpec) -> str | None:
    return None if method.is_mergeable else "it does what no weight of its backbone could do, so nothing can be merged"


EXPORTS.add(
    ExportSpec(
        name="peft",
        title="PEFT adapter",
        description="The adapter in the format of the peft library, to lay over the same backbone of timm elsewhere.",
        opens_with="timm and peft",
        needs_model=True,
        write=write_peft,
        find_misfit=_needs_peft,
    )
)
EXPORTS.add(
    ExportSpec(
        name="tensors",
        title="Trained weights",
        description="What was trained, as safetensors, with a short program that puts it into the backbone of timm.",
        opens_with="timm",
        needs_model=True,
        write=write_tensors,
        find_misfit=_needs_own,
    )
)
EXPORTS.add(
    ExportSpec(
        name="merged",
        title="Merged model",
        description="One plain timm model with all that was learned merged into its weights; nothing extra to run.",
        opens_with="timm",
        needs_model=True,
        write=write_merged,
        find_misfit=_needs_merging,
    )
)
EXPORTS.add(
    ExportSpec(
        name="onnx",
        title="ONNX",
        description="The whole model for onnxruntime and viewers without Python; any number of images at once.",
        opens_with="onnxruntime",
        needs_model=True,
        write=write_onnx,
    )
)
EXPORTS.add(
    ExportSpec(
        name="card",
        title="Model card",
        description="What the model is, how it was trained and how well it did, written from the run's own numbers.",
        opens_with="a text editor, or the Hugging Face Hub",
        needs_model=False,
        write=write_card,
    )
)
EXPORTS.add(
    ExportSpec(
        name="archive",
        title="Whole run",
        description="The run's folder with its base weights and a hash of each file, to be imported into another lab.",
        opens_with="MedPEFT Lab",
        needs_model=False,
        write=write_archive,
        takes_any_run=True,
    )
)
