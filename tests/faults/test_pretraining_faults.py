"""A real pre-training in real processes, stopped and killed on its way: it ends as if nobody had touched it."""

import os
import signal
from pathlib import Path
from typing import Any

import psutil
import pytest
import safetensors.torch
import torch
from disturbed import TIMES, finish, start, wait_for_epoch

from medpeft_core.runs.run import Run
from medpeft_core.training.checkpoint import CHECKPOINT_FILE

pytestmark = [pytest.mark.faults, pytest.mark.skipif(os.name == "nt", reason="POSIX signals")]

EPOCHS = 24  # so many that even a fast machine is stopped and killed before the end
PRETRAIN = [
    "pretrain", "--dataset", "phantom", "--set", "data.num_patients=40", "--set", "data.size=48",
    "--backbone", "test_vit", "--image-size", "48", "--batch-size", "8", "--set", "train.accumulation=2",
    "--epochs", str(EPOCHS), "--keep-every", "9", "--set", "train.show_every=8", "--json",
]  # fmt: skip
TOLD = ("step", "epoch", "rebuilt", "encoder")
OF_A_FILE = {"sha256", "num_bytes"}  # a kept encoder names its run


def numbers(run: Run) -> list[dict[str, Any]]:
    """The history without what depends on the clock or on the run's name."""
    return [
        {key: value for key, value in event.items() if key not in TIMES | OF_A_FILE}
        for event in run.history()
        if event["type"] in TOLD
    ]


def load_all(run: Run) -> dict[str, torch.Tensor]:
    """Every kept encoder, and the last weights of encoder, decoder and optimizer."""
    paths = [*sorted(run.encoders_dir.glob("*.safetensors")), run.checkpoint_dir / CHECKPOINT_FILE]
    return {f"{path.name}/{name}": item for path in paths for name, item in safetensors.torch.load_file(path).items()}


def test_pretrain_ctrl_c_and_sigkill_then_resume_equal_an_undisturbed_pretraining(tmp_path: Path) -> None:
    """Ctrl-C saves where it stands; SIGKILL gives no chance to, so the run goes on from the last epoch's checkpoint."""
    code, result, err = finish(start(tmp_path, PRETRAIN))
    assert code == 0, err
    undisturbed = Run(Path(result["run_dir"]))

    process = start(tmp_path, PRETRAIN)
    run = wait_for_epoch(tmp_path, 1, but=frozenset({undisturbed.run_id}))
    os.killpg(process.pid, signal.SIGINT)
    code, result, err = finish(process)
    assert (code, result["status"]) == (130, "stopped"), err
    assert 1 <= result["epochs_done"] < EPOCHS
    assert not list(run.folder.rglob("*.tmp"))

    process = start(tmp_path, ["resume", run.run_id, "--json"])
    wait_for_epoch(tmp_path, result["epochs_done"] + 2, but=frozenset({undisturbed.run_id}))
    pid = run.state().pid
    assert pid is not None
    psutil.Process(pid).kill()
    code, result, err = finish(process)
    assert (code, result["status"]) == (1, "interrupted"), err
    assert f"resume {run.run_id}" in err
    assert result["epochs_done"] < EPOCHS

    code, result, err = finish(start(tmp_path, ["resume", run.run_id, "--json"]))
    assert (code, result["status"], result["epochs_done"]) == (0, "finished", EPOCHS), err
    assert [item["epoch"] for item in result["encoders"]] == [9, 18, 24]
    assert numbers(run) == numbers(undisturbed)
    found, wanted = load_all(run), load_all(undisturbed)
    assert found.keys() == wanted.keys()
    assert all(torch.equal(found[name], tensor) for name, tensor in wanted.items())
    pictures = sorted(path.name for path in undisturbed.pictures_dir.iterdir())
    assert [(run.pictures_dir / name).read_bytes() for name in pictures] == [
        (undisturbed.pictures_dir / name).read_bytes() for name in pictures
    ]
    metrics, expected = run.metrics(), undisturbed.metrics()
    assert metrics is not None
    assert expected is not None
    for name in ("train_loss", "first_train_loss", "rebuilt"):
        assert metrics[name] == expected[name]
