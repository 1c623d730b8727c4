"""The commands `datasets` and `fetch`: lists, cards, what is missing, what is asked first, and exit codes."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from medpeft_core.cli import main
from medpeft_core.datasets import DATASETS, downloads


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MEDPEFT_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(downloads, "RETRY_WAIT_S", 0.0)
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")  # nothing listens there: no test reaches the internet
    return tmp_path / "home"


def read_json(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> dict:
    assert main([*arguments, "--json"]) == code
    return json.loads(capsys.readouterr().out)


def test_the_table_and_its_json_hold_every_set(capsys):
    listed = read_json(capsys, "datasets")["datasets"]
    assert [item["name"] for item in listed] == DATASETS.names()
    assert {"title", "modality", "size", "labels", "licence", "options", "can_fetch"} <= set(listed[0])
    assert main(["datasets"]) == 0
    out = capsys.readouterr().out
    assert all(name in out for name in DATASETS.names())


def test_a_card_tells_terms_settings_and_what_is_missing(capsys, tmp_path):
    assert main(["datasets", "nih", "--root", str(tmp_path / "no such folder")]) == 2
    assert "There is no folder" in capsys.readouterr().err
    assert main(["datasets", "nih"]) == 0
    out = capsys.readouterr().out
    for text in ("Licence: Use is unrestricted", "Cite: Wang X", "--set data.lists=auto", "One of auto, nih,"):
        assert text in out
    assert "Give its folder with --root DIR" in out
    assert main(["datasets", "rsna", "--root", str(tmp_path)]) == 1
    out = capsys.readouterr().out
    assert out.startswith(f"In {tmp_path}:\n  [ ] MISSING"), "the check comes first"
    assert "Labels: 1 label: Pneumonia" in out
    assert out.endswith(f"\nNot usable: {out.count('] MISSING')} parts are missing.\n")
    chosen = ("--root", str(tmp_path), "--set", "data.labels=nine")
    card = read_json(capsys, "datasets", "fitzpatrick17k", *chosen, code=1)
    card = card["dataset"]
    assert card["missing"] == ["fitzpatrick17k.csv", "photographs"]
    assert card["chosen"]["labels"] == "nine"
    assert card["offer"]["num_files"] == 16_578


def test_a_card_of_a_folder_with_a_broken_table_is_no_error(capsys, tmp_path):
    (tmp_path / "fitzpatrick17k.csv").write_text("a,b\n1,2\n")
    card = read_json(capsys, "datasets", "fitzpatrick17k", "--root", str(tmp_path), code=1)["dataset"]
    assert "lacks the column md5hash" in card["parts"][0]["detail"]
    assert card["offer"] is None


def test_an_offer_names_the_command_with_its_settings(capsys):
    assert main(["datasets", "medmnist", "--set", "data.name=retinamnist", "--set", "data.size=28"]) == 0
    out = capsys.readouterr().out
    assert "Download: 1 file, at most 3.6 MiB, from zenodo.org/records/10519652. Licence: CC BY 4.0." in out
    assert "python -m medpeft_core fetch medmnist --set data.name=retinamnist --set data.size=28" in out


def test_fetch_asks_first_and_downloads_nothing_unasked(capsys, home):
    assert main(["fetch", "medmnist"]) == 2
    captured = capsys.readouterr()
    assert "at most 3.1 MiB, from zenodo.org" in captured.err
    assert "Say that it may: add --yes." in captured.err
    assert captured.out == ""
    assert not home.exists()


def test_fetch_fails_with_what_to_do(capsys):
    assert main(["fetch", "medmnist", "--yes", "--json"]) == 2
    captured = capsys.readouterr()
    assert "cannot be downloaded" in captured.err
    assert "get the file by other means" in captured.err
    assert captured.out == ""


def test_fetch_tells_that_it_is_there(capsys, home):
    place = home / "datasets" / "medmnist" / "breastmnist_64.npz"
    place.parent.mkdir(parents=True)
    place.write_bytes(b"")
    assert read_json(capsys, "fetch", "medmnist")["was_there"] is True
    assert main(["fetch", "medmnist"]) == 0
    assert "is here already. Next: python -m medpeft_core prepare medmnist" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(["fetch", "nih"], "The lab cannot download NIH ChestX-ray14"), (["fetch", "nhi"], "Did you mean 'nih'?"),
     (["fetch", "fitzpatrick17k", "--yes"], "give one (--root DIR)"), (["datasets", "nhi"], "Did you mean 'nih'?"),
     (["datasets", "--root", "/x"], "give its name"), (["datasets", "nih", "--set", "data.no=1"], "data.no")],
)  # fmt: skip
def test_mistakes_are_told_in_one_sentence(capsys, arguments, message):
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert message in " ".join(captured.err.split())
    assert captured.out == ""


def test_listing_stays_light():
    """A list of names that takes seconds, because torch is loaded for it, is not asked for twice."""
    code = (
        "import sys; from medpeft_core.cli import main; main(['datasets', 'medmnist', '--json'])\n"
        "assert not {'torch', 'medmnist', 'sklearn', 'pydicom'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
