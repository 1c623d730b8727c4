"""What was trained, opened by its own program with plain timm: the same logits, each tensor accounted for."""

import json
import re
import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import timm
import torch
from PIL import Image
from saved_runs import LABELS, build_context, open_without_lab, save_run
from tiny_models import ARCHITECTURES
from trials import find_misfit

from medpeft_core.errors import ExportError
from medpeft_core.explain.load import load_image, load_run, predict_image
from medpeft_core.exports import EXPORTS, ExportOptions
from medpeft_core.exports.plain_timm import find_base
from medpeft_core.exports.tensors import collect_tensors, write
from medpeft_core.methods import METHODS
from medpeft_core.runs.run import Run

TESTS = Path(__file__).parent
OWN = [name for name in METHODS.names() if not METHODS[name].is_made_by_peft]
PAIRS = [(name, item) for item in ARCHITECTURES for name in OWN if find_misfit(name, item) is None]
WITHOUT_BASE = ExportOptions(include_base=False)
SAME = 1e-5


@pytest.fixture(scope="module")
def opened(session_home: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Every method of the lab's own on every architecture that it fits, exported, and opened by one new process."""
    folder = tmp_path_factory.mktemp("opened")
    runs: dict[str, Run] = {}
    expected: dict[str, torch.Tensor] = {}
    for method, architecture in PAIRS:
        name = f"{method} on {architecture}"
        runs[name] = save_run(session_home, method, architecture)
        context = build_context(runs[name])
        (folder / name).mkdir()
        write(context, folder / name, ExportOptions())
        expected[name] = context.logits
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (90, 120), dtype=np.uint8)).save(folder / "film.png")
    safetensors.torch.save_file({"images": context.images}, folder / "images.safetensors")
    (folder / "jobs.json").write_text(json.dumps({name: str(folder / name) for name in runs}))
    found, lab = open_without_lab("open_tensors.py", folder)
    return {"folder": folder, "runs": runs, "expected": expected, "found": found, "lab": lab}


def test_every_own_method_gives_its_logits_in_a_process_without_the_lab(opened: dict[str, Any]) -> None:
    assert opened["lab"] == [], "it needed the lab after all"
    assert opened["found"].keys() == opened["expected"].keys()
    off = {name: (opened["found"][name] - logits).abs().max().item() for name, logits in opened["expected"].items()}
    assert {name: value for name, value in off.items() if not value <= SAME} == {}
    assert len({logits.sum().item() for logits in opened["expected"].values()}) > len(OWN), "they are all one model"


def test_program_prints_what_the_lab_predicts(opened: dict[str, Any]) -> None:
    name = next(reversed(opened["runs"]))
    loaded = load_run(opened["runs"][name])
    expected = predict_image(loaded, load_image(loaded, opened["folder"] / "film.png"))
    printed = (opened["folder"] / "printed.txt").read_text()
    assert "not for clinical use" in printed
    found = {label: float(prob) for prob, label in re.findall(r"([\d.]+)  (\w+)\n", printed)}
    assert found == pytest.approx(expected, abs=1e-5)


def test_tensors_go_by_the_names_of_timm(opened: dict[str, Any]) -> None:
    """Others can look for `layer1.0.bn1.weight` where it always was; only what the lab added has names of its own."""
    for name, run in opened["runs"].items():
        plain = timm.create_model(run.config().backbone.name, num_classes=2).state_dict()
        own = set(safetensors.torch.load_file(opened["folder"] / name / "weights.safetensors")) - plain.keys()
        method = run.config().method.name
        added = {"ssf": r"ssf\.\w+", "vpt_shallow": r"prompts\.0\.tokens", "vpt_deep": r"prompts\.\d\.tokens"}
        pattern = added.get(method, r"(down|up|adapter)\.\w+|alpha")
        assert {item for item in own if not re.search(rf"(^|\.)({pattern})$", item)} == set()
        assert bool(own) == (METHODS[method].family == "additive")


