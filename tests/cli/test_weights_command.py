"""`weights` on the command line: look into files, keep them on the shelf, list, show and remove them."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fake_hub import FakeHub, FakeRepo, let_client_reach, open_hub
from foreign_files import BACKBONE, write_mae_file

from medpeft_core.backbones.key_report import KeyRow
from medpeft_core.backbones.known_weights import KNOWN_WEIGHTS
from medpeft_core.backbones.shelf import list_shelf
from medpeft_core.cli import main
from medpeft_core.commands.weights_check import fold_rows

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str]) -> Run:
    """`run("list")` gives the exit code, stdout and stderr of `weights list`, with the spaces of tables folded."""

    def call(*arguments: str) -> tuple[int, str, str]:
        code = main(["weights", *arguments])
        captured = capfd.readouterr()
        return code, " ".join(captured.out.split()), " ".join(captured.err.split())

    return call


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "mae.pth"
    write_mae_file(path)
    return path


@pytest.fixture
def hub(file: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    with open_hub() as server:
        server.repos["lab/mae"] = FakeRepo(files={"mae.pth": file.read_bytes()}, licence="cc-by-4.0")
        let_client_reach(server, monkeypatch)
        yield server


def read(text: str) -> Any:
    return json.loads(text)


def test_weights_from_the_first_to_the_last(home: Path, file: Path, run: Run) -> None:
    assert "no weights in this home yet" in run()[1]
    code, out, _ = run("add", str(file), "--backbone", BACKBONE, "--licence", "MIT", "--normalisation", "mrm")
    assert code == 0
    assert "On the shelf: mae" in out
    assert out.endswith("python -m medpeft_core train --backbone test_vit --weights shelf:mae")
    assert (
        "on the shelf already, as 'mae'"
        in run("add", str(file), "--backbone", BACKBONE, "--normalisation", "mrm", "--name", "other")[1]
    )
    (row,) = read(run("list", "--json")[1])["weights"]
    assert (row["kind"], row["name"], row["licence"], row["can_go"], row["run_ids"]) == (
        "shelf",
        "mae",
        "MIT",
        True,
        [],
    )
    assert read(run("--json")[1]) == {"weights": [row]}
    shown = read(run("show", "mae", "--json")[1])
    assert (shown["sha256"], shown["is_intact"], shown["mean"]) == (row["sha256"], True, [0.4978] * 3)
    assert f"{row['sha256']} (checked)" in run("show", "mae")[1]
    assert read(run("check", "shelf:mae", "--json")[1])["fits"] is True
    assert read(run("remove", "mae", "--json")[1]) == {"name": "mae", "removed": True, "num_bytes": row["num_bytes"]}
    code, _, err = run("remove", "mae")
    assert (code, "There are no weights 'mae' on the shelf" in err) == (2, True)


def test_weights_check_tells_the_fate_of_each_tensor(home: Path, file: Path, run: Run) -> None:
    code, out, _ = run("check", str(file), "--backbone", BACKBONE, "--pool", "avg")
    assert code == 0
    assert "blocks.*.attn.qkv.weight" in out
    assert "decoder_blocks.*" in out
    assert "Layout mae under 'model'. Beside them, not used: optimizer, epoch, args." in out
    code, out, _ = run("check", str(file), "--backbone", "vit_tiny_patch16_224")
    assert code == 2
    assert out.index("shape") < out.index("dropped")
    assert "It cannot be loaded into vit_tiny_patch16_224. First of all" in out
    code, out, _ = run("check", str(file), "--backbone", "vit_tiny_patch16_224", "--json")
    assert (code, read(out)["fits"]) == (2, False)
    assert run("check", str(file))[2].endswith("--backbone, such as vit_base_patch16_224.")
    assert "Only files of this computer" in run("check", "hf:a/b", "--backbone", BACKBONE)[2]
    assert not home.exists()  # looking into a file leaves nothing


def test_weights_check_folds_what_differs_in_a_number_only() -> None:
    def row(source: str, fate: str = "loaded", found: tuple[int, ...] = (4,)) -> KeyRow:
        return KeyRow(source=source, target=source if fate == "loaded" else "", found=found, needed=None, fate=fate)

    rows = [row(f"blocks.{number}.norm1.weight") for number in range(12)] + [row("head2.weight")]
    rows += [row("blocks.12.norm1.weight", found=(5,))]
    rows += [row("decoder_blocks.0.bias", "dropped"), row("decoder_blocks.1.weight", "dropped", (8,))]
    folded = [(item.source, item.found, count) for item, count in fold_rows(rows)]
    assert folded == [
        ("blocks.*.norm1.weight", (4,), 12), ("head2.weight", (4,), 1), ("blocks.*.norm1.weight", (5,), 1),
        ("decoder_blocks.*", None, 2),
    ]  # fmt: skip


def test_weights_of_the_hub_are_described_and_asked_for(home: Path, hub: FakeHub, run: Run) -> None:
    code, _, err = run("add", "hf:lab/mae", "--backbone", BACKBONE)
    assert code == 2
    assert "mae.pth of lab/mae at commit 0123456789ab" in err
    assert "licence: cc-by-4.0" in err
    assert err.endswith("from the hub. Say that it may: add --yes.")
    assert [text for text in hub.requests if "/resolve/" in text] == []  # described only
    code, out, _ = run("add", "hf:lab/mae", "--backbone", BACKBONE, "--yes", "--json")
    assert (code, read(out)["licence"], read(out)["was_there"]) == (0, "cc-by-4.0", False)
    assert [entry.name for entry in list_shelf(home)] == ["mae"]


def test_weights_known_are_listed_and_shown(run: Run) -> None:
    known = read(run("known", "--json")[1])["known"]
    assert [item["name"] for item in known] == KNOWN_WEIGHTS.names()
    assert known
    for item in known:
        code, out, _ = run("known", item["name"])
        assert (code, item["title"] in out, item["backbone"] in out) == (0, True, True)
        assert f"--known {item['name']}" in out
    code, _, err = run("known", known[0]["name"] + "x")
    assert (code, f"Did you mean {known[0]['name']!r}" in err) == (2, True)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["add", "none.pth", "--backbone", BACKBONE], "There is no weights file 'none.pth'"),
        (["add", "--backbone", BACKBONE], "Say which weights"),
        (["add", "x", "--known", "nothing"], "There is no known weights 'nothing'"),
        (["add", "hf:../x", "--backbone", BACKBONE], "is no repository of the hub"),
        (["show", "../../etc/passwd"], "is no name of weights on the shelf"),
        (["remove", "../x"], "is no name of weights on the shelf"),
        (["check", "shelf:x"], "There are no weights 'x' on the shelf. It is empty."),
    ],
)
def test_weights_refuses_in_a_sentence(run: Run, arguments: list[str], message: str) -> None:
    code, _, err = run(*arguments)
    assert (code, message in err) == (2, True), err
