"""ONNX as onnxruntime sees it: the run's logits for any number of images, and what the file says about itself."""

import json
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from PIL import Image
from saved_runs import LABELS, build_context, save_run
from tiny_models import ARCHITECTURES
from torch import nn

from medpeft_core.errors import ExportError
from medpeft_core.explain.load import load_image, load_run, predict_image
from medpeft_core.exports import ExportOptions
from medpeft_core.exports.context import ExportContext, Outcome
from medpeft_core.exports.onnx_graph import check_graph, check_packages, run_graph, write_graph
from medpeft_core.exports.onnx_model import write
from medpeft_core.methods import METHODS

# One export takes seconds. What cannot be merged has a graph of its own; what can has that of the plain backbone, so
# here such architectures come once, with a method that leaves something behind when it is merged.
PAIRS = [
    ("vpt_shallow", "tiny_vit"),
    ("vpt_deep", "tiny_vit"),
    ("lora", "tiny_vit"),  # leaves q, k and v apart
    ("adaptformer", "tiny_swin"),
    ("conv_adapter", "tiny_densenet"),  # of all layers that a ResNet has
    ("ssf", "test_convnext"),
    ("full", "test_efficientnet"),
]
SAME = 1e-4


@dataclass(frozen=True, kw_only=True)
class Written:
    """One export: the run, the folder, and what the writer said."""

    context: ExportContext
    folder: Path
    outcome: Outcome


@pytest.fixture(scope="module")
def written(session_home: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], Written]:
    found = {}
    for pair in PAIRS:
        context, folder = build_context(save_run(session_home, *pair)), tmp_path_factory.mktemp("onnx")
        found[pair] = Written(context=context, folder=folder, outcome=write(context, folder, ExportOptions()))
    return found


def test_pairs_hold_every_graph_that_the_lab_can_make() -> None:
    assert {name for name in METHODS.names() if not METHODS[name].is_mergeable} <= {method for method, _ in PAIRS}
    assert {*ARCHITECTURES.values()} - {"test_vit", "test_resnet"} <= {backbone for _, backbone in PAIRS}


@pytest.mark.parametrize("pair", PAIRS, ids=str)
def test_onnxruntime_gives_the_logits_of_the_run(
    pair: tuple[str, str], written: dict[tuple[str, str], Written]
) -> None:
    """Asked of onnxruntime here, for a number of images that the exporter and the writer never saw."""
    context, folder = written[pair].context, written[pair].folder
    session = onnxruntime.InferenceSession(folder / "model.onnx", providers=["CPUExecutionProvider"])
    assert [(item.name, item.shape[1:]) for item in session.get_inputs()] == [("images", [3, 64, 64])]
    (found,) = session.run(None, {"images": context.images[:5].numpy()})
    np.testing.assert_allclose(found, context.logits[:5].numpy(), atol=SAME)
    assert np.ptp(found) > 10 * SAME
    assert written[pair].outcome.max_difference is not None
    assert written[pair].outcome.max_difference <= SAME


def test_file_says_what_it_is_and_nothing_of_this_machine(written: dict[tuple[str, str], Written]) -> None:
    folder = written["vpt_deep", "tiny_vit"].folder
    model = onnx.load(folder / "model.onnx")
    about = {item.key: item.value for item in model.metadata_props}
    assert json.loads(about["labels"]) == list(LABELS)
    assert about["task"] == "multilabel"
    assert json.loads(about["mean"]) == [0.5, 0.5, 0.5]
    assert json.loads(about["image_size"]) == 64
    assert json.loads(about["is_synthetic"]) is True
    assert json.loads(about["thresholds"]) == dict.fromkeys(LABELS)
    assert "not for clinical use" in about["notice"]
    assert not any(node.metadata_props for node in model.graph.node)
    assert str(Path(__file__).parents[2]).encode() not in (folder / "model.onnx").read_bytes()
    assert {item.domain for item in model.opset_import} == {""}


def test_program_prints_what_the_lab_predicts_without_torch(written: dict[tuple[str, str], Written]) -> None:
    folder, run = written["vpt_deep", "tiny_vit"].folder, written["vpt_deep", "tiny_vit"].context.run
    pixels = np.random.default_rng(0).integers(0, 256, (90, 120), dtype=np.uint8)
    Image.fromarray(pixels).save(folder / "film.png")
    code = (
        "import runpy, sys; sys.argv = ['predict.py', 'film.png']; runpy.run_path('predict.py', run_name='__main__')\n"
        "print(sorted({'torch', 'timm', 'medpeft_core'} & set(sys.modules)))"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, timeout=120, check=False
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines()[-1] == "[]", "it needed more than onnxruntime, numpy and Pillow"
    loaded = load_run(run)
    expected = predict_image(loaded, load_image(loaded, folder / "film.png"))
    found = {label: float(prob) for prob, label in re.findall(r"([\d.]+)  (\w+)\n", result.stdout)}
    assert found == pytest.approx(expected, abs=1e-5)


class Linear(nn.Module):
    """A network as small as they go."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(3, 2)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.head(images.mean((2, 3)))


class Singular(Linear):
    """With an operator that ONNX has not."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.head(torch.linalg.svdvals(images.flatten(2)))


class Counting(Linear):
    """Reads the number of images as a number."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return super().forward(images) + torch.ones(len(images), 1)


IMAGES = torch.randn(3, 3, 8, 8, generator=torch.Generator().manual_seed(0))


def test_operator_without_counterpart_is_named(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=r"no counterpart of the operator aten\._linalg_svd\.$"):
        write_graph(Singular().eval(), IMAGES, tmp_path / "model.onnx", about={})


def test_graph_for_one_number_of_images_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="reads the number of images as the number 3"):
        write_graph(Counting().eval(), IMAGES, tmp_path / "model.onnx", about={})


def test_large_weights_go_into_a_file_of_their_own(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    network = Linear().eval()
    write_graph(network, IMAGES, tmp_path / "model.onnx", about={}, max_bytes=1)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model.onnx", "model.onnx.data"]
    check_graph(tmp_path / "model.onnx")
    torch.testing.assert_close(run_graph(tmp_path / "model.onnx", IMAGES), network(IMAGES).detach())
    assert capfd.readouterr() == ("", ""), "the exporter's own talk helps nobody"


def test_operators_that_not_every_runtime_has_are_refused(tmp_path: Path) -> None:
    helper = onnx.helper
    images, logits = (
        helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["B", 2]) for name in ("images", "logits")
    )
    node = helper.make_node("Gelu", ["images"], ["logits"], domain="com.microsoft")
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("com.microsoft", 1)]
    model = helper.make_model(helper.make_graph([node], "net", [images], [logits]), opset_imports=opsets, ir_version=10)
    onnx.save(model, tmp_path / "model.onnx")
    with pytest.raises(ExportError, match=r"would need com\.microsoft\.Gelu, which not every runtime has"):
        check_graph(tmp_path / "model.onnx")


def test_damaged_file_is_refused(tmp_path: Path) -> None:
    model = onnx.helper.make_model(onnx.helper.make_graph([], "empty", [], []), ir_version=10)
    onnx.save(model, tmp_path / "model.onnx")
    with pytest.raises(ExportError, match="onnxruntime cannot run the ONNX file with 3 images"):
        run_graph(tmp_path / "model.onnx", IMAGES)


def test_missing_package_is_told_with_its_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    with pytest.raises(
        ExportError, match=r"needs onnxscript, which is not installed\. Run: pip install -r requirements-onnx\.txt"
    ):
        check_packages()
