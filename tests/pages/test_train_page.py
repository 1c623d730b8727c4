"""The Train page: forecast, first batch and start, mostly with a stand-in for the compute process."""

import time

import pytest
from PIL import Image
from train_visits import (
    SPEED,
    find,
    open_train,
    read_check,
    read_metrics,
    rerun,
    start_button,
    submit_soon,
    use_stand_in,
)

from medpeft_core.config import DataConfig, RunConfig
from medpeft_core.datasets.prepare import prepare_dataset
from medpeft_core.errors import DataError, MethodError
from medpeft_core.runs.store import RunStore
from pages.widgets.lab import get_lab
from pages.widgets.wording import escape_markdown

REAL_TIMEOUT_S = 180
TINY_DATA = {"dataset": "phantom", "options": {"num_patients": 60, "size": 64}, "cache_size": 64}
TINY_BACKBONE = {"name": "resnet18", "image_size": 32}


@pytest.fixture
def compute(monkeypatch):
    return use_stand_in(monkeypatch)


@pytest.fixture
def train(app, compute):
    """The Train page in an empty lab, drawn once."""
    return open_train(app.run())


def test_train_page_opens_in_an_empty_lab(train, compute):
    assert train.title[0].value == "Train"
    assert "Warming up" in " ".join(item.value for item in train.caption)
    command = train.code[0].value
    assert command.startswith("python -m medpeft_core train --dataset phantom --backbone demo_vit --weights demo")
    assert "--method lora" in command
    assert not start_button(train).disabled
    assert [kind for kind, _ in compute.asked] == ["ping", "check"]


def test_train_page_asks_once_for_each_config(train, compute):
    """Every rerun must not ask anew, and the time is asked for after the sizes."""
    rerun(train)
    assert [kind for kind, _ in compute.asked].count("check") == 1
    compute.answers["check"] = read_check()
    train.select_slider(key="train_fraction").set_value(0.1)
    rerun(train)
    assert [kind for kind, _ in compute.asked][-2:] == ["check", "speed"]
    assert compute.asked[-1][1]["config"]["data"]["fraction"] == 0.1


def test_train_page_opens_once_when_answers_come_while_it_is_drawn(app, compute, monkeypatch):
    """A warm compute process answered before the page was drawn; each answer began the visit anew, for seconds."""
    monkeypatch.setattr(compute, "submit", submit_soon)
    compute.answers.update(check=read_check(), speed=SPEED)
    open_train(app.run())
    assert [kind for kind, _ in compute.asked] == ["ping", "check", "speed"]
    assert not start_button(app).disabled


def test_train_figures_are_those_of_the_compute_process(train, compute):
    compute.answers.update(check=read_check(warnings=["Few positive images: Nodule 3."]), speed=SPEED)
    train.select_slider(key="train_fraction").set_value(0.5)
    rerun(train)
    assert read_metrics(train) == {
        "Trained parameters": ("38.2 k", "0.67 % of 5.7 M"),
        "Memory": ("2.0 GiB", "of 16.0 GiB on cpu"),
        "Time": ("1 min 30 s", "3 epochs, 12 steps"),
        "Training images": ("100", "of 52 patients"),
    }
    assert "Nodule 3" in train.warning[0].value
    assert list(train.dataframe[0].value["label"]) == ["Nodule"]
    assert "about 1 min 30 s" in " ".join(item.value for item in train.text)


def test_train_page_says_that_each_image_is_of_exactly_one_class(train, compute):
    counts = {
        label: {"num_positive": 100 - 90 * k, "num_negative": 90 * k, "num_unknown": 0}
        for k, label in enumerate(("mild", "severe"))
    }
    compute.answers.update(check=read_check(positives=counts, task="multiclass", is_ordered=True), speed=SPEED)
    train.select_slider(key="train_fraction").set_value(0.5)
    rerun(train)
    said = " ".join(item.value for item in train.caption)
    assert "Each image is exactly one of 2 grades, the mildest first; the model answers with the likeliest." in said
    assert train.dataframe[0].value.to_dict("list") == {"class": ["mild", "severe"], "images": [100, 10]}


def test_train_page_says_that_data_are_not_prepared(train, compute):
    nothing = dict.fromkeys(("steps_per_epoch", "num_steps", "num_images", "num_train_images", "positives"))
    compute.answers["check"] = read_check(is_prepared=False, **nothing)
    compute.answers["speed"] = {**SPEED, "total_s": None}
    train.select_slider(key="train_fraction").set_value(0.5)
    rerun(train)
    assert "not drawn yet" in train.info[0].value
    assert train.button(key="train_prepare").label == "Prepare the data now"
    assert train.toggle(key="train_show_batch").disabled
    assert read_metrics(train)["Time"][0] == "n/a"


def test_train_page_shows_why_a_run_is_impossible(train, compute):
    compute.answers["check"] = DataError("The file a_b*c* is not an image.")
    train.select_slider(key="train_fraction").set_value(0.5)
    rerun(train)
    assert train.error[0].value == escape_markdown("The file a_b*c* is not an image.")
    assert start_button(train).disabled


def test_train_choices_survive_a_visit_to_another_page(train):
    train.selectbox(key="train_method").set_value("lora")
    rerun(train)
    train.pills(key="train_rank_lora").set_value(2)
    rerun(train)
    train.switch_page("pages/home.py").run()
    open_train(train)
    assert train.pills(key="train_rank_lora").value == 2
    assert "--rank 2" in train.code[0].value


