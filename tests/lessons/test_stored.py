"""What ships: whole, small, without weights or traces of a machine, and equal to what its files give."""

import json

import pytest
from cell_runs import finish_cell, finish_cells, make_protocol

from medpeft_core.errors import RunError
from medpeft_core.lessons.cells import find_runs, look
from medpeft_core.lessons.protocol import PROTOCOL_PATH, load_protocol
from medpeft_core.lessons.result import build_result
from medpeft_core.lessons.stored import load_stored, store_finding
from medpeft_core.reports.sentences import write_signed
from medpeft_core.runs import RunStore

MOST_BYTES = 5_000_000


def store_all(store, protocol, folder):
    cells = protocol.list_cells(is_short=False)
    standing = look(store, protocol, cells)
    result = build_result(find_runs(store, standing), protocol, is_short=False)
    store_finding(store, standing, result, protocol, folder)
    return result


def test_stored_finding_is_read_back_and_computes_the_same(tmp_path) -> None:
    protocol, store = make_protocol(tmp_path), RunStore(tmp_path / "home")
    finish_cells(store, protocol, {"linear": 0.5, "lora": 1.0, "full": 0.9, "full_random": 0.1})
    assert load_stored(tmp_path / "out") is None
    result = store_all(store, protocol, tmp_path / "out")
    stored = load_stored(tmp_path / "out")
    assert stored is not None
    assert {name: stored.result[name] for name in result} == json.loads(json.dumps(result))
    assert stored.made_at > 0
    assert load_protocol(tmp_path / "out" / "protocol.json").identity == protocol.identity, "it says what decided it"
    again = build_result(stored.runs, protocol, is_short=False)
    assert json.loads(json.dumps(again)) == json.loads(json.dumps(result)), "its own files give its figures"
    for run in stored.runs.values():
        assert run.metrics() is not None
        assert run.config() == store.load(run.run_id).config()
        assert [event["type"] for event in run.events()] == ["eval"]
        assert not run.adapter_dir.exists()
        assert "platform" not in run.provenance()
    store_all(store, protocol, tmp_path / "out")  # over the older one


def test_incomplete_finding_is_not_stored(tmp_path) -> None:
    protocol, store = make_protocol(tmp_path), RunStore(tmp_path / "home")
    finish_cell(store, protocol, protocol.list_cells(is_short=False)[0])
    with pytest.raises(RunError, match="19 runs are not finished"):
        store_all(store, protocol, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("has_index", [True, False])
def test_nothing_that_is_no_stored_result_is_replaced(tmp_path, has_index) -> None:
    """`--store` with the home's own folder would have removed all its runs."""
    protocol, store = make_protocol(tmp_path), RunStore(tmp_path / "home")
    runs = finish_cells(store, protocol, {"linear": 0.5, "lora": 1.0, "full": 0.9, "full_random": 0.1})
    other = tmp_path / "other" / "runs"
    other.mkdir(parents=True)
    with pytest.raises(RunError, match="which would be replaced. Name a new folder"):
        store_all(store, protocol, store.home if has_index else other.parent)
    assert other.is_dir()
    assert all(run.metrics() is not None for run in runs.values())


def test_damaged_stored_result_is_told(tmp_path) -> None:
    (tmp_path / "result.json").write_text("{")
    with pytest.raises(RunError, match="The stored result in .* cannot be read"):
        load_stored(tmp_path)


@pytest.fixture(scope="module")
def shipped():
    stored = load_stored()
    assert stored is not None, "the finding ships with the lab"
    return stored


def test_shipped_result_is_what_its_files_give(shipped) -> None:
    protocol = load_protocol()
    assert shipped.result["protocol"] == protocol.identity, "made by the protocol that ships"
    cells = {cell.key: cell for cell in protocol.list_cells(is_short=False)}
    assert list(shipped.runs) == list(cells)
    again = json.loads(json.dumps(build_result(shipped.runs, protocol, is_short=False)))
    for name in ("labels", "num_test_images", "num_test_patients", "fractions", "methods", "words"):
        assert again[name] == shipped.result[name], name
    for name in ("points", "differences"):
        for mine, theirs in zip(again[name], shipped.result[name], strict=True):
            assert mine.pop("seeds", []) == pytest.approx(theirs.get("seeds", []))
            assert mine == pytest.approx({key: value for key, value in theirs.items() if key != "seeds"})


def test_shipped_runs_are_those_of_the_protocol_each_once(shipped) -> None:
    protocol = load_protocol()
    fingerprints = set()
    for cell in protocol.list_cells(is_short=False):
        found, wanted = shipped.runs[cell.key].config(), protocol.build_config(cell)
        assert (found.data, found.method, found.optim, found.augment) == (
            wanted.data, wanted.method, wanted.optim, wanted.augment,
        ), cell.key  # fmt: skip
        assert (found.train, found.backbone.weights) == (wanted.train, wanted.backbone.weights), cell.key
        fingerprints.add(shipped.runs[cell.key].provenance()["data_fingerprint"])
    assert len(fingerprints) == 1, "one set of images for all"


def test_shipped_files_are_small_and_tell_nothing_of_a_machine(shipped) -> None:
    files = [path for path in PROTOCOL_PATH.parent.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) <= MOST_BYTES
    assert not [path for path in files if path.suffix not in (".json", ".jsonl", ".parquet")]
    texts = [path.read_text(encoding="utf-8") for path in files if path.suffix != ".parquet"]
    for word in ("/home/", "/root", "/tmp", "/work", "Users\\\\"):
        assert not any(word in text for text in texts), word


def test_readme_tells_the_shipped_figures(shipped) -> None:
    text = " ".join((PROTOCOL_PATH.parents[3] / "README.md").read_text(encoding="utf-8").split())
    rows = [
        row
        for row in shipped.result["differences"]
        if (row["first"], row["second"], row["label"]) == ("full", "lora", "macro")
    ]
    assert len(rows) == 3
    for row in rows:
        interval = f"{write_signed(row['low'])} to {write_signed(row['high'])}"
        assert f"{write_signed(row['mean'])} ({interval})" in text, row["fraction"]
