"""Deleted runs on the command line: found by a part of the name, listed, and honest words when nothing fits."""

import json
from pathlib import Path

import pytest
from stored_runs import make_run

from medpeft_core.cli import main
from medpeft_core.commands import runs as command
from medpeft_core.runs.states import FINISHED
from medpeft_core.runs.store import RunStore


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunStore:
    monkeypatch.setenv("MEDPEFT_HOME", str(tmp_path / "home"))
    return RunStore(tmp_path / "home")


def refuse(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(list(arguments)) == 2
    return capsys.readouterr().err


def test_restore_takes_a_part_of_the_name_as_delete_does(store: RunStore, capsys: pytest.CaptureFixture[str]) -> None:
    """`delete 641e` worked, `restore 641e` said that this is not the name of a run."""
    run, other = make_run(store.home), make_run(store.home, method="full")
    for item in (run, other):
        assert main(["delete", item.run_id[-4:]]) == 0
    assert main(["restore", run.run_id[-4:], "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"run_id": run.run_id, "restored": True}
    assert [item.run_id for item in store.list_runs()] == [run.run_id]
    assert main(["restore", "full"]) == 0
    assert len(store.list_runs()) == 2


def test_restore_says_what_is_in_the_trash(store: RunStore, capsys: pytest.CaptureFixture[str]) -> None:
    assert "is not in the trash, which is empty" in refuse(capsys, "restore", "641e")
    run, other = make_run(store.home), make_run(store.home, method="full")
    for item in (run, other):
        store.delete(item.run_id)
    message = refuse(capsys, "restore", "zzzz")
    assert run.run_id in message
    assert other.run_id in message
    assert "2 deleted runs fit" in refuse(capsys, "restore", run.run_id[:4])
    assert "No deleted run fits" in refuse(capsys, "restore", "../..")


def test_runs_deleted_lists_the_trash(store: RunStore, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["runs", "--deleted"]) == 0
    assert "The trash is empty" in capsys.readouterr().err
    run = make_run(store.home)
    deleted = store.delete(run.run_id)
    assert main(["runs", "--deleted", "--json"]) == 0
    (item,) = json.loads(capsys.readouterr().out)["deleted"]
    assert item == {
        "run_id": run.run_id,
        "deleted_at": deleted.deleted_at,
        "kept_until": deleted.kept_until,
        "num_bytes": deleted.measure(),
    }
    assert main(["runs", "--deleted"]) == 0
    printed = capsys.readouterr().out
    assert run.run_id in printed
    assert "7.0" in printed


def test_stop_of_a_run_that_finishes_meanwhile_says_so(
    store: RunStore, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It said "To go on: resume", and `resume` then refused."""
    run = make_run(store.home, status="running")

    def finish(store, run, process):
        run.write_state(status=FINISHED, pid=None)
        return run.state()

    monkeypatch.setattr(command, "stop_worker", finish)
    assert main(["stop", run.run_id]) == 0
    told = capsys.readouterr().err
    assert "had finished" in told
    assert "resume" not in told
