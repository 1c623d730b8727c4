"""The choice of a method on the Train page: what fits, why the rest does not, the list of all, and the card."""

import json

import pytest
from train_visits import SPEED, choose, find, open_train, read_check, rerun, start_button, submit_soon, use_stand_in

from medpeft_core.methods import METHODS
from medpeft_core.methods.spec import FAMILIES
from medpeft_core.traits import CNN
from pages.widgets import settings_form
from pages.widgets.method_card import write_inference_cost
from pages.widgets.wording import escape_markdown

UNKNOWN = "mobilenetv3_small_100"  # a timm model that the lab does not describe
CNN_TRAITS = {"kind": "cnn", "traits": sorted(CNN[1])}


@pytest.fixture
def compute(monkeypatch):
    return use_stand_in(monkeypatch)


@pytest.fixture
def train(app, compute):
    """The Train page in an empty lab, drawn once."""
    return open_train(app.run())


def list_misfits(kind, traits):
    return [spec.name for spec in METHODS if spec.find_misfit(kind, traits) is not None]


def open_list(app):
    app.button(key="train_all_methods").click()
    rerun(app)
    return {item.key.removeprefix("method_list_use_"): item for item in app.button if "method_list_use" in item.key}


def open_list_keys(app):
    return [item.key for item in app.button if "method_list_use" in item.key]


def read_texts(app):
    return " ".join(item.value for item in (*app.markdown, *app.caption, *app.warning))


def read_drawings(app):
    return [json.loads(item.proto.json)["svg"] for item in app.get("bidi_component")]


def test_list_holds_what_fits_by_family(train):
    train.selectbox(key="train_backbone").set_value("resnet18")
    rerun(train)
    options = train.selectbox(key="train_method").options
    titles = {f"{spec.title}, {spec.family}": spec for spec in METHODS}
    families = [FAMILIES.index(titles[option].family) for option in options]
    assert families == sorted(families)
    assert {titles[option].name for option in options} == set(METHODS.names()) - set(list_misfits(*CNN))
    assert list_misfits(*CNN)


def test_all_methods_are_listed_and_those_that_do_not_fit_say_why(train):
    train.selectbox(key="train_backbone").set_value("resnet18")
    rerun(train)
    buttons = open_list(train)
    assert set(buttons) == set(METHODS.names())
    assert sorted(name for name, button in buttons.items() if button.disabled) == sorted(list_misfits(*CNN))
    reason = METHODS["bitfit"].find_misfit(*CNN)
    texts = read_texts(train)
    assert f"Does not fit: {escape_markdown(reason)}." in texts
    assert all(spec.idea in texts and escape_markdown(spec.reference) in texts for spec in METHODS)


def test_a_method_of_the_list_is_taken_and_the_list_closes(train):
    open_list(train)["ssf"].click()
    rerun(train)
    assert find(train.selectbox, "train_method").value == "ssf"
    assert "--method ssf" in train.code[0].value
    assert not open_list_keys(train)


def test_list_stays_open_when_an_answer_redraws_the_page(train, compute):
    open_list(train)
    compute.answers.update(check=read_check(), speed=SPEED)
    assert open_list_keys(rerun(train))


def test_list_is_closed_on_coming_back(train):
    open_list(train)
    train.switch_page("pages/home.py").run()
    assert not open_list_keys(open_train(train))


def test_choice_that_no_longer_fits_is_kept_and_told_with_a_way_out(train):
    train.selectbox(key="train_method").set_value("bitfit")
    rerun(train)
    train.selectbox(key="train_backbone").set_value("resnet18")
    rerun(train)
    assert train.selectbox(key="train_method").value == "bitfit"
    reason = escape_markdown(METHODS["bitfit"].find_misfit(*CNN))
    assert train.warning[0].value == f"BitFit does not fit ResNet\\-18, a CNN: {reason}."
    assert start_button(train).disabled
    assert not read_drawings(train), "what cannot be built has no place in this block"
    train.button(key="train_use_stand_in").click()
    rerun(train)
    assert find(train.selectbox, "train_method").value == "lora"
    assert not train.warning
    assert not start_button(train).disabled


def test_unknown_backbone_greys_nothing_until_it_was_looked_at(train, compute):
    choose(train, "backbone", "name", UNKNOWN)
    asked = [request for kind, request in compute.asked if kind == "traits"]
    assert asked == [{"config": {"backbone": {"name": UNKNOWN, "pool": None}}}]
    assert len(find(train.selectbox, "train_method").options) == len(METHODS)
    assert not any(button.disabled for button in open_list(train).values())
    assert not read_drawings(train)


def test_unknown_backbone_is_as_any_other_once_it_was_looked_at(train, compute):
    compute.answers.update(traits=CNN_TRAITS, check=read_check(), speed=SPEED)
    choose(train, "backbone", "name", UNKNOWN)
    assert [kind for kind, _ in compute.asked].count("traits") == 1
    buttons = open_list(train)
    assert sorted(name for name, button in buttons.items() if button.disabled) == sorted(list_misfits(*CNN))
    assert len(read_drawings(train)) == 1
    choose(train, "method", "name", "bitfit")
    assert "BitFit does not fit mobilenetv3" in train.warning[0].value.replace("\\", "")
    assert start_button(train).disabled, "a run of it would fail at its start"


