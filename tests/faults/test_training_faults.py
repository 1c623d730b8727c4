"""Real training in real processes, disturbed: killed, stopped, out of disk, out of range; nothing may be lost."""

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

pytestmark = pytest.mark.faults

TRAIN = [
    "train",
    "--dataset",
    "phantom",
    "--set",
    "data.num_patients=40",
    "--set",
    "data.size=48",
    "--backbone",
    "test_vit",
    "--image-size",
    "48",
    "--pool",
    "avg",
    "--method",
    "lora",
    "--batch-size",
    "8",
    "--set",
    "train.accumulation=2",
    "--set",
    "evaluation.bootstrap_samples=100",
    "--json",
]
EPOCHS = 12


def numbers(run: Run) -> list[dict[str, Any]]:
    """The history without what depends on the clock."""
    kinds = ("step", "eval", "epoch")
    return [
        {key: value for key, value in event.items() if key not in TIMES}
        for event in run.history()
        if event["type"] in kinds
    ]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The run that nobody disturbs."""
    home = tmp_path_factory.mktemp("undisturbed")
    code, result, err = finish(start(home, [*TRAIN, "--epochs", str(EPOCHS)]))
    assert code == 0, err
    return Run(Path(result["run_dir"]))


def assert_equal_runs(run: Run, reference: Run) -> None:
    assert numbers(run) == numbers(reference)
    found, wanted = run.metrics(), reference.metrics()
    assert found is not None
    assert wanted is not None
    assert found["test"] == wanted["test"]
    assert found["val"] == wanted["val"]
    for name in ("adapter_model.safetensors", "buffers.safetensors"):
        first = safetensors.torch.load_file(run.adapter_dir / name)
        second = safetensors.torch.load_file(reference.adapter_dir / name)
        assert all(torch.equal(first[key], second[key]) for key in second)


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
def test_train_ctrl_c_and_sigkill_then_resume_equal_an_undisturbed_run(undisturbed: Run, tmp_path: Path) -> None:
    """SIGKILL gives no chance to save: the run goes on from the last epoch's checkpoint, to the same end."""
    process = start(tmp_path, [*TRAIN, "--epochs", str(EPOCHS)])
    run = wait_for_epoch(tmp_path, 2)
    os.killpg(process.pid, signal.SIGINT)
    code, result, err = finish(process)
    assert code == 130, err
    assert result["status"] == "stopped"
    assert not list(run.folder.rglob("*.tmp"))

    process = start(tmp_path, ["resume", run.run_id, "--json"])
    wait_for_epoch(tmp_path, result["epochs_done"] + 2)
    pid = run.state().pid
    assert pid is not None
    psutil.Process(pid).kill()
    code, result, err = finish(process)
    assert code == 1, err
    assert result["status"] == "interrupted"
    assert "resume" in err

    code, result, err = finish(start(tmp_path, ["resume", run.run_id, "--json"]))
    assert code == 0, err
    assert result["epochs_done"] == EPOCHS
    assert_equal_runs(run, undisturbed)


def test_stop_from_another_terminal(tmp_path: Path) -> None:
    process = start(tmp_path, [*TRAIN, "--epochs", "400"])
    run = wait_for_epoch(tmp_path, 1)
    code, answer, err = finish(start(tmp_path, ["stop", run.run_id, "--json"]))
    assert code == 0, err
    assert answer["status"] == "stopped"
    code, result, _ = finish(process)
    assert code == 130
    assert result["status"] == "stopped"
    assert result["test_auroc"] is None


def test_train_that_diverges_fails_with_the_step_and_keeps_good_weights(tmp_path: Path) -> None:
    """A learning rate that makes the loss NaN."""
    code, result, err = finish(
        start(tmp_path, [*TRAIN, "--epochs", "30", "--lr", "1e30", "--set", "optim.clip_norm=0"])
    )
    assert code == 1, err
    assert result["status"] == "failed"
    assert "finite" in result["error"]
    assert "step" in result["error"]
    assert "--lr" in result["error"]
    for path in Path(result["run_dir"]).rglob("*.safetensors"):
        tensors = safetensors.torch.load_file(path)
        assert all(torch.isfinite(tensor.float()).all() for tensor in tensors.values()), path


@pytest.mark.skipif(os.name == "nt", reason="POSIX resource limits")
def test_train_on_a_full_disk_fails_without_damage_and_resumes(tmp_path: Path) -> None:
    """The file system refuses every file above 2.5 MB: the base fits, the checkpoint of full fine-tuning does not."""
    train = [item if item != "lora" else "full" for item in TRAIN]
    code, result, err = finish(start(tmp_path, [*train, "--epochs", "3"], limit_bytes=2_500_000))
    assert code == 1, err
    assert result["status"] == "failed"
    assert "disk is full" in result["error"]
    run = Run(Path(result["run_dir"]))
    assert run.config().train.epochs == 3
    assert not list(run.folder.rglob("*.tmp"))
    code, result, err = finish(start(tmp_path, ["resume", run.run_id, "--json"]))
    assert code == 0, err
    assert result["status"] == "finished"
