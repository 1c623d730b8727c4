"""The Train page: its form, forecast, copies, grids and start, mostly with a stand-in for the compute process."""

import time
from concurrent.futures import Future
from dataclasses import asdict, replace

import pytest
from PIL import Image

from medpeft_core.backbones import BACKBONES
from medpeft_core.config import DataConfig, RunConfig
from medpeft_core.datasets.prepare import prepare_dataset
from medpeft_core.errors import ConfigError, DataError, MethodError
from medpeft_core.methods import METHODS
from medpeft_core.resolve import resolve_config
from medpeft_core.runs.store import RunStore
from pages.widgets.lab import get_lab
from pages.widgets.settings_form import list_settings, write_value
from pages.widgets.train_draft import FILE, build_config, draft_from_config
from pages.widgets.train_grid import MAX_RUNS, expand_grid
from pages.widgets.train_messages import write_plain

REAL_TIMEOUT_S = 180
TINY_DATA = {"dataset": "phantom", "options": {"num_patients": 60, "size": 64}, "cache_size": 64}
TINY_BACKBONE = {"name": "resnet18", "image_size": 32}
COUNTS = {"num_positive": 3, "num_negative": 97, "num_unknown": 0}


class StandInCompute:
    """Takes the place of the compute client; answers at once with `answers[kind]`, or not at all."""

    answers: dict
    asked: list
    is_warm = False

    def __init__(self, home) -> None:
        self.home = home

    def submit(self, kind, *, slot=None, **arguments):
        self.asked.append((kind, arguments))
        future: Future = Future()
        answer = self.answers.get(kind)
        if isinstance(answer, Exception):
            future.set_exception(answer)
        elif answer is not None:
            future.set_result(answer)
        return future

    def request(self, kind, *, timeout_s=None, **arguments):
        return self.submit(kind, **arguments).result(timeout=0)

    def warm_up(self) -> None:
        self.asked.append(("ping", {}))

    def close(self) -> None:
        pass


@pytest.fixture
def compute(monkeypatch):
    """The stand-in's class: set `answers`, read `asked`."""
    monkeypatch.setattr(StandInCompute, "answers", {}, raising=False)
    monkeypatch.setattr(StandInCompute, "asked", [], raising=False)
    monkeypatch.setattr("pages.widgets.lab.ComputeClient", StandInCompute)
    return StandInCompute


@pytest.fixture
def train(app, compute):
    """The Train page in an empty lab, drawn once."""
    app.run()
    return open_train(app)


def open_train(app, **address):
    app.switch_page("pages/train.py")
    for name, value in address.items():
        app.query_params[name] = value
    app.run()
    assert not app.exception, [item.message for item in app.exception]
    return app


def rerun(app):
    app.run()
    assert not app.exception, [item.message for item in app.exception]
    return app


def find(widgets, name):
    """The widget of that key; after a copy or a preset, keys end with a number."""
    return next(item for item in widgets if item.key == name or (item.key or "").startswith(f"{name}-"))


def choose(app, section, name, value):
    """What a visitor types into a list of choices, which AppTest cannot do."""
    app.session_state["train_draft"][section][name] = value
    app.session_state["settings_form_revisions"] = {"": 1}
    rerun(app)


def start_button(app):
    return app.button(key="train_start")


def read_check(**changes):
    """An answer to `check` for prepared data."""
    return {
        "config": resolve_config(RunConfig()).to_dict(),
        "is_prepared": True,
        "num_params": 5_700_000,
        "num_trainable_params": 38_213,
        "adapter_bytes": 150_000,
        "memory_bytes": 2 * 1024**3,
        "memory_parts": {"weights": 1024**3, "activations": 1024**3},
        "device": "cpu",
        "device_memory_bytes": 16 * 1024**3,
        "steps_per_epoch": 4,
        "num_steps": 12,
        "num_images": {"train": 200, "val": 20, "test": 40},
        "num_train_images": 100,
        "num_train_patients": 52,
        "positives": {"Nodule": COUNTS},
        "warnings": [],
        **changes,
    }


SPEED = {"images_per_s": 12.5, "train_s": 8.0, "eval_s": 1.0, "total_s": 90.0, "source": "Measured now on this CPU."}


def new_draft(**sections):
    names = ("data", "backbone", "method", "optim", "train", "augment", "evaluation")
    draft = {name: dict(sections.get(name, {})) for name in names}
    draft["data"].setdefault("options", {})
    draft["method"].setdefault("knobs", {})
    return draft


def read_metrics(app):
    return {item.label: (item.value, item.delta) for item in app.metric}


# The page