def test_statistics_that_moved_go_along_and_the_others_do_not(opened: dict[str, Any]) -> None:
    def read(method: str) -> set[str]:
        folder = opened["folder"] / f"{method} on ResNet"
        return {name for name in safetensors.torch.load_file(folder / "weights.safetensors") if "running" in name}

    assert "bn1.running_mean" in read("batchnorm")
    assert "bn1.running_mean" in read("full")
    assert not read("ssf")
    assert not (opened["folder"] / "full on ResNet" / "base.safetensors").exists(), "everything was trained"


@pytest.fixture
def export(home: Path, tmp_path: Path) -> Path:
    """SSF on a ResNet without its base weights."""
    write(build_context(save_run(home, "ssf", "ResNet")), tmp_path, WITHOUT_BASE)
    return tmp_path


def open_export(folder: Path) -> torch.nn.Module:
    return runpy.run_path(str(folder / "load.py"))["build"]()


def test_base_that_did_not_go_along_is_asked_for_by_its_hash(export: Path, home: Path) -> None:
    assert sorted(path.name for path in export.iterdir() if path.is_file()) == [
        "load.py", "method.json", "weights.safetensors",
    ]  # fmt: skip
    with pytest.raises(
        FileNotFoundError, match=r"base weights .* are missing\. They are the file weights/[0-9a-f]{64}"
    ):
        open_export(export)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda state: state.pop("bn1.ssf.scale"), "the tensor 'bn1.ssf.scale' is missing"),
        (lambda state: state.update(odd=torch.ones(2)), "the tensor 'odd' has no place in this model"),
        (lambda state: state.update({"fc.bias": torch.ones(3)}), "size mismatch for fc.bias"),
    ],
)  # fmt: skip
def test_program_refuses_what_does_not_fit(
    change: Callable[[dict[str, torch.Tensor]], Any], problem: str, home: Path, tmp_path: Path
) -> None:
    write(build_context(save_run(home, "ssf", "ResNet")), tmp_path, ExportOptions())
    path = tmp_path / "weights.safetensors"
    state = safetensors.torch.load_file(path)
    change(state)
    safetensors.torch.save_file(state, path)
    with pytest.raises(RuntimeError, match=problem):
        open_export(tmp_path)


def test_model_of_grey_images_is_shown_grey_images(home: Path, tmp_path: Path) -> None:
    run = save_run(home, "ssf", "ResNet", channels=1)
    write(build_context(run), tmp_path, ExportOptions())
    film = tmp_path / "film.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (90, 120, 3), dtype=np.uint8)).save(film)
    about = json.loads((tmp_path / "method.json").read_text())
    program = runpy.run_path(str(tmp_path / "load.py"))
    image = torch.from_numpy(program["prepare_image"](film, **about["image"]))
    with torch.no_grad():
        probs = program["compute_probs"](program["build"]()(image[None])[0].numpy(), about["task"])
    assert image.shape == (1, 64, 64)
    assert "(B, 1, S, S) normalised images" in program["build"].__doc__
    loaded = load_run(run)
    assert dict(zip(LABELS, probs.tolist(), strict=True)) == pytest.approx(
        predict_image(loaded, load_image(loaded, film)), abs=1e-5
    )


def test_method_that_does_not_say_how_its_modules_get_in_is_refused(home: Path) -> None:
    context = build_context(save_run(home, "adaptformer", "ViT"))
    adapted = context.build().adapted
    adapted.insertion = None
    with pytest.raises(
        ExportError, match=r"down\.weight' has no place in the plain timm model, .*AdaptedModel.insertion"
    ):
        collect_tensors(adapted, find_base(context))


def test_program_says_what_it_is_and_needs(export: Path) -> None:
    text, about = (export / "load.py").read_text(), json.loads((export / "method.json").read_text())
    assert text.startswith('"""Builds the model of a run from plain timm')
    assert "class ScaleShift(nn.Module):" in text
    assert "medpeft_core" not in text
    assert about["labels"] == list(LABELS)
    assert about["method"] == "ssf"


def test_adapters_of_peft_are_sent_to_its_own_format() -> None:
    with pytest.raises(ExportError, match=r"'lora' cannot be exported as 'tensors': its adapter is one of peft"):
        EXPORTS["tensors"].check_fit(METHODS["lora"])
