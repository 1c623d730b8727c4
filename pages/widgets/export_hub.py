"""Pushing an export to the Hugging Face Hub."""

from typing import Any

from medpeft_core.exports.spec import ExportSpec
from medpeft_core.runs.run import Run


def draw_push(run: Run, spec: ExportSpec, made: dict[str, Any]) -> None:
    """To come."""
