"""The way to the compute process and back: order, slots, deaths, time limits. With real processes."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from pathlib import Path
from typing import Any

import psutil
import pytest
from stand_in import wait_until

from medpeft_core.errors import ComputeError, DataError
from medpeft_core.worker.compute import ComputeClient

# A compute process with requests of its own and without torch, which talks where it should not.


PROGRAM = """
import os, subprocess, sys, time
from pathlib import Path
from medpeft_core.datasets.images import UnreadableImageError
from medpeft_core.errors import DataError, MedPeftError
from medpeft_core.worker.compute_process import serve

done = []


def work(name="", seconds=0.0):
    done.append(name)
    time.sleep(seconds)
    return {"name": name, "pid": os.getpid(), "done": list(done)}


def chatter():
    print("a library prints")
    os.write(1, b'{"answer": {"forged": true}}\\n')
    subprocess.run([sys.executable, "-c", "print('a child process prints', input is not None)"], check=True)
    return {"stdin": sys.stdin.read()}


def fail(what):
    if what == "data":
        raise DataError("The folder is empty. Fill it.")
    if what == "image":
        raise UnreadableImageError(Path("a.png"), "is cut off", "Get it again.")
    if what == "memory":
        raise MemoryError
    if what == "disk":
        raise OSError(28, "No space left on device")
    return 1 / 0


def spin(path):
    Path(path).write_text(str(os.getpid()))
    while True:
        pass


def load():
    print("noise while importing")
    return {"ping": dict, "work": work, "speed": work, "launch": work, "chatter": chatter, "fail": fail,
            "spin": spin, "die": lambda: os.kill(os.getpid(), 9), "nan": lambda: {"value": float("nan")}}

