"""The papers' cells: each is a valid run, tells its sources, and trains as many parameters as it says."""

import math
import re

import pytest
import torch

from medpeft_core.backbones.build import build_backbone
from medpeft_core.config import RunConfig
from medpeft_core.errors import ConfigError, UnknownNameError
from medpeft_core.paper_cells import CELLS, MARKS, Count, PaperCell, apply_cell, find_cells, forget_cell
from medpeft_core.presets import PRESETS
from medpeft_core.resolve import resolve_config
from medpeft_core.training.build import apply_method

NAMES = CELLS.names()
COUNTED = [(cell, count) for cell in CELLS for count in cell.counts if cell.group.startswith("Dutt")]
COUNTED += [(cell, count) for cell in CELLS for count in cell.counts if "_mae_" in cell.name]  # MRM's models are alike
RANKS = {4: 159_758, 8: 307_214, 16: 602_126, 32: 1_191_950, 64: 2_371_598}
# As the specification of both papers counts them, written out a second time.
CONFIRMED = {
    "dutt2024_cnn_full": ("23.5M",),
    "dutt2024_cnn_tsa": (10_616_832,),
    "dutt2024_cnn_batchnorm": (59_267,),
    "dutt2024_cnn_bias": (32_707,),
    "dutt2024_vit_attention": (28_502_019, 100_966_403, 210_211_843),
    "dutt2024_vit_bitfit": ("0.105M", "0.275M", "0.457M"),
    "dutt2024_vit_lora": (589_824, 1_572_864, 2_621_440),
    "dutt2024_vit_ssf": (205_824, 544_768, 906_240),
    "dutt2024_vit_adaptformer": ("0.1M", "0.3M", "0.5M"),
    "dutt2024_vit_layernorm": ("0.041M", "0.103M", "0.170M"),
}
UNMET = ("dutt2024_cnn_batchnorm", "dutt2024_cnn_ssf", "dutt2024_vit_full")  # no such set of parameters was found


def flatten(settings: dict) -> dict:
    """ "section.field" to value; knobs beside the method's name."""
    flat = {}
    for section, table in settings.items():
        fields = {**table, **table.get("knobs", {})}
        flat |= {f"{section}.{name}": value for name, value in fields.items() if name != "knobs"}
    return flat


def read_number(text: str) -> tuple[float, float]:
    """A printed count, and one unit of its last digit."""
    digits, scale = text[:-1], {"K": 1e3, "M": 1e6}[text[-1]]
    places = len(digits.partition(".")[2])
    return float(digits) * scale, scale / 10**places


def count_trained(cell: PaperCell, count: Count, **knobs: object) -> int:
    """On the meta device: shapes without memory."""
    settings = cell.find_settings(count.backbone)
    method = {**settings["method"], "knobs": {**settings["method"].get("knobs", {}), **knobs}}
    with torch.device("meta"):
        part = settings["backbone"]
        bare = build_backbone(
            count.backbone, num_classes=count.num_classes, image_size=part["image_size"], pool=part["pool"]
        )
        adapted = apply_method(bare, RunConfig.from_dict({"method": method})).adapted
    if count.has_head:
        return adapted.num_trainable_params()
    head = count.num_classes * (bare.model.num_features + 1)
    return adapted.num_trainable_params() - head


@pytest.mark.parametrize("name", NAMES)
def test_cell_gives_a_complete_run_on_each_of_its_backbones(name: str) -> None:
    cell = CELLS[name]
    for backbone in cell.backbones:
        resolved = resolve_config(RunConfig.from_dict(apply_cell({}, name, backbone=backbone)))
        assert (resolved.backbone.name, resolved.method.name) == (backbone, cell.method)
        assert resolved.optim.lr is not None
        assert name in [item.name for item in find_cells(resolved.to_dict())]


@pytest.mark.parametrize("name", NAMES)
def test_cell_says_where_each_setting_comes_from(name: str) -> None:
    cell = CELLS[name]
    assert set(cell.marks) == set(flatten(cell.find_settings(cell.backbones[0])))
    assert set(cell.marks.values()) <= set(MARKS)
    assert cell.open_points, "no paper says everything"
    for sentence in (*cell.open_points, *cell.differences):
        assert re.fullmatch(r"[A-Z].*\.", sentence), sentence


def test_cells_and_presets_share_no_name() -> None:
    assert not set(NAMES) & set(PRESETS)
    assert len({(cell.group, cell.title) for cell in CELLS}) == len(CELLS)


