"""The Monitor page over stored runs in every state."""

import re
import shutil

import pytest
from monitor_visits import click, list_links, read_metrics, read_table, read_texts

from medpeft_core.errors import RunError
from medpeft_core.runs.store import RunStore
from medpeft_core.worker.failures import describe_failure
from pages.widgets.launching import Started

STATUSES = ("running", "queued", "finished", "failed", "stopped", "interrupted", "cancelled")


def test_monitor_of_an_empty_lab_says_what_to_do(monitor):
    app = monitor()
    assert "No runs yet." in read_texts(app)
    assert {"Start the demo on Home", "Set up a run on Train"} <= set(list_links(app))


@pytest.mark.parametrize("status", STATUSES)
def test_monitor_shows_a_run_in_every_state(monitor, home, make_run, status):
    is_new = status in ("queued", "cancelled")
    run = make_run(home, status=status, epochs_done=0 if is_new else 2, error="It broke.")
    app = monitor()
    assert run.run_id in read_texts(app)
    assert f" {status}]" in read_texts(app)  # the chip
    assert len(app.get("vega_lite_chart")) == (0 if is_new else 4)


@pytest.mark.parametrize(
    ("status", "every_s"), [("running", 1.0), ("queued", 1.0), ("finished", None), ("failed", None)]
)
def test_only_a_run_at_work_is_polled(monitor, home, make_run, monkeypatch, status, every_s):
    """A fragment that went on after the end would cost the server and every visitor a redraw each second."""
    asked = []

    def fragment(draw, *, run_every=None):
        asked.append(run_every)
        return draw

    monkeypatch.setattr("pages.widgets.monitor_run.st.fragment", fragment)
    make_run(home, status=status, epochs_done=1, error="It broke.")
    monitor()
    assert asked[-1] == every_s  # the last one on the page is that of the shown run


def test_running_run_shows_its_line_and_figures(monitor, home, make_run):
    run = make_run(home, status="running", epochs_done=2, epochs=8)
    text, figures = read_texts(app := monitor()), read_metrics(app)
    # the seconds depend on how busy the machine is
    assert re.search(r"\*\*epoch 3 of 8\*\* · step 40 of 160 · about (3\d|2\d) s left · :gray\[heard from ", text)
    last = [event for event in run.history() if event["type"] == "eval"][-1]
    assert figures["Best val AUROC"] == (f"{last['val_auroc']:.3f}", f"epoch 2, last {last['val_auroc']:.3f}")
    assert figures["Trained parameters"] == ("75.0 k", "1.3 % of 5.7 M")


def test_running_run_that_is_silent_says_so(monitor, home, make_run):
    make_run(home, status="running", epochs_done=2, heard_s=40)
    silent = re.search(r"Nothing heard for (\d+) s: the worker may be swapping or suspended.", read_texts(monitor()))
    assert silent is not None
    assert 40 <= int(silent[1]) < 80  # drawing the page takes its time too


def test_stop_is_asked_for_and_said_at_once(monitor, home, make_run):
    run = make_run(home, status="running", epochs_done=2)
    app = click(monitor(), "Stop")
    assert RunStore(home).index.is_stop_requested(run.run_id)
    assert "**Stopping after this batch, with a checkpoint**" in read_texts(app)
    assert next(item for item in app.button if item.label == "Stopping").disabled


def test_queued_run_tells_its_place_and_what_it_waits_for(monitor, home, make_run):
    running = make_run(home, status="running", epochs_done=1)
    make_run(home, status="queued", epochs_done=0)
    second = make_run(home, status="queued", epochs_done=0)
    text = read_texts(monitor(second.run_id))
    assert "Position 2 of 2 in the queue for cpu." in text
    assert f"The run `{running.run_id}` is at work there now." in text
    assert "Another server of this lab" in text  # the test holds the supervisor's lock


def test_queued_run_can_be_cancelled(monitor, home, make_run):
    run = make_run(home, status="queued", epochs_done=0)
    app = click(monitor(), "Cancel")
    assert run.status == "cancelled"
    assert RunStore(home).index.queued() == []
    assert "Start it again" in [item.label for item in app.button]


