"""`python -m medpeft_core.worker RUN_DIR`: train one run in this process."""

import sys
from pathlib import Path

from medpeft_core.worker.main import main

EXIT_USAGE = 2


def check_arguments(arguments: list[str]) -> str | None:
    """What is wrong with the command line, or None."""
    if len(arguments) != 1:
        return "Give one argument, the folder of a run: python -m medpeft_core.worker RUN_DIR"
    if not (Path(arguments[0]) / "config.json").is_file():
        return f"{arguments[0]} is not a run's folder: config.json is missing. `python -m medpeft_core runs` lists all."
    return None


if __name__ == "__main__":
    problem = check_arguments(sys.argv[1:])
    if problem is not None:
        print(problem, file=sys.stderr)
        sys.exit(EXIT_USAGE)
    sys.exit(main(sys.argv[1]))
