"""Imports point downwards only; the layers are those of ARCHITECTURE.md."""

import ast
from dataclasses import dataclass
from pathlib import Path

import pytest

import medpeft_core

PACKAGE = "medpeft_core"
PACKAGE_DIR = Path(medpeft_core.__file__).parent

# Lowest first. Parts of one line never import each other, except those of the line of explain.
LAYERS = (
    ("errors",),
    ("registry", "paths", "coerce", "traits", "settings"),
    ("sections",),
    ("config",),
    ("pretrain_config",),
    ("backbones", "methods", "datasets", "metrics", "runs"),
    ("resolve", "figures", "presets", "paper_cells", "demo"),
    ("pretrain_resolve",),
    ("command_line",),
    ("training",),
    ("explain", "reports", "pretraining"),
    ("exports",),
    ("worker",),
    ("housekeeping", "lessons"),
    ("cli", "commands", "__main__"),
)
HEIGHTS = {part: height for height, parts in enumerate(LAYERS) for part in parts}
MIXING = {"explain", "reports", "pretraining", "cli", "commands", "__main__"}
FORBIDDEN = ("streamlit", "pages", "app")
DOCUMENTED = ("torch.utils._python_dispatch",)  # torch's guide to extending it names this module, underscore and all


@dataclass(frozen=True)
class Import:
    """One imported module, with the names taken from it, and whether a function does it."""

    module: str
    names: tuple[str, ...]
    line: int
    is_in_function: bool


