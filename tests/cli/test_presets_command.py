"""`train --preset`, and `presets`: what is given wins, the rest comes from the preset, and the run holds all of it."""

import json
from pathlib import Path
from typing import Any

import pytest
from commands_run import TINY

from medpeft_core.cli import main
from medpeft_core.config import RunConfig
from medpeft_core.paper_cells import CELLS
from medpeft_core.presets import PRESETS
from medpeft_core.runs.store import RunStore

SMALL = ["--backbone", "test_vit", "--image-size", "64", "--epochs", "1", *TINY]


def queue(home: Path, *arguments: str) -> RunConfig:
    """The config of a run that was only queued."""
    assert main(["train", "--dataset", "phantom", "--queue", *arguments]) == 0
    (run,) = RunStore(home).list_runs()
    return run.config()


def refuse(capsys: pytest.CaptureFixture[str], home: Path, *arguments: str) -> str:
    assert main(["train", "--dataset", "phantom", *arguments]) == 2
    assert not list(home.glob("runs/*"))
    return capsys.readouterr().err.strip().splitlines()[-1]


def test_train_preset_gives_method_and_recipe(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = queue(home, "--preset", "lian2024_lora_mrm_nih_10", "--fraction", "1", *SMALL)
    assert (config.method.name, config.method.knobs["rank"]) == ("lora", 8)
    assert (config.optim.optimizer, config.optim.lr, config.train.batch_size) == ("sgd", 0.05, 64)
    assert (config.train.epochs, config.data.fraction, config.backbone.image_size) == (1, 1.0, 64), "given options win"
    assert config.backbone.name == "test_vit"
    told = capsys.readouterr().err
    assert "Preset lian2024_lora_mrm_nih_10: Recommended settings for MRM" in told
    assert "The backbone starts from random weights, the paper's from pre-trained ones" in told
    assert "presets lian2024_lora_mrm_nih_10`" in told


def test_train_set_wins_over_the_preset(home: Path) -> None:
    more = ["--set", "method.rank=2", "--set", "optim.layer_decay=1"]
    config = queue(home, "--preset", "lian2024_lora_mae_nih_100", *SMALL, *more)
    assert config.method.knobs == {"rank": 2, "alpha": 32.0, "dropout": 0.1, "targets": "q,v"}
    assert (config.optim.layer_decay, config.optim.optimizer) == (1.0, "adamw")


def test_train_preset_of_the_lab_needs_no_paper(home: Path) -> None:
    config = queue(home, "--preset", "quick", "--method", "linear", "--backbone", "test_resnet", *TINY, "--epochs", "2")
    wanted = PRESETS["quick"].settings
    assert config.train.epochs == 2
    assert config.train.batch_size == wanted["train"]["batch_size"]
    assert config.augment.crop_scale_min == wanted["augment"]["crop_scale_min"]
    assert config.evaluation.bootstrap_samples == 100, "--set wins"


def test_train_recipe_of_a_cell_with_another_method(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = queue(home, "--preset", "lian2024_lora_mae_nih_100", "--method", "linear", *SMALL)
    assert (config.method.name, config.method.knobs) == ("linear", {})
    assert config.optim.layer_decay == 0.65
    assert "The method is linear, not the preset's lora, whose knobs are left out." in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "--backbone is missing."),
        (["--backbone", "test_vit"], "--method is missing."),
        (["--preset", "quick", "--backbone", "resnet18"], "--method is missing."),
        (["--preset", "quack"], "There is no preset 'quack'. Did you mean 'quick'?"),
        (["--preset", "dutt2024_cnn_tsa", "--backbone", "demo_vit"], "is for a CNN (in the paper 'resnet50')"),
        (["--preset", "dutt2024_vit_bitfit", "--backbone", "test_resnet"], "'test_resnet' is a CNN"),
        (["--preset", "dutt2024_vit_lora", "--backbone", "resnet81"], "Did you mean resnet18"),
        (["--preset", "dutt2024_vit_lora", "--method", "tsa"], "The method 'tsa' does not fit 'vit_base_patch16_224'"),
        (["--preset", "dutt2024_vit_lora"], "cannot be reached"),  # its weights are the pre-trained ones
        (["--backbone", "resnet18", "--method", "osf"], "'osf' of peft is not offered: peft passes over convolutions"),
        (["--backbone", "resnet18", "--method", "prefix-tuning"], "made for language models"),
    ],
)
def test_train_refuses_a_preset_that_does_not_fit(
    arguments: list[str], sentence: str, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    message = refuse(capsys, home, *arguments, *TINY)
    assert message.startswith("Error: ")
    assert sentence in message


def test_train_from_a_cell_stores_a_complete_config(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A run of the worker, with its own options over the cell's; the folder says everything without the preset."""
    given = ["--dataset", "phantom", "--backbone", "test_resnet", "--image-size", "64", "--epochs", "1", *TINY]
    result = read_json(capsys, "train", "--preset", "dutt2024_cnn_bias", *given)
    config = json.loads((Path(result["run_dir"]) / "config.json").read_text())
    assert config["method"] == {"name": "bias", "knobs": {}}
    assert config["train"]["accumulation"] == 8
    assert "preset" not in json.dumps(config)
    assert all(value is not None for value in config["optim"].values())


def read_json(capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    assert main([*arguments, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_presets_lists_both_kinds(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    listed = {item["name"]: item for item in read_json(capsys, "presets")["presets"]}
    assert list(listed) == [*PRESETS, *CELLS.names()]
    cell = listed["dutt2024_vit_adaptformer"]
    assert cell["settings"]["method.bottleneck"] == {"value": 6, "source": "inferred"}
    assert [count["printed"] for count in cell["counts"]] == ["0.1M", "0.3M", "0.5M"]
    assert listed["quick"]["kind_of_preset"] == "lab"
    assert main(["presets"]) == 0
    out = capsys.readouterr().out
    assert all(name in out for name in listed)


@pytest.mark.parametrize("name", ["quick", "dutt2024_vit_lora", "lian2024_lora_mae_nih_10"])
def test_presets_shows_one_in_full(name: str, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert read_json(capsys, "presets", name)["name"] == name
    assert main(["presets", name]) == 0
    out = capsys.readouterr().out
    if name == "quick":
        assert "train.epochs" in out
    else:
        assert "Left open by the paper:" in out
        assert CELLS[name].open_points[0] in out
        assert "method.rank" in out
    assert main(["presets", "quik"]) == 2
    assert "Did you mean 'quick'?" in capsys.readouterr().err
