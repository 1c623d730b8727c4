"""The Pre-train page: the form, the list, and one pre-training in every state."""

import json
import shutil

import pytest
from stored_pretrainings import make_pretraining
from train_visits import use_stand_in

from medpeft_core.config import DataConfig
from medpeft_core.datasets.prepare import inspect_dataset
from medpeft_core.datasets.views import load_view, view_key
from medpeft_core.errors import BackboneError
from medpeft_core.pretrain_config import PretrainConfig
from medpeft_core.runs.store import RunStore
from pages.widgets.pretrain_draft import count_visible, find_grid_side
from pages.widgets.pretrain_list import build_pretrain_frame
from pages.widgets.pretrain_pictures import write_error_sentence
from pages.widgets.wording import write_duration

STATUSES = ("running", "queued", "finished", "failed", "stopped", "interrupted", "cancelled")


CHECK = {"num_params": 2_734_656, "num_decoder_params": 446_400, "num_patches": 16, "num_visible_patches": 4}
PACE = {"images_per_s": 20.0, "source": "Measured now on cpu."}


@pytest.fixture(autouse=True)
def compute(monkeypatch):
    """Stands in for the compute process; it answers nothing unless a test says what."""
    return use_stand_in(monkeypatch)


@pytest.fixture
def pretrain(app):
    """Opens the Pre-train page, with values in the address when these are given."""

    def open_page(**address):
        app.run()
        app.switch_page("pages/pretrain.py")
        for name, value in address.items():
            app.query_params[name] = value
        return rerun(app)

    return open_page


@pytest.fixture
def prepared(home):
    """A tiny set of phantoms that was prepared as the Data page does; images by split."""
    home.mkdir(parents=True, exist_ok=True)
    data = DataConfig(options={"num_patients": 20, "size": 32}, cache_size=256)
    inspect_dataset(data)
    return load_view(view_key(data)).manifest.table["split"].value_counts().to_dict()


def rerun(app):
    app.run()
    assert not app.exception, [item.message for item in app.exception]
    return app


def read_words(app):
    """All words of the page, those of the sidebar left out."""
    kinds = ("markdown", "caption", "info", "warning", "error", "subheader", "title", "text", "code")
    words = [item.value for kind in kinds for item in app.main.get(kind)]
    words += [item.proto.title for kind in ("error", "warning") for item in app.main.get(kind)]
    words += [item.proto.text for item in app.main.get("progress")]
    return "\n".join(words)


def list_links(app):
    return {item.proto.label: (item.proto.page, item.proto.query_string) for item in app.main.get("page_link")}


def list_pictures(app):
    """The words for screen readers of the pictures."""
    return [image.alt for item in app.main.get("image") for image in item.proto.imgs]


def find_slider(app):
    """The slider over the epochs; its key ends with a number."""
    return next(item for item in app.select_slider if item.key.startswith("pretrain_epoch_"))


def list_buttons(app):
    return [item.label for item in app.button]


def choose(app, section, name, value):
    """What a visitor types into a list of choices, which AppTest cannot do."""
    app.session_state["pretrain_draft"][section][name] = value
    return rerun(app)


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


def test_encoders_are_offered_with_card_download_and_training(pretrain, home):
    run = make_pretraining(home, epochs_done=4)
    app = pretrain(run=run.run_id)
    words = read_words(app)
    assert "**Epoch 4** · loss 0." in words
    assert "**Epoch 2** · loss 0." in words
    assert "# Encoder after epoch 4" in words
    assert list_links(app)["Train on it"][1] == f"encoder={run.run_id}&epoch=2"  # the last of that name on the page
    assert len(app.get("download_button")) >= 4


