"""Writes programs for receivers from the lab's own source, so that nothing of it is written twice. Light."""

import ast
import inspect
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from medpeft_core.errors import ExportError

LAB = "medpeft_core"


def write_program(path: Path, *, doc: str, parts: Iterable[Callable[..., Any]], ending: str) -> None:
    """Write a Python file: a docstring, the imports that it needs, the source of `parts`, and an ending.

    Args:
        doc: what the program does and needs.
        parts: classes and functions at the top of modules, in the order in which they must be defined.
        ending: code after them; names in it are imported where a module of one of the parts imports them.

    Raises:
        ExportError: one of the parts needs the lab.
    """
    parts = list(dict.fromkeys(parts))
    texts = [inspect.getsource(part).strip() for part in parts]
    used = _find_names("\n".join((*texts, ending))) - {part.__name__ for part in parts}
    modules = {module for part in parts if (module := inspect.getmodule(part)) is not None}
    imports = {item for module in modules for item in _find_imports(inspect.getsource(module), used)}
    if needing := sorted(module for module, _ in imports if module.partition(".")[0] == LAB):
        raise ExportError(f"{path.name} cannot be written: its code needs {needing[0]}. Please report this.")
    beginning = f'"""{doc.strip()}\n"""\n\n{_write_imports(imports)}'
    path.write_text("\n\n\n".join((beginning, *texts, ending.strip())) + "\n", encoding="utf-8")


def _find_names(code: str) -> set[str]:
    return {node.id for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Name)}


def _find_imports(code: str, used: set[str]) -> Iterator[tuple[str, str]]:
    """Module, and what is taken from it, for each imported name that is used; "" for the module as a whole."""
    for node in ast.parse(code).body:
        if not isinstance(node, ast.Import | ast.ImportFrom):
            continue
        for item in node.names:
            if (item.asname or item.name).partition(".")[0] not in used:
                continue
            name = f"{item.name} as {item.asname}" if item.asname else item.name
            yield (node.module or "", name) if isinstance(node, ast.ImportFrom) else (name, "")


def _write_imports(imports: set[tuple[str, str]]) -> str:
    """Lines in the usual order: first Python's own, and in each group whole modules first."""
    whole = [f"import {module}" for module, name in imports if not name]
    names: dict[str, list[str]] = {}
    for module, name in sorted(imports):
        if name:
            names.setdefault(module, []).append(name)
    lines = [*whole, *(f"from {module} import {', '.join(found)}" for module, found in names.items())]
    ordered = sorted(lines, key=lambda line: (not line.startswith("import"), line))
    own = [line for line in ordered if line.split()[1].partition(".")[0] in sys.stdlib_module_names]
    others = [line for line in ordered if line not in own]
    return "\n\n".join("\n".join(group) for group in (own, others) if group)
