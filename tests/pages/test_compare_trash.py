"""Compare: deleting selected runs, taking it back, what was deleted lately, tags and notes, columns."""

import pytest
from stored_pretrainings import make_pretraining

from medpeft_core.runs.store import RunStore
from pages.widgets.compare_filter import filter_runs, list_tags
from pages.widgets.compare_trash import build_deleted_frame
from pages.widgets.runs_table import ALL_COLUMNS, USUAL_COLUMNS, title_columns


def open_page(app, *run_ids):
    app.run()
    if run_ids:
        app.query_params["runs"] = ",".join(run_ids)
    app.switch_page("pages/compare.py").run()
    return check(app)


def check(app):
    assert not app.exception, app.exception[0].message
    return app


def find_button(app, start):
    return next(item for item in app.main.get("button") if (item.key or "").startswith(start))


def find_by_key(items, start):
    return next(item for item in items if (item.key or "").startswith(start))


def read_words(app):
    kinds = ("markdown", "caption", "info", "warning", "error")
    return "\n".join(item.value for kind in kinds for item in app.main.get(kind))


def selected_ids(app):
    value = app.query_params.get("runs", "")
    return [part for part in (value[0] if isinstance(value, list) else value).split(",") if part]


def test_delete_moves_the_selected_runs_to_the_trash_and_undo_brings_them_back(app, home, make_run):
    runs = [make_run(home), make_run(home, method="full"), make_run(home, method="linear")]
    ids = [run.run_id for run in runs]
    open_page(app, *ids[:2])
    app.button(key="compare_delete").click().run()
    check(app)
    store = RunStore(home)
    assert [run.run_id for run in store.list_runs()] == [ids[2]]
    assert {item.run_id for item in store.list_deleted()} == set(ids[:2])
    assert "2 runs deleted" in read_words(app)
    assert selected_ids(app) == []
    app.button(key="compare_undo").click().run()
    check(app)
    assert {run.run_id for run in store.list_runs()} == set(ids)
    assert store.list_deleted() == []
    assert selected_ids(app) == ids[:2], "the comparison that was on the screen is there again"
    assert "deleted." not in read_words(app)


def test_undo_of_the_only_run_works_on_the_empty_page(app, home, make_run):
    """With no run left the page said that there are no runs yet, and offered no way back."""
    run = make_run(home)
    open_page(app, run.run_id)
    app.button(key="compare_delete").click().run()
    check(app)
    assert "No runs yet" in read_words(app)
    assert "1 run deleted" in read_words(app)
    app.button(key="compare_undo").click().run()
    assert [item.run_id for item in RunStore(home).list_runs()] == [run.run_id]


def test_delete_refuses_a_running_run_with_words_and_deletes_the_others(app, home, make_run):
    finished, running = make_run(home), make_run(home, status="running")
    open_page(app, finished.run_id, running.run_id)
    app.button(key="compare_delete").click().run()
    check(app)
    assert "is being trained and cannot be deleted" in read_words(app).replace("\\", "")
    assert running.folder.exists()
    assert not finished.folder.exists()
    assert selected_ids(app) == [running.run_id]


def test_undo_bar_can_be_closed(app, home, make_run):
    open_page(app, make_run(home).run_id)
    app.button(key="compare_delete").click().run()
    app.button(key="compare_undo_close").click().run()
    check(app)
    assert "1 run deleted" not in read_words(app)


def test_undo_bar_goes_when_somebody_else_emptied_the_trash(app, home, make_run):
    open_page(app, make_run(home).run_id)
    app.button(key="compare_delete").click().run()
    RunStore(home).purge_deleted()
    app.run()
    check(app)
    assert "1 run deleted" not in read_words(app)


def test_recently_deleted_runs_are_listed_restored_and_removed_for_good(app, home, make_run):
    store = RunStore(home)
    first, second, kept = make_run(home), make_run(home), make_run(home)
    for run in (first, second):
        store.delete(run.run_id)
    open_page(app)
    assert not [item for item in app.main.get("button") if item.key == "compare_restore"], "closed until it is opened"
    app.session_state["compare_recently_deleted"] = True
    app.run()
    check(app)
    frame = next(item.value for item in app.dataframe if "Kept until" in item.value.columns)
    assert set(frame["Run"]) == {first.run_id, second.run_id}
    app.button(key="compare_restore").click().run()
    check(app)
    assert {run.run_id for run in store.list_runs()} == {first.run_id, second.run_id, kept.run_id}
    assert not [item for item in app.dataframe if "Kept until" in item.value.columns]


def test_removing_for_good_asks_first(app, home, make_run):
    store = RunStore(home)
    for run in (make_run(home), make_run(home)):
        store.delete(run.run_id)
    app.run()
    app.session_state["compare_recently_deleted"] = True
    app.switch_page("pages/compare.py").run()
    app.button(key="compare_purge").click().run()
    check(app)
    assert len(store.list_deleted()) == 2
    app.button(key="compare_purge_sure").click().run()
    check(app)
    assert store.list_deleted() == []


