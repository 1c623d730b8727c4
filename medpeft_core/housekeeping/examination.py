"""Asks a child process what this machine can do, because only torch can say it. Light."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from medpeft_core.errors import ComputeError
from medpeft_core.worker.processes import build_environment

LIMIT_S = 180.0  # importing torch from a cold disk can take minutes


def examine(home: Path) -> dict[str, Any]:
    """What `python -m medpeft_core doctor --json` says; takes as long as importing torch.

    Args:
        home: the lab's folder.

    Raises:
        ComputeError: the child ended without an answer, or took too long.
    """
    try:
        done = subprocess.run(
            [sys.executable, "-m", "medpeft_core", "doctor", "--json"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            env=build_environment(home),
            timeout=LIMIT_S,
            check=False,
        )
        facts = json.loads(done.stdout)
    except subprocess.TimeoutExpired as error:
        raise ComputeError(f"The check of this computer took longer than {LIMIT_S:g} s. Try again later.") from error
    except (OSError, ValueError) as error:
        raise ComputeError(
            "The check of this computer gave no answer. In a terminal, `python -m medpeft_core doctor` tells more."
        ) from error
    return dict(facts)
