"""The Pre-train page before anything runs: what it says, the form, the list, and addresses."""

from functools import partial

import pytest
from pretrain_visits import (
    CHECK,
    PACE,
    choose,
    list_pictures,
    open_pretrain,
    prepare_tiny_set,
    read_words,
)  # fmt: skip
from stored_pretrainings import make_pretraining
from train_visits import use_stand_in

from medpeft_core.config import DataConfig
from medpeft_core.datasets.views import view_key
from medpeft_core.errors import BackboneError
from medpeft_core.pretrain_config import PretrainConfig
from pages.widgets import settings_form
from pages.widgets.pretrain_draft import count_visible, find_grid_side
from pages.widgets.pretrain_list import build_pretrain_frame
from pages.widgets.wording import write_duration


@pytest.fixture(autouse=True)
def compute(monkeypatch):
    """Stands in for the compute process; it answers nothing unless a test says what."""
    return use_stand_in(monkeypatch)


@pytest.fixture
def pretrain(app):
    return partial(open_pretrain, app)


@pytest.fixture
def prepared(home):
    return prepare_tiny_set(home)


def test_pretrain_of_an_empty_lab_says_what_it_is_and_shows_the_form(pretrain):
    app = pretrain()
    words = read_words(app)
    assert "hides three quarters of each radiograph" in words
    assert "no labels are used" in words
    assert "You need it when" in words
    assert "New pre-training" in words
    assert "in this lab" not in words
    assert not app.button(key="pretrain_start").disabled


def test_form_says_what_the_settings_mean(pretrain):
    app = pretrain()
    words = read_words(app)
    assert "36 of 144 patches are visible" in words
    assert "never looked at" in words
    assert "Synthetic images" in words
    assert "python -m medpeft_core pretrain --dataset phantom --backbone demo_vit --base-lr 0.0032 --epochs 20" in words
    assert any("36 of 144 patches" in alt for alt in list_pictures(app))


def test_recipe_of_the_paper_takes_its_settings_and_leaves_the_others(pretrain):
    app = choose(pretrain(), "train", "seed", 5)
    recipe = next(item for item in app.get("button_group") if item.key.startswith("pretrain_recipe_"))
    assert recipe.value == "quick"
    recipe.set_value("paper").run()
    assert not app.exception
    words = read_words(app)
    assert "He et al. 2022: normalised pixels" in words
    assert "pretrain --dataset phantom --backbone demo_vit --seed 5" in words
    app.number_input[1].set_value(7).run()
    assert "Own settings: they differ from both recipes." in read_words(app)


def test_form_offers_plain_vits_only_and_says_why(pretrain):
    app = pretrain()
    options = next(item for item in app.selectbox if item.key == "pretrain_backbone").options
    assert any("ViT-Tiny/16" in option for option in options)
    assert not any(name in option for option in options for name in ("ResNet", "Swin", "DenseNet"))
    assert "Only plain ViTs are offered" in read_words(app)


def test_form_mask_slider_moves_the_number_of_visible_patches(pretrain):
    app = pretrain()
    app.slider(key="pretrain_mask_ratio").set_value(0.5).run()
    assert "72 of 144 patches are visible" in read_words(app)
    assert "--mask-ratio 0.5" in read_words(app)


@pytest.mark.parametrize(
    ("section", "name", "value", "sentence"),
    [
        ("encoder", "name", "resnet18", "Masked autoencoding needs a plain ViT"),
        ("encoder", "name", "swin_tiny_patch4_window7_224", "Masked autoencoding needs a plain ViT"),
        ("encoder", "image_size", 100, "multiple of 8"),
        ("encoder", "image_size", 3, "it must be from 16 to 2048"),
        ("train", "epochs", 0, "train.epochs is 0"),
        ("mae", "decoder_width", "wide", "must be a whole number"),
    ],
)
def test_form_tells_a_mistake_at_once_and_starts_nothing(pretrain, section, name, value, sentence):
    app = choose(pretrain(), section, name, value)
    assert sentence.replace("_", "\\_").replace(".", "\\.") in read_words(app) or sentence in read_words(app)
    assert "The settings have a mistake" in read_words(app)
    assert app.button(key="pretrain_start").disabled


