"""The learner's own runs of the first lesson: before the start, at work, half done and stopped, finished."""

import pytest
from lesson_runs import make_cell_run, make_cell_runs, make_protocol, make_stored
from stored_runs import make_run

from medpeft_core.errors import RunError
from medpeft_core.lessons.cells import look
from medpeft_core.runs.store import RunStore
from medpeft_core.worker.jobs import JobStore
from pages.widgets.lesson_labels_grid import NO_CELL, NOT_MADE, build_grid, find_clicked
from pages.widgets.lesson_labels_run import describe_plan
from pages.widgets.lesson_labels_state import JOB_TITLE, scale_times
from pages.widgets.lesson_labels_view import describe_version

STATE = "pages.widgets.lesson_labels_state"
FORECAST = {("lora", 0.01): 30.0, ("full", 0.01): 40.0, ("lora", 0.1): 70.0, ("full", 0.1): 90.0}


@pytest.fixture
def protocol(tmp_path):
    return make_protocol(tmp_path)


@pytest.fixture
def lesson(app, protocol, monkeypatch):
    """Opens the page at the learner's own runs."""
    monkeypatch.setattr(f"{STATE}._load_protocol", lambda changed_ns: protocol)
    monkeypatch.setattr(f"{STATE}.load_stored", lambda: None)
    monkeypatch.setattr(f"{STATE}.read_stored_times", lambda protocol, stored: FORECAST)
    monkeypatch.setattr("pages.widgets.lesson_labels_view.read_stored_times", lambda protocol, stored: FORECAST)
    monkeypatch.setattr("medpeft_core.lessons.cells.count_lanes", lambda threads: 2)

    def open_page(*, see=False):
        app.run()
        app.switch_page("pages/lesson_labels.py").run()
        if see:
            app.button(key="lesson_labels_show").click().run()
        return check(app)

    return open_page


def check(app):
    assert not app.exception, app.exception[0].message
    return app


def read_words(app):
    kinds = ("markdown", "caption", "info", "warning", "error", "success")
    return "\n".join(item.value for kind in kinds for item in app.main.get(kind)).replace("\\", "")


def find_grid(app):
    return next(item.value for item in app.dataframe if "A run takes" in item.value.columns)


def read_cells(app):
    frame = find_grid(app)
    return [text for name in frame.columns if name.startswith("Seed") for text in frame[name]]


def has_button(app, key):
    return any(item.key == key for item in app.button)


def list_links(app):
    return [item.proto.label for item in app.main.get("page_link")]


@pytest.fixture
def started(monkeypatch):
    """What was given to jobs; none starts."""
    calls = []
    monkeypatch.setattr(
        JobStore, "start", lambda self, kind, title, **request: calls.append((kind, title, request["configs"]))
    )
    return calls


def test_without_any_result_the_page_offers_the_short_version_and_its_time(lesson):
    app = lesson(see=True)
    words = read_words(app)
    assert "No stored result ships with this copy" in words
    assert "LoRA, rank 8 and Full fine-tuning on 1 % and 10 % of the labels, 2 seeds each." in words
    assert (
        "8 runs to make, about 3 min 50 s**, as long as on the computer that made the stored result" in words
    )  # 2 x (30 + 40 + 70 + 90) s on two lanes
    assert find_grid(app)["A run takes"].tolist() == [
        "about 30 s",
        "about 40 s",
        "about 1 min 10 s",
        "about 1 min 30 s",
    ]
    assert set(read_cells(app)) == {NOT_MADE}
    assert app.button(key="lesson_labels_start").label == "Run the short version"
    assert "The answer grows here" in words
    assert not app.get("vega_lite_chart")


def test_start_gives_one_job_all_cells_of_the_short_version(lesson, started, protocol):
    app = lesson()
    app.button(key="lesson_labels_start").click().run()
    check(app)
    [(kind, title, configs)] = started
    assert (kind, title) == ("launch", JOB_TITLE)
    wanted = [protocol.build_config(cell).to_dict() for cell in protocol.list_cells(is_short=True)]
    assert configs == wanted


def test_all_of_it_has_every_cell_and_says_where_its_time_is_not_known(lesson, started):
    app = lesson()
    app.segmented_control(key="lesson_labels_version").set_value("whole").run()
    check(app)
    words = read_words(app)
    assert "24 runs to make." in words
    assert "is known once one of each kind has ended" in words
    assert (
        "Linear probing, LoRA, rank 8, Full fine-tuning and Full, from random weights on 1 %, 10 % and 100 %" in words
    )
    app.button(key="lesson_labels_start").click().run()
    assert len(started[0][2]) == 24


