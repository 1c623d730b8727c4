"""The `python -m medpeft_core prepare ...` that prepares the data of a config, for messages that ask for it. Light."""

import dataclasses
import shlex

from medpeft_core.coerce import write_text
from medpeft_core.config import DataConfig
from medpeft_core.datasets.spec import DATASETS
from medpeft_core.datasets.views import EXTRA_SETTINGS
from medpeft_core.sections import build_part

PROGRAM = ("python", "-m", "medpeft_core", "prepare")
# the rest of the section changes neither what is read nor what is decoded
SETTINGS = ("split_seed", "cache_size", *EXTRA_SETTINGS)


def build_prepare_command(data: DataConfig) -> str:
    """One line for a POSIX shell, or PowerShell; settings that are as by default are left out.

    Args:
        data: resolved or not.

    Raises:
        MedPeftError: an unknown data set or option.
    """
    words = [*PROGRAM, data.dataset]
    if data.root:
        words += ["--root", data.root]
    part = DATASETS[data.dataset].options
    wanted, usual = dataclasses.asdict(build_part(part, data.options, section="data")), dataclasses.asdict(part())
    wanted |= {name: getattr(data, name) for name in SETTINGS}
    usual |= {name: getattr(DataConfig(), name) for name in SETTINGS}
    for name, value in wanted.items():
        if value != usual[name]:
            words += ["--set", f"data.{name}={write_text(value)}"]
    return shlex.join(words)