def test_form_of_a_model_that_the_lab_does_not_know_waits_for_its_patches(pretrain, compute):
    app = choose(pretrain(), "encoder", "name", "test_vit")
    assert "How many patches that leaves is known once the backbone is built." in read_words(app)
    compute.answers = {"check_pretraining": CHECK}
    app.number_input(key="pretrain_image_size").set_value(64).run()
    assert "4 of 16 patches are visible" in read_words(app)


def test_form_tells_what_the_model_tells(pretrain, compute):
    """The name of a CNN that the lab does not describe was refused only after the start."""
    compute.answers = {
        "check_pretraining": BackboneError("Masked autoencoding needs a plain ViT; 'densenet161' is a CNN.")
    }
    app = choose(pretrain(), "encoder", "name", "densenet161")
    assert "'densenet161' is a CNN" in read_words(app)
    assert "This cannot start" in read_words(app)
    assert app.button(key="pretrain_start").disabled


def test_form_asks_about_the_model_once_whatever_its_epochs_and_data(pretrain, compute):
    compute.answers = {"check_pretraining": CHECK, "pace_pretraining": PACE}
    app = pretrain()
    app.number_input(key="pretrain_epochs").set_value(9).run()
    assert [kind for kind, _ in compute.asked if kind != "ping"] == ["check_pretraining", "pace_pretraining"]
    figures = {item.label: (item.value, item.delta) for item in app.metric}
    assert figures["Encoder"] == ("2.7 M", "is kept")
    assert figures["Time"] == ("later", "20 images/s")  # how many images there are is not known yet


def test_form_counts_the_train_split_of_a_prepared_set_and_shows_the_time(pretrain, compute, prepared):
    compute.answers = {"check_pretraining": CHECK, "pace_pretraining": PACE}
    app = pretrain()
    figures = {item.label: (item.value, item.delta) for item in app.metric}
    count = prepared["train"]
    assert figures["Training images"][0] == str(count)
    assert figures["Images seen"] == (f"{20 * count:,}", "in 20 epochs")
    assert figures["Time"][0] == write_duration(20 * count / 20)
    words = read_words(app)
    assert f"The {prepared['val']} val and {prepared['test']} test images are never looked at" in words
    options = next(item for item in app.selectbox if item.key == "pretrain_dataset").options
    assert f"{sum(prepared.values())} images" in options[0]  # what is prepared comes first
    assert any("not prepared yet" in option for option in options[1:])


def test_start_button_asks_for_one_job_with_the_settings_of_the_form(pretrain, monkeypatch):
    asked = []

    class Job:
        job_id = "20261125-220000-000000-pretrain-0000"

    def start(self, kind, title, **request):
        asked.append((kind, title, request["configs"]))
        return Job

    monkeypatch.setattr("medpeft_core.worker.jobs.JobStore.start", start)
    app = pretrain()
    app.number_input(key="pretrain_epochs").set_value(7).run()
    app.button(key="pretrain_start").click().run()
    assert not app.exception
    [(kind, title, [config])] = asked
    assert kind == "pretrain"
    assert "Demo ViT/8" in title
    assert PretrainConfig.from_dict(config).train.epochs == 7


def test_list_leads_to_each_pretraining(pretrain, home):
    make_pretraining(home, status="failed", error="It broke.")
    make_pretraining(home)
    app = pretrain()
    assert "2 pre-trainings in this lab" in read_words(app)
    frame = next(item.value for item in app.dataframe if "loss" in item.value.columns)
    assert set(frame["status"]) == {"✓ finished", "✕ failed"}
    assert list(frame["encoders"]) == [2, 2]


def test_list_frame_holds_a_damaged_one():
    frame = build_pretrain_frame([{"run_id": "x", "created_at": None, "status": None, "error": "torn", "curve": []}])
    assert frame["status"].tolist() == ["⚠︎ damaged"]