serve(load)
"""


@pytest.fixture
def make_client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., ComputeClient]]:
    """`make_client(source)` gives a client of a process that runs `source`; all are closed at the end."""
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    clients = []

    def make(source: str = PROGRAM, **options: Any) -> ComputeClient:
        (tmp_path / "compute_test_program.py").write_text(source)
        clients.append(ComputeClient(tmp_path / "home", program="compute_test_program", **options))
        return clients[-1]

    yield make
    for client in clients:
        client.close()


def read_log(tmp_path: Path) -> str:
    return (tmp_path / "home" / "compute.log").read_text()


def keep_busy(client: ComputeClient, seconds: float) -> None:
    """Give the client work and return when it has begun."""
    future = client.submit("work", name="busy", seconds=seconds)
    wait_until(future.running, "the request begins")


def test_client_starts_nothing_before_it_is_asked(make_client, tmp_path):
    client = make_client()
    assert not (tmp_path / "home").exists()
    assert not client.is_warm
    started = time.monotonic()
    client.warm_up()
    assert time.monotonic() - started < 0.5, "warm_up must not wait"
    wait_until(lambda: client.is_warm, "the process is warm")
    assert client.request("work", name="a")["name"] == "a"


def test_client_keeps_one_process_and_a_fresh_log(make_client, tmp_path):
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "compute.log").write_text("of an earlier process\n")
    client = make_client()
    pids = {client.request("work")["pid"] for _ in range(3)}
    assert len(pids) == 1
    assert "noise while importing" in read_log(tmp_path)
    assert "earlier" not in read_log(tmp_path)


def test_client_gets_answers_in_spite_of_what_libraries_print(make_client, tmp_path):
    client = make_client()
    assert client.request("chatter") == {"stdin": ""}
    assert client.request("work", name="next")["name"] == "next"
    for text in ("a library prints", '"forged"', "a child process prints"):
        assert text in read_log(tmp_path)


def test_client_raises_what_the_process_found_wrong(make_client, tmp_path):
    client = make_client()
    with pytest.raises(DataError, match="The folder is empty. Fill it."):
        client.request("fail", what="data")
    with pytest.raises(DataError, match="a.png is cut off. Get it again."):
        client.request("fail", what="image")
    assert "Traceback" not in read_log(tmp_path), "what a user can mend needs none"
    with pytest.raises(ComputeError, match="Memory ran out during 'fail'"):
        client.request("fail", what="memory")
    with pytest.raises(ComputeError, match="The disk is full"):
        client.request("fail", what="disk")
    with pytest.raises(ComputeError, match=r"'fail' met a fault of the lab \(ZeroDivisionError.*compute.log"):
        client.request("fail", what="bug")
    assert "ZeroDivisionError" in read_log(tmp_path)
    assert client.request("work")["pid"], "the process lives on"


def test_client_gets_null_for_nan(make_client):
    assert make_client().request("nan") == {"value": None}


def test_client_survives_the_death_of_the_process(make_client, tmp_path):
    """Out of memory looks like this: the system kills the process in the middle of its work."""
    client = make_client()
    first = client.request("work")["pid"]
    with pytest.raises(ComputeError, match=r"ended while it worked on 'die' \(signal 9; most likely memory ran out\)"):
        client.request("die")
    second = client.request("work")["pid"]
    assert second != first
    psutil.Process(second).kill()  # and once while nobody waits for it
    wait_until(lambda: not client.is_warm, "the process is gone")
    assert client.request("work")["pid"] not in (first, second)


def test_client_says_why_a_process_cannot_start(make_client):
    client = make_client("import a_package_that_is_missing\n")
    with pytest.raises(ComputeError, match=r"could not start \(exit code 1\).*No module named 'a_package_that_is_miss"):
        client.request("work")
    assert not client.is_warm


def test_submit_cancels_what_a_newer_request_of_its_slot_replaces(make_client):
    client = make_client()
    keep_busy(client, 1.0)
    outdated = client.submit("work", slot="form", name="old")
    other = client.submit("work", slot="image", name="other")
    newest = client.submit("work", slot="form", name="new")
    assert outdated.cancelled()
    assert newest.result(20)["name"] == "new"
    assert other.result(20)["done"] == ["busy", "other"]
    with pytest.raises(CancelledError):
        outdated.result(0)


def test_submit_leaves_a_request_that_has_begun(make_client):
    client = make_client()
    running = client.submit("work", slot="form", name="old", seconds=0.5)
    wait_until(running.running, "the request begins")
    newer = client.submit("work", slot="form", name="new")
    assert running.result(20)["name"] == "old"
    assert newer.result(20)["done"] == ["old", "new"]


def test_submit_takes_short_requests_before_speed(make_client):
    client = make_client()
    keep_busy(client, 1.0)
    started = time.monotonic()
    slow = client.submit("speed", name="speed")
    for name in ("first", "second"):
        client.submit("work", name=name)
    client.submit("launch", name="launch")
    assert time.monotonic() - started < 0.5, "submit must not wait"
    assert slow.result(20)["done"] == ["busy", "launch", "first", "second", "speed"]


def test_submit_refuses_what_is_not_json(make_client):
    client = make_client()
    with pytest.raises(TypeError, match="not JSON serializable"):
        client.submit("work", name=Path("a"))


def test_request_gives_up_and_kills_what_takes_too_long(make_client):
    client = make_client()
    pid = client.request("work")["pid"]
    with pytest.raises(ComputeError, match="'work' took longer than 0.5 s and was given up"):
        client.request("work", timeout_s=0.5, seconds=60)
    wait_until(lambda: not psutil.pid_exists(pid), "the process is gone")
    assert client.request("work")["pid"] != pid


def test_request_that_waits_too_long_leaves_the_others_alone(make_client):
    client = make_client()
    busy = client.submit("work", name="busy", seconds=1.5)
    wait_until(busy.running, "the request begins")
    with pytest.raises(ComputeError, match="'work' waited 0.3 s while the compute process was busy"):
        client.request("work", timeout_s=0.3, name="late")
    assert busy.result(20)["name"] == "busy"
    assert "late" not in client.request("work")["done"]


def test_submit_has_a_time_limit_of_its_own(make_client, monkeypatch):
    monkeypatch.setattr("medpeft_core.worker.compute.LIMIT_S", 0.5)
    client = make_client()
    with pytest.raises(ComputeError, match="took longer than 0.5 s"):
        client.submit("work", seconds=60).result(20)
    assert client.request("work", timeout_s=20)["pid"]


def test_client_serves_several_threads_at_once(make_client):
    client = make_client()
    found: dict[int, str] = {}
    threads = [
        threading.Thread(target=lambda number=number: found.update({number: client.request("work", name=f"n{number}")}))
        for number in range(12)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert {number: answer["name"] for number, answer in found.items()} == {n: f"n{n}" for n in range(12)}
    assert len({answer["pid"] for answer in found.values()}) == 1


def test_idle_process_ends_and_comes_back(make_client):
    client = make_client(idle_s=0.3)
    pid = client.request("work")["pid"]
    wait_until(lambda: not psutil.pid_exists(pid), "the process is gone")
    assert not client.is_warm
    assert client.request("work")["pid"] != pid


def test_close_kills_the_process_and_refuses_the_rest(make_client):
    client = make_client()
    pid = client.request("work")["pid"]
    busy = client.submit("work", seconds=60)
    wait_until(busy.running, "the request begins")
    waiting = client.submit("work")
    client.close()
    assert not psutil.pid_exists(pid)
    assert waiting.cancelled()
    with pytest.raises(ComputeError, match="shutting down"):
        busy.result(20)
    with pytest.raises(ComputeError, match="shutting down"):
        client.request("work")
    client.close()
    assert not client.is_warm


def test_process_ends_with_its_server_even_while_it_computes(make_client, tmp_path):
    """A server that is killed can clean up nothing; its helper must notice by itself."""
    make_client()  # for its program
    mark = tmp_path / "pid"
    server = (
        "from pathlib import Path; import time\n"
        "from medpeft_core.worker.compute import ComputeClient\n"
        f"client = ComputeClient(Path({str(tmp_path / 'home')!r}), program='compute_test_program')\n"
        f"client.submit('spin', path={str(mark)!r})\n"
        "time.sleep(600)\n"
    )
    search_path = os.pathsep.join((str(tmp_path), str(Path(__file__).parents[2])))
    process = subprocess.Popen([sys.executable, "-c", server], env={**os.environ, "PYTHONPATH": search_path})
    try:
        wait_until(lambda: mark.exists() and mark.read_text() != "", "it computes")
        pid = int(mark.read_text())
        assert psutil.pid_exists(pid)
    finally:
        process.kill()
        process.wait()
    wait_until(lambda: not psutil.pid_exists(pid), "the process is gone")
