"""Runs like others: settings copied from a run, and grids of methods, ranks and seeds."""

from dataclasses import replace

import pytest
from train_visits import SPEED, find, new_draft, open_train, read_check, rerun, start_button, use_stand_in

from medpeft_core.backbones import BACKBONES
from medpeft_core.config import RunConfig
from medpeft_core.errors import ConfigError
from medpeft_core.resolve import resolve_config
from medpeft_core.traits import CNN
from pages.widgets.method_fit import Architecture
from pages.widgets.train_draft import build_config, draft_from_config
from pages.widgets.train_grid import MAX_RUNS, expand_grid
from pages.widgets.wording import escape_markdown


@pytest.fixture
def compute(monkeypatch):
    return use_stand_in(monkeypatch)


@pytest.fixture
def train(app, compute):
    """The Train page in an empty lab, drawn once."""
    return open_train(app.run())


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
    assert escape_markdown(run_id) in app.error[0].value
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


def test_train_grid_leaves_out_what_does_not_fit():
    grid = expand_grid(new_draft(), methods=["bitfit", "full"], ranks=[2, 4], num_seeds=1)
    assert [config.method.name for config in grid.configs] == ["full"]
    assert len(grid.left_out) == 1
    assert "'bitfit' does not fit 'resnet18'" in grid.left_out[0]
    with pytest.raises(ConfigError, match="does not fit"):
        expand_grid(new_draft(), methods=["bitfit"], ranks=[], num_seeds=1)


def test_train_grid_leaves_out_what_does_not_fit_a_model_that_was_looked_at():
    """Such runs would be refused when they are queued, and all others with them."""
    draft = new_draft(backbone={"name": "resnet26"})
    options = {"methods": ["bitfit", "full"], "ranks": [], "num_seeds": 1}
    assert len(expand_grid(draft, **options).configs) == 2
    architecture = Architecture(title="resnet26", kind=CNN[0], traits=CNN[1])
    grid = expand_grid(draft, **options, architecture=architecture)
    assert [config.method.name for config in grid.configs] == ["full"]
    assert "'bitfit' does not fit 'resnet26'" in grid.left_out[0]


def test_train_grid_has_a_limit():
    assert len(expand_grid(new_draft(), methods=["full"], ranks=[], num_seeds=MAX_RUNS).configs) == MAX_RUNS
    with pytest.raises(ConfigError, match=f"The number of runs is {MAX_RUNS + 2}, but it must be at most {MAX_RUNS}"):
        expand_grid(new_draft(), methods=["full", "linear"], ranks=[], num_seeds=MAX_RUNS // 2 + 1)


def test_train_grid_shows_its_number_and_time(train, compute):
    compute.answers.update(check=read_check(), speed=SPEED)
    train.multiselect(key="train_grid_methods").set_value(["lora", "full"])
    train.pills(key="train_grid_ranks").set_value([2, 4])
    train.number_input(key="train_grid_num_seeds").set_value(2)
    train.select_slider(key="train_fraction").set_value(0.5)
    rerun(train)
    assert any("**6 runs** of LoRA, Full fine-tuning, about 9 min" in item.value for item in train.caption)
    assert start_button(train).label == "Queue 6 runs"


def test_train_grid_gives_the_command_of_each_run(train):
    """With nine runs in the grid, the command line showed the one of the form."""
    assert train.code[0].value.count("\n") == 0
    train.multiselect(key="train_grid_methods").set_value(["lora", "full"])
    train.number_input(key="train_grid_num_seeds").set_value(2)
    rerun(train)
    commands = train.code[0].value.splitlines()
    assert len(commands) == len(set(commands)) == 4
    assert sum("--method lora" in command for command in commands) == 2
    assert any("one line for each of the 4 runs" in item.value for item in train.caption)
