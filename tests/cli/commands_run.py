"""Commands as a user starts them, and settings that make them quick."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

TINY = ["--set", "data.num_patients=40", "--set", "data.size=64", "--set", "evaluation.bootstrap_samples=100"]


def run_command(arguments: list[str], home: Path, **options: Any) -> subprocess.CompletedProcess[str]:
    """One command as a user starts it."""
    environment = {**os.environ, "MEDPEFT_HOME": str(home)}
    return subprocess.run(
        [sys.executable, "-m", "medpeft_core", *arguments],
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        **options,
    )
