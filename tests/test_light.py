"""What a page or the command line's start imports stays light, and the core needs no Streamlit."""

import subprocess
import sys
from pathlib import Path

import pytest

import medpeft_core

PACKAGE_DIR = Path(medpeft_core.__file__).parent
HEAVY = ("torch", "torchvision", "timm", "peft", "transformers", "sklearn", "pytorch_grad_cam", "kornia")
HEAVY_PARTS = (
    "training", "explain", "pretraining",
    "backbones.anatomy", "backbones.bare_models", "backbones.base_models", "backbones.build",
    "backbones.demo_model", "backbones.eva_x_models", "backbones.qkv", "backbones.weights",
    "backbones.weight_files", "backbones.shelf_adding", "backbones.layouts.checking", "backbones.layouts.fitting",
    "backbones.layouts.loading", "backbones.layouts.positions",
    "methods.adapted", "methods.additive", "methods.peft_adapted", "methods.layers",
    "exports.context", "exports.write", "exports.peft_folder", "exports.tensors", "exports.merged",
    "exports.onnx_model", "exports.onnx_graph", "exports.onnx_code", "exports.tensors_code",
    "exports.fused", "exports.low_rank", "exports.merged_code", "exports.missing_biases", "exports.peft_code",
    "exports.plain_timm",
)  # fmt: skip
TIMEOUT_S = 300


def list_modules() -> list[str]:
    """Every module of the core; importing one, even a `__main__`, defines things and does nothing else."""
    names = []
    for path in sorted(PACKAGE_DIR.rglob("*.py")):
        steps = path.relative_to(PACKAGE_DIR.parent).with_suffix("").parts
        names.append(".".join(steps[:-1] if steps[-1] == "__init__" else steps))
    return names


def is_heavy(module: str) -> bool:
    inner = module.partition(".")[2]
    return any(inner == part or inner.startswith(f"{part}.") for part in HEAVY_PARTS)


LIGHT_MODULES = [name for name in list_modules() if not is_heavy(name)]


def run_python(code: str) -> subprocess.CompletedProcess[str]:
    """Run code in a fresh interpreter that finds this checkout."""
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=PACKAGE_DIR.parent,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )


def import_code(modules: list[str]) -> str:
    """A program that imports modules one by one and prints which one brought in something heavy first."""
    return (
        "import importlib, sys\n"
        f"heavy = {HEAVY!r}\n"
        f"for name in {modules!r}:\n"
        "    importlib.import_module(name)\n"
        "    found = [item for item in heavy if item in sys.modules]\n"
        "    if found:\n"
        "        print(f'{name} imports {found}')\n"
        "        break\n"
    )


def test_light_list_holds_what_pages_import() -> None:
    wanted = {
        "errors", "registry", "paths", "config", "resolve", "cli", "presets", "paper_cells", "command_line", "figures",
        "datasets", "datasets.prepare", "backbones", "methods", "metrics", "reports.summary", "reports.compare",
        "runs", "runs.store", "runs.index", "runs.listing", "runs.tail",
        "worker", "worker.launch", "worker.processes", "worker.control", "worker.devices", "worker.supervisor",
        "worker.dispatch", "worker.escalation", "commands.supervise",
        "worker.compute", "worker.compute_child", "worker.compute_process",
        "worker.jobs", "worker.job_state", "worker.job_process",
        "commands.console", "commands.listing", "commands.listing_methods", "commands.listing_presets",
        "commands.train", "commands.runs", "commands.trash", "commands.doctor",
        "commands.prepare", "commands.images", "commands.lesson",
        "lessons.shortcut", "lessons.shortcut_result", "lessons.shortcut_stored", "lessons.shortcut_words",
        "figures.shortcut",
    }  # fmt: skip
    assert {f"medpeft_core.{name}" for name in wanted} <= set(LIGHT_MODULES)


def test_light_modules_import_nothing_heavy() -> None:
    done = run_python(import_code(LIGHT_MODULES))
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""


def test_light_pages_do_not_import_scipy() -> None:
    """The first visitor of a fresh server waited a second longer for parts of SciPy that no page uses."""
    pages = [f"pages.widgets.{path.stem}" for path in sorted((PACKAGE_DIR.parent / "pages" / "widgets").glob("*.py"))]
    code = (
        "import importlib, sys\n"
        f"for name in {pages!r}:\n"
        "    importlib.import_module(name)\n"
        "assert 'scipy' not in sys.modules\n"
    )
    done = run_python(code)
    assert done.returncode == 0, done.stderr


def test_light_check_sees_a_heavy_import() -> None:
    done = run_python(import_code(["medpeft_core.errors", "medpeft_core.backbones.qkv"]))
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("medpeft_core.backbones.qkv imports ['torch'")


def test_light_registries_are_filled_without_torch() -> None:
    code = (
        "import sys\n"
        "from medpeft_core.backbones import BACKBONES\n"
        "from medpeft_core.datasets import DATASETS\n"
        "from medpeft_core.methods import METHODS\n"
        "assert 'torch' not in sys.modules\n"
        "print(*(' '.join(registry.names()) for registry in (BACKBONES, DATASETS, METHODS)))\n"
    )
    done = run_python(code)
    assert done.returncode == 0, done.stderr
    assert {"resnet18", "vit_base_patch16_224", "phantom", "nih", "full", "linear", "lora"} <= set(done.stdout.split())


def test_light_core_works_without_streamlit() -> None:
    code = (
        "import importlib, sys\n"
        "sys.modules['streamlit'] = None  # an import of it now raises ImportError\n"
        f"for name in {list_modules()!r}:\n"
        "    importlib.import_module(name)\n"
    )
    done = run_python(code)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("arguments", [["--help"], ["train", "--help"], ["methods"]], ids=" ".join)
def test_light_command_line_starts_without_streamlit(arguments: list[str]) -> None:
    code = (
        "import sys\n"
        "sys.modules['streamlit'] = None\n"
        "from medpeft_core.cli import main\n"
        f"code = main({arguments!r})\n"
        f"heavy = [name for name in {HEAVY!r} if name in sys.modules]\n"
        "assert not heavy, heavy\n"
        "sys.exit(code)\n"
    )
    done = run_python(code)
    assert done.returncode == 0, done.stderr
    assert ("lora" if arguments == ["methods"] else "Usage: python -m medpeft_core") in done.stdout


def test_light_module_runs_as_a_program() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "medpeft_core", "--help"],
        cwd=PACKAGE_DIR.parent,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "train" in done.stdout
