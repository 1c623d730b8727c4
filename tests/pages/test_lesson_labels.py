"""The page of the first lesson: prediction, stored result, answer, tables, what to try next."""

import pandas as pd
import pyarrow as pa
import pytest
from finding_data import FINDINGS, LOSES, UNCLEAR, WINS, make_finding
from lesson_runs import make_protocol, make_stored

from medpeft_core.errors import RunError
from medpeft_core.figures.finding_looks import MEAN_NAME
from medpeft_core.lessons.protocol import Cell
from pages.widgets.lesson_labels_answer import write_card_note
from pages.widgets.lesson_labels_prediction import EQUAL, FULL, LORA, find_difference, write_verdict
from pages.widgets.lesson_labels_tables import build_differences_table, build_figures_table, build_sizes_table

STATE = "pages.widgets.lesson_labels_state"
EXPECTED = {0.01: LORA, 0.1: LORA, 1.0: EQUAL}
NO_REASON_TO_BE_SURE = ("you were wrong", "you were right", "Wrong", "incorrect")


@pytest.fixture
def lesson(app, tmp_path, monkeypatch):
    """Opens the page with a stored result, or None for none; `see` opens the answer."""
    protocol = make_protocol(tmp_path)
    monkeypatch.setattr(f"{STATE}._load_protocol", lambda changed_ns: protocol)

    def open_page(stored, *, see=False, **expected):
        monkeypatch.setattr(f"{STATE}.load_stored", lambda: stored)
        app.run()
        app.switch_page("pages/lesson_labels.py").run()
        if see:
            app.button(key="lesson_labels_show").click().run()
        return check(app)

    open_page.protocol = protocol
    return open_page


def check(app):
    assert not app.exception, app.exception[0].message
    return app


def read_words(app):
    kinds = ("markdown", "caption", "info", "warning", "error", "success")
    return "\n".join(item.value for kind in kinds for item in app.main.get(kind)).replace("\\", "")


def has_chart(app, start):
    return any(item.proto.alt.startswith(start) for item in app.get("vega_lite_chart"))


def read_rows(app, start):
    """The rows of a chart, which travel beside its spec."""
    proto = next(item.proto for item in app.get("vega_lite_chart") if item.proto.alt.startswith(start))
    return pa.ipc.open_stream(proto.data.data).read_pandas()


def find_table(app, column):
    return next((item.value for item in app.dataframe if column in item.value.columns), None)


def expect(app, expected):
    for fraction, choice in expected.items():
        app.get("button_group")
        app.segmented_control(key=f"lesson_labels_expect_{fraction:g}").set_value(choice)
        app.run()
    return check(app)


def test_the_question_comes_first_and_the_answer_stays_folded(lesson, tmp_path):
    app = lesson(make_stored(tmp_path))
    words = read_words(app)
    assert "thirty labelled films" in words
    assert "fewer tuned parameters can be better" in words
    assert "folded away until you have said what you expect" in words
    assert "not for clinical use" in words
    assert "Synthetic images" in words
    assert make_finding()["words"] not in words
    assert not app.get("vega_lite_chart")
    assert not app.get("metric")


def test_the_answer_opens_when_the_last_choice_is_made(lesson, tmp_path):
    stored = make_stored(tmp_path)
    app = expect(lesson(stored), {0.01: LORA, 0.1: EQUAL})
    assert "folded away" in read_words(app)
    expect(app, {1.0: FULL})
    words = read_words(app)
    assert "folded away" not in words
    assert stored.result["words"] in words
    assert has_chart(app, "Test AUROC against the number of labelled images")


def test_just_show_me_opens_the_answer_without_a_verdict(lesson, tmp_path):
    app = lesson(make_stored(tmp_path), see=True)
    words = read_words(app)
    assert "folded away" not in words
    assert "What you expected" not in words
    assert not any(item.key == "lesson_labels_show" for item in app.button)


def test_a_stored_result_is_marked_with_its_origin_and_the_command(lesson, tmp_path):
    app = lesson(make_stored(tmp_path))
    assert "2026-09-21, Test CPU, PyTorch 2.15.0" in read_words(app)
    assert "Stored result" in read_words(app)
    assert [item.value for item in app.code] == ["python -m medpeft_core finding"]


