"""The event log: one line an event, readable after any crash."""

import json
import math
import threading

import numpy as np
import pytest

from medpeft_core.runs.events import append_event, read_events
from medpeft_core.runs.tail import HistoryTail


def test_append_event_writes_one_json_line_with_type_and_time(tmp_path):
    path = tmp_path / "events.jsonl"
    append_event(path, {"type": "step", "loss": 0.5})
    append_event(path, {"type": "log", "text": "two\nlines"})
    lines = path.read_text().splitlines()
    assert len(lines) == 2
    assert json.loads(lines[0])["loss"] == 0.5
    assert json.loads(lines[1])["time"] > 1.6e9


def test_append_event_makes_not_finite_numbers_null(tmp_path):
    path = tmp_path / "events.jsonl"
    append_event(
        path, {"type": "step", "a": math.nan, "b": [math.inf, 1], "c": {"d": np.float32("nan")}, "e": np.int64(3)}
    )
    event = read_events(path)[0][0]
    assert (event["a"], event["b"], event["c"], event["e"]) == (None, [None, 1], {"d": None}, 3)


def test_append_event_refuses_an_event_without_type(tmp_path):
    with pytest.raises(ValueError, match="needs a type"):
        append_event(tmp_path / "events.jsonl", {"loss": 1.0})


def test_append_event_begins_a_new_line_after_a_torn_one(tmp_path):
    path = tmp_path / "events.jsonl"
    append_event(path, {"type": "step", "step": 1})
    with path.open("ab") as file:
        file.write(b'{"type": "step", "st')
    append_event(path, {"type": "step", "step": 3})
    assert [event["step"] for event in read_events(path)[0]] == [1, 3]


def test_read_events_goes_on_from_the_offset_and_never_gives_half_a_line(tmp_path):
    path = tmp_path / "events.jsonl"
    whole = b"".join(json.dumps({"type": "step", "step": step}).encode() + b"\n" for step in range(20))
    seen, offset = [], 0
    for end in range(0, len(whole) + 1, 7):  # the file grows in bites that end anywhere
        path.write_bytes(whole[:end])
        events, offset = read_events(path, offset)
        seen += [event["step"] for event in events]
    path.write_bytes(whole)
    seen += [event["step"] for event in read_events(path, offset)[0]]
    assert seen == list(range(20))


def test_read_events_skips_damaged_lines(tmp_path):
    path = tmp_path / "events.jsonl"
    path.write_bytes(b'\xff\xfe\n[1, 2]\n{"no": "type"}\n\n{"type": "log"}\nnot json\n')
    assert read_events(path)[0] == [{"type": "log"}]


def test_read_events_of_a_missing_or_replaced_log(tmp_path):
    path = tmp_path / "events.jsonl"
    assert read_events(path) == ([], 0)
    append_event(path, {"type": "log"})
    assert len(read_events(path, 10_000)[0]) == 1


def test_append_event_from_threads_loses_and_mixes_nothing(tmp_path):
    path = tmp_path / "events.jsonl"

    def write(author):
        for number in range(50):
            append_event(path, {"type": "log", "author": author, "number": number, "text": "x" * 500})

    threads = [threading.Thread(target=write, args=(author,)) for author in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    events = read_events(path)[0]
    assert len(events) == 200
    assert sorted((e["author"], e["number"]) for e in events) == [(a, n) for a in range(4) for n in range(50)]


def test_history_drops_progress_that_a_resumed_run_did_again(tmp_path):
    path = tmp_path / "events.jsonl"
    before = [("step", 5), ("epoch", 10), ("step", 12), ("eval", 15), ("epoch", 20)]
    for kind, step in before:
        append_event(path, {"type": kind, "step": step, "life": 1})
    append_event(path, {"type": "log", "step": 19, "life": 1})
    append_event(path, {"type": "status", "status": "resumed", "step": 12})
    append_event(path, {"type": "epoch", "step": 20, "life": 2})
    kept = [(e["type"], e.get("step"), e.get("life")) for e in HistoryTail(path).read()]
    assert kept == [
        ("step", 5, 1),
        ("epoch", 10, 1),
        ("step", 12, 1),
        ("log", 19, 1),
        ("status", 12, None),
        ("epoch", 20, 2),
    ]
    assert len(read_events(path)[0]) == 8


def test_history_keeps_an_epoch_once(tmp_path):
    """A run killed between an epoch's events and its checkpoint tells of the epoch again."""
    path = tmp_path / "events.jsonl"
    for auroc in (0.7, 0.8):
        append_event(path, {"type": "eval", "split": "val", "step": 10, "val_auroc": auroc})
        append_event(path, {"type": "epoch", "step": 10, "epoch": 1})
        append_event(path, {"type": "status", "status": "resumed", "step": 10})
    history = HistoryTail(path).read()
    assert [event.get("val_auroc") for event in history if event["type"] == "eval"] == [0.8]
    assert sum(event["type"] == "epoch" for event in history) == 1
