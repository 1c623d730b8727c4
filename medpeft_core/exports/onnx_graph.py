"""A module as an ONNX graph for any number of images, whatever method it holds; written, checked and run. Heavy."""

import contextlib
import importlib.util
import io
import logging
import re
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import nn

from medpeft_core.errors import ExportError

OPSET = 18  # of 2022; the first that torch's exporter writes without converting, and old runtimes know it
MAX_BYTES = 1_500_000_000  # one file of ONNX can hold 2 GB
PACKAGES = ("onnx", "onnxscript", "onnxruntime")
IMAGES, LOGITS = "images", "logits"
STANDARD = ("", "ai.onnx")  # domains of operators that every runtime has
NOISY = ("torch.onnx", "torch.export", "onnxscript", "onnx_ir")


def check_packages() -> None:
    """Refuse to begin without the packages that writing ONNX needs.

    Raises:
        ExportError: names those that are missing, and how to install them.
    """
    missing = [name for name in PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        raise ExportError(
            f"Writing ONNX needs {' and '.join(missing)}, which {'is' if len(missing) == 1 else 'are'} not installed. "
            "Run: pip install -r requirements-onnx.txt"
        )


def write_graph(
    network: nn.Module, images: torch.Tensor, path: Path, *, about: dict[str, str], max_bytes: int = MAX_BYTES
) -> None:
    """Write a module that gives logits (B, K) for `images` (B, C, S, S), any B, as ONNX.

    What the exporter notes on each node is left out: it holds paths of this machine.

    Args:
        network: in eval mode, in float32, on the CPU.
        images: two or more to try it with.
        about: goes into the file's own table.
        max_bytes: of weights inside the file; more go into a file of their own beside it, `<name>.data`.

    Raises:
        ExportError: an operator has no counterpart in ONNX, or the number of images would be fixed.
    """
    with _quietly():
        try:
            program: Any = torch.onnx.export(
                network,
                (images,),
                input_names=[IMAGES],
                output_names=[LOGITS],
                dynamic_shapes=({0: torch.export.Dim("B", min=1)},),
                opset_version=OPSET,
                dynamo=True,
                verbose=False,
            )
        except torch.onnx.OnnxExporterError as error:
            raise ExportError(f"The model cannot be written as ONNX: {_find_reason(error)}.") from error
    model = program.model
    if isinstance(model.graph.inputs[0].shape[0], int):
        raise ExportError(
            f"The model cannot be written as ONNX: a part of it reads the number of images as the number "
            f"{len(images)}, so that the graph would take no other. Please report this."
        )
    for node in model.graph.all_nodes():
        node.metadata_props.clear()
        for value in node.outputs:
            value.metadata_props.clear()
    model.graph.metadata_props.clear()
    model.metadata_props.update(about)
    num_bytes = sum(tensor.nbytes for tensor in (*network.parameters(), *network.buffers()))
    program.save(path, external_data=num_bytes > max_bytes)


def check_graph(path: Path) -> None:
    """Check a written file by the rules of ONNX, and that it needs only operators that every runtime has.

    Raises:
        ExportError: says what is wrong.
    """
    import onnx

    try:
        onnx.checker.check_model(str(path), full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise ExportError(f"The ONNX file does not keep the rules of ONNX: {error}. Please report this.") from error
    model = onnx.load(str(path), load_external_data=False)
    foreign = sorted({f"{node.domain}.{node.op_type}" for node in model.graph.node if node.domain not in STANDARD})
    if foreign or model.functions:
        raise ExportError(
            f"The ONNX file would need {', '.join(foreign) or 'functions of its own'}, which not every runtime has. "
            "Please report this."
        )


def run_graph(path: Path, images: torch.Tensor) -> torch.Tensor:
    """Logits (B, K) that onnxruntime gives on the CPU.

    Raises:
        ExportError: onnxruntime cannot load or run it.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors only
    try:
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        (logits,) = session.run([LOGITS], {IMAGES: images.numpy()})
    except Exception as error:  # its errors share no class of their own
        raise ExportError(f"onnxruntime cannot run the ONNX file with {len(images)} images: {error}.") from error
    return torch.from_numpy(logits)


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    """Keep the exporter from telling how far it is and what it would do otherwise; its errors still come."""
    loggers = [logging.getLogger(name) for name in NOISY]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)


def _find_reason(error: BaseException) -> str:
    """What the exporter stumbled over: its own text is a page of advice, and the reason is the first cause."""
    first = error
    while first.__cause__ is not None:
        first = first.__cause__
    operator = re.search(r"OpOverload\(op='([\w.]+)'", str(first))
    if operator:
        return f"ONNX has no counterpart of the operator {operator.group(1)}"
    return (str(first).strip().splitlines() or [type(first).__name__])[0].rstrip(".")