def test_stored_runs_are_listed_on_demand(lesson, tmp_path):
    from lesson_runs import make_cell_run

    cells = lesson.protocol.list_cells(is_short=False)
    chosen = [cells[0], next(cell for cell in cells if cell.method == "full_random")]
    runs = {cell.key: make_cell_run(tmp_path / "other", lesson.protocol, cell) for cell in chosen}
    app = lesson(make_stored(tmp_path, runs=runs))
    assert find_table(app, "Learning rate") is None
    app.session_state["lesson_labels_stored_runs"] = True
    app.run()
    table = find_table(check(app), "Learning rate")
    assert table["Run"].tolist() == [run.run_id for run in runs.values()]
    assert table["Method"].tolist() == ["Linear probe", "Full, from random weights"]
    figures = runs[chosen[0].key].metrics()
    assert table["Test AUROC"][0].startswith(f"{figures['test_auroc']:.3f} (")


def test_a_damaged_stored_result_is_told_in_a_sentence(lesson, monkeypatch, app):
    def fail():
        raise RunError("The stored result in assets cannot be read. Put back the lab's own files.")

    lesson(None)
    monkeypatch.setattr(f"{STATE}.load_stored", fail)
    app.run()
    assert "Put back the lab's own files" in check(app).error[0].value


@pytest.mark.parametrize("delta", [LOSES, UNCLEAR, WINS])
def test_every_number_of_the_answer_is_that_of_the_result(lesson, tmp_path, delta):
    stored = make_stored(tmp_path, deltas={0.01: delta, 0.1: delta, 1.0: delta})
    app = lesson(stored, see=True)
    forest = read_rows(app, "LoRA minus full")
    assert forest.loc[forest["label"] == MEAN_NAME, "value"].tolist() == [delta] * 3
    values = {item.proto.label: item.proto.body for item in app.get("metric")}
    assert set(values) == {
        "28 labelled images (1 %)", "280 labelled images (10 %)", "2,800 labelled images (100 %)"
    }  # fmt: skip
    assert set(values.values()) == {"0.000" if delta == 0 else f"{'+' if delta > 0 else '−'}{abs(delta):.3f}"}
    says = {LOSES: "full better", UNCLEAR: "cannot be told apart", WINS: "LoRA better"}[delta]
    table = find_table(app, "What it says")
    assert set(table.loc[table["Finding"] == MEAN_NAME, "What it says"]) == {says}
    assert len(table) == 3 * (1 + len(FINDINGS))


def test_the_curve_follows_the_chosen_finding(lesson, tmp_path):
    app = lesson(make_stored(tmp_path), see=True)
    app.segmented_control(key="lesson_labels_label").set_value("Nodule").run()
    rows = read_rows(check(app), "Test AUROC against the number of labelled images, Nodule")
    assert set(rows["label"]) == {"Nodule"}


def test_sizes_are_those_of_the_result_and_unknown_ones_are_dashes(lesson, tmp_path):
    result = make_finding()
    result["methods"][0] |= {"num_trainable_params": None, "num_params": None, "adapter_bytes": None}
    rows = {row[0]: row[1:] for row in build_sizes_table(result).rows}
    assert rows["LoRA, rank 8"] == ("74,501", "2.7 %", "303 KiB")
    assert rows["Full fine-tuning"] == ("2,800,000", "100 %", "11 MiB")
    assert rows["Linear probe"] == ("–", "n/a", "n/a")
    app = lesson(make_stored(tmp_path), see=True)
    assert find_table(app, "Parameters")["Method"].tolist()[1] == "LoRA, rank 8"


def test_tables_can_be_taken_to_a_paper(lesson, tmp_path):
    app = lesson(make_stored(tmp_path, deltas={0.01: WINS, 0.1: UNCLEAR, 1.0: LOSES}), see=True)
    app.session_state["lesson_labels_tables"] = True
    app.run()
    check(app)
    latex = app.code[-1].value
    assert r"\begin{tabular}" in latex
    assert "Seeds with LoRA ahead" in latex
    assert "not for clinical use" in latex
    app.segmented_control(key="lesson_labels_table").set_value("AUROC").run()
    app.segmented_control(key="lesson_labels_format").set_value("CSV").run()
    assert "Full, from random weights" in check(app).code[-1].value


def test_statistics_are_told_in_two_sentences_without_equality(lesson, tmp_path):
    words = read_words(lesson(make_stored(tmp_path), see=True))
    assert "adds the luck of the seeds" in words
    assert "the same 430 test patients" in words
    assert "not that they are equal" in words


def verdict(expected, delta, *, num_seeds=5):
    result = make_finding(deltas={0.01: delta}, fractions=(0.01,), num_seeds=num_seeds)
    return write_verdict(result["fractions"][0], expected, find_difference(result, 0.01))