def test_work_beside_the_shown_run_is_listed(monitor, home, make_run):
    shown = make_run(home, epochs_done=1)
    make_run(home, status="running", epochs_done=1, epochs=5)
    queued = make_run(home, status="queued", epochs_done=0, fraction=0.25)
    app = monitor(shown.run_id)
    assert "At work in this lab" in read_texts(app)
    assert "LoRA r8, ViT-Tiny/16, 25 % of phantom" in list_links(app)
    app.button(key=f"monitor_cancel_{queued.run_id}").click().run()
    assert queued.status == "cancelled"


def test_finished_run_shows_test_figures_with_intervals(monitor, home, make_run):
    run = make_run(home, epochs_done=3, labels=("Effusion", "Nodule", "Never"))
    metrics, app = run.metrics(), monitor()
    interval = f"{metrics['test_auroc_low']:.3f} to {metrics['test_auroc_high']:.3f}"
    assert read_metrics(app)["Test AUROC"] == (f"{metrics['test_auroc']:.3f}", interval)
    table = read_table(app, "Interval").set_index("Label")
    assert list(table.loc["Never", ["AUROC", "Positive", "Note"]]) == ["n/a", 0, "no positive image in this split"]
    assert table.loc["Effusion", "AUROC"] == f"{metrics['test']['per_class']['Effusion']['auroc']:.3f}"
    text = read_texts(app)
    assert "The mean is over 2 labels; 1 had no positive or no negative test image." in text
    assert "Synthetic images" in text
    assert "Research and teaching only, not for clinical use." in text
    links = list_links(app)
    assert links["See where it looked"] == ("explain", f"run={run.run_id}")
    assert links["Compare"] == ("compare", f"runs={run.run_id}")
    assert links["Copy its settings"] == ("train", f"copy={run.run_id}")


def test_finished_run_without_patients_says_what_could_not_be_checked(monitor, home, make_run):
    make_run(home, epochs_done=1, provenance={"num_train_patients": None})
    assert "Leakage between images of one patient could not be checked" in read_texts(monitor())


def test_failed_run_tells_what_happened_and_retries_with_half_the_batch(monitor, home, make_run, monkeypatch):
    started = []

    def start(configs, *, title):
        started.extend(configs)
        return Started(run_ids=(make_run(home, status="queued", epochs_done=0).run_id,), job_id=None)

    monkeypatch.setattr("pages.widgets.monitor_actions.start_runs", start)
    error = describe_failure(MemoryError(), folder=home, device="cpu", batch_size=32).text
    make_run(home, status="failed", epochs_done=1, error=error)
    app = monitor()
    assert "Memory ran out" in read_texts(app)
    assert "Traceback (most recent call last)" in read_texts(app)
    click(app, "Retry with batch 16")
    assert (started[0]["train"]["batch_size"], started[0]["train"]["accumulation"]) == (16, 2)
    assert "Position 1 of 1 in the queue" in read_texts(app)  # the page has gone to the new run


def test_retry_that_cannot_start_says_why(monitor, home, make_run, monkeypatch):
    def refuse(configs, *, title):
        raise RunError("The weights file is gone. Put it back.")

    monkeypatch.setattr("pages.widgets.monitor_actions.start_runs", refuse)
    make_run(home, status="failed", epochs_done=1, error="The memory of cpu ran out with train.batch_size 32.")
    assert r"The weights file is gone\." in read_texts(click(monitor(), "Retry with batch 16"))


@pytest.mark.parametrize("status", ["stopped", "interrupted"])
def test_run_that_ended_early_is_resumed(monitor, home, make_run, status):
    run = make_run(home, status=status, epochs_done=1, error="The process that trained this run ended without a word.")
    app = click(monitor(), "Resume from the last checkpoint")
    assert run.status == "queued"
    assert [item.run_id for item in RunStore(home).index.queued()] == [run.run_id]
    assert "Position 1 of 1" in read_texts(app)


