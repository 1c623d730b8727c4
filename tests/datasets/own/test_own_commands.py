"""Own data on the command line: looked at, added, prepared by name, shared, opened and removed; and as a job."""

import json
import time
from pathlib import Path

import pytest
from own_files import make_folders, make_table

from medpeft_core.cli import main
from medpeft_core.datasets.own.store import add_data
from medpeft_core.worker.jobs import JobStore


@pytest.fixture
def run(capsys):
    """`run(*words)` gives exit code, what was printed (parsed where it is JSON), and what was told."""

    def call(*words):
        code = main([str(word) for word in words])
        printed, told = capsys.readouterr()
        return code, json.loads(printed) if "--json" in words and printed else printed, told

    return call


@pytest.fixture
def labels(tmp_path):
    rows = "".join(f"{number:02d}.png;{number % 2};{number // 2}\n" for number in range(24))
    return make_table(tmp_path / "my films", f"Datei;Befund;Patient\n{rows}", images=24)


def test_own_commands_follow_a_set_from_a_folder_to_another_home(run, labels, tmp_path, monkeypatch):
    code, found, _ = run("data", "look", labels, "--json")
    assert (code, found["form"], found["labels"], found["is_usable"]) == (0, "table", ["Befund"], True)
    code, printed, _ = run("data", "look", labels)
    assert "Read as table: 24 images of 12 patients, 1 label." in printed
    assert f"data add NAME --root '{labels}' --form table" in printed
    code, stored, _ = run("data", "add", "films", "--root", labels, "--set", "data.uncertain=ones", "--json")
    assert (code, stored["options"]["uncertain"], stored["counts"]["patients"]) == (0, "ones", 12)
    code, listed, _ = run("data", "list", "--json")
    assert [item["name"] for item in listed["data"]] == ["films"]
    assert "films" in run("data")[1]
    assert "films" in [item["name"] for item in run("datasets", "--json")[1]["datasets"]]
    code, shared, _ = run("data", "share", "films", tmp_path, "--with-images", "--json")
    assert (code, shared["fingerprint"], shared["num_images"]) == (0, stored["fingerprint"], 24)
    monkeypatch.setenv("MEDPEFT_HOME", str(tmp_path / "other"))
    code, opened, _ = run("data", "open", shared["path"], "--json")
    assert (code, opened["fingerprint"], opened["num_missing"]) == (0, stored["fingerprint"], 0)
    code, _, told = run("data", "open", shared["path"])
    assert (code, "is here already" in told) == (2, True)
    code, printed, _ = run("data", "remove", "films")
    assert (code, printed) == (0, "Removed films and its images.\n")
    assert "No data sets of your own so far" in run("data")[1]


def test_own_commands_say_what_is_wrong(run, labels, tmp_path):
    (labels / "labels.csv").write_text("Datei,Befund\n00.png,1\n01.png,0\n00.png,0\n")
    code, printed, _ = run("data", "look", labels)
    assert (code, "Problem: In labels.csv, lines 2 and 4 are about the same image" in printed) == (1, True)
    code, _, told = run("data", "add", "films", "--root", labels)
    assert (code, "lines 2 and 4" in told) == (2, True)
    assert run("data", "add", "nih", "--root", labels)[0] == 2
    assert run("data", "add", "films", "--root", tmp_path / "gone")[0] == 2
    assert "must be folder, table or dicom" in run("data", "look", labels, "--form", "zip")[2]
    assert "There is no setting data.colour" in run("data", "look", labels, "--set", "data.colour=1")[2]
    assert "has no meaning here" in run("data", "look", labels, "--set", "data.root=x")[2]
    assert "no data set of your own" in run("data", "share", "films", tmp_path)[2]


def test_own_forms_are_prepared_without_being_stored(run, labels, tmp_path):
    words = ["--set", "data.cache_size=16", "--json"]
    code, report, _ = run("prepare", "table", "--root", labels, "--set", "data.table=labels.csv", *words)
    assert (code, report["num_images"], report["num_patients"]) == (0, 24, 12)
    code, report, _ = run("prepare", "folder", "--root", make_folders(tmp_path / "in"), *words)
    assert (code, report["num_images"]) == (0, 12)
    assert "needs the folder it lies in" in run("prepare", "dicom", *words)[2]


def test_own_set_is_prepared_by_its_name(run, tmp_path):
    root = make_folders(tmp_path / "in", count=12)
    add_data(name="my_films", form="folder", options={"patient_pattern": "{id}_*"}, root=str(root))
    code, report, _ = run("prepare", "my-films", "--set", "data.cache_size=16", "--json")
    assert (code, report["title"], report["num_patients"]) == (0, "My films", 12)
    root.rename(tmp_path / "moved")
    code, _, told = run("prepare", "my_films")
    assert (code, "Give the folder that holds them now" in told) == (2, True)
    assert run("prepare", "my_films", "--root", tmp_path / "moved", "--set", "data.cache_size=16")[0] == 0


def wait_for(job):
    """The state of a job when it is over."""
    give_up_at = time.monotonic() + 60
    while not job.is_finished and time.monotonic() < give_up_at:
        time.sleep(0.05)
    return job.state()


def test_own_set_is_added_by_a_job(labels, home):
    jobs = JobStore(home)
    options = {
        "name": "films",
        "title": "Films",
        "form": "table",
        "options": {"table": "labels.csv"},
        "root": str(labels),
    }
    job = jobs.start("add_data", "Adding films", options=options)
    state = wait_for(job)
    assert state.result is not None, state.error
    assert state.result["data"] == {"dataset": "films"}
    path = str(labels.parent / "to_share.medpeft.zip")
    sharing = {"name": "films", "path": path, "with_images": True}
    shared = wait_for(jobs.start("share_data", "Sharing films", options=sharing))
    assert shared.result is not None, shared.error
    assert (shared.result["path"], Path(path).stat().st_size) == (path, shared.result["num_bytes"])
    assert shared.result["num_images"] == state.result["counts"]["images"]
    again = wait_for(jobs.start("add_data", "Adding films again", options=options))
    assert (again.status, "There is a data set 'films' already" in again.error) == ("failed", True)


def test_own_commands_tell_each_thing_once(run, tmp_path, monkeypatch):
    rows = "".join(f"{number:02d}.png;{number % 2};{number // 2}\n" for number in range(24))
    root = make_table(tmp_path / "in", f"Datei;Befund;Patient\n{rows}99.png;1;7\n", images=24)
    code, _, told = run("data", "add", "films", "--root", root)
    assert (code, told.count("are not on disk"), "Warning: 1 of 25 images" in told) == (0, 1, True)
    assert "Add it with" not in run("data", "look", root, "--set", "data.ordered=a,b")[1]
    shared = run("data", "share", "films", tmp_path, "--json")[1]["path"]
    monkeypatch.setenv("MEDPEFT_HOME", str(tmp_path / "other"))
    code, printed, told = run("data", "open", shared)
    assert (code, "its images are not in it: give --root DIR" in told) == (0, True)
    assert printed.endswith("train --dataset films --root DIR\n")
