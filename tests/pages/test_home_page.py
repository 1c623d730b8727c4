"""Home in each state of the lab: empty, demo at work, failed, finished, many runs."""

import pytest

from medpeft_core.demo import build_demo_configs, find_demo_runs
from medpeft_core.runs.listing import list_summaries
from medpeft_core.runs.states import STATUSES
from medpeft_core.runs.store import RunStore
from pages.widgets.demo_card import JOB_TITLE

FULL, LORA = build_demo_configs()


def read_words(app):
    """All words of the main part of the page."""
    words = [item.value for kind in ("markdown", "caption", "info", "error") for item in app.main.get(kind)]
    return "\n".join([*words, *(item.proto.text for item in app.main.get("progress"))])


def make_demo_run(make_run, home, config, **options):
    """A stored run that looks like one of the demo's."""
    return make_run(
        home,
        method=config.method.name,
        backbone=config.backbone.name,
        fraction=config.data.fraction,
        settings={"backbone": {"weights": config.backbone.weights}},
        epochs=config.train.epochs,
        **{"epochs_done": config.train.epochs, **options},
    )


def test_home_of_an_empty_lab_offers_the_demo(app):
    app.run()
    assert not app.exception
    assert app.title[0].value == "MedPEFT Lab"
    assert app.button(key="home_start_demo").label == "Start the demo"
    words = read_words(app)
    assert "No runs yet" in words
    assert "not for clinical use" in words
    assert "Synthetic images" in words
    assert "Both start from the same weights" in words
    assert "random weights" not in words


def test_home_button_starts_one_job_with_both_runs(app, home, monkeypatch):
    started = []
    monkeypatch.setattr(
        "medpeft_core.worker.jobs.JobStore.start",
        lambda self, kind, title, **request: started.append((kind, title, request["configs"])),
    )
    app.run()
    app.button(key="home_start_demo").click().run()
    assert not app.exception
    assert len(started) == 1
    kind, title, configs = started[0]
    assert (kind, title) == ("launch", JOB_TITLE)
    assert [config["method"]["name"] for config in configs] == ["full", "lora"]


def test_home_shows_a_demo_at_work(app, home, make_run):
    make_demo_run(make_run, home, LORA, status="queued", epochs_done=0)
    make_demo_run(make_run, home, FULL, status="running", epochs_done=2, phase="training, epoch 3")
    app.run()
    assert not app.exception
    assert "home_start_demo" not in [item.key for item in app.button]
    assert "**All weights**" in [item.proto.label for item in app.main.get("page_link")]
    assert "training, epoch 3" in read_words(app)


def test_home_leads_from_a_finished_demo_to_its_results(app, home, make_run):
    make_demo_run(make_run, home, LORA)
    make_demo_run(make_run, home, FULL)
    app.run()
    assert not app.exception
    assert app.button(key="home_start_demo").label == "Run the demo again"
    labels = [item.proto.label for item in app.main.get("page_link")]
    assert "Compare both" in labels
    assert "See where it looked" in labels
    assert "test AUROC" in read_words(app)


@pytest.mark.parametrize("status", [status for status in STATUSES if status not in ("queued", "running", "paused")])
def test_home_lists_a_run_however_it_ended(app, home, make_run, status):
    make_run(home, status=status, epochs_done=2, error="It broke.")
    app.run()
    assert not app.exception
    assert app.main.dataframe[0].value["status"].iloc[0].endswith(status)
    assert app.button(key="home_start_demo").label == "Start the demo"


def test_home_with_many_runs_shows_the_newest_and_leads_to_all(app, home, make_runs):
    make_runs(home, 200)
    app.run()
    assert not app.exception
    assert len(app.main.dataframe[0].value) == 8
    assert "All 200 runs" in [item.proto.label for item in app.main.get("page_link")]


def test_demo_runs_are_found_among_others(home, make_run):
    make_run(home, method="full", backbone="resnet18")
    wanted = [make_demo_run(make_run, home, config) for config in (FULL, LORA)]
    found = find_demo_runs(list_summaries(RunStore(home)))
    assert [item["run_id"] for item in found] == [run.run_id for run in wanted]


def test_home_says_which_runs_are_on_synthetic_images(app, home, make_run):
    """A visitor took the higher AUROC of synthetic images for the better model."""
    make_run(home)
    app.run()
    assert app.main.dataframe[0].value["dataset"].iloc[0] == "phantom, synthetic"


def test_home_leads_to_both_lessons_without_reading_their_runs(app, monkeypatch):
    """Their answers ship with the lab; Home must not become slow by them."""

    def fail(*arguments, **options):
        raise AssertionError("Home read the stored result")

    monkeypatch.setattr("medpeft_core.lessons.stored.load_stored", fail)
    monkeypatch.setattr("pages.widgets.lesson_labels_state.load_stored", fail)
    app.run()
    assert not app.exception
    links = {item.proto.page: item.proto.label for item in app.main.get("page_link")}
    assert links["lesson_labels"] == "**Few labels: LoRA or full fine-tuning?**"
    assert "lesson_shortcut" in links
    assert "thirty labelled films" in read_words(app)
