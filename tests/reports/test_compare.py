"""Runs side by side: differing settings, the table of figures, short names."""

import dataclasses

import pytest

from medpeft_core.config import RunConfig
from medpeft_core.errors import RunError
from medpeft_core.methods.lora import LoraKnobs
from medpeft_core.reports.compare import (
    TABLE_TYPES,
    build_comparison_table,
    build_run_names,
    diff_configs,
    short_name,
)
from medpeft_core.resolve import resolve_config
from medpeft_core.runs import RunStore
from medpeft_core.runs.listing import list_summaries


@pytest.fixture
def store(tmp_path):
    return RunStore(tmp_path)


def create(store, **sections):
    config = resolve_config(RunConfig.from_dict({"backbone": {"name": "vit_tiny_patch16_224"}, **sections}))
    return store.create(config, provenance={}, device="cpu")


def backbone(**values):
    return {"backbone": {"name": "vit_tiny_patch16_224", **values}}


def settings_of(runs):
    return [item["setting"] for item in diff_configs(runs)]


def test_diff_configs_lists_only_what_differs_in_the_order_of_the_config(store):
    first = create(store, data={"fraction": 0.25}, train={"seed": 1})
    second = create(store, method={"name": "lora", "knobs": {"rank": 4}}, optim={"weight_decay": 0.1})
    found = diff_configs([first, second])
    assert [item["setting"] for item in found] == ["data.fraction", "method.rank", "optim.weight_decay", "train.seed"]
    assert found[1]["values"] == {first.run_id: 8, second.run_id: 4}
    assert found[1]["help"] == LoraKnobs.__dataclass_fields__["rank"].metadata["help"]
    assert found[2]["help"] == "Weight decay on tensors with more than one dimension."
    assert all(item["help"].endswith(".") for item in found)


def test_diff_configs_of_different_methods_and_data_sets_shows_settings_that_one_lacks(store):
    lora, full = create(store), create(store, method={"name": "full"}, data={"dataset": "nih", "root": "/data"})
    found = {item["setting"]: item for item in diff_configs([lora, full])}
    assert found["method.rank"]["values"] == {lora.run_id: 8, full.run_id: None}
    assert found["data.num_patients"]["values"] == {lora.run_id: 2150, full.run_id: None}
    assert found["data.num_patients"]["help"].startswith("Number of synthetic patients")
    assert found["optim.lr"]["values"] == {lora.run_id: 3e-3, full.run_id: 3e-4}
    sections = [setting.partition(".")[0] for setting in found]
    assert sections == sorted(sections, key=["data", "method", "optim"].index)


def test_diff_configs_leaves_out_what_follows_from_other_settings(store):
    first = create(store, **backbone(weights_sha256="a" * 64, mean=[0.5] * 3), train={"seed": 1})
    second = create(store, **backbone(weights_sha256="b" * 64, mean=[0.5] * 3), train={"seed": 2})
    other = create(store, backbone={"name": "resnet18", "weights_sha256": "c" * 64, "mean": [0.4] * 3})
    assert settings_of([first, second]) == ["train.seed"]
    assert settings_of([first, other]) == ["backbone.name", "train.seed"]


def test_diff_configs_lists_a_weights_file_that_was_replaced(store):
    """Two runs with the same settings gave different figures, because the file under that name was another one."""
    first = create(store, **backbone(weights="my.pt", weights_sha256="a" * 64))
    second = create(store, **backbone(weights="my.pt", weights_sha256="b" * 64))
    assert settings_of([first, second]) == ["backbone.weights_sha256"]


def test_diff_configs_of_one_run_or_equal_runs_is_empty(store):
    runs = [create(store), create(store)]
    assert diff_configs(runs) == diff_configs(runs[:1]) == diff_configs([]) == []


def test_diff_configs_of_a_method_that_is_no_longer_known(store):
    known, unknown = create(store), create(store)
    config = unknown.config()
    method = dataclasses.replace(config.method, name="gone", knobs={"depth": 3})
    unknown.save_config(dataclasses.replace(config, method=method))
    found = {item["setting"]: item for item in diff_configs([known, unknown])}
    assert found["method.depth"] == {
        "setting": "method.depth", "help": "", "values": {known.run_id: None, unknown.run_id: 3},
    }  # fmt: skip


def test_diff_configs_names_a_damaged_run(store):
    run = create(store)
    run.config_path.write_text("{")
    with pytest.raises(RunError, match=run.run_id):
        diff_configs([run])


def finish(run, *, test_auroc, wall_time_s=12.5):
    run.save_metrics(
        {"val_auroc": 0.9, "test_auroc": test_auroc, "test_auroc_low": 0.7, "test_auroc_high": 0.85,
         "training": {"num_trainable_params": 159_758, "wall_time_s": wall_time_s}}
    )  # fmt: skip
    run.write_state(status="finished")