def test_train_page_opens_in_an_empty_lab(train, compute):
    assert train.title[0].value == "Train"
    assert "Warming up" in " ".join(item.value for item in train.caption)
    assert train.code[0].value.startswith("python -m medpeft_core train --dataset phantom --backbone resnet18")
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


def test_train_figures_are_those_of_the_compute_process(train, compute):
    compute.answers.update(check=read_check(warnings=["Nodule has only 3 positive images."]), speed=SPEED)
    train.select_slider(key="train_fraction").set_value(0.5)
    rerun(train)
    assert read_metrics(train) == {
        "Trained parameters": ("38.2 k", "0.67 % of 5.7 M"),
        "Memory": ("2.0 GiB", "of 16.0 GiB on cpu"),
        "Time": ("1 min 30 s", "3 epochs, 12 steps"),
        "Training images": ("100", "of 52 patients"),
    }
    assert "only 3 positive" in train.warning[0].value
    assert list(train.dataframe[0].value["label"]) == ["Nodule"]
    assert "about 1 min 30 s" in " ".join(item.value for item in train.text)


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
    assert train.error[0].value == write_plain("The file a_b*c* is not an image.")
    assert start_button(train).disabled


@pytest.mark.parametrize("backbone", ["vit_tiny_patch16_224", "resnet18"])
@pytest.mark.parametrize("method", METHODS.names())
def test_train_defaults_are_valid(train, method, backbone):
    train.selectbox(key="train_backbone").set_value(backbone)
    train.selectbox(key="train_method").set_value(method)
    rerun(train)
    if BACKBONES[backbone].kind in METHODS[method].fits:
        assert not train.error
        assert f"--backbone {backbone}" in train.code[0].value
        assert f"--method {method}" in train.code[0].value
        assert not start_button(train).disabled
    else:
        assert "does not fit" in train.error[0].value


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
    assert write_plain(sentence) in train.error[0].value
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


def test_train_rank_is_there_where_the_method_has_one(train):
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


# Copies


def make_config(**sections):
    config = RunConfig.from_dict({"data": {"fraction": 0.25}, "train": {"epochs": 4}, **sections})
    return resolve_config(config)


def as_checked(config):
    """What the check of a run on the CPU makes of a resolved config."""
    known = {
        "weights_sha256": "0" * 64,
        "pool": config.backbone.pool or "token",
        "mean": (0.5,) * 3,
        "std": (0.25,) * 3,
    }
    known["image_size"] = config.backbone.image_size or BACKBONES[config.backbone.name].image_size
    train = replace(config.train, device="cpu", precision="fp32")
    return replace(config, backbone=replace(config.backbone, **known), train=train)


def test_train_copy_frees_what_the_lab_had_chosen():
    config = make_config(backbone={"name": "vit_tiny_patch16_224"}, method={"name": "lora", "knobs": {"rank": 4}})
    draft = draft_from_config(as_checked(config), automatic_device="cpu")
    assert draft["backbone"]["weights_sha256"] is None
    assert draft["backbone"]["pool"] is None
    assert draft["optim"]["lr"] is None
    assert draft["train"]["device"] == "auto"
    assert draft["train"]["precision"] == "fp32"
    assert resolve_config(build_config(draft)).method == config.method


def test_train_copy_keeps_what_was_chosen():
    config = make_config(
        backbone={"name": "vit_tiny_patch16_224", "pool": "avg"}, method={"name": "lora"}, optim={"lr": 1e-4}
    )
    draft = draft_from_config(as_checked(config), automatic_device="cuda:0")
    assert draft["backbone"]["pool"] == "avg"
    assert draft["optim"]["lr"] == 1e-4
    assert draft["train"]["device"] == "cpu"


def test_train_copy_fills_the_form_and_clears_the_address(app, compute, home, make_run):
    run = make_run(home, status="finished", method="lora", fraction=0.1, seed=7)
    app.run()
    open_train(app, copy=run.run_id)
    assert "copy" not in app.query_params
    assert find(app.selectbox, "train_backbone").value == run.config().backbone.name
    assert find(app.select_slider, "train_fraction").value == 0.1
    assert find(app.number_input, "train_train_seed").value == 7
    assert any(f"The settings of the run {run.run_id}." in item.value for item in app.caption)
    find(app.number_input, "train_train_seed").set_value(8)
    rerun(app)
    assert any(f"The settings of the run {run.run_id}, with changes." in item.value for item in app.caption)
    assert "--seed 8" in app.code[0].value


def test_train_copy_from_the_list(app, compute, home, make_run):
    run = make_run(home, status="failed", method="full", backbone="resnet18", fraction=0.5)
    app.run()
    open_train(app)
    app.selectbox(key="train_copy_run").set_value(run.run_id)
    rerun(app)
    assert find(app.select_slider, "train_fraction").value == 0.5
    assert find(app.selectbox, "train_method").value == "full"
    assert find(app.selectbox, "train_copy_run").value is None