def test_settings_are_copied_into_the_form(pretrain, home):
    run = make_pretraining(home, settings={"mae": {"mask_ratio": 0.6}, "train": {"batch_size": 16}})
    app = pretrain(run=run.run_id)
    app.button(key="pretrain_copy").click().run()
    assert not app.exception
    assert app.slider[0].value == 0.6
    assert f"The form shows the settings of {run.run_id}." in read_words(app)
    assert "--batch-size 16" in read_words(app)


@pytest.mark.parametrize(
    ("wanted", "sentence"),
    [
        ("20261125-2229-mae-vit_tiny-0000", "names a pre-training `20261125-2229-mae-vit_tiny-0000` that is not here"),
        ("20261125-2229-lora-r8-vit_tiny-0000", "is a fine-tuned run, no pre-training"),
        ("**bold** ../x", "names a pre-training that is not here"),
    ],
)
def test_address_of_something_else_is_told_and_the_form_shown(pretrain, wanted, sentence):
    app = pretrain(run=wanted)
    assert sentence in read_words(app)
    assert "../x" not in read_words(app)
    assert "New pre-training" in read_words(app)


def test_address_of_a_data_set_fills_the_form_in(pretrain, prepared):
    """A link from the Data page names a set by its key."""
    app = choose(pretrain(), "data", "options", {})
    assert "num_patients" not in read_words(app)
    key = view_key(DataConfig(options={"num_patients": 20, "size": 32}))
    words = read_words(pretrain(data=key))
    assert "--set data.num_patients=20 --set data.size=32" in words


def test_address_of_an_unknown_data_set_is_told_and_forgotten(pretrain):
    app = pretrain(data="0123456789abcdef")
    assert any("not prepared in this lab" in item.value for item in app.toast)
    assert "data" not in app.query_params


def test_count_visible_agrees_with_the_autoencoder():
    mae = pytest.importorskip("medpeft_core.pretraining.mae")
    for side in (2, 7, 12, 14):
        for percent in range(5, 100, 5):
            assert count_visible(side * side, percent / 100) == mae.count_visible(side * side, percent / 100)


def test_grid_side_is_known_where_the_patch_is():
    assert find_grid_side("vit_tiny_patch16_224", None) == 14
    assert find_grid_side("vit_tiny_patch16_224", 96) == 6
    assert find_grid_side("vit_tiny_patch16_224", 100) is None
    assert find_grid_side("vit_little_patch8_reg4_256", 64) == 8
    assert find_grid_side("test_vit", 64) is None


def test_tick_that_brings_an_old_number_back_changes_nothing(pretrain, monkeypatch):
    """Epochs that were typed while the form waited for its figures became 20 again: a tick had left before."""
    app = pretrain()
    app.number_input(key="pretrain_epochs").set_value(2).run()
    assert "--epochs 2 " in read_words(app)
    monkeypatch.setattr(settings_form, "is_part_renewed", lambda: True)
    app.number_input(key="pretrain_epochs").set_value(20).run()
    assert app.session_state["pretrain_draft"]["train"]["epochs"] == 2
    app.number_input(key="pretrain_epochs").set_value(7).run()  # a choice that a tick brings counts
    assert app.session_state["pretrain_draft"]["train"]["epochs"] == 7
    monkeypatch.undo()
    app.number_input(key="pretrain_epochs").set_value(2).run()  # back to what it was, by hand
    assert app.session_state["pretrain_draft"]["train"]["epochs"] == 2


def test_second_tick_with_an_old_number_changes_nothing_either(monkeypatch):
    """Two ticks were on their way: the browser's own number between them made the page forget what had been there."""
    table = {"epochs": 2}
    state = {"epochs": 20, settings_form.SHOWN_KEY: {"epochs": 2}, settings_form.BEFORE_KEY: {"epochs": 20}}
    monkeypatch.setattr(settings_form.st, "session_state", state)
    monkeypatch.setattr(settings_form, "is_part_renewed", lambda: True)
    for brought in (20, 2, 20):
        state["epochs"] = brought
        settings_form._write(table, "epochs", "epochs", "epochs", None)
        assert table == {"epochs": 2}
    state["epochs"] = 5
    settings_form._write(table, "epochs", "epochs", "epochs", None)
    assert table == {"epochs": 5}