def test_train_first_batch_shows_images_with_their_labels(train, compute, tmp_path):

    path = tmp_path / "0.png"
    Image.new("L", (8, 8)).save(path)
    images = [{"path": str(path), "image": "a.png", "labels": ["Nodule", "Effusion"]}]
    compute.answers.update(check=read_check(), speed=SPEED, first_batch={"images": images, "image_size": 112})
    train.select_slider(key="train_fraction").set_value(0.5)
    rerun(train)
    train.toggle(key="train_show_batch").set_value(True)
    rerun(train)
    assert [item.captions for item in train.image] == [["Nodule, Effusion"]]
    assert any("112 × 112" in item.value and "no patient was imaged" in item.value for item in train.caption)


def test_train_start_leads_to_monitor(train, compute, home, make_run):
    run = make_run(home, status="queued", epochs_done=0)
    compute.answers.update(check=read_check(), speed=SPEED, launch={"run_ids": [run.run_id]})
    start_button(train).click()
    rerun(train)
    assert train.title[0].value != "Train"
    assert train.query_params["run"] == run.run_id
    assert [kind for kind, _ in compute.asked].count("launch") == 1


def test_train_start_shows_its_error_at_the_button(train, compute):
    compute.answers.update(check=read_check(), speed=SPEED, launch=MethodError("LoRA found nothing to adapt."))
    start_button(train).click()
    rerun(train)
    assert train.error[0].value == escape_markdown("LoRA found nothing to adapt.")
    assert train.error[0].proto.title == "Nothing was started"
    assert not start_button(train).disabled
    train.select_slider(key="train_fraction").set_value(0.5)
    rerun(train)
    assert not train.error  # the settings are others now


def test_train_page_that_was_left_while_starting_does_not_start_again(train, compute):
    """The click is remembered until it is answered, also when its page is left in between."""
    train.session_state["train_wanted"] = ([RunConfig().to_dict()], "a run")
    train.switch_page("pages/home.py").run()
    open_train(train)
    assert "launch" not in [kind for kind, _ in compute.asked]
    assert not start_button(train).disabled


def test_train_second_click_starts_nothing(train, compute, home, make_run):
    """Two clicks in a row queued two runs with the same settings."""
    run = make_run(home, status="queued", epochs_done=0)
    compute.answers.update(check=read_check(), speed=SPEED, launch={"run_ids": [run.run_id]})
    start_button(train).click()
    rerun(train)
    open_train(train)
    start_button(train).click()
    rerun(train)
    assert train.query_params["run"] == run.run_id
    assert [kind for kind, _ in compute.asked].count("launch") == 1


def test_train_start_without_prepared_data_begins_a_job(train, compute, monkeypatch):
    class StandInJob:
        job_id = "20260101-000000-000000-launch-0000"

    started = []
    monkeypatch.setattr(
        "pages.widgets.lab.JobStore.start", lambda self, *arguments, **named: started.append(named) or StandInJob()
    )
    compute.answers.update(check=read_check(is_prepared=False, positives=None), speed=SPEED)
    start_button(train).click()
    rerun(train)
    assert len(started[0]["configs"]) == 1
    assert "launch" not in [kind for kind, _ in compute.asked]


@pytest.mark.slow
def test_train_copies_and_queues_for_real(app, home):
    """A copied run gets the very config of its model, and ranks 2, 4, 8 with 3 seeds become nine queued runs."""
    prepare_dataset(DataConfig(**TINY_DATA))
    knobs = {"rank": 4}
    config = RunConfig.from_dict(
        {"data": {**TINY_DATA, "fraction": 0.5}, "backbone": TINY_BACKBONE, "method": {"name": "lora", "knobs": knobs}}
    )
    lab, store = get_lab(), RunStore(home)
    first = lab.compute.request("launch", timeout_s=REAL_TIMEOUT_S, configs=[config.to_dict()])["run_ids"][0]
    app.default_timeout = REAL_TIMEOUT_S
    app.run()
    open_train(app, copy=first)
    start_button(app).click()
    rerun(app)
    second = app.query_params["run"]
    assert second != first
    assert store.load(second).config() == store.load(first).config()

    open_train(app)
    find(app.pills, "train_grid_ranks").set_value([2, 4, 8])
    find(app.number_input, "train_grid_num_seeds").set_value(3)
    rerun(app)
    assert start_button(app).label == "Queue 9 runs"
    start_button(app).click()
    rerun(app)
    queued = [run for run in store.list_runs() if run.run_id not in (first, second)]
    assert {run.status for run in queued} == {"queued"}
    found = sorted((run.config().method.knobs["rank"], run.config().train.seed) for run in queued)
    assert found == [(rank, seed) for rank in (2, 4, 8) for seed in (0, 1, 2)]

    wait_for_figures(open_train(app))
    assert read_metrics(app)["Training images"][0] == str(store.load(first).provenance()["num_train_images"])


def wait_for_figures(app):
    """Look again until the compute process has said how large the model is."""
    deadline = time.monotonic() + REAL_TIMEOUT_S
    while "Training images" not in read_metrics(app):
        assert time.monotonic() < deadline
        time.sleep(0.2)
        rerun(app)