@pytest.mark.parametrize("run_id", ["../../etc", "20260101-0000-lora-r8-vit_tiny-0000", "*bold*"])
def test_train_copy_of_an_unknown_run_says_so(app, compute, run_id):
    app.run()
    open_train(app, copy=run_id)
    assert write_plain(run_id) in app.error[0].value
    assert app.code[0].value  # the form is there all the same


def test_train_copied_normalisation_leaves_with_its_weights(app, compute, home, make_run):
    """Means of random weights must not go on to pre-trained ones; a learning rate must not go on to another method."""
    lora = make_run(home, method="lora")
    app.run()
    open_train(app, copy=lora.run_id)
    assert "backbone.mean=" in app.code[0].value
    find(app.segmented_control, "train_weights").set_value("pretrained")
    rerun(app)
    assert "backbone.mean" not in app.code[0].value
    find(app.selectbox, "train_method").set_value("full")
    rerun(app)
    assert "--lr" not in app.code[0].value


# Grids


def test_train_grid_of_ranks_and_seeds_has_nine_runs():
    draft = new_draft(method={"name": "lora", "knobs": {"alpha": 16.0}})
    grid = expand_grid(draft, methods=[], ranks=[2, 4, 8], num_seeds=3)
    found = {(config.method.knobs["rank"], config.train.seed) for config in grid.configs}
    assert found == {(rank, seed) for rank in (2, 4, 8) for seed in (0, 1, 2)}
    assert len(grid.configs) == 9
    assert {config.method.knobs["alpha"] for config in grid.configs} == {16.0}


def test_train_grid_counts_a_method_without_rank_once():
    grid = expand_grid(new_draft(), methods=["lora", "full"], ranks=[2, 4], num_seeds=2)
    assert [config.method.name for config in grid.configs] == ["lora"] * 4 + ["full"] * 2
    assert all(config.optim.lr is None for config in grid.configs)


def test_train_grid_leaves_out_what_does_not_fit(monkeypatch):
    monkeypatch.setitem(METHODS._specs, "lora", replace(METHODS["lora"], fits=("vit",)))
    grid = expand_grid(new_draft(), methods=["lora", "full"], ranks=[2, 4], num_seeds=1)
    assert [config.method.name for config in grid.configs] == ["full"]
    assert len(grid.left_out) == 1
    assert "'lora' does not fit 'resnet18'" in grid.left_out[0]
    with pytest.raises(ConfigError, match="does not fit"):
        expand_grid(new_draft(), methods=["lora"], ranks=[], num_seeds=1)


def test_train_grid_has_a_limit():
    assert len(expand_grid(new_draft(), methods=["full"], ranks=[], num_seeds=MAX_RUNS).configs) == MAX_RUNS
    with pytest.raises(ConfigError, match=f"The number of runs is {MAX_RUNS + 2}, but it must be at most {MAX_RUNS}"):
        expand_grid(new_draft(), methods=["full", "linear"], ranks=[], num_seeds=MAX_RUNS // 2 + 1)


def test_train_page_explains_a_method_that_does_not_fit(train, monkeypatch):
    monkeypatch.setitem(METHODS._specs, "lora", replace(METHODS["lora"], fits=("vit",)))
    rerun(train)
    assert "LoRA, reparameterised" not in train.selectbox(key="train_method").options
    assert any("Not for a CNN: LoRA fits a plain ViT only." in item.value for item in train.caption)


def test_train_grid_shows_its_number_and_time(train, compute):
    compute.answers.update(check=read_check(), speed=SPEED)
    train.multiselect(key="train_grid_methods").set_value(["lora", "full"])
    train.multiselect(key="train_grid_ranks").set_value([2, 4])
    train.number_input(key="train_grid_num_seeds").set_value(2)
    train.select_slider(key="train_fraction").set_value(0.5)
    rerun(train)
    assert any("**6 runs** of LoRA, Full fine-tuning, about 9 min" in item.value for item in train.caption)
    assert start_button(train).label == "Queue 6 runs"


# The start


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
    assert train.error[0].value == "LoRA found nothing to adapt."
    assert train.error[0].proto.title == "Nothing was started"
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


# Widgets from fields


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
    for section in ("optim", "train", "augment", "evaluation"):
        assert {f"train_{section}_{name}" for name in asdict(getattr(RunConfig(), section))} <= keys


# With the real compute process


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
    find(app.multiselect, "train_grid_ranks").set_value([2, 4, 8])
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