def test_page_is_drawn_again_when_the_traits_come(app, compute, monkeypatch):
    """The figures of the check may be there first; then what fits must not wait for the next click."""
    app.run()
    compute.answers.update(check=read_check(), speed=SPEED, traits=CNN_TRAITS)
    open_train(app)
    monkeypatch.setattr(compute, "submit", submit_soon)
    choose(app, "backbone", "name", UNKNOWN)
    assert len(find(app.selectbox, "train_method").options) == len(METHODS) - len(list_misfits(*CNN))


def test_card_tells_idea_cost_and_place(train, compute):
    compute.answers.update(check=read_check(), speed=SPEED)
    train.select_slider(key="train_fraction").set_value(0.5)
    rerun(train)
    spec, texts = METHODS["lora"], read_texts(train)
    for text in (
        f"**LoRA** :violet-badge[reparameterised]  \n{spec.idea}",
        "**Trained share:** 0.67 %, 38.2 k of 5.7 M",
        "**Size on disk:** 146 KiB",
        "**Added inference cost:** None once it is merged into the weights; the lab itself runs it beside them",
        "**Default learning rate:** 0.003",
        escape_markdown(spec.reference),
        "Trains q and v of the attention, by a small change beside the frozen weights; and the head.",
    ):
        assert text in texts
    (svg,) = read_drawings(train)
    assert 'aria-label="Trains q and v' in svg


def test_drawing_follows_the_targets(train):
    targets = train.selectbox(key="train_method_lora_targets")
    assert targets.options == ["auto", "q,v", "qkv", "all"]
    targets.set_value("all")
    rerun(train)
    assert "Trains the whole attention and the MLP, by a small change" in read_drawings(train)[0]
    assert "--targets all" in train.code[0].value


def test_suggestions_keep_a_text_of_ones_own(train):
    choose(train, "method", "knobs", {"targets": "attn.proj"})
    targets = find(train.selectbox, "train_method_lora_targets")
    assert targets.value == "attn.proj"
    assert targets.options[-1] == "attn.proj"
    assert "--targets attn.proj" in train.code[0].value
    assert "Trains proj of the attention" in read_drawings(train)[0]


@pytest.mark.parametrize(
    ("method", "extra", "words"),
    [
        ("full", None, "None: nothing is added"),
        ("bitfit", None, "None: nothing is added"),
        ("lora", None, "None once it is merged into the weights; the lab itself runs it beside them"),
        ("adaptformer", 0.0163, "1.6 % more multiply-adds"),
        ("adaptformer", 0.0, "Less than 0.01 % more multiply-adds"),
        ("adaptformer", None, "…"),
    ],
)
def test_inference_cost_in_words(method, extra, words):
    check = None if extra is None else read_check(extra_compute=extra)
    assert write_inference_cost(METHODS[method], check) == words


def test_more_runs_offer_what_fits(train):
    train.selectbox(key="train_backbone").set_value("resnet18")
    rerun(train)
    offered = find(train.multiselect, "train_grid_methods")
    assert METHODS["bitfit"].title not in offered.options
    assert len(offered.options) == len(METHODS) - len(list_misfits(*CNN))
    (line,) = [item.value for item in train.caption if item.value.startswith("Not for ResNet")]
    assert all(METHODS[name].title in line for name in list_misfits(*CNN))


def test_more_runs_leave_out_a_choice_that_no_longer_fits(train):
    find(train.multiselect, "train_grid_methods").set_value(["lora", "bitfit"])
    rerun(train)
    assert start_button(train).label == "Queue 2 runs"
    train.selectbox(key="train_backbone").set_value("resnet18")
    rerun(train)
    assert find(train.multiselect, "train_grid_methods").value == ["lora", "bitfit"]
    assert any("Left out: The method 'bitfit'" in item.value.replace("\\", "") for item in train.caption)
    assert start_button(train).label == "Start training"


def test_tick_of_a_field_that_was_made_anew_changes_nothing(monkeypatch):
    """A method of the list was taken, and the tick of a live part brought the old field's value back."""
    table = {"name": "ssf"}
    state = {"train_method": "lora", settings_form.SHOWN_KEY: {}, settings_form.REVISIONS_KEY: {"train_method": 1}}
    monkeypatch.setattr(settings_form.st, "session_state", state)
    monkeypatch.setattr(settings_form, "is_part_renewed", lambda: True)
    settings_form._write(table, "name", "train_method", "train_method", None)
    assert table == {"name": "ssf"}
    monkeypatch.setattr(settings_form, "is_part_renewed", lambda: False)
    settings_form._write(table, "name", "train_method", "train_method", None)
    assert table == {"name": "lora"}, "somebody did choose this"