@pytest.mark.parametrize(("cell", "count"), COUNTED, ids=[f"{cell.name}-{count.backbone}" for cell, count in COUNTED])
def test_cell_trains_as_many_parameters_as_it_says(cell: PaperCell, count: Count) -> None:
    assert count_trained(cell, count) == count.counted


@pytest.mark.parametrize("name", CONFIRMED)
def test_cell_counts_are_those_of_the_specification(name: str) -> None:
    counts = CELLS[name].counts
    assert len(counts) == len(CONFIRMED[name])
    for count, wanted in zip(counts, CONFIRMED[name], strict=True):
        if isinstance(wanted, int):
            assert count.counted == wanted
        else:
            number, unit = read_number(wanted)
            assert abs(count.counted - number) < unit


def test_cell_confirmed_counts_are_the_printed_ones() -> None:
    """Some were rounded and some cut off, so that a unit of the last digit may lie between."""
    confirmed = [count for cell in CELLS for count in cell.counts if count.is_confirmed]
    of_full = [count.printed for count in CELLS["dutt2024_vit_full"].counts if count.is_confirmed]
    assert of_full == ["303M", "630M"]
    assert len(confirmed) == len(of_full) + sum(len(CELLS[name].counts) for name in CONFIRMED if name not in UNMET)
    for count in confirmed:
        number, unit = read_number(count.printed)
        assert abs(count.counted - number) < unit, count


def test_cell_counts_that_miss_the_printed_ones_are_explained() -> None:
    for name in UNMET:
        count = CELLS[name].counts[0]
        number, unit = read_number(count.printed)
        assert abs(count.counted - number) > unit
        assert not count.is_confirmed
        assert f"printed {count.printed}" in CELLS[name].open_points[0]


@pytest.mark.parametrize("rank", RANKS)
def test_cell_of_lian_trains_as_many_as_its_code_at_every_rank(rank: int) -> None:
    cell = CELLS["lian2024_lora_mrm_nih_100"]
    assert count_trained(cell, cell.counts[0], rank=rank) == RANKS[rank]


@pytest.mark.parametrize(
    ("name", "epochs", "lr", "rank"),
    [
        ("lian2024_lora_mae_nih_1", 400, 7.5e-4, 4),
        ("lian2024_lora_mae_nih_10", 200, 2.5e-4, 8),
        ("lian2024_lora_mae_nih_100", 100, 7.5e-4, 32),
        ("lian2024_lora_mae_rsna_10", 100, 1.25e-3, 8),
        ("lian2024_lora_mrm_nih_1", 100, 0.05, 4),
        ("lian2024_lora_mrm_nih_100", 100, 0.2, 32),
        ("lian2024_lora_mrm_chexpert_10", 100, 0.05, 16),
    ],
)
def test_cell_of_lian_has_the_recommended_settings(name: str, epochs: int, lr: float, rank: int) -> None:
    """Base learning rates of AdamW are for 256 images, and a batch has 64."""
    config = resolve_config(RunConfig.from_dict(apply_cell({}, name)))
    assert (config.train.epochs, config.train.batch_size) == (epochs, 64)
    assert math.isclose(config.optim.lr or 0, lr)
    assert config.method.knobs == {"rank": rank, "alpha": 32.0, "dropout": 0.1, "targets": "q,v"}
    assert config.data.fraction == {"1": 0.01, "10": 0.1, "100": 1.0}[name.rpartition("_")[2]]
    is_mae = "_mae_" in name
    assert config.optim.optimizer == ("adamw" if is_mae else "sgd")
    assert config.optim.layer_decay == (0.65 if is_mae else 1.0)
    assert config.backbone.mean == ((0.4785,) * 3 if is_mae else (0.4978,) * 3)
    assert (config.augment.rand_augment, config.augment.erasing) == ((2, 0.25) if is_mae else (0, 0.0))


def test_cell_leaves_alone_what_the_paper_does_not_say() -> None:
    values = {"data": {"dataset": "nih", "fraction": 0.1}, "optim": {"lr": 0.5}, "train": {"epochs": 7}}
    changed = apply_cell(values, "dutt2024_vit_lora")
    assert changed["data"] == values["data"]
    assert changed["optim"] == {"lr": 0.5, "optimizer": "adamw"}
    assert changed["train"] == {"epochs": 7, "batch_size": 64, "accumulation": 8}
    assert values == {"data": {"dataset": "nih", "fraction": 0.1}, "optim": {"lr": 0.5}, "train": {"epochs": 7}}