def test_comparison_table_holds_what_the_files_hold(store):
    lora, full = create(store, data={"fraction": 0.25}), create(store, method={"name": "full"})
    finish(lora, test_auroc=0.8)
    table = build_comparison_table([lora, full])
    assert list(table.index) == [lora.run_id, full.run_id]
    row = table.loc[lora.run_id]
    expected = {
        "run": "LoRA r8 · ViT-Tiny · 25 %", "dataset": "phantom", "fraction": 0.25, "weights": "random", "rank": 8,
        "num_trainable_params": 159_758, "val_auroc": 0.9, "test_auroc": 0.8, "test_auroc_low": 0.7,
        "test_auroc_high": 0.85, "wall_time_s": 12.5, "seed": 0, "status": "finished", "method": "lora",
        "backbone": "vit_tiny_patch16_224",
    }  # fmt: skip
    assert row.to_dict() == expected
    assert table.loc[full.run_id, ["rank", "test_auroc", "num_trainable_params"]].isna().all()
    assert table.loc[full.run_id, "status"] == "queued"


def test_comparison_table_has_numbers_that_sort(store):
    runs = [create(store) for _ in range(3)]
    for run, auroc in zip(runs, (0.7, None, 0.9), strict=True):
        finish(run, test_auroc=auroc)
    table = build_comparison_table(runs).sort_values("test_auroc", ascending=False)
    assert list(table.index) == [runs[2].run_id, runs[0].run_id, runs[1].run_id]
    empty = build_comparison_table([])
    assert len(empty) == 0
    assert list(empty.columns) == list(table.columns)
    assert empty.dtypes[list(TABLE_TYPES)].to_dict() == table.dtypes[list(TABLE_TYPES)].to_dict()


def summary(run_id, **values):
    base = {
        "run_id": f"20261121-2154-lora-r8-vit_tiny-{run_id}", "dataset": "phantom", "fraction": 1.0, "seed": 0,
        "backbone": "vit_tiny_patch16_224", "weights": "random", "method": "lora", "knobs": {"rank": 8, "alpha": 32},
    }  # fmt: skip
    return {**base, **values}


@pytest.mark.parametrize(
    ("values", "name"),
    [
        ({"fraction": 0.25}, "LoRA r8 · ViT-Tiny · 25 %"),
        ({"fraction": 0.005}, "LoRA r8 · ViT-Tiny · 0.5 %"),
        ({"fraction": 1 / 3}, "LoRA r8 · ViT-Tiny · 33.3 %"),
        ({}, "LoRA r8 · ViT-Tiny"),
        ({"method": "full", "knobs": {}, "backbone": "resnet18"}, "Full fine-tuning · ResNet-18"),
        ({"backbone": "vit_base_patch16_224.mae"}, "LoRA r8 · ViT-Base MAE"),
        ({"backbone": "vit_small_patch32_384.augreg", "method": "gone"}, "gone r8 · vit_small"),
        ({"method": None}, "20261121-2154-lora-r8-vit_tiny-0001"),
    ],
)
def test_short_name_reads_well(values, name):
    assert short_name(summary("0001", **values)) == name


@pytest.mark.parametrize(
    ("values", "names"),
    [
        (({}, {"fraction": 0.1}), ["", " · 10 %"]),
        (({"seed": 1}, {"seed": 2}), [" · seed 1", " · seed 2"]),
        (({"dataset": "nih", "seed": 1}, {"seed": 2}), [" · nih", " · phantom"]),
        (({"dataset": "nih"}, {"fraction": 0.1}), [" · nih", " · 10 % · phantom"]),
        (({"weights": "/a/mae.pt"}, {"weights": "C:\\b\\mrm.pt"}), [" · mae.pt", " · mrm.pt"]),
        (({"weights": "/a/w.pt"}, {"weights": "/b/w.pt"}), [" · 0000", " · 0001"]),
        (({"image_size": 112}, {"image_size": 224}), [" · 112 px", " · 224 px"]),
        (({"knobs": {"rank": 8, "alpha": 16}}, {"knobs": {"rank": 8, "alpha": 32}}), [" · alpha 16", " · alpha 32"]),
        (({}, {}), [" · 0000", " · 0001"]),
        (({"seed": 1}, {"seed": 1}, {"seed": 2}), [" · seed 1 · 0000", " · seed 1 · 0001", " · seed 2"]),
    ],
)
def test_build_run_names_adds_what_tells_runs_apart(values, names):
    summaries = [summary(f"{number:04x}", **item) for number, item in enumerate(values)]
    assert list(build_run_names(summaries).values()) == [f"LoRA r8 · ViT-Tiny{name}" for name in names]


def test_build_run_names_are_unique_even_for_equal_digits():
    first, second = summary("0000"), summary("0000")
    second["run_id"] = second["run_id"].replace("2154", "2155")
    names = build_run_names([first, second])
    assert names == {first["run_id"]: first["run_id"], second["run_id"]: second["run_id"]}
    assert build_run_names([]) == {}


def test_build_run_names_takes_lines_of_the_listing(store):
    run, damaged = create(store), create(store)
    damaged.state_path.write_text("{")
    assert build_run_names(list_summaries(store)) == {run.run_id: "LoRA r8 · ViT-Tiny", damaged.run_id: damaged.run_id}
