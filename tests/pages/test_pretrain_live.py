"""One pre-training on its page: its state, pictures, curves and words."""

import json
import shutil
from functools import partial

import pytest
from pretrain_visits import (
    find_slider,
    list_buttons,
    list_pictures,
    open_pretrain,
    read_words,
    rerun,
)  # fmt: skip
from stored_pretrainings import make_pretraining
from train_visits import use_stand_in

from medpeft_core.runs.store import RunStore
from pages.widgets.pretrain_pictures import write_error_sentence

STATUSES = ("running", "queued", "finished", "failed", "stopped", "interrupted", "cancelled")


@pytest.fixture(autouse=True)
def compute(monkeypatch):
    """Stands in for the compute process; it answers nothing unless a test says what."""
    return use_stand_in(monkeypatch)


@pytest.fixture
def pretrain(app):
    return partial(open_pretrain, app)


@pytest.mark.parametrize("status", STATUSES)
def test_pretraining_is_shown_in_every_state(pretrain, home, status):
    is_new = status in ("queued", "cancelled")
    run = make_pretraining(home, status=status, epochs_done=0 if is_new else 3, error="It broke.")
    app = pretrain(run=run.run_id)
    words = read_words(app)
    assert run.run_id in words
    assert f" {status}]" in words  # the chip
    assert len(app.get("vega_lite_chart")) == (1 if is_new else 4)
    assert ("The pictures come with the first step." in words) == is_new


def test_running_pretraining_shows_its_line_pictures_and_figures(pretrain, home):
    run = make_pretraining(home, status="running", epochs_done=2, epochs=8)
    app = pretrain(run=run.run_id)
    words = read_words(app)
    assert "**epoch 3 of 8** · step 10 of 40" in words
    assert "Rebuilt after epoch 2" in words
    assert "What the encoder sees: 4 of 16 patches" in words
    assert "Brightness and contrast of each hidden patch are taken from the original" in words
    assert "Synthetic images" in words
    assert "not for clinical use" in words
    assert {"Stop", "Play"} <= set(list_buttons(app))
    assert len(list_pictures(app)) == 3
    assert all(list_pictures(app))


def test_running_pretraining_is_stopped_from_the_page(pretrain, home):
    run = make_pretraining(home, status="running", epochs_done=1)
    app = pretrain(run=run.run_id)
    app.button(key="monitor_stop").click().run()
    assert RunStore(home).index.is_stop_requested(run.run_id)
    assert "Stopping" in list_buttons(app)


def test_slider_shows_an_earlier_epoch_and_stays_there(pretrain, home):
    run = make_pretraining(home, epochs_done=4)
    app = pretrain(run=run.run_id)
    slider = find_slider(app)
    assert slider.options == ["0", "1", "2", "3", "4"]
    assert slider.value == 4
    slider.set_value(1).run()
    assert "Rebuilt after epoch 1" in read_words(app)
    rerun(app)
    assert find_slider(app).value == 1
    find_slider(app).set_value(0).run()
    assert "Rebuilt by the untrained model" in read_words(app)


def test_slider_follows_the_newest_picture_while_it_runs(pretrain, home):
    from stored_pretrainings import write_rebuilt

    run = make_pretraining(home, status="running", epochs_done=2, epochs=8)
    app = pretrain(run=run.run_id)
    write_rebuilt(run, 3, at=0.0)
    assert find_slider(rerun(app)).value == 3
    find_slider(app).set_value(1).run()
    write_rebuilt(run, 4, at=0.0)
    assert find_slider(rerun(app)).value == 1


def test_play_goes_through_the_epochs_and_ends_at_the_newest(pretrain, home):
    run = make_pretraining(home, epochs_done=2)
    app = pretrain(run=run.run_id)
    app.button(key="pretrain_play").click().run()
    assert not app.exception
    seen = [find_slider(app).value]
    for _ in range(3):
        seen.append(find_slider(rerun(app)).value)
    assert seen == [0, 1, 2, 2]
    assert "Play" in list_buttons(app)


def test_picture_file_that_is_gone_is_left_out(pretrain, home):
    run = make_pretraining(home, epochs_done=3)
    (run.pictures_dir / "rebuilt-0002.png").unlink()
    app = pretrain(run=run.run_id)
    assert find_slider(app).options == ["0", "1", "3"]


@pytest.mark.parametrize(
    ("error", "norm_pixels", "sentence"),
    [
        (0.4, False, "is **60 % below** that of painting each hidden patch in the mean of the visible ones."),
        (0.4, True, "is **60 % below** that of painting each hidden patch in its own mean brightness."),
        (1.8, True, "Not better yet than painting each hidden patch in its own mean brightness: 1.80 times"),
        (None, True, "was not measured"),
    ],
)
def test_error_sentence(error, norm_pixels, sentence):
    event = {"masked_error": error, "mean_fill_error": 1.0}
    assert sentence in write_error_sentence(event, norm_pixels=norm_pixels)


@pytest.mark.parametrize("tab", ["Curves", "Settings", "Data", "Log"])
def test_tabs_show_what_they_promise(pretrain, home, app, tab):
    run = make_pretraining(home, epochs_done=2)
    app.run()
    app.session_state["pretrain_tab"] = tab
    words = read_words(pretrain(run=run.run_id))
    expected = {
        "Curves": "Error of hidden patches against a blind guess",
        "Settings": "The same from the command line",
        "Data": "Fingerprint of the data",
        "Log": "encoder kept as epoch-0002.safetensors",
    }
    assert expected[tab] in words


def test_running_pretraining_shows_on_the_other_pages(app, home):
    """A pre-training keeps the device busy for hours: whoever waits for it must see it, and get to it."""
    run = make_pretraining(home, status="running", epochs_done=1, epochs=4)
    app.run()
    assert any("epoch 2 of 4" in item.proto.text for item in app.sidebar.get("progress"))
    links = {item.proto.label: item.proto.query_string for item in app.get("page_link")}
    assert f"run={run.run_id}" in links.values()
    assert "A pre-training is at work or waiting." in read_words(app)


def test_saved_pictures_hold_every_row_and_say_what_they_are(home):
    """They travel without the page, so the strip below them says that they are synthetic."""
    import io

    from PIL import Image

    from pages.widgets.pretrain_film import MIN_WIDTH, encode_film, join_rows
    from pages.widgets.pretrain_pictures import list_pictures as find_pictures

    run = make_pretraining(home, epochs_done=2)
    events = list(find_pictures(run.history(), run.pictures_dir).values())
    frames = [
        join_rows(run.pictures_dir, item, masked_words="4 of 16 patches", words=["Synthetic."]) for item in events
    ]
    assert frames[0].width >= MIN_WIDTH
    with Image.open(io.BytesIO(encode_film(frames))) as film:
        assert film.n_frames == 3
    assert json.dumps([item["epoch"] for item in events]) == "[0, 1, 2]"
    shutil.rmtree(run.pictures_dir)
