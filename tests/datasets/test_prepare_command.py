"""The command that a message gives for preparing a set is the one that prepares it."""

import shlex

import pytest
from typer.testing import CliRunner

from medpeft_core import cli
from medpeft_core.config import DataConfig
from medpeft_core.datasets.prepare import find_prepared
from medpeft_core.datasets.prepare_command import build_prepare_command
from medpeft_core.datasets.views import load_view, view_key
from medpeft_core.resolve import resolve_data


def test_prepare_command_leaves_out_defaults():
    assert build_prepare_command(DataConfig()) == "python -m medpeft_core prepare phantom"
    assert build_prepare_command(resolve_data(DataConfig(fraction=0.1, fraction_seed=3))).endswith("prepare phantom")


def test_prepare_command_gives_the_folder_and_what_differs():
    """Explain named a command that failed, because it left out --root."""
    data = DataConfig(dataset="nih", root="/data/it's nih", options={"lists": "none"}, split_seed=4, cache_size=512)
    assert shlex.split(build_prepare_command(data)) == [
        "python", "-m", "medpeft_core", "prepare", "nih", "--root", "/data/it's nih",
        "--set", "data.lists=none", "--set", "data.split_seed=4", "--set", "data.cache_size=512",
    ]  # fmt: skip


@pytest.mark.usefixtures("home")
def test_prepare_command_prepares_that_very_set():
    data = DataConfig(options={"num_patients": 20, "size": 32}, split_seed=2, cache_size=16)
    words = shlex.split(build_prepare_command(data))
    result = CliRunner().invoke(cli.app, words[words.index("prepare") :])
    assert result.exit_code == 0, result.output
    assert find_prepared(data) is not None
    assert load_view(view_key(data)) is not None
