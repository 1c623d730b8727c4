"""The Explain page: two runs on one image, data that are gone, and the tables of probabilities."""

import pandas as pd
import pytest
from explain_visits import open_page, read_address, read_words

from medpeft_core.errors import DataError
from medpeft_core.reports.disagreements import pair_predictions, sort_disagreements
from medpeft_core.reports.predictions import load_predictions
from pages.widgets.explain_probs import build_pair_table, build_probs_table, read_prevalence, write_truth


def test_explain_page_says_how_the_map_falls_on_the_finding(app, home, make_run, compute):
    mark = {"label": "Effusion", "kind": "box", "png": None, "boxes": [[0.1, 0.1, 0.5, 0.5]]}
    other = {**mark, "label": "Nodule"}
    found = {"share": 0.384, "chance": 0.0613, "is_hit": True}
    compute.changes = {"marks": [other, mark], "localisation": found}
    open_page(app, run=make_run(home).run_id, label="Effusion", show="present")
    words = read_words(app)
    assert "**38 %** of the map's weight lies inside the outline of Effusion" in words
    assert "a map spread evenly would have 6.1 % there" in words
    assert "Its strongest place lies **inside**" in words
    assert "The map has 7 × 7 cells" in words
    assert "**1** Effusion" in words
    assert "Nodule \\(box" not in words
    app.selectbox(key="explain_outlines").set_value("all").run()
    assert "**2** Nodule" in read_words(app)


def test_explain_page_lays_two_runs_beside_each_other(app, home, make_run, compute):
    first, second = make_run(home, seed=0), make_run(home, seed=0, method="full", quality=2.0)
    open_page(app, run=first.run_id, label="Effusion", show="disagree", **{"with": second.run_id})
    pair = pair_predictions(first, load_predictions(first), second, load_predictions(second))
    rows, _ = sort_disagreements(pair, "Effusion")
    assert f"**Image 1** of {len(rows)}" in read_words(app)
    image = pair.first.table["image"][rows[0]]
    assert [(item["run_id"], item["image"], item["label"]) for item in compute.asked] == [
        (first.run_id, image, "Effusion"), (second.run_id, image, "Effusion"),
    ]  # fmt: skip
    assert len({item["slot"] for item in compute.asked}) == 2
    assert len(app.get("image")) == 4  # each with its scale
    words = read_words(app)
    assert "**A** · LoRA" in words
    assert "**B** · Full fine\\-tuning" in words
    assert "Each map has its own scale" in words
    table = app.dataframe[0].value.set_index("label")
    assert table.loc["Effusion", "prob_A"] == pytest.approx(pair.first.table["prob_Effusion"][rows[0]])
    assert table.loc["Effusion", "prob_B"] == pytest.approx(pair.second.table["prob_Effusion"][rows[0]])
    assert table.loc["Effusion", "differs"] == "≠ differ"


def test_explain_page_puts_the_second_run_into_the_address(app, home, make_run, compute):
    first, second = make_run(home), make_run(home, method="full")
    open_page(app, run=first.run_id)
    assert not any("disagree" in option for option in app.selectbox(key="explain_case").options)
    app.selectbox(key="explain_with").set_value(second.run_id).run()
    assert read_address(app, "with") == second.run_id
    app.selectbox(key="explain_case").set_value("disagree").run()
    assert read_address(app, "show") == "disagree"
    app.selectbox(key="explain_with").set_value(None).run()
    assert (read_address(app, "with"), read_address(app, "show")) == (None, None)


@pytest.mark.parametrize("wanted", ["20260101-1200-full-resnet18-0000", "<b>", "first"])
def test_explain_page_drops_a_second_run_that_is_none(app, home, make_run, compute, wanted):
    run = make_run(home)
    open_page(app, run=run.run_id, **{"with": run.run_id if wanted == "first" else wanted})
    assert read_address(app, "with") is None
    assert len(compute.asked) == 1


def test_explain_page_says_why_two_runs_cannot_be_compared(app, home, make_run, compute):
    first = make_run(home)
    second = make_run(home, settings={"data": {"options": {"seed": 5}}})
    open_page(app, run=first.run_id, **{"with": second.run_id})
    assert "tested on different data" in read_words(app)
    assert len(compute.asked) == 1  # the first run is shown by itself


def test_explain_page_says_which_labels_one_run_lacks(app, home, make_run, compute):
    first, second = make_run(home, labels=("Effusion", "Nodule")), make_run(home, labels=("Effusion", "Mass"))
    open_page(app, run=first.run_id, label="Nodule", **{"with": second.run_id})
    words = read_words(app)
    assert "Known to one of the runs only: Nodule, Mass." in words.replace("\\", "")
    assert "does not know this image or the label `Nodule`" in words
    assert len(compute.asked) == 1


def test_explain_page_shows_the_table_when_the_data_are_gone(app, home, make_run, compute):
    compute.error = DataError("The data set 'phantom' is not prepared.")
    open_page(app, run=make_run(home).run_id)
    assert "The probabilities are stored with the run" in read_words(app)
    assert len(app.dataframe[0].value) == 5


def test_probs_table_tells_call_truth_and_prevalence(home, make_run):
    run = make_run(home)
    predictions = load_predictions(run)
    table = build_probs_table(predictions, 0, read_prevalence(run)).set_index("label")
    counts = run.provenance()["positives"]["Effusion"]
    share = 100 * counts["num_positive"] / (counts["num_positive"] + counts["num_negative"])
    assert table.loc["Effusion", "prevalence"] == pytest.approx(share)
    assert table.loc["Effusion", "prob"] == predictions.table["prob_Effusion"][0]
    assert (table["truth"].str.endswith("yes")).all()  # the first stored image has every finding
    called = table["call"].str.contains("yes")
    assert (table["truth"].str.startswith("✕") == ~called).all()
    assert isinstance(table, pd.DataFrame)


def test_pair_table_marks_wrong_calls(home, make_run):
    first, second = make_run(home, seed=0), make_run(home, seed=0, method="full", quality=0.0)
    pair = pair_predictions(first, load_predictions(first), second, load_predictions(second))
    num_wrong = 0
    for row in range(20):
        for line in build_pair_table(pair, row).itertuples():
            for call in (line.call_A, line.call_B):
                says_yes = " yes " in call
                is_wrong = says_yes != line.truth.endswith("yes")
                assert call[0] == ("✕" if is_wrong else "●" if says_yes else "○")
                num_wrong += is_wrong
            assert line.differs == ("same" if (" yes " in line.call_A) == (" yes " in line.call_B) else "≠ differ")
    assert num_wrong > 0


@pytest.mark.parametrize(
    ("target", "is_called", "truth"),
    [
        (1.0, True, "● yes"), (0.0, False, "○ no"), (1.0, False, "✕ yes"), (0.0, True, "✕ no"),
        (1.0, None, "● yes"), (0.0, None, "○ no"), (float("nan"), True, "? unknown"),
    ],
)  # fmt: skip
def test_write_truth_marks_what_the_call_got_wrong(target, is_called, truth):
    assert write_truth(target, is_called) == truth


def test_explain_stays_with_the_run_that_was_looked_at_on_another_page(app, home, make_run):
    """Who went from one page to the next by the menu found another run there than the one just read about."""
    first = make_run(home, seed=1)
    make_run(home, seed=2)
    app.query_params["run"] = first.run_id
    app.run()
    app.switch_page("pages/monitor.py").run()
    del app.query_params["run"]
    app.switch_page("pages/explain.py").run()
    assert not app.exception
    assert app.query_params["run"] == first.run_id