def find_imports(source: str, module: str, *, is_package: bool = False) -> list[Import]:
    """Every import of a module, also those inside functions and under TYPE_CHECKING; relative ones made absolute."""
    found: list[Import] = []
    pending: list[tuple[ast.AST, bool]] = [(ast.parse(source), False)]
    while pending:
        node, is_in_function = pending.pop()
        if isinstance(node, ast.Import):
            found += [Import(item.name, (), node.lineno, is_in_function) for item in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = module.split(".") if is_package else module.split(".")[:-1]
            start = base[: len(base) - node.level + 1] if node.level else []
            name = ".".join([*start, *([node.module] if node.module else [])])
            found.append(Import(name, tuple(item.name for item in node.names), node.lineno, is_in_function))
        is_function = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        pending += [(child, is_in_function or is_function) for child in ast.iter_child_nodes(node)]
    return sorted(found, key=lambda item: item.line)


def check_imports(source: str, module: str, *, is_package: bool = False) -> list[str]:
    """What is wrong with the imports of one module of the core, one sentence each."""
    problems = []
    for item in find_imports(source, module, is_package=is_package):
        where = f"{module}, line {item.line}"
        if item.module.split(".")[0] in FORBIDDEN:
            problems.append(f"{where}: the core imports {item.module}")
        steps = () if item.module in DOCUMENTED else item.module.split(".")
        hidden = [name for name in (*steps, *item.names) if is_private(name)]
        problems += [f"{where}: {name} belongs to {item.module} only" for name in hidden]
        problems += [f"{where}: {problem}" for part in reached_parts(item) if (problem := judge(module, part, item))]
    return problems


def is_private(name: str) -> bool:
    return name.startswith("_") and not (name.startswith("__") and name.endswith("__"))


def reached_parts(item: Import) -> list[str]:
    """The parts of the core, such as "runs", that an import reaches."""
    steps = item.module.split(".")
    if steps[0] != PACKAGE:
        return []
    if len(steps) > 1:
        return [steps[1]]
    return [name for name in item.names if name in HEIGHTS]  # `from medpeft_core import paths`


def judge(module: str, target: str, item: Import) -> str:
    """Why a module may not import a part of the core, or nothing."""
    steps = module.split(".")
    part = steps[1] if len(steps) > 1 else ""
    if target not in HEIGHTS or (part and part not in HEIGHTS):
        return f"{target if part in HEIGHTS else part} has no place in LAYERS"
    if part == target:
        return ""
    if not part or HEIGHTS[target] > HEIGHTS[part]:
        return f"{part or PACKAGE} imports {target}, which lies above it"
    if HEIGHTS[target] == HEIGHTS[part] and part not in MIXING:
        return f"{part} imports its sibling {target}"
    if part == "worker" and target in ("training", "pretraining") and not item.is_in_function:
        return f"worker imports {target} outside a function, so whoever starts a worker would load torch"
    return ""


def module_name(path: Path) -> str:
    steps = path.relative_to(PACKAGE_DIR.parent).with_suffix("").parts
    return ".".join(steps[:-1] if steps[-1] == "__init__" else steps)


SOURCES = sorted(PACKAGE_DIR.rglob("*.py"))


def test_layers_finds_the_core() -> None:
    parts = {module_name(path).split(".")[1] for path in SOURCES if path != PACKAGE_DIR / "__init__.py"}
    assert {"errors", "config", "datasets", "backbones", "methods", "runs", "training", "worker", "cli"} <= parts
    assert parts <= set(HEIGHTS), "a new part of the core needs a place in LAYERS"


@pytest.mark.parametrize("path", SOURCES, ids=module_name)
def test_layers_imports_point_downwards(path: Path) -> None:
    source = path.read_text(encoding="utf-8")
    assert check_imports(source, module_name(path), is_package=path.name == "__init__.py") == []


@pytest.mark.parametrize(
    ("module", "source", "problem"),
    [
        ("medpeft_core.errors", "from medpeft_core.paths import get_home", "errors imports paths, which lies above"),
        ("medpeft_core.registry", "from medpeft_core import paths", "registry imports its sibling paths"),
        ("medpeft_core.runs.run", "import medpeft_core.training.loop", "runs imports training, which lies above"),
        ("medpeft_core.methods.lora", "from medpeft_core.backbones.qkv import split_qkv", "sibling backbones"),
        ("medpeft_core.methods.lora", "from ..backbones import BACKBONES", "sibling backbones"),
        ("medpeft_core.datasets.nih", "def read():\n    from medpeft_core.metrics import auroc", "sibling metrics"),
        ("medpeft_core.metrics.auroc", "if TYPE_CHECKING:\n    from medpeft_core.runs.run import Run", "sibling runs"),
        ("medpeft_core.training.loop", "from medpeft_core.worker.control import WorkerControl", "lies above it"),
        ("medpeft_core.runs.run", "import streamlit as st", "the core imports streamlit"),
        ("medpeft_core.cli", "def draw():\n    from streamlit import write", "the core imports streamlit"),
        ("medpeft_core.cli", "from pages.widgets import frame", "the core imports pages.widgets"),
        ("medpeft_core.runs.run", "from medpeft_core.paths import _write_text", "_write_text belongs to"),
        ("medpeft_core.worker.main", "from medpeft_core.training.session import train_run", "outside a function"),
        ("medpeft_core.worker.main", "from medpeft_core.pretraining.session import pretrain_run", "outside a function"),
        ("medpeft_core.runs.run", "from medpeft_core.novelty import thing", "novelty has no place in LAYERS"),
        ("medpeft_core.novelty", "from medpeft_core.paths import get_home", "novelty has no place in LAYERS"),
        ("medpeft_core", "from medpeft_core.config import RunConfig", "medpeft_core imports config, which lies above"),
    ],
)
def test_layers_check_finds_what_is_wrong(module: str, source: str, problem: str) -> None:
    found = check_imports(source, module)
    assert len(found) == 1
    assert problem in found[0]


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("medpeft_core.runs.run", "import json\nfrom medpeft_core.paths import read_json"),
        ("medpeft_core.runs.run", "from medpeft_core.runs.events import append_event"),
        ("medpeft_core.worker.main", "def train():\n    from medpeft_core.training.session import train_run"),
        ("medpeft_core.commands.doctor", "from medpeft_core import __version__"),
        ("medpeft_core.commands.train", "from medpeft_core.cli import main"),
        ("medpeft_core.reports.tables", "from medpeft_core.explain.cam import compute_cam"),
    ],
)
def test_layers_check_accepts_what_is_right(module: str, source: str) -> None:
    assert check_imports(source, module) == []
