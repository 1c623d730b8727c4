"""LabIndex: locks, queue, stops and heartbeats of several processes, and a file that may vanish or be damaged."""

import os
import sqlite3
import subprocess
import sys

import pytest

from medpeft_core.config import RunConfig
from medpeft_core.errors import RunError
from medpeft_core.runs import LabIndex, RunStore
from medpeft_core.runs.liveness import process_identity

ME = process_identity(os.getpid())


@pytest.fixture
def store(tmp_path):
    return RunStore(tmp_path)


@pytest.fixture
def index(store):
    return store.index


def identity_of_a_dead_process():
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    identity = process_identity(process.pid)
    process.communicate()
    return identity


def test_index_claims_a_device_for_one_run_only(index):
    assert index.device_holder("cpu") is None
    assert index.claim_device("cpu", "a", *ME)
    assert index.claim_device("cpu", "a", *ME), "the same claim again"
    assert not index.claim_device("cpu", "b", *ME)
    assert index.claim_device("cuda:0", "b", *ME)
    assert index.device_holder("cpu").run_id == "a"


def test_index_takes_over_the_lock_of_a_dead_process(index):
    assert index.claim_device("cpu", "a", *identity_of_a_dead_process())
    assert index.device_holder("cpu") is None
    assert index.claim_device("cpu", "b", *ME)
    assert index.device_holder("cpu").run_id == "b"


def test_index_takes_a_reused_pid_for_another_process(index):
    assert index.claim_device("cpu", "a", ME[0], ME[1] - 60)
    assert index.claim_device("cpu", "b", *ME)


def test_index_releases_a_device_for_its_holder_only(index):
    index.claim_device("cpu", "a", *ME)
    index.release_device("cpu", "b")
    assert index.device_holder("cpu").run_id == "a"
    index.release_device("cpu", "a")
    assert index.device_holder("cpu") is None


def test_index_hands_a_device_over_to_one_worker(index):
    assert not index.hand_over_device("cpu", "a", *ME), "nobody claimed it"
    index.claim_device("cpu", "a", *ME)
    assert not index.hand_over_device("cpu", "b", *ME), "another run"
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    assert index.hand_over_device("cpu", "a", *process_identity(child.pid))
    assert index.device_holder("cpu").pid == child.pid
    assert not index.hand_over_device("cpu", "a", *ME), "a living worker has it"
    child.communicate()
    assert index.hand_over_device("cpu", "a", *ME)


def test_index_queue_keeps_its_order(index):
    for name in ("b", "a", "c"):
        index.enqueue(name, "cpu")
    index.enqueue("a", "cpu")
    assert [entry.run_id for entry in index.queued()] == ["b", "a", "c"]
    assert index.dequeue("b")
    assert not index.dequeue("b"), "somebody else was faster"
    index.enqueue("b", "cpu")
    assert [entry.run_id for entry in index.queued()] == ["a", "c", "b"]


def test_index_stop_is_requested_acknowledged_and_cleared(index):
    assert not index.is_stop_requested("a")
    index.request_stop("a")
    assert index.is_stop_requested("a")
    assert not index.is_stop_acknowledged("a")
    index.acknowledge_stop("a")
    index.request_stop("a")
    assert index.is_stop_acknowledged("a"), "asking again does not take the answer back"
    index.clear_stop("a")
    assert not index.is_stop_requested("a")


def test_index_enqueue_forgets_an_old_stop_request(index):
    index.request_stop("a")
    index.enqueue("a", "cpu")
    assert not index.is_stop_requested("a")


def test_index_beat_is_remembered_and_survives_a_full_disk(index, monkeypatch):
    assert index.last_beat("a") is None
    assert index.beat("a")
    assert index.last_beat("a") > 1.6e9

    def full(*_):
        raise RunError("The lab's index cannot be used: database or disk is full.")

    monkeypatch.setattr(index._database, "change", full)
    assert not index.beat("a")


def test_index_listing_round_trips(index):
    index.save_listing("a", "1-2", {"status": "finished", "metrics": {"x": 0.5}})
    assert index.listing() == {"a": ("1-2", {"status": "finished", "metrics": {"x": 0.5}})}


def make_three_runs(store):
    """Two queued runs and one that this process trains; the index knows the later queued one first."""
    older, newer, trained = (store.create(RunConfig(), provenance={}, device="cpu") for _ in range(3))
    queued = sorted([older.run_id, newer.run_id])
    for run_id in reversed(queued):
        store.index.enqueue(run_id, "cpu")
    trained.write_state(status="running", pid=ME[0], pid_started=ME[1], device="cuda:0")
    store.index.claim_device("cuda:0", trained.run_id, *ME)
    waiting = store.create(RunConfig(), provenance={}, device="cpu")
    waiting.write_state(pid=ME[0], pid_started=ME[1])  # its own process waits, so nobody else may start it
    return queued, trained.run_id


def delete(path):
    path.unlink()


def overwrite_all(path):
    path.write_bytes(b"garbage " * 2000)


def overwrite_behind_the_header(path):
    data = bytearray(path.read_bytes())
    data[100:] = b"\xa5" * (len(data) - 100)
    path.write_bytes(bytes(data))


def truncate(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2 + 13])


def empty(path):
    path.write_bytes(b"")


def change_schema_version(path):
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version=99")
    connection.close()


def lose_a_table(path):
    connection = sqlite3.connect(path)
    connection.execute("DROP TABLE locks")
    connection.execute("DROP TABLE queue")
    connection.close()


DAMAGES = [
    delete,
    overwrite_all,
    overwrite_behind_the_header,
    truncate,
    empty,
    change_schema_version,
    lose_a_table,
]


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_index_is_rebuilt_from_the_run_folders(store, damage):
    queued, trained = make_three_runs(store)
    damage(store.index.path)
    assert [entry.run_id for entry in store.index.queued()] == queued, "in the order of their names"
    assert store.index.device_holder("cuda:0").run_id == trained
    assert not store.index.claim_device("cuda:0", queued[0], *ME)
    assert store.index.claim_device("cpu", queued[0], *ME)


def test_index_keeps_a_damaged_file_beside_the_new_one(store):
    make_three_runs(store)
    overwrite_all(store.index.path)
    store.index.queued()
    assert (store.home / "lab.sqlite.damaged").read_bytes().startswith(b"garbage")


def test_index_in_a_folder_that_is_missing_is_made(tmp_path):
    assert LabIndex(tmp_path / "new" / "home").queued() == []


def test_index_that_cannot_be_written_is_a_users_error(store, monkeypatch):
    """On a full disk a page showed a traceback of sqlite."""

    def full(connection):
        connection.execute("PRAGMA max_page_count=1")
        connection.execute("CREATE TABLE big (x)")

    store.index.queued()
    with pytest.raises(RunError, match=r"lab\.sqlite cannot be used: .*full.*Free some space"):
        store.index._database.change(full)
    assert store.index.queued() == []


def test_index_bug_stays_loud(store):
    with pytest.raises(sqlite3.OperationalError, match="syntax"):
        store.index._database.change(lambda connection: connection.execute("SELEKT 1"))