def test_a_refused_start_is_told(lesson, monkeypatch):
    def refuse(self, *arguments, **options):
        raise RunError("The disk is full: free some room.")

    monkeypatch.setattr(JobStore, "start", refuse)
    app = lesson()
    app.button(key="lesson_labels_start").click().run()
    assert "The disk is full" in check(app).error[0].value.replace("\\", "")


def test_half_done_the_answer_grows_and_says_that_it_is_not_complete(lesson, home, protocol):
    make_cell_runs(home, protocol, finished=3, others={3: "running", 4: "running", 5: "queued"})
    app = lesson(see=True)
    words = read_words(app)
    assert "Not complete yet: 3 of 8 runs are finished" in words
    assert any("3 of 8 runs are finished" in item.proto.text for item in app.main.get("progress"))
    cells = read_cells(app)
    assert sum(text.startswith("✓ 0.") for text in cells) == 3
    assert sum(text.startswith("▶") for text in cells) == 2
    assert cells.count("◷ queued") == 1
    assert cells.count(NOT_MADE) == 2
    assert app.button(key="lesson_labels_stop").label == "Stop"
    assert not has_button(app, "lesson_labels_start")
    assert "Full fine-tuning, 1 %, seed 2" in list_links(app)
    assert app.get("vega_lite_chart")


def test_figures_of_the_grid_stay_hidden_until_the_learner_has_chosen(lesson, home, protocol):
    runs = make_cell_runs(home, protocol, finished=2)
    app = lesson()
    assert read_cells(app).count("✓ finished") == 2
    assert f"{runs[0].metrics()['test_auroc']:.3f}" not in " ".join(read_cells(app))
    assert "folded away" in read_words(app)


def test_stop_asks_every_run_that_works_or_waits(lesson, home, protocol):
    runs = make_cell_runs(home, protocol, finished=1, others={1: "running", 2: "queued", 3: "queued"})
    app = lesson()
    app.button(key="lesson_labels_stop").click().run()
    check(app)
    store = RunStore(home)
    assert [store.load(run.run_id).status for run in runs] == ["finished", "running", "cancelled", "cancelled"]
    assert store.index.is_stop_requested(runs[1].run_id)
    assert app.button(key="lesson_labels_stop").label == "Stopping"
    assert app.button(key="lesson_labels_stop").disabled


def test_stopped_half_way_resume_goes_on_with_what_is_missing(lesson, home, protocol, started):
    runs = make_cell_runs(home, protocol, finished=2, others={2: "stopped", 3: "cancelled"})
    app = lesson(see=True)
    words = read_words(app)
    assert app.button(key="lesson_labels_start").label == "Resume"
    assert "What is finished stays" in words
    assert "6 runs to make" in words
    app.button(key="lesson_labels_start").click().run()
    check(app)
    store = RunStore(home)
    assert [store.load(run.run_id).status for run in runs] == ["finished", "finished", "queued", "queued"]
    [(_, _, configs)] = started
    assert configs == [protocol.build_config(cell).to_dict() for cell in protocol.list_cells(is_short=True)[4:]]


def test_a_failed_run_is_told_and_made_anew(lesson, home, protocol, started):
    """It counted as not made, and nothing said why."""
    make_cell_runs(home, protocol, finished=1)
    make_cell_run(home, protocol, protocol.list_cells(is_short=True)[1], status="failed", error="Out of memory.")
    make_run(home, status="failed", error="Another run.")
    app = lesson()
    words = read_words(app)
    assert "A run of the lesson failed." in words
    assert "Out of memory." in words
    assert "See why it failed" in list_links(app)
    app.button(key="lesson_labels_start").click().run()
    assert len(started[0][2]) == 7


