"""`pretrain` and the commands that look after what it made, on one small pre-training of real phantoms."""

import json
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from commands_run import TINY

from medpeft_core.cli import main
from medpeft_core.commands import follow
from medpeft_core.commands.pretrain import WORDS, build_hint
from medpeft_core.pretrain_config import PretrainConfig
from medpeft_core.pretraining.session import pretrain_run
from medpeft_core.runs import Run, RunStore
from medpeft_core.worker.main import run_guarded

PRETRAIN = ["pretrain", "--dataset", "phantom", "--backbone", "test_vit", "--image-size", "64", *TINY[:4]]
KEYS = [
    "run_id", "run_dir", "status", "epochs_done", "first_train_loss", "last_train_loss", "encoders",
    "train_images_per_s", "data_wait_frac", "num_params", "wall_time_s", "peak_memory_bytes", "device",
]  # fmt: skip


def read_json(capsys: pytest.CaptureFixture[str], arguments: list[str]) -> Any:
    assert main([*arguments, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


@pytest.fixture(scope="module")
def pretrained(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """A pre-training that the command queued and a worker's body finished, in this process: imports take longest."""
    home = tmp_path_factory.mktemp("pretrained_home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MEDPEFT_HOME", str(home))
        assert main([*PRETRAIN, "--epochs", "4", "--keep-every", "2", "--set", "optim.base_lr=0.01", "--queue"]) == 0
        store = RunStore(home)
        [entry] = store.index.queued()
        run = store.load(entry.run_id)
        assert (run.status, entry.device) == ("queued", "cpu")
        store.index.dequeue(run.run_id)
        assert run_guarded(run, pretrain_run) == 0, run.state().error
        yield run


@pytest.fixture
def at_home(pretrained: Run, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setenv("MEDPEFT_HOME", str(pretrained.home))
    return pretrained


def test_show_json_has_every_documented_key(at_home: Run, capsys: pytest.CaptureFixture[str]) -> None:
    shown = read_json(capsys, ["show", at_home.run_id])
    assert set(KEYS) <= set(shown)
    assert all(shown[key] is not None for key in KEYS)
    assert (shown["status"], shown["epochs_done"], shown["device"]) == ("finished", 4, "cpu")
    assert shown["last_train_loss"] < shown["first_train_loss"]
    assert [item["epoch"] for item in shown["encoders"]] == [2, 4]
    for item in shown["encoders"]:
        assert Path(item["path"]).name == item["file"]
        assert Path(item["path"]).stat().st_size == item["num_bytes"]
        assert len(item["sha256"]) == 64
    assert PretrainConfig.from_dict(shown["config"]) == at_home.pretrain_config()


def test_show_speaks_to_people(at_home: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", "mae"]) == 0, "a part of the name is enough"
    shown = capsys.readouterr().out
    assert "Epochs 4 of 4" in shown
    assert "of what the mean of the visible patches gives" in shown
    assert "AUROC" not in shown
    assert "not for clinical use" in shown


def test_runs_lists_each_kind_for_itself(at_home: Run, capsys: pytest.CaptureFixture[str]) -> None:
    [line] = read_json(capsys, ["runs", "--pretraining"])["pretrainings"]
    assert (line["run_id"], line["num_encoders"], len(line["curve"])) == (at_home.run_id, 2, 4)
    assert read_json(capsys, ["runs"])["runs"] == []
    assert main(["runs"]) == 0
    assert "There is also 1 pre-training: python -m medpeft_core runs --pretraining" in capsys.readouterr().err
    assert main(["runs", "--pretraining"]) == 0
    assert at_home.run_id in capsys.readouterr().out


def test_commands_on_results_refuse_a_pretraining(
    at_home: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = str(tmp_path / "b.png")
    for arguments in (["compare"], ["predict"], ["explain", "--out", out]):
        image = [] if arguments == ["compare"] else [str(tmp_path / "a.png")]
        assert main([arguments[0], at_home.run_id, *image, *arguments[1:]]) == 2
        told = capsys.readouterr().err.strip()
        assert told.startswith(f"Error: {at_home.run_id} is a pre-training: it learns without labels"), arguments
        assert "\n" not in told


def test_resume_refuses_a_finished_pretraining(at_home: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["resume", at_home.run_id]) == 2
    assert "Start a new one with `pretrain`" in capsys.readouterr().err


def test_delete_and_restore_move_a_pretraining_there_and_back(at_home: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["delete", at_home.run_id]) == 0
    assert not at_home.folder.exists()
    assert at_home.run_id in str(read_json(capsys, ["runs", "--deleted"]))
    assert main(["restore", "mae"]) == 0
    assert at_home.status == "finished"


def test_hint_is_a_command_that_fine_tunes_the_encoder(at_home: Run, capsys: pytest.CaptureFixture[str]) -> None:
    """What the end of a pre-training proposes is accepted as it stands."""
    path = at_home.encoders_dir / "epoch-0004.safetensors"
    words = shlex.split(build_hint(at_home.pretrain_config(), str(path)))
    assert words[:3] == ["python", "-m", "medpeft_core"]
    queued = read_json(capsys, [*words[3:], "--queue"])
    run = RunStore(at_home.home).load(queued["run_id"])
    assert run.config().data == at_home.pretrain_config().data
    base = safetensors.torch.load_file(at_home.home / "weights" / f"{run.config().backbone.weights_sha256}.safetensors")
    encoder = safetensors.torch.load_file(path)
    assert all(torch.equal(base[name], tensor) for name, tensor in encoder.items() if name in base)
    assert len(set(base) & set(encoder)) > 20
    RunStore(at_home.home).discard([run])


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--backbone", "resnet18"], "Masked autoencoding needs a plain ViT"),
        (["--backbone", "swin_tiny_patch4_window7_224"], "Masked autoencoding needs a plain ViT"),
        (["--backbone", "test_resnet"], "needs a plain ViT"),
        (["--backbone", "vit_tiny_patch16_224", "--image-size", "100"], "multiple of 16"),
        (["--image-size", "100"], "multiple of 16"),
        (["--mask-ratio", "1"], "mae.mask_ratio is 1.0, but it must be above 0 and below 1"),
        (["--base-lr", "0"], "optim.base_lr is 0.0, but it must be above 0"),
        (["--keep-every", "-1"], "train.keep_every is -1"),
        (["--device", "gpu"], "train.device"),
        (["--set", "method.rank=4"], "no config section 'method'. Choose: data, encoder, mae,"),
        (["--set", "mae.speed=4"], "no setting mae.speed"),
        (["--set", "data.colour=3"], "no setting data.colour"),
        (["--weights", "nowhere.safetensors"], "no weights file"),
    ],
)
def test_pretrain_refuses_impossible_settings(
    arguments: list[str], sentence: str, at_home: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    before = sorted(at_home.home.glob("[prw]*/*"))
    assert main([*PRETRAIN, *arguments]) == 2
    captured = capsys.readouterr()
    told = captured.err.strip().splitlines()[-1]
    assert told.startswith("Error: ")
    assert sentence in told
    assert captured.out == ""
    assert sorted(at_home.home.glob("[prw]*/*")) == before, "no run and no weights were written"


def test_pretrain_refuses_the_weights_of_another_model_by_the_first_tensor(
    at_home: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "other.safetensors"
    safetensors.torch.save_file({"conv1.0.weight": torch.zeros(8, 3, 3, 3)}, path)
    assert main([*PRETRAIN, "--weights", str(path)]) == 2
    assert "the tensor 'cls_token' is missing" in capsys.readouterr().err


def test_follow_view_tells_epochs_with_what_is_left_but_not_every_quick_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = RunStore(tmp_path).create(PretrainConfig.from_dict({"train": {"epochs": 9}}), provenance={}, device="cpu")
    run.write_state(eta_s=720.0)
    epochs = [
        {"type": "epoch", "epoch": epoch, "train_loss": 0.41, "train_images_per_s": 210.2} for epoch in range(1, 10)
    ]
    kept = {"type": "encoder", "epoch": 9, "file": "epoch-0009.safetensors"}
    with follow.FollowView(run, WORDS) as view:
        view([*epochs, kept])
    assert capsys.readouterr().err.splitlines() == [
        "epoch 1 of 9: loss 0.4100, 210 images/s, about 12 min left",
        "epoch 9 of 9: loss 0.4100, 210 images/s, about 12 min left",
        "kept the encoder of epoch 9: epoch-0009.safetensors",
    ]