def test_train_takes_an_encoder_over(app, home):
    """Backbone, weights file, image size and data set are filled in, and the file brings its own normalisation."""
    run = make_pretraining(home, settings={"encoder": {"image_size": 64}, "data": {"split_seed": 3}})
    app.run()
    app.switch_page("pages/train.py")
    app.query_params["encoder"], app.query_params["epoch"] = run.run_id, "2"
    rerun(app)
    draft = app.session_state["train_draft"]
    assert draft["backbone"]["name"] == "vit_tiny_patch16_224"
    assert draft["backbone"]["weights"] == str(run.encoders_dir / "epoch-0002.safetensors")
    assert draft["backbone"]["image_size"] == 64
    assert "mean" not in draft["backbone"]
    assert (draft["data"]["dataset"], draft["data"]["split_seed"]) == ("phantom", 3)
    assert "encoder" not in app.query_params
    assert any("encoder of epoch 2" in item.value for item in app.toast)


@pytest.mark.parametrize(
    ("run_id", "epoch", "sentence"),
    [
        ("../../etc", "2", "names no pre-training"),
        ("20261125-2229-mae-vit_tiny-0000", "2", "There is no run"),
        (None, "77", "has no encoder of that epoch"),
    ],
)
def test_train_refuses_an_encoder_that_is_not_here(app, home, run_id, epoch, sentence):
    run = make_pretraining(home)
    app.run()
    app.switch_page("pages/train.py")
    app.query_params["encoder"], app.query_params["epoch"] = run_id or run.run_id, epoch
    rerun(app)
    assert sentence in "\n".join(item.value for item in app.error).replace("\\", "")


@pytest.mark.parametrize(
    ("error", "label", "section", "name", "value"),
    [
        ("The memory of cpu ran out with --batch-size 64.", "Retry with batch 32", "train", "batch_size", 32),
        (
            "The loss (nan) is no longer a finite number at step 3 (epoch 1).",
            "Retry with learning rate 1.5e-05", "optim", "base_lr", 1.5e-5,
        ),
    ],
)  # fmt: skip
def test_failed_pretraining_offers_a_remedy(pretrain, home, monkeypatch, error, label, section, name, value):
    asked = []
    monkeypatch.setattr("pages.widgets.pretrain_actions.start_pretraining", asked.append)
    run = make_pretraining(home, status="failed", epochs_done=1, error=error)
    app = pretrain(run=run.run_id)
    next(item for item in app.button if item.label == label).click().run()
    assert not app.exception
    assert asked[0][section][name] == pytest.approx(value)


def test_stopped_pretraining_is_resumed(pretrain, home):
    run = make_pretraining(home, status="stopped", epochs_done=1)
    app = pretrain(run=run.run_id)
    next(item for item in app.button if item.label == "Resume from the last checkpoint").click().run()
    assert run.status == "queued"


def test_settings_are_copied_into_the_form(pretrain, home):
    run = make_pretraining(home, settings={"mae": {"mask_ratio": 0.6}, "train": {"batch_size": 16}})
    app = pretrain(run=run.run_id)
    app.button(key="pretrain_copy").click().run()
    assert not app.exception
    assert app.slider[0].value == 0.6
    assert f"The form shows the settings of {run.run_id}." in read_words(app)
    assert "--batch-size 16" in read_words(app)


def test_pretraining_is_deleted_and_brought_back(pretrain, home):
    run = make_pretraining(home)
    app = pretrain(run=run.run_id)
    app.button(key="pretrain_delete").click().run()
    app.button(key="pretrain_delete_confirmed").click().run()
    assert not app.exception
    assert not run.folder.exists()
    assert "Recently deleted (1)" in [item.label for item in app.expander]
    app.button(key=f"pretrain_back_{run.run_id}").click().run()
    assert run.folder.exists()
    assert "1 pre-training in this lab" in read_words(app)


def test_damaged_pretraining_can_be_deleted(pretrain, home):
    run = make_pretraining(home)
    run.config_path.write_text("{")
    app = pretrain(run=run.run_id)
    assert "This pre-training cannot be read" in read_words(app)
    assert "Delete it" in list_buttons(app)


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
