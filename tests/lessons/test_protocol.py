"""The protocol: what ships is whole and fair, which runs it makes, and what is wrong with a damaged one."""

import json

import pytest
from cell_runs import make_protocol, write_protocol

from medpeft_core.errors import ConfigError
from medpeft_core.lessons.protocol import Cell, choose_rates, find_edges, load_protocol


def test_shipped_protocol_is_the_one_of_the_question() -> None:
    protocol = load_protocol()
    assert set(protocol.methods) == {"linear", "lora", "full", "full_random"}
    assert [part.fraction for part in protocol.fractions] == [0.01, 0.1, 1.0]
    assert [len(part.seeds) for part in protocol.fractions] == [5, 5, 3]
    assert protocol.data.options["seed"] != protocol.development_data.options["seed"], "fresh data"
    assert all(protocol.development_seed not in part.seeds for part in protocol.fractions), "fresh seeds"
    assert len({len(method.grid) for method in protocol.methods.values()}) == 1, "the same budget for each method"


def test_shipped_rates_are_the_best_of_the_search_and_lie_at_no_edge() -> None:
    protocol = load_protocol()
    search = list(protocol.search)
    assert {(row["method"], row["fraction"], row["lr"]) for row in search} >= {
        (cell.method, cell.fraction, cell.lr) for cell in protocol.list_search_cells()
    }
    best = {(row["method"], row["fraction"]): row["lr"] for row in choose_rates(search)}
    assert best == {
        (name, float(fraction)): lr for name, method in protocol.methods.items() for fraction, lr in method.lr.items()
    }
    assert find_edges(search, protocol) == []


def test_every_reported_cell_is_a_valid_run() -> None:
    protocol = load_protocol()
    cells = protocol.list_cells(is_short=False)
    assert len(cells) == 4 * (5 + 5 + 3)
    assert len({cell.key for cell in cells}) == len(cells)
    for cell in cells:
        config = protocol.build_config(cell)
        assert (config.train.seed, config.data.fraction_seed) == (cell.seed, cell.seed)
        assert config.backbone.name == "demo_vit"
        assert config.train.cpu_threads == 1, "the same figures however many cores there are"


def test_methods_of_a_cell_differ_in_nothing_but_the_method(tmp_path) -> None:
    protocol = make_protocol(tmp_path)
    lora, full = (protocol.build_config(Cell(name, 0.1, 2)) for name in ("lora", "full"))
    assert lora.method != full.method
    assert (lora.data, lora.backbone, lora.train, lora.augment, lora.optim) == (
        full.data, full.backbone, full.train, full.augment, full.optim,
    )  # fmt: skip


def test_short_part_is_a_part_of_the_whole(tmp_path) -> None:
    protocol = make_protocol(tmp_path)
    short = protocol.list_cells(is_short=True)
    assert {cell.key for cell in short} == {"lora-0.1-1", "full-0.1-1", "lora-0.1-2", "full-0.1-2"}
    assert set(short) <= set(protocol.list_cells(is_short=False))


def test_identity_follows_what_decides_the_runs_and_nothing_else(tmp_path) -> None:
    first = make_protocol(tmp_path)
    assert make_protocol(tmp_path, title="Another title").identity == first.identity
    changed = make_protocol(tmp_path, settings={"train": {"device": "cpu", "precision": "bf16", "cpu_threads": 1}})
    assert changed.identity != first.identity


def test_search_takes_each_rate_once_and_the_best_at_an_edge_is_told(tmp_path) -> None:
    protocol = make_protocol(tmp_path)
    cells = protocol.list_search_cells()
    assert len(cells) == 4 * 2 * 3
    assert {cell.seed for cell in cells} == {60}
    rows = [
        {"method": cell.method, "fraction": cell.fraction, "lr": cell.lr, "val_auroc": 0.6 + 0.1 * (cell.lr == 0.003)}
        for cell in cells
    ]
    assert find_edges(rows, protocol) == []
    rows[0]["val_auroc"] = 0.9
    [sentence] = find_edges(rows, protocol)
    assert sentence.startswith("linear at 10% is best at 0.001, the lowest rate of its grid.")
    assert choose_rates(rows)[0]["lr"] == 0.001


@pytest.mark.parametrize(
    ("aurocs", "chosen"),
    [
        ([0.60, 0.70, 0.80, 0.75], 0.3),  # the best
        ([0.60, 0.70, 0.75, 0.80], 0.4),  # also at an end, where it is told
        ([0.502, 0.501, 0.5, 0.499], 0.2),  # flat: the better one of the middle
        ([0.60, 0.798, 0.70, 0.80], 0.2),  # val cannot tell these two apart, and one is no end
        ([None, 0.6, 0.5, None], 0.2),  # a run without an AUROC
    ],
)
def test_rates_that_val_cannot_tell_apart_are_equal(aurocs, chosen) -> None:
    rows = [
        {"method": "full", "fraction": 1.0, "lr": lr, "val_auroc": auroc}
        for lr, auroc in zip((0.1, 0.2, 0.3, 0.4), aurocs, strict=True)
    ]
    [row] = choose_rates(rows[::-1])
    assert row["lr"] == chosen


def test_cell_without_a_rate_is_refused(tmp_path) -> None:
    values = json.loads(write_protocol(tmp_path).read_text())
    del values["methods"]["lora"]["lr"]["0.1"]
    protocol = make_protocol(tmp_path, methods=values["methods"])
    with pytest.raises(ConfigError, match=r"names no learning rate for lora at 10% of the labels.*--search"):
        protocol.build_config(Cell("lora", 0.1, 1))


@pytest.mark.parametrize(
    ("text", "message"),
    [("{", "JSONDecodeError"), ("{}", "KeyError: 'methods'"), ("[]", "TypeError")],
)
def test_damaged_protocol_is_told(tmp_path, text, message) -> None:
    path = tmp_path / "protocol.json"
    path.write_text(text)
    with pytest.raises(ConfigError, match=f"cannot be used: {message}"):
        load_protocol(path)
    with pytest.raises(ConfigError, match="FileNotFoundError"):
        load_protocol(tmp_path / "none.json")
