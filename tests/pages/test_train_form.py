"""The form of the Train page: each choice, its mistakes, presets, and widgets made from the config's fields."""

from dataclasses import asdict

import pytest
from train_visits import choose, find, new_draft, open_train, rerun, start_button, use_stand_in

from medpeft_core.backbones import BACKBONES
from medpeft_core.config import RunConfig
from medpeft_core.errors import MethodError
from medpeft_core.methods import METHODS
from medpeft_core.resolve import resolve_config
from pages.widgets.settings_form import list_settings, write_value
from pages.widgets.train_draft import FILE, build_config
from pages.widgets.wording import escape_markdown


@pytest.fixture
def compute(monkeypatch):
    return use_stand_in(monkeypatch)


@pytest.fixture
def train(app, compute):
    """The Train page in an empty lab, drawn once."""
    return open_train(app.run())


@pytest.mark.parametrize("backbone", ["vit_tiny_patch16_224", "resnet18"])
@pytest.mark.parametrize("method", METHODS.names())
def test_train_defaults_are_valid(method, backbone):
    draft = new_draft(backbone={"name": backbone}, method={"name": method, "knobs": {}})
    if METHODS[method].find_misfit(BACKBONES[backbone].kind, BACKBONES[backbone].traits) is None:
        assert resolve_config(build_config(draft)).optim.lr == METHODS[method].default_lr
    else:
        with pytest.raises(MethodError, match="does not fit"):
            resolve_config(build_config(draft))


@pytest.mark.parametrize("method", ["full", "bitfit", "ssf", "lora"])
def test_train_writes_the_method_of_each_family_as_a_command(train, method):
    train.selectbox(key="train_method").set_value(method)
    rerun(train)
    assert not train.error
    assert f"--method {method}" in train.code[0].value
    assert not start_button(train).disabled


def test_train_accepts_another_timm_name(train):
    choose(train, "backbone", "name", "mobilenetv3_small_100")
    assert find(train.selectbox, "train_backbone").value == "mobilenetv3_small_100"
    assert "--backbone mobilenetv3_small_100" in train.code[0].value


@pytest.mark.parametrize(
    ("widget", "key", "value", "sentence"),
    [
        ("text_input", "train_optim_lr", "-1", "optim.lr is -1.0, but it must be above 0."),
        ("text_input", "train_optim_lr", "fast", "optim.lr is 'fast', but it must be a finite number."),
        ("text_input", "train_backbone_mean", "0.5, 0.5", "backbone.mean is (0.5, 0.5), but it must be three numbers."),
        ("number_input", "train_data_fraction_1", 1.5, "data.fraction is 1.5"),
        ("number_input", "train_data_phantom_num_patients", 3, "data.num_patients is 3"),
    ],
)
def test_train_shows_a_mistake_and_cannot_start(train, widget, key, value, sentence):
    getattr(train, widget)(key=key).set_value(value)
    rerun(train)
    assert escape_markdown(sentence) in train.error[0].value
    assert start_button(train).disabled
    assert not train.code


def test_train_asks_for_the_path_of_a_weights_file(train):
    train.segmented_control(key="train_weights").set_value(FILE)
    rerun(train)
    assert "a file without a path" in train.error[0].value
    train.text_input(key="train_weights_file").set_value("/data/base.safetensors")
    rerun(train)
    assert not train.error
    assert "--weights /data/base.safetensors" in train.code[0].value


def test_train_asks_for_the_folder_where_a_set_needs_one(train):
    assert not [item for item in train.selectbox if item.key.startswith("train_root")]
    train.selectbox(key="train_dataset").set_value("nih")
    rerun(train)
    assert train.selectbox(key="train_root_nih").value is None
    choose(train, "data", "root", "/data/nih")
    assert "--dataset nih --root /data/nih" in train.code[0].value
    find(train.selectbox, "train_dataset").set_value("phantom")
    rerun(train)
    assert "--root" not in train.code[0].value


def test_train_takes_the_data_set_from_the_address(app, compute):
    app.run()
    open_train(app, dataset="phantom_shortcut")
    assert app.selectbox(key="train_dataset").value == "phantom_shortcut"
    assert "dataset" not in app.query_params


def test_train_rank_is_there_where_the_method_has_one(train):
    train.selectbox(key="train_method").set_value("full")
    rerun(train)
    assert not [item for item in train.pills if item.key.startswith("train_rank")]
    train.selectbox(key="train_method").set_value("lora")
    rerun(train)
    train.pills(key="train_rank_lora").set_value(16)
    rerun(train)
    assert "--rank 16" in train.code[0].value


def test_train_free_fraction_and_slider_follow_each_other(train):
    train.number_input(key="train_data_fraction_1").set_value(0.33)
    rerun(train)
    assert find(train.select_slider, "train_fraction").value == 0.33
    find(train.select_slider, "train_fraction").set_value(0.05)
    rerun(train)
    assert find(train.number_input, "train_data_fraction_0.05").value == 0.05


