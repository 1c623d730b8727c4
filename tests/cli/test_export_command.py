"""Runs leave the lab and come into another one by the command line, with the same answers there."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from stored_pretrainings import make_pretraining
from stored_runs import make_run

from medpeft_core.cli import main
from medpeft_core.commands.console import ProgressBar
from medpeft_core.exports import EXPORTS


def run_json(capsys, *arguments: str) -> dict:
    capsys.readouterr()
    assert main([*arguments, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


@pytest.fixture
def image(tmp_path) -> Path:
    path = tmp_path / "film.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (80, 70), dtype=np.uint8)).save(path)
    return path


def test_export_and_import_give_the_same_answers_in_another_home(
    finished_home, finished, tmp_path, image, monkeypatch, capsys
):
    run_id = finished[1]["run_id"]
    exported = run_json(capsys, "export", run_id, str(tmp_path / "out"), "--as", "archive")
    assert exported["pushed_to"] is None
    assert exported["num_bytes"] == sum(item["num_bytes"] for item in exported["files"])
    here = run_json(capsys, "predict", run_id, str(image))
    shown = run_json(capsys, "show", run_id)
    monkeypatch.setenv("MEDPEFT_HOME", str(tmp_path / "other"))
    path = str(tmp_path / "out" / f"{run_id}.zip")
    imported = run_json(capsys, "import", path)
    assert (imported["run_id"], imported["is_new"]) == (run_id, True)
    assert not run_json(capsys, "import", path)["is_new"]
    there = run_json(capsys, "predict", run_id, str(image))
    assert there["images"][0]["probs"] == here["images"][0]["probs"]
    assert there["thresholds"] == here["thresholds"]
    assert run_json(capsys, "show", run_id)["metrics"] == shown["metrics"]
    explained = run_json(capsys, "explain", run_id, str(image), "--out", str(tmp_path / "cam.png"))
    assert Path(explained["out"]).is_file()
    make_run(tmp_path / "other")
    assert len(run_json(capsys, "compare", run_id, run_id)["runs"]) == 2


def test_export_writes_what_fits_by_default_with_a_card(finished_home, finished, tmp_path, capsys):
    run_id = finished[1]["run_id"]
    assert main(["export", run_id, str(tmp_path / "out")]) == 0
    shown = capsys.readouterr().out
    assert "PEFT adapter of " + run_id in shown
    assert "the outputs differ from the run's by at most" in shown
    assert "Note: " in shown
    about = json.loads((tmp_path / "out" / "export.json").read_text())
    assert about["format"] == "peft"
    for item in about["files"]:
        assert item["sha256"][:12] in shown
    card = (tmp_path / "out" / "README.md").read_text(encoding="utf-8")
    assert "library_name: peft" in card
    assert main(["export", run_id, str(tmp_path / "out")]) == 2
    assert "is not empty" in capsys.readouterr().err


def test_exports_lists_formats_and_why_some_do_not_fit(home, capsys):
    lora, ssf, pre = make_run(home), make_run(home, method="ssf"), make_pretraining(home)
    named = [item["name"] for item in run_json(capsys, "exports")["formats"]]
    assert named == [spec.name for spec in EXPORTS]
    for run, default, misfits in (
        (lora, "peft", {"tensors"}),
        (ssf, "tensors", {"peft"}),
        (pre, "archive", {"peft", "tensors", "merged", "onnx", "card"}),
    ):
        formats = run_json(capsys, "exports", run.run_id)["formats"]
        assert [item["name"] for item in formats if item["is_default"]] == [default]
        assert {item["name"] for item in formats if item["misfit"]} == misfits
    assert main(["exports", ssf.run_id]) == 0
    assert "no: the peft library" in capsys.readouterr().out


def test_export_refuses_before_anything_slow(home, tmp_path, capsys):
    ssf, pre = make_run(home, method="ssf"), make_pretraining(home)
    out = str(tmp_path / "out")
    for arguments, words in (
        ([ssf.run_id, out, "--as", "peft"], "cannot be exported as 'peft'"),
        ([ssf.run_id, out, "--as", "zip"], "There is no export format 'zip'"),
        ([pre.run_id, out, "--as", "merged"], "is a pre-training: it has no labels"),
        (["nothing", out], "There is no run 'nothing'"),
        ([ssf.run_id, out, "--checkpoint"], "give them with --as archive"),
        ([ssf.run_id, out, "--public"], "give one with --push OWNER/NAME"),
    ):
        assert main(["export", *arguments]) == 2
        assert words in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_export_of_a_pretraining_is_an_archive(home, tmp_path, capsys):
    run = make_pretraining(home)
    exported = run_json(capsys, "export", run.run_id, str(tmp_path / "out"), "--no-base")
    assert [item["name"] for item in exported["files"]] == [f"{run.run_id}.zip"]


def test_import_refuses_with_one_sentence(tmp_path, capsys):
    (tmp_path / "x.zip").write_bytes(b"no zip")
    assert main(["import", str(tmp_path / "x.zip")]) == 2
    assert "x.zip is no zip file" in capsys.readouterr().err


def test_ctrl_c_leaves_nothing(home, tmp_path, monkeypatch, capsys):
    run = make_run(home)
    export = ["export", run.run_id, str(tmp_path / "out"), "--as", "archive", "--no-base"]
    with monkeypatch.context() as patch:
        patch.setattr(ProgressBar, "__call__", _press_ctrl_c)
        assert main(export) == 130
        assert capsys.readouterr().err.endswith("Stopped.\n")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["home"]
    assert main(export) == 0
    monkeypatch.setenv("MEDPEFT_HOME", str(tmp_path / "other"))
    with monkeypatch.context() as patch:
        patch.setattr(ProgressBar, "__call__", _press_ctrl_c)
        assert main(["import", str(tmp_path / "out" / f"{run.run_id}.zip")]) == 130
        assert capsys.readouterr().err.endswith("Stopped.\n")
    assert [path.name for path in (tmp_path / "other").iterdir()] == [".import.lock"]


def _press_ctrl_c(bar: ProgressBar, what: str, done: int, total: int) -> None:
    if done:
        raise KeyboardInterrupt
