"""`finding` as a user runs it, with real workers on a small protocol: stopped, continued, and stored."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from commands_run import run_command

from medpeft_core.cli import main
from medpeft_core.lessons.stored import load_stored
from medpeft_core.runs import RunStore

TIMEOUT_S = 240


def write_protocol(folder: Path) -> Path:
    """LoRA and full fine-tuning, one fraction, two seeds, one epoch each."""
    grid, lr = [0.001, 0.003], {"1": 0.001}
    data = {"dataset": "phantom", "options": {"num_patients": 30, "size": 64, "seed": 3}}
    methods = {
        "lora": {"method": {"name": "lora", "knobs": {"rank": 2, "targets": "q,v"}}},
        "full": {"method": {"name": "full"}},
    }
    values = {
        "data": data,
        "development": {"data": data, "seed": 60},
        "fractions": [{"fraction": 1.0, "seeds": [1, 2], "epochs": 1, "batch_size": 16, "eval_every": 2}],
        "methods": {
            name: {**part, "title": name, "weights": "demo", "grid": grid, "lr": lr} for name, part in methods.items()
        },
        "short": {"methods": ["lora", "full"], "fractions": [1.0], "num_seeds": 1},
        "settings": {
            "train": {"device": "cpu", "precision": "fp32", "cpu_threads": 1},
            "evaluation": {"bootstrap_samples": 100},
        },
    }
    path = folder / "protocol.json"
    path.write_text(json.dumps(values))
    return path


def start(home: Path, arguments: list[str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "medpeft_core", "finding", *arguments],
        env={**os.environ, "MEDPEFT_HOME": str(home)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_finding_is_stopped_continued_and_stored(tmp_path: Path) -> None:
    """Ctrl-C as soon as the first run is done; the same command then makes what is missing, and nothing twice."""
    home, protocol = tmp_path / "home", write_protocol(tmp_path)
    arguments = ["--protocol", str(protocol), "--json"]
    process = start(home, arguments)
    assert process.stderr is not None
    told = []
    for line in process.stderr:
        told.append(line)
        if re.match("[12] of 4 ", line):  # on two cores two end at about the same time
            process.send_signal(signal.SIGINT)
            break
    output, rest = process.communicate(timeout=TIMEOUT_S)
    text = "".join(told) + rest
    assert process.returncode == 130, text
    assert "lora at 100% of the labels: 2 runs, about" in text, "the time is told before it starts"
    assert "Stopped. The same command goes on from here." in text
    first = json.loads(output)
    assert 1 <= first["cells_done"] < 4
    kept = {run.run_id for run in RunStore(home).list_runs() if run.status == "finished"}

    done = run_command(["finding", *arguments, "--store", str(tmp_path / "stored")], home)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert (result["cells_done"], result["cells_all"]) == (4, 4)
    assert result["words"] in done.stderr
    runs = RunStore(home).list_runs()
    assert {run.status for run in runs} == {"finished"}
    assert len(runs) == 4, "none was made twice"
    assert kept <= {run.run_id for run in runs}
    assert {run.state().device for run in runs} <= {f"cpu:{number}" for number in range(8)}
    assert {(run.metrics() or {})["training"]["num_threads"] for run in runs} == {1}
    stored = load_stored(tmp_path / "stored")
    assert stored is not None
    assert stored.result["points"] == result["points"]

    again = run_command(["finding", *arguments], home)
    assert "All 4 runs are there already." in again.stderr
    assert json.loads(again.stdout) == result, "the same numbers from the same files"


def test_search_takes_no_other_options(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["finding", "--search", "--short"]) == 2
    assert "--search tries learning rates only" in capsys.readouterr().err


def test_missing_protocol_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["finding", "--protocol", str(tmp_path / "none.json")]) == 2
    assert "cannot be used: FileNotFoundError" in capsys.readouterr().err


def test_search_finds_the_best_rate_and_warns_of_an_edge(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With two rates the best one lies at an edge in any case. The runs are there already: the command makes none."""
    from medpeft_core.lessons.protocol import load_protocol

    path = write_protocol(tmp_path)
    protocol, store = load_protocol(path), RunStore(tmp_path / "home")
    monkeypatch.setenv("MEDPEFT_HOME", str(tmp_path / "home"))
    store.index.queued()
    for cell in protocol.list_search_cells():
        run = store.create(protocol.build_config(cell, role="development"), provenance={}, device="cpu")
        run.save_metrics({"val_auroc": 0.6 + (0.1 if cell.lr == 0.003 else 0.0)})
        run.write_state(status="finished")
    assert main(["finding", "--search", "--protocol", str(path), "--json"]) == 0
    captured = capsys.readouterr()
    found: dict[str, Any] = json.loads(captured.out)
    assert {row["lr"] for row in found["best"]} == {0.003}
    assert len(found["search"]) == 4
    assert "lora at 100% is best at 0.003, the highest rate of its grid." in captured.err
    assert main(["finding", "--search", "--protocol", str(path)]) == 0
    assert "best" in capsys.readouterr().out