def test_words_of_people_and_files_are_not_interpreted(monitor, home, make_run):
    notes, error = "See [here](http://x) and *this* <b>b</b>", "DataError: no file /a_b/*.png :red[x]"
    make_run(home, status="failed", epochs_done=1, error=error, meta={"notes": notes, "tags": ["a_b *c*"]})
    app = monitor()
    assert notes in [item.value for item in app.main.get("text")]
    assert r"/a\_b/\*\.png \:red\[x\]" in app.error[0].value
    assert any(r"a\_b \*c\*" in item.value for item in app.markdown)


def test_running_run_is_shown_first_and_named_in_the_address(monitor, home, make_run):
    running = make_run(home, status="running", epochs_done=1)
    make_run(home, epochs_done=1)
    app = monitor()
    assert app.query_params["run"] == running.run_id
    assert app.selectbox(key="monitor_run_id").value == running.run_id


def test_choosing_a_run_changes_the_address(monitor, home, make_run):
    older, newer = make_run(home, epochs_done=1), make_run(home, epochs_done=2)
    app = monitor()
    assert app.query_params["run"] == newer.run_id
    app.selectbox(key="monitor_run_id").select(older.run_id).run()
    assert app.query_params["run"] == older.run_id
    assert older.run_id in read_texts(app)
    assert newer.run_id not in read_texts(app)


@pytest.mark.parametrize("address", ["20200101-0000-lora-r8-vit_tiny-0000", "../../etc", "**x** ![](http://x/y.png)"])
def test_address_of_no_run_is_answered_with_the_picker(monitor, home, make_run, address):
    run = make_run(home, epochs_done=1)
    app = monitor(address)
    assert "The address names a run" in read_texts(app)
    assert "![" not in read_texts(app)
    assert app.selectbox(key="monitor_run_id").value is None
    app.selectbox(key="monitor_run_id").select(run.run_id).run()
    assert run.run_id in read_texts(app)


def test_damaged_run_says_so_and_can_be_deleted(monitor, home, make_run):
    run = make_run(home, epochs_done=1)
    run.config_path.write_text("{ damaged")
    app = monitor()
    assert "This run cannot be read" in read_texts(app)
    click(app, "Delete it")
    app.button(key="monitor_delete_confirmed").click().run()
    assert not run.folder.exists()


@pytest.mark.parametrize("name", ["meta.json", "metrics.json"])
def test_run_with_a_damaged_file_says_so_and_can_be_deleted(monitor, home, make_run, name):
    """The page ended in an error of its own, without a way to delete the run."""
    run = make_run(home)
    (run.folder / name).write_text("{ damaged")
    app = monitor(run.run_id)
    assert "This run cannot be read" in read_texts(app)
    assert app.button(key="monitor_delete_damaged")


def test_deleting_asks_first_and_then_shows_another_run(monitor, home, make_run):
    other, run = make_run(home, epochs_done=1), make_run(home, epochs_done=1)
    app = click(monitor(), "Delete")
    assert run.folder.exists()
    app.button(key="monitor_delete_confirmed").click().run()
    assert not run.folder.exists()
    assert app.query_params["run"] == other.run_id
    assert other.run_id in read_texts(app)


def test_run_deleted_elsewhere_is_reported(monitor, home, make_run):
    make_run(home, epochs_done=1)
    gone = make_run(home, status="running", epochs_done=1)
    app = monitor()
    shutil.rmtree(gone.folder)
    app.run()
    assert not app.exception
    assert "that is not here" in read_texts(app)


def test_monitor_page_shows_a_run_whose_index_cannot_be_used(app, home, make_run, monkeypatch):
    """On a full disk the index failed at each tick, and the page was an exception instead of the run."""
    run = make_run(home, status="running", epochs_done=1)

    def fail(*_):
        raise RunError("The lab's index cannot be used: the disk is full.")

    for name in ("last_beat", "is_stop_requested", "queued"):
        monkeypatch.setattr(f"medpeft_core.runs.index.LabIndex.{name}", fail)
    app.run()
    app.query_params["run"] = run.run_id
    app.switch_page("pages/monitor.py").run()
    assert not app.exception
    assert any("epoch 2" in item.proto.text for item in app.main.get("progress"))