def test_cell_takes_no_knob_of_the_method_before() -> None:
    values = {"method": {"name": "lora", "knobs": {"rank": 64, "alpha": 1.0}}}
    assert apply_cell(values, "dutt2024_vit_bitfit")["method"] == {"name": "bitfit"}


def test_cell_leaves_nothing_of_the_cell_before() -> None:
    first = apply_cell({}, "lian2024_lora_mrm_nih_1")
    then = apply_cell(first, "dutt2024_vit_lora", former="lian2024_lora_mrm_nih_1")
    assert {name: table for name, table in then.items() if table} == apply_cell({}, "dutt2024_vit_lora")


def test_cell_forgets_its_recipe_and_keeps_the_question() -> None:
    values = apply_cell({}, "lian2024_lora_mrm_nih_1")
    values["train"]["epochs"] = 3  # changed by hand since
    left = forget_cell(values, "lian2024_lora_mrm_nih_1")
    assert left["optim"] == {} == left["augment"]
    assert left["train"] == {"epochs": 3}
    assert left["data"] == {"fraction": 0.01}
    assert left["method"] == values["method"]
    constants = {"mean": (0.4978,) * 3, "std": (0.2449,) * 3}  # they go with the weights, which stay
    assert left["backbone"] == {"name": "vit_base_patch16_224", "pool": "avg", **constants}


def test_cell_on_another_backbone_keeps_its_weights_and_its_size() -> None:
    values = {"backbone": {"name": "demo_vit", "weights": "demo"}}
    part = apply_cell(values, "dutt2024_vit_lora", backbone="demo_vit")["backbone"]
    assert part == {"name": "demo_vit", "weights": "demo", "image_size": 96, "pool": "token"}
    assert apply_cell(values, "dutt2024_vit_lora")["backbone"]["weights"] == "pretrained"
    lian = apply_cell(values, "lian2024_lora_mae_nih_1")["backbone"]
    assert "weights" not in lian, "the demo weights are for the demo backbone"
    assert lian["mean"] == (0.4785,) * 3
    assert "mean" not in apply_cell(values, "lian2024_lora_mae_nih_1", backbone="demo_vit")["backbone"]


def test_cell_takes_no_weights_and_pixel_constants_of_another_backbone() -> None:
    before = {"name": "vit_small_patch16_224", "weights": "small.safetensors", "mean": (0.3,) * 3, "drop_path": 0.2}
    part = apply_cell({"backbone": before}, "lian2024_full_mae_nih_1")["backbone"]
    assert "weights" not in part
    assert part["mean"] == (0.4785,) * 3
    kept = apply_cell({"backbone": before}, "dutt2024_vit_lora", backbone="vit_small_patch16_224")["backbone"]
    assert kept == {**before, "image_size": 224, "pool": "token"}
    own = {**before, "name": "vit_base_patch16_224"}
    assert "mean" not in apply_cell({"backbone": own}, "dutt2024_vit_lora")["backbone"]


def test_find_cells_tells_cells_apart_and_alike() -> None:
    def find(**changes: dict) -> list[str]:
        values = apply_cell({}, "lian2024_lora_mae_nih_1")
        for section, fields in changes.items():
            values[section] |= fields
        return [cell.name for cell in find_cells(resolve_config(RunConfig.from_dict(values)).to_dict())]

    assert find() == ["lian2024_lora_mae_nih_1", "lian2024_lora_mae_chexpert_1"], "one recipe for two data sets"
    assert find(train={"epochs": 401}) == []
    assert find(backbone={"name": "vit_small_patch16_224"}) == []
    assert find(data={"dataset": "phantom_shortcut"}) == find(), "the data set is no part of the settings"


def test_cell_refuses_another_kind_of_backbone() -> None:
    with pytest.raises(
        ConfigError, match=r"'dutt2024_cnn_tsa' is for a CNN \(in the paper 'resnet50'\), and 'demo_vit'"
    ):
        CELLS["dutt2024_cnn_tsa"].check_kind("demo_vit", "vit")
    with pytest.raises(UnknownNameError, match="no preset 'dutt2024_vit_loar'. Did you mean 'dutt2024_vit_lora'"):
        apply_cell({}, "dutt2024_vit_loar")