@pytest.mark.parametrize("expected", [LORA, EQUAL, FULL])
@pytest.mark.parametrize("delta", [LOSES, UNCLEAR, WINS])
def test_verdicts_give_the_figures_and_no_marks(expected, delta):
    text = verdict(expected, delta)
    assert text.startswith("**28 labelled images (1 %):**")
    assert not any(word in text for word in NO_REASON_TO_BE_SURE)
    sign = {LOSES: "−0.040 (−0.065 to −0.015)", UNCLEAR: "0.000 (−0.025 to +0.025)", WINS: "+0.040 (+0.015 to +0.065)"}
    assert sign[delta] in text


def test_verdict_of_an_interval_over_zero_is_open_and_not_equal():
    assert "neither right nor wrong" in verdict(LORA, UNCLEAR)
    assert "neither right nor wrong" in verdict(FULL, UNCLEAR)
    assert "That is less than equal" in verdict(EQUAL, UNCLEAR)


def test_verdict_says_what_came_out():
    assert "So it came out" in verdict(LORA, WINS)
    assert "So it came out" in verdict(FULL, LOSES)
    assert "*full ahead*" in verdict(LORA, LOSES)
    assert "*LoRA ahead*" in verdict(EQUAL, WINS)
    assert "an interval needs a second one" in verdict(LORA, WINS, num_seeds=1)
    part = make_finding()["fractions"][0]
    assert "Not measured yet" in write_verdict(part, LORA, None)


def test_verdicts_stand_beside_the_answer(lesson, tmp_path):
    stored = make_stored(tmp_path, deltas={0.01: LOSES, 0.1: WINS, 1.0: UNCLEAR})
    words = read_words(expect(lesson(stored), EXPECTED))
    assert "What you expected, and what came out" in words
    assert "*full ahead*" in words
    assert "So it came out" in words
    assert "It fits" in words


def test_choices_last_for_the_session(lesson, tmp_path):
    app = expect(lesson(make_stored(tmp_path)), EXPECTED)
    app.switch_page("pages/home.py").run()
    app.switch_page("pages/lesson_labels.py").run()
    assert "What you expected, and what came out" in read_words(check(app))


def test_tables_name_every_finding_and_its_positives():
    table = build_differences_table(make_finding(deltas={0.01: WINS}))
    frame = pd.DataFrame(table.rows, columns=list(table.columns))
    assert frame["Finding"].tolist() == [MEAN_NAME, *FINDINGS]
    assert frame["Positives"].tolist() == ["–", "6", "5", "4", "4", "3"]
    assert frame["Seeds with LoRA ahead"].tolist()[0] == "5 of 5"
    figures = build_figures_table(make_finding(methods=("lora", "full"), fractions=(0.01, 0.1)))
    assert len(figures.rows) == 2 * (1 + len(FINDINGS))
    assert figures.rows[0][2] == "0.620 (0.590 to 0.650)"


def test_card_of_one_seed_has_no_interval():
    row = find_difference(make_finding(deltas={0.01: WINS}, num_seeds=1), 0.01)
    assert write_card_note(row) == "no interval yet"


def test_next_steps_lead_to_train_with_settings_and_to_the_other_pages(lesson, tmp_path):
    app = lesson(make_stored(tmp_path))
    links = [item.proto.page for item in app.main.get("page_link")]
    assert "lesson_shortcut" in links
    assert "pretrain" in links
    app.button(key="lesson_labels_next_1").click().run()
    draft = app.session_state["train_draft"]
    assert draft["method"]["knobs"]["rank"] == 32
    assert draft["data"]["fraction"] == 0.1
    assert draft["data"]["options"]["seed"] == lesson.protocol.data.options["seed"]


def test_longer_run_differs_from_one_of_the_lesson_in_its_epochs_alone(lesson, tmp_path):
    """Short training is the lesson's weak point, so the first thing to try is to train for longer."""
    app = lesson(make_stored(tmp_path))
    app.button(key="lesson_labels_next_0").click().run()
    draft = app.session_state["train_draft"]
    protocol = lesson.protocol
    part = protocol.fractions[1]
    config = protocol.build_config(Cell("full", part.fraction, part.seeds[0])).to_dict()
    assert draft["train"]["epochs"] == 4 * config["train"].pop("epochs")
    assert {name: draft["train"][name] for name in config["train"]} == config["train"]
    assert (draft["method"], draft["optim"], draft["data"]) == (config["method"], config["optim"], config["data"])