def test_train_preset_fills_the_form_and_is_left_by_a_change(train):
    train.segmented_control(key="train_preset_quick").set_value("thorough")
    rerun(train)
    assert train.segmented_control(key="train_preset_thorough").value == "thorough"
    assert find(train.number_input, "train_train_epochs").value == 100
    find(train.number_input, "train_train_epochs").set_value(7)
    rerun(train)
    assert train.segmented_control(key="train_preset_None").value is None
    assert "--epochs 7" in train.code[0].value


def test_train_automatic_pooling_stays_automatic(train):
    """Another backbone has another pooling of its own; its name in the list was taken for a choice."""
    for backbone in ("vit_tiny_patch16_224", "swin_tiny_patch4_window7_224"):
        train.selectbox(key="train_backbone").set_value(backbone)
        rerun(train)
        assert train.selectbox(key="train_backbone_pool").value == "automatic"
        assert "--pool" not in train.code[0].value
    train.selectbox(key="train_backbone_pool").set_value("avg")
    rerun(train)
    train.selectbox(key="train_backbone_pool").set_value("automatic")
    rerun(train)
    assert not train.error
    assert "--pool" not in train.code[0].value


def test_train_expert_settings_hold_every_field_of_the_config(train):
    keys = {item.key for kind in ("text_input", "number_input", "selectbox", "toggle") for item in train.get(kind)}
    wanted = {
        f"train_{section}_{name}"
        for section in ("optim", "train", "augment", "evaluation")
        for name in asdict(getattr(RunConfig(), section))
    }
    assert wanted - keys == {"train_train_cached_features"}, "of linear probing only"


def test_train_offers_cached_features_to_linear_probing_only(train):
    def find_switch():
        return [item for item in train.toggle if item.key.startswith("train_train_cached_features")]

    find(train.selectbox, "train_method").set_value("linear")
    rerun(train)
    (switch,) = find_switch()
    assert switch.label == "Cached features"
    switch.set_value(True)
    rerun(train)
    assert "--set train.cached_features=true" in train.code[0].value
    find(train.selectbox, "train_method").set_value("lora")
    rerun(train)
    assert f"turn {escape_markdown('train.cached_features')} off" in train.error[0].value, train.error[0].value
    (switch,) = find_switch()
    switch.set_value(False)
    rerun(train)
    assert find_switch() == []
    assert not train.error


def test_settings_form_takes_everything_from_the_fields():
    settings = {item.name: item for item in list_settings(type(RunConfig().optim), section="optim")}
    assert settings["lr"].is_optional
    assert settings["lr"].type is float
    assert settings["optimizer"].choices == ("adamw", "sgd")
    assert settings["beta1"].help == "First beta of AdamW."
    assert settings["beta1"].path == "optim.beta1"
    assert [item.name for item in list_settings(type(RunConfig().method), section="method")] == ["name"]  # no tables


@pytest.mark.parametrize(
    ("value", "text"), [(1e-3, "0.001"), (2e-5, "2e-05"), ((0.5, 0.25), "0.5, 0.25"), (224, "224"), ("q,v", "q,v")]
)
def test_settings_form_writes_values_as_people_type_them(value, text):
    assert write_value(value) == text


def test_train_opens_on_the_weights_that_are_here(train):
    """Without a network the first choice used to be a CNN from random weights, and LoRA stood for the second look."""
    assert find(train.selectbox, "train_backbone").value == "demo_vit"
    assert find(train.segmented_control, "train_weights").value == "demo"
    assert find(train.selectbox, "train_method").value == "lora"
    assert "--image-size 96" in train.code[0].value, "a preset for larger images leaves the backbone its own size"
    assert "synthetic radiographs" in " ".join(item.value for item in train.caption)


def test_train_demo_weights_come_and_go_with_the_demo_backbone(train):
    train.selectbox(key="train_backbone").set_value("resnet18")
    rerun(train)
    assert find(train.segmented_control, "train_weights").value == "random"
    assert "demo" not in train.code[0].value
    assert train.segmented_control(key="train_preset_quick").value == "quick", "the preset stays chosen"
    assert "--image-size 112" in train.code[0].value
    train.selectbox(key="train_backbone").set_value("demo_vit")
    rerun(train)
    assert find(train.segmented_control, "train_weights").value == "demo"
    assert "--image-size 96" in train.code[0].value
    assert find(train.segmented_control, "train_weights").options == ["Demo weights", "Random", "From a file"]


def test_train_keeps_an_image_size_of_ones_own_when_the_backbone_changes(train):
    choose(train, "backbone", "image_size", 160)
    find(train.selectbox, "train_backbone").set_value("vit_tiny_patch16_224")
    rerun(train)
    assert "--image-size 160" in train.code[0].value
