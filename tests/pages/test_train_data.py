"""The Train page and data sets: taking one over from the Data page, its folder, and the job that prepares it."""

import pytest
from data_visits import SMALL, make_nih, prepare_phantom, wait_for_job
from train_visits import SPEED, find, open_train, read_check, rerun, use_stand_in

from medpeft_core.config import DataConfig
from medpeft_core.datasets.prepare import inspect_dataset
from medpeft_core.datasets.views import view_key
from medpeft_core.worker.jobs import JobStore
from pages.widgets.data_sets import build_data_link, clean_folder, find_section

NOT_PREPARED = dict.fromkeys(("steps_per_epoch", "num_steps", "num_images", "num_train_images", "positives"))


@pytest.fixture
def compute(monkeypatch):
    return use_stand_in(monkeypatch)


def test_train_opens_with_the_set_that_the_data_page_shows(app, compute, home, tmp_path):
    """ "Train on it" below an NIH folder opened Train with the synthetic set."""
    data = DataConfig(dataset="nih", root=str(make_nih(tmp_path / "my nih")), options={"lists": "none"}, split_seed=3)
    inspect_dataset(data)
    app.run()
    app.switch_page("pages/data.py")
    app.query_params["data"] = view_key(data)
    app.run()
    link = next(item.proto for item in app.main.get("page_link") if item.proto.label == "Train on it")
    assert f"data={view_key(data)}" in link.query_string
    open_train(app, data=view_key(data))
    assert "data" not in app.query_params
    assert find(app.selectbox, "train_dataset").value == "nih"
    command = app.code[0].value
    assert f"--root '{tmp_path}/my nih'" in command
    assert "--set data.split_seed=3" in command
    assert "--set data.lists=none" in command
    find(app.selectbox, "train_dataset").set_value("phantom")
    rerun(app)
    assert "--dataset phantom" in app.code[0].value, "the address must not undo a change"


def test_train_keeps_other_choices_when_it_takes_a_set(app, compute, home):
    data = prepare_phantom(home)
    app.run()
    open_train(app)
    find(app.selectbox, "train_backbone").set_value("vit_tiny_patch16_224")
    rerun(app)
    open_train(app, data=view_key(data))
    assert "--backbone vit_tiny_patch16_224" in app.code[0].value
    assert f"data.num_patients={SMALL['num_patients']}" in app.code[0].value


@pytest.mark.parametrize("key", ["0123456789abcdef", "../../etc/passwd"])
def test_train_tells_of_an_unknown_set_in_its_address(app, compute, key):
    app.run()
    open_train(app, data=key)
    assert "not prepared in this lab" in app.error[0].value
    assert "passwd" not in app.error[0].value
    assert "--dataset phantom" in app.code[0].value


def test_train_offers_the_folder_where_a_set_is_prepared(app, compute, home, tmp_path):
    """Folders were offered only where a job had prepared them, not the command line or a run."""
    root = str(make_nih(tmp_path / "nih"))
    inspect_dataset(DataConfig(dataset="nih", root=root))
    open_train(app.run())
    app.selectbox(key="train_dataset").set_value("nih")
    rerun(app)
    assert app.selectbox(key="train_root_nih").value == root


@pytest.mark.parametrize(
    ("text", "folder"),
    [
        ('"/data/my nih"', "/data/my nih"),
        (" '/data/nih' ", "/data/nih"),
        ("/data/nih", "/data/nih"),
        ("~/nih", "~/nih"),
        ('"', '"'),
        ('""', None),
        ("  ", None),
        (None, None),
    ],
)
def test_clean_folder_takes_off_quotes(text, folder):
    assert clean_folder(text) == folder


def test_train_follows_the_job_that_draws_the_set_for_runs(app, compute, home):
    """While the demo drew the set, Train said that it was not drawn yet and offered to do it as well."""
    compute.answers.update(check=read_check(is_prepared=False, **NOT_PREPARED), speed={**SPEED, "total_s": None})
    jobs = JobStore(home)
    job = jobs.start("launch", "Demo", configs=[{"data": {"dataset": "phantom"}}])
    try:
        open_train(app.run())
        assert app.button(key="train_data_job").label == "Stop"
        assert not any(item.key == "train_prepare" for item in app.main.button)
    finally:
        jobs.request_stop(job.job_id)
        wait_for_job(home)
    rerun(app)
    assert app.button(key="train_prepare").label == "Prepare the data now"


def test_train_does_not_follow_a_job_that_decodes_to_another_size(app, compute, home):
    compute.answers.update(check=read_check(is_prepared=False, **NOT_PREPARED), speed={**SPEED, "total_s": None})
    jobs = JobStore(home)
    job = jobs.start("prepare", "Other size", data={"dataset": "phantom", "cache_size": 128})
    try:
        open_train(app.run())
        assert app.button(key="train_prepare").label == "Prepare the data now"
    finally:
        jobs.request_stop(job.job_id)
        wait_for_job(home)


def test_a_run_leads_to_its_data_where_nothing_was_kept(app, home, make_run):
    run = make_run(home, status="finished")
    app.run()
    data = run.config().data
    assert find_section(build_data_link(data)["data"])["dataset"] == data.dataset
