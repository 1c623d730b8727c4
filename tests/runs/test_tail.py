"""HistoryTail: bite by bite what the plain rules give, whatever happens to the log."""

import json
import random
import threading

import pytest

from medpeft_core.runs import tail as tail_module
from medpeft_core.runs.events import append_event, read_events
from medpeft_core.runs.tail import HistoryTail

PROGRESS = ("step", "eval", "epoch")


def read_history(path):
    """The rules as plainly as they can be written, for a log that is read at once."""
    history = []
    for event in read_events(path)[0]:
        if event["type"] == "status" and event.get("status") == "resumed" and isinstance(event.get("step"), int):
            is_undone = [item["type"] in PROGRESS and item["step"] > event["step"] for item in history]
            history = [item for item, gone in zip(history, is_undone, strict=True) if not gone]
        history.append(event)
    keys = [(event["type"], event.get("step"), event.get("split")) for event in history]
    return [
        event
        for at, event in enumerate(history)
        if event["type"] not in ("eval", "epoch") or keys[at] not in keys[at + 1 :]
    ]


def draw_log(rng, num_events):
    """Lines of a run that is killed and resumed now and then, with events told twice, torn and damaged lines."""
    lines, step, epoch = [], 0, 1
    for number in range(num_events):
        kind = rng.choices(["step", "eval", "epoch", "log", "resumed", "repeat", "damage"], [40, 12, 12, 3, 6, 6, 2])[0]
        event = {"type": kind, "time": number, "step": step, "epoch": epoch}
        if kind == "step":
            step += rng.randrange(1, 4)
            event |= {"step": step, "loss": rng.random()}
        elif kind == "eval":
            event |= {"split": rng.choice(["val", "val", "test"]), "val_auroc": rng.choice([None, rng.random()])}
        elif kind == "epoch":
            epoch += 1
        elif kind == "log":
            event = {"type": "log", "time": number, "text": "a line\nand another"}
        elif kind == "resumed":
            step = max(0, step - rng.randrange(6))
            event = {"type": "status", "time": number, "status": "resumed", "step": rng.choice([step, step, None])}
        elif kind == "repeat" and lines:
            lines.append(lines[rng.randrange(max(0, len(lines) - 4), len(lines))])
            continue
        else:
            lines.append(rng.choice([b"\xff\xfe\n", b"not json\n", b'{"no": "type"}\n', b"\n", b"[1, 2]\n"]))
            continue
        lines.append(json.dumps(event).encode() + b"\n")
    return b"".join(lines)


@pytest.mark.parametrize("seed", range(30))
def test_tail_follows_the_plain_rules_in_bites_of_any_size(tmp_path, seed):
    rng = random.Random(seed)
    path = tmp_path / "events.jsonl"
    content = draw_log(rng, 120)
    tail, end, num_resumes = HistoryTail(path), 0, content.count(b'"resumed"')
    assert num_resumes > 0
    while end < len(content):
        with path.open("ab") as file:  # grows by bites that end anywhere, so mostly inside a line
            file.write(content[end : (end := end + rng.choice([1, 7, 100, 2000]))])
        assert tail.read() == read_history(path)
    assert len(tail.read()) > 30


@pytest.mark.parametrize("seed", range(10))
def test_tail_goes_on_where_another_one_stood(tmp_path, seed):
    """The listing keeps the position and the evaluations only, as JSON, between two looks."""
    rng = random.Random(seed)
    path = tmp_path / "events.jsonl"
    content = draw_log(rng, 150)
    kept = json.dumps({"position": [0, 0], "evals": []})
    for end in [*sorted(rng.sample(range(len(content)), 15)), len(content)]:
        path.write_bytes(content[:end])
        values = json.loads(kept)
        position = tail_module.LogPosition(*values["position"])
        tail = HistoryTail(path, position=position, history=values["evals"])
        evals = [event for event in tail.read() if event["type"] == "eval"]
        assert evals == [event for event in read_history(path) if event["type"] == "eval"]
        kept = json.dumps({"position": tail.position, "evals": evals})


def test_tail_of_a_log_that_is_missing_appears_and_goes(tmp_path):
    path = tmp_path / "events.jsonl"
    tail = HistoryTail(path)
    assert tail.read() == []
    append_event(path, {"type": "log", "text": "a"})
    assert [event["text"] for event in tail.read()] == ["a"]
    path.unlink()
    assert tail.read() == []
    append_event(path, {"type": "log", "text": "b"})
    assert [event["text"] for event in tail.read()] == ["b"]


@pytest.mark.parametrize("num_lines", [1, 5, 40], ids=["shorter", "as long", "longer"])
def test_tail_sees_that_the_log_was_replaced(tmp_path, num_lines):
    path = tmp_path / "events.jsonl"
    for step in range(5):
        append_event(path, {"type": "step", "step": step, "time": 1.5})
    tail = HistoryTail(path)
    tail.read()
    path.unlink()
    for step in range(num_lines):
        append_event(path, {"type": "step", "step": step, "time": 2.5})
    assert tail.read() == read_history(path)
    assert len(tail.read()) == num_lines


def test_tail_gives_a_list_of_its_own(tmp_path):
    path = tmp_path / "events.jsonl"
    append_event(path, {"type": "log", "text": "a"})
    tail = HistoryTail(path)
    tail.read().clear()
    assert len(tail.read()) == 1


def test_tail_reads_only_what_is_new(tmp_path, monkeypatch):
    """A page that looks once a second must not read a long log again each time."""
    path = tmp_path / "events.jsonl"
    path.write_bytes(b"".join(b'{"type": "step", "step": %d}\n' % step for step in range(2000)))
    tail = HistoryTail(path)
    assert len(tail.read()) == 2000
    offsets = []
    read_events = tail_module.read_events
    monkeypatch.setattr(
        tail_module,
        "read_events",
        lambda path, offset, **kept: offsets.append(offset) or read_events(path, offset, **kept),
    )
    sizes = []
    for step in range(2000, 2010):
        sizes.append(path.stat().st_size)
        append_event(path, {"type": "step", "step": step})
        assert tail.read()[-1]["step"] == step
    assert offsets == sizes


def test_tail_may_be_shared_by_threads(tmp_path):
    path = tmp_path / "events.jsonl"
    tail, is_over, lengths = HistoryTail(path), threading.Event(), []

    def look():
        while not is_over.is_set():
            lengths.append(len(tail.read()))

    threads = [threading.Thread(target=look) for _ in range(4)]
    for thread in threads:
        thread.start()
    for step in range(200):
        append_event(path, {"type": "step", "step": step})
    is_over.set()
    for thread in threads:
        thread.join()
    assert [event["step"] for event in tail.read()] == list(range(200))
    assert max(lengths) <= 200


@pytest.mark.parametrize("seed", range(10))
def test_tail_of_some_types_gives_the_same_events_of_these(tmp_path, seed):
    """The listing wants evaluations only, and need not parse the thousands of steps between them."""
    path = tmp_path / "events.jsonl"
    path.write_bytes(draw_log(random.Random(seed), 150))
    wanted = ("eval", "status")
    expected = [event for event in read_history(path) if event["type"] in wanted]
    assert HistoryTail(path, types=("eval",)).read() == expected
    assert expected