def test_deleted_frame_tells_size_and_date(home, make_run):
    store = RunStore(home)
    item = store.delete(make_run(home).run_id)
    frame = build_deleted_frame([item], [2 * 2**20])
    assert frame.loc[0, ["Run", "Deleted", "Size"]].tolist() == [item.run_id, "just now", "2 MiB"]


def test_tags_notes_and_owner_of_one_run_are_stored(app, home, make_run):
    run = make_run(home, meta={"tags": ["old"], "notes": "before"})
    make_run(home, method="full", meta={"tags": ["paper"]})
    open_page(app, run.run_id)
    tags = find_by_key(app.multiselect, "compare_tags_")
    assert tags.value == ["old"]
    assert set(tags.options) == {"old", "paper"}
    tags.set_value(["paper"])
    find_by_key(app.text_area, "compare_notes_").set_value("A note.\nSecond line.")
    find_by_key(app.text_input, "compare_owner_").set_value("Ada")
    find_button(app, "compare_save_").click().run()
    check(app)
    assert run.meta() == {"tags": ["paper"], "notes": "A note.\nSecond line.", "owner": "Ada"}
    assert find_by_key(app.multiselect, "compare_tags_").value == ["paper"]


def test_tags_of_several_runs_change_only_what_they_share(app, home, make_run):
    first = make_run(home, meta={"tags": ["shared", "mine"], "notes": "stays"})
    second = make_run(home, method="full", meta={"tags": ["shared"]})
    third = make_run(home, method="linear", meta={"tags": ["new"]})
    open_page(app, first.run_id, second.run_id)
    assert any("Notes and owner: one run at a time" in item.value for item in app.caption)
    tags = find_by_key(app.multiselect, "compare_tags_")
    assert tags.value == ["shared"]
    assert not [item for item in app.text_area if (item.key or "").startswith("compare_notes_")]
    tags.set_value(["new"])
    find_button(app, "compare_save_").click().run()
    check(app)
    assert first.meta()["tags"] == ["mine", "new"]
    assert second.meta()["tags"] == ["new"]
    assert third.meta()["tags"] == ["new"]
    assert first.meta()["notes"] == "stays"


def test_damaged_runs_can_be_deleted_but_not_tagged(app, home, make_run):
    run = make_run(home)
    run.config_path.write_text("{")
    open_page(app, run.run_id)
    assert not [item for item in app.multiselect if (item.key or "").startswith("compare_tags_")]
    app.button(key="compare_delete").click().run()
    check(app)
    assert not run.folder.exists()


def test_clear_selects_none(app, home, make_run):
    runs = [make_run(home), make_run(home, method="full")]
    open_page(app, *(run.run_id for run in runs))
    app.button(key="compare_clear").click().run()
    check(app)
    assert selected_ids(app) == []
    assert "Tick runs in the first column" in read_words(app)


def test_tag_filter_is_there_once_a_run_has_a_tag(app, home, make_run):
    make_run(home)
    open_page(app)
    assert not [item for item in app.multiselect if item.key == "compare_tag"]
    tagged = make_run(home, method="full", meta={"tags": ["paper"]})
    app.run()
    app.multiselect(key="compare_tag").set_value(["paper"]).run()
    check(app)
    table = next(item.value for item in app.dataframe if "run_id" in item.value.columns)
    assert table["run_id"].tolist() == [tagged.run_id]


def test_chosen_columns_are_shown_in_their_order(app, home, make_run):
    make_run(home, meta={"owner": "Ada"})
    open_page(app)
    app.multiselect(key="columns").set_value(["owner", "test_auroc"]).run()
    check(app)
    table = next(item for item in app.dataframe if "run_id" in item.value.columns)
    assert list(table.proto.column_order) == ["status", "run_id", "owner", "test_auroc"]
    app.multiselect(key="columns").set_value([]).run()
    check(app)


def test_every_column_has_a_title():
    titles = title_columns()
    assert set(titles) == set(ALL_COLUMNS)
    assert len(set(titles.values())) == len(titles)
    assert set(USUAL_COLUMNS) < set(ALL_COLUMNS)


@pytest.mark.parametrize(("tags", "expected"), [([], ["a", "b", "c"]), (["x"], ["a", "b"]), (["y", "z"], ["b"])])
def test_filter_by_tags_takes_runs_with_one_of_them(tags, expected):
    summaries = [{"run_id": "a", "tags": ["x"]}, {"run_id": "b", "tags": ["x", "y"]}, {"run_id": "c", "status": None}]
    assert [item["run_id"] for item in filter_runs(summaries, tags=tags)] == expected
    assert list_tags(summaries) == ["x", "y"]


def test_deleted_pretrainings_are_left_to_their_own_page(app, home, make_run):
    """Bringing back all deleted runs, or removing them for good, took pre-trainings along that were not even shown."""
    pretraining = make_pretraining(home, status="finished")
    RunStore(home).delete(pretraining.run_id)
    make_run(home)
    open_page(app)
    assert not any("Recently deleted" in item.label for item in app.main.get("expander"))
    deleted = make_run(home, method="full")
    RunStore(home).delete(deleted.run_id)
    app.run()
    assert any(item.label == "Recently deleted (1)" for item in app.main.get("expander"))
