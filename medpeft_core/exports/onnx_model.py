"""The whole model of a run as ONNX, with its labels and a program that predicts images by it. Heavy."""

import json
from pathlib import Path
from typing import Any

from medpeft_core.errors import ExportError
from medpeft_core.exports.about import describe_model, say_notes
from medpeft_core.exports.context import ExportContext, Outcome
from medpeft_core.exports.onnx_graph import check_graph, check_packages, run_graph, write_graph
from medpeft_core.exports.plain_timm import compute_difference
from medpeft_core.exports.preprocessing import compute_probs, prepare_image, read_rgb
from medpeft_core.exports.source_text import write_program
from medpeft_core.exports.spec import ExportOptions
from medpeft_core.methods import METHODS
from medpeft_core.paths import write_json

MODEL_FILE, LABELS_FILE, PROGRAM_FILE = "model.onnx", "labels.json", "predict.py"
SAME_LOGITS = 1e-4  # of the largest logit where that is above 1: another runtime adds up in another order
BATCHES = (1, 3, 8)

_DOC = """Shows what the model of a run of MedPEFT Lab predicts for images.

    python predict.py FILE ...

It needs onnxruntime, numpy and Pillow. {notice}"""
_ENDING = """
if __name__ == "__main__":
    predict()
"""


def write(context: ExportContext, folder: Path, options: ExportOptions) -> Outcome:
    """Write the graph, its labels, and `predict.py`; then run the graph on 1, 3 and 8 images and compare the logits.

    Methods that can be merged are, so that their graph is that of the plain backbone.

    Raises:
        ExportError: a package is missing, an operator has no counterpart in ONNX, or the outputs differ.
        MedPeftError: weights are gone, damaged or have changed.
    """
    check_packages()
    from medpeft_core.exports.onnx_code import predict  # it needs onnxruntime

    context.tell("building the model")
    built = context.build()
    is_mergeable = METHODS[context.config.method.name].is_mergeable
    network = built.adapted.merge() if is_mergeable else built.adapted.network
    about = describe_model(context, built.backbone)
    context.tell("writing the graph")
    write_graph(network.eval(), context.images[:2], folder / MODEL_FILE, about=_say_all(about))
    write_json(folder / LABELS_FILE, about)
    parts = (read_rgb, prepare_image, compute_probs, predict)
    write_program(folder / PROGRAM_FILE, doc=_DOC.format(notice=about["notice"]), parts=parts, ending=_ENDING)
    context.tell("comparing the outputs")
    check_graph(folder / MODEL_FILE)
    return Outcome(max_difference=_compare(folder / MODEL_FILE, context), notes=say_notes(context))


def _compare(path: Path, context: ExportContext) -> float:
    largest = 0.0
    allowed = SAME_LOGITS * max(1.0, context.logits.abs().max().item())
    for num_images in BATCHES:
        found = run_graph(path, context.images[:num_images])
        difference = compute_difference(found, context.logits[:num_images])
        if not difference <= allowed:
            raise ExportError(
                f"The ONNX model does not give the logits of the run: for {num_images} images they differ by "
                f"{difference:.1e}, and {allowed:.1e} is allowed. Nothing was written. Choose another format."
            )
        largest = max(largest, difference)
    return largest


def _say_all(about: dict[str, Any]) -> dict[str, str]:
    """As the texts that the table of an ONNX file holds: lists and tables in JSON."""
    flat = {**about, **about["image"]}
    del flat["image"]
    return {name: value if isinstance(value, str) else json.dumps(value) for name, value in flat.items()}