def test_finished_the_answer_is_whole_and_leads_to_compare(lesson, home, protocol):
    runs = make_cell_runs(home, protocol, finished=8)
    app = lesson(see=True)
    words = read_words(app)
    assert "All runs are finished" in words
    assert "Not complete yet" not in words
    assert not has_button(app, "lesson_labels_start")
    assert not has_button(app, "lesson_labels_stop")
    links = {item.proto.label: item.proto.query_string for item in app.main.get("page_link")}
    query = links["Compare LoRA and full with 1 %"]
    assert all(run.run_id in query for run in runs[:4])
    assert not any(run.run_id in query for run in runs[4:])
    table = next(item.value for item in app.dataframe if "What it says" in item.value.columns)
    assert set(table["Seeds with LoRA ahead"]) <= {"0 of 2", "1 of 2", "2 of 2"}
    assert len(table) == 2 * 6


def test_runs_of_the_short_version_count_in_the_whole_one(lesson, home, protocol):
    make_cell_runs(home, protocol, finished=8)
    app = lesson(see=True)
    app.segmented_control(key="lesson_labels_version").set_value("whole").run()
    check(app)
    assert app.button(key="lesson_labels_start").label == "Resume"
    assert "16 runs to make" in read_words(app)
    assert "Not complete yet: 8 of 24" in read_words(app)


def test_own_runs_are_shown_before_the_stored_result_and_both_can_be_chosen(lesson, app, home, protocol, monkeypatch):
    stored = make_stored(home)
    monkeypatch.setattr(f"{STATE}.load_stored", lambda: stored)
    make_cell_runs(home, protocol, finished=2)
    lesson(see=True)
    assert app.segmented_control(key="show").value == "own"
    assert "Not complete yet" in read_words(app)
    app.segmented_control(key="show").set_value("stored").run()
    assert stored.result["words"] in read_words(check(app))
    assert "Not complete yet" not in read_words(app)


def test_a_new_visitor_sees_the_stored_result(lesson, app, home, monkeypatch):
    stored = make_stored(home)
    monkeypatch.setattr(f"{STATE}.load_stored", lambda: stored)
    lesson()
    assert app.segmented_control(key="show").value == "stored"
    assert not has_button(app, "lesson_labels_start")


def test_a_click_on_a_cell_opens_its_run(home, protocol):
    runs = make_cell_runs(home, protocol, finished=2)
    standing = look(RunStore(home), protocol, protocol.list_cells(is_short=True))
    click = {"selection": {"cells": [(1, "Seed 1")], "rows": [], "columns": []}}
    assert find_clicked(click, standing) == runs[1].run_id
    for row, column in ((1, "Seed 2"), (1, "Method, labels"), (9, "Seed 1")):
        assert find_clicked({"selection": {"cells": [(row, column)]}}, standing) is None
    assert find_clicked({"selection": {"cells": []}}, standing) is None


def test_grid_has_a_dash_where_a_seed_is_not_planned_and_measured_times(home, tmp_path, protocol):
    cells = [cell for cell in protocol.list_cells(is_short=False) if not (cell.fraction == 1.0 and cell.seed == 2)]
    run = make_cell_run(home, protocol, cells[0])
    grid = build_grid(look(RunStore(home), protocol, cells), forecast_s=FORECAST, is_open=True)
    assert len(grid) == 12
    assert grid.loc[grid["Method, labels"].str.endswith("100 %"), "Seed 2"].tolist() == [NO_CELL] * 4
    assert grid["Seed 1"][0] == f"✓ {run.metrics()['test_auroc']:.3f}"
    assert "about" not in grid["A run takes"][0]
    assert grid["A run takes"].tolist()[-1] == "n/a"


def test_plan_of_one_run_is_in_the_singular(home, protocol):
    make_cell_runs(home, protocol, finished=7)
    standing = look(RunStore(home), protocol, protocol.list_cells(is_short=True))
    assert describe_plan(standing, FORECAST).startswith("**1 run to make")


def test_times_of_another_computer_are_scaled_by_the_runs_that_ended_here(home, protocol):
    runs = make_cell_runs(home, protocol, finished=2)
    standing = look(RunStore(home), protocol, protocol.list_cells(is_short=True))
    here = runs[0].metrics()["wall_time_s"]
    times = scale_times({kind: here / 3 for kind in FORECAST}, standing)
    assert times == pytest.approx(dict.fromkeys(FORECAST, here))
    assert "by the runs that ended here" in describe_plan(standing, times)
    assert scale_times(FORECAST, look(RunStore(home), protocol, [])) == FORECAST


def test_versions_are_told_in_a_sentence(protocol):
    assert describe_version(protocol, is_short=True).endswith("on 1 % and 10 % of the labels, 2 seeds each.")
