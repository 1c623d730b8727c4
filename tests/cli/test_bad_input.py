"""What a user gets wrong: one clear sentence, exit code 2, and nothing half-written."""

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from PIL import Image

from medpeft_core.cli import main

MakeFolder = Callable[..., Path]


def refuse(capsys: pytest.CaptureFixture[str], home: Path, *arguments: str) -> str:
    """Run a command that must be refused; gives its sentence, and proves that no run and no weights were written."""
    assert main(list(arguments)) == 2
    captured = capsys.readouterr()
    message = captured.err.strip().splitlines()[-1]
    assert message.startswith("Error: ")
    assert "Traceback" not in captured.err
    assert captured.out == ""
    assert not list(home.glob("runs/*"))
    assert not list(home.glob("weights/*"))
    return message


def train_on(root: Path, *more: str) -> list[str]:
    backbone = [] if "--backbone" in more else ["--backbone", "test_resnet"]
    method = [] if "--method" in more else ["--method", "full"]
    return ["train", "--dataset", "nih", "--root", str(root), *backbone, *method, "--epochs", "1", *more]


def test_train_refuses_a_folder_without_labels(home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    assert "Data_Entry_2017" in refuse(capsys, home, *train_on(empty))


def test_train_refuses_a_missing_folder_and_no_folder(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "does not exist" in refuse(capsys, home, *train_on(tmp_path / "nowhere"))
    message = refuse(capsys, home, "train", "--dataset", "nih", "--backbone", "test_resnet", "--method", "full")
    assert "--root" in message


def test_train_refuses_a_csv_with_a_missing_column(
    home: Path, nih_folder: MakeFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    root = nih_folder()
    table = root / "Data_Entry_2017.csv"
    rows = list(csv.reader(table.read_text().splitlines()))
    column = rows[0].index("Patient ID")
    table.write_text("\n".join(",".join(cell for at, cell in enumerate(row) if at != column) for row in rows))
    message = refuse(capsys, home, *train_on(root))
    assert "Patient ID" in message
    assert "Data_Entry_2017.csv" in message


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("truncated", None, "cut off"),
        ("empty", b"", "empty"),
        ("text", b"this is not an image at all", "is not a PNG"),
    ],
)
def test_train_refuses_damaged_images(
    name: str,
    content: bytes | None,
    reason: str,
    home: Path,
    nih_folder: MakeFolder,
    capsys: pytest.CaptureFixture[str],
) -> None:
    root = nih_folder()
    path = root / "images" / "00000003_000.png"
    path.write_bytes(path.read_bytes()[:200] if content is None else content)
    message = refuse(capsys, home, *train_on(root))
    assert "1 of 40 images" in message
    assert "00000003_000.png" in message
    assert reason in message
    assert "data.unreadable=drop" in message


def test_train_refuses_an_image_one_pixel_wide(
    home: Path, nih_folder: MakeFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    root = nih_folder()
    Image.fromarray(np.zeros((200, 1), np.uint8)).save(root / "images" / "00000003_000.png")
    assert "1 x 200" in refuse(capsys, home, *train_on(root))


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--backbone", "vit_tiny_patch16_224", "--method", "lora", "--rank", "0"], "method.rank is 0"),
        (["--backbone", "test_vit", "--method", "lora", "--rank", "4000"], "only 64 wide"),
        (["--backbone", "test_resnet", "--method", "lora", "--targets", "q,v"], "found nothing to adapt"),
        (["--backbone", "resnet81"], "Did you mean resnet18"),
        (["--backbone", "vit_tiny_patch16_224", "--image-size", "100"], "multiple of 16"),
        (["--backbone", "test_vit", "--image-size", "100"], "multiple of 16"),
        (["--backbone", "convnext_tiny", "--image-size", "16"], "cannot take images of 16 pixels"),
        (["--backbone", "test_resnet", "--pool", "token"], "no class token"),
        (["--method", "lorra"], "Did you mean 'lora'"),
        (["--lr", "-1"], "optim.lr is -1.0, but it must be above 0"),
        (["--fraction", "0"], "data.fraction is 0"),
        (["--fraction", "1.5"], "data.fraction is 1.5"),
        (["--epochs", "0"], "train.epochs is 0"),
        (["--batch-size", "0"], "train.batch_size is 0"),
        (["--device", "gpu"], "train.device"),
        (["--device", "cuda:7"], "no GPU is" if not torch.cuda.is_available() else "cuda:7"),
        (["--set", "optim.speed=3"], "no setting optim.speed"),
        (["--set", "rank"], "section.key=value"),
        (["--set", "method.size=3"], "no setting method.size"),
        (["--set", "data.colour=3"], "no setting data.colour"),
        (["--weights", "nowhere.safetensors"], "no weights file"),
        (["--weights", "pretrained", "--backbone", "resnet18"], "cannot be reached"),
    ],
)
def test_train_refuses_impossible_settings(
    arguments: list[str], sentence: str, home: Path, nih_folder: MakeFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    assert sentence in refuse(capsys, home, *train_on(nih_folder(), *arguments))


def test_train_refuses_the_base_of_another_model(
    home: Path, nih_folder: MakeFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "other.safetensors"
    safetensors.torch.save_file({"conv1.0.weight": torch.zeros(8, 3, 3, 3), "odd": torch.zeros(2)}, path)
    message = refuse(capsys, home, *train_on(nih_folder(), "--weights", str(path)))
    assert "conv1.0.weight" in message
    assert "test_resnet" in message


def test_train_refuses_patients_in_two_splits_by_name(
    home: Path, nih_folder: MakeFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    """The names, and both ways out, are in the sentence."""
    root = nih_folder()
    table = root / "Data_Entry_2017.csv"
    table.write_text(table.read_text().replace("Finding,0,38,", "Finding,0,0,"))  # image 38 now belongs to patient 0
    zeros = " ".join(["0"] * 14)
    names = [f"{index:08d}_000.png" for index in range(40)]
    for split, chosen in (("train", names[:28]), ("val", names[28:32]), ("test", names[32:])):
        lines = [
            f"{name} {zeros}" if int(name[:8]) % 2 == 0 else f"{name} {zeros[:12]}1{zeros[13:]}" for name in chosen
        ]
        (root / f"{split}_list.txt").write_text("\n".join(lines))
    message = refuse(capsys, home, *train_on(root))
    assert "data.patient_overlap=keep" in message
    assert "data.patient_overlap=resplit" in message
    assert main(["prepare", "nih", "--root", str(root)]) == 2
    assert "patient" in capsys.readouterr().out


def test_commands_on_runs_refuse_unknown_names(home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for command in ("show", "stop", "resume", "delete", "compare"):
        assert "no runs yet" in refuse(capsys, home, command, "20200101-0000-lora")
    picture = tmp_path / "a.png"
    Image.fromarray(np.zeros((64, 64), np.uint8)).save(picture)
    assert "no runs yet" in refuse(capsys, home, "predict", "../../etc", str(picture))


def test_view_refuses_what_is_no_image(home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "does not exist" in refuse(capsys, home, "view", str(tmp_path / "a.png"), "--out", str(tmp_path / "b.png"))
    text = tmp_path / "text.png"
    text.write_text("hello")
    assert "is not a PNG" in refuse(capsys, home, "view", str(text), "--out", str(tmp_path / "b.png"))
    assert not (tmp_path / "b.png").exists()


@pytest.mark.parametrize("kind", ["16-bit", "rgba"])
def test_view_reads_deep_and_transparent_files(kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Films come as 16-bit PNG, and NIH itself distributes some as RGBA: they are read, not refused."""
    ramp = np.tile(np.linspace(0, 4095, 64).astype(np.uint16), (64, 1))
    path, out = tmp_path / "film.png", tmp_path / "view.png"
    if kind == "16-bit":
        Image.fromarray(ramp).save(path)
    else:
        grey = (ramp >> 4).astype(np.uint8)
        Image.fromarray(np.dstack([grey, grey, grey, np.full_like(grey, 255)])).save(path)
    assert main(["view", str(path), "--out", str(out)]) == 0
    pixels = np.asarray(Image.open(out))
    assert pixels.shape == (64, 64)
    assert pixels.min() == 0
    assert pixels.max() == 255


def test_commands_refuse_a_home_that_is_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    monkeypatch.setenv("MEDPEFT_HOME", str(tmp_path / "file"))
    assert main(["runs"]) == 2
    assert "Set MEDPEFT_HOME to a folder that can be written." in capsys.readouterr().err


def test_commands_tell_a_full_disk_in_one_sentence(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fill_the_disk(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("medpeft_core.commands.runs.list_runs", fill_the_disk)
    assert main(["runs"]) == 2
    assert "The disk is full" in capsys.readouterr().err
