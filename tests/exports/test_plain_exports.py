"""Adapters for peft and merged models: in a process with timm and peft alone they give the logits of the run."""

import json
from dataclasses import dataclass
from pathlib import Path

import pytest
import safetensors.torch
import torch
from saved_runs import build_context, open_without_lab, save_run
from tiny_models import ARCHITECTURES
from trials import SLOW, find_misfit

from medpeft_core.exports import ExportOptions
from medpeft_core.exports.merged import write as write_merged
from medpeft_core.exports.peft_folder import write as write_peft
from medpeft_core.methods import METHODS

TESTS = Path(__file__).parent
SAME = 1e-5
OTHERS = ("windowed ViT", "DenseNet", "ConvNeXt", "depthwise CNN")
FEW = ("lora", "ssf")  # on the other architectures: one through peft, one that is merged into whatever is there
FEW_LAYERS = {"boft": {"ViT": "q", "ResNet": "layer1.0.conv2"}, "hra": {"ViT": "q,v", "ResNet": "layer1.0.conv2"}}
PAIRS = [
    (method, architecture)
    for architecture in ARCHITECTURES
    for method in (FEW if architecture in OTHERS else METHODS.names())
    if find_misfit(method, architecture) is None
]
WRITERS = {"peft": write_peft, "merged": write_merged}


@dataclass(frozen=True, kw_only=True)
class Opened:
    """What the new process found, and what it should have.

    Attributes:
        found, expected: logits (8, K) by "method on architecture as format".
        folders: of the exports.
        lab: modules of the lab that the process had imported.
    """

    found: dict[str, torch.Tensor]
    expected: dict[str, torch.Tensor]
    folders: dict[str, Path]
    lab: list[str]


@pytest.fixture(scope="module")
def opened(session_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Opened:
    """Every method on a ViT and a ResNet, some on the others; written in both formats, and opened by one process."""
    folder = tmp_path_factory.mktemp("plainly")
    folders: dict[str, Path] = {}
    expected: dict[str, torch.Tensor] = {}
    for method, architecture in PAIRS:
        spec = METHODS[method]
        fitting = {"peft": spec.is_made_by_peft, "merged": spec.is_mergeable}
        if not any(fitting.values()):
            continue
        knobs = {"targets": FEW_LAYERS[method][architecture]} if method in SLOW else {}
        context = build_context(save_run(session_home, method, architecture, **knobs))
        for format in [name for name, fits in fitting.items() if fits]:
            name = f"{method} on {architecture} as {format}"
            folders[name] = folder / name.replace(" ", "-")
            folders[name].mkdir()
            outcome = WRITERS[format](context, folders[name], ExportOptions())
            assert outcome.max_difference is not None, name
            assert outcome.max_difference <= SAME, name
            expected[name] = context.logits
    safetensors.torch.save_file({"images": context.images}, folder / "images.safetensors")
    (folder / "jobs.json").write_text(json.dumps({name: str(path) for name, path in folders.items()}))
    found, lab = open_without_lab("open_plainly.py", folder)
    return Opened(found=found, expected=expected, folders=folders, lab=lab)


def test_every_export_gives_its_logits_in_a_process_without_the_lab(opened: Opened) -> None:
    assert opened.lab == [], "it needed the lab after all"
    assert opened.found.keys() == opened.expected.keys()
    off = {name: (opened.found[name] - logits).abs().max().item() for name, logits in opened.expected.items()}
    assert {name: value for name, value in off.items() if not value <= SAME} == {}
    for architecture in ("ViT", "ResNet"):
        sums = {logits.sum().item() for name, logits in opened.expected.items() if f"on {architecture} as" in name}
        fitting = [name for name in METHODS.names() if find_misfit(name, architecture) is None]
        given = [name for name in fitting if METHODS[name].is_made_by_peft or METHODS[name].is_mergeable]
        assert len(sums) >= len(given) - 2, "they are all one model"  # norm is batchnorm or layernorm here


def test_only_what_has_no_exact_form_on_a_fused_layer_is_split_by_the_receiver(opened: Opened) -> None:
    split = {
        name.partition(" on ")[0]
        for name, folder in opened.folders.items()
        if name.endswith("ViT as peft") and "SplitQKV" in (folder / "load.py").read_text()
    }
    assert split == {"lokr", "oft", "boft", "randlora", "fourierft"}


def test_no_export_holds_a_pickle_or_the_name_of_a_folder_of_the_lab(opened: Opened) -> None:
    endings = {path.suffix for folder in opened.folders.values() for path in folder.iterdir()}
    assert endings == {".safetensors", ".json", ".py"}
    texts = [path.read_text() for folder in opened.folders.values() for path in folder.glob("*.[jp]*")]
    assert not [text for text in texts if "medpeft_core" in text or str(TESTS.parents[1]) in text]


def test_adapters_are_small_beside_the_base(opened: Opened) -> None:
    folder = opened.folders["lora on ViT as peft"]
    adapter, base = (folder / name for name in ("adapter_model.safetensors", "base.safetensors"))
    merged = opened.folders["lora on ViT as merged"] / "model.safetensors"
    assert adapter.stat().st_size < base.stat().st_size < 1.05 * merged.stat().st_size


@pytest.mark.parametrize(("format", "method"), [("peft", "lora"), ("merged", "ssf")])
def test_program_says_how_many_channels_it_takes(home: Path, tmp_path: Path, format: str, method: str) -> None:
    context = build_context(save_run(home, method, "tiny_vit", channels=1))
    WRITERS[format](context, tmp_path, ExportOptions())
    assert "(B, 1, S, S) normalised images" in (tmp_path / "load.py").read_text()
