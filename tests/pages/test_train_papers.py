"""As in a paper: a cell fills the form, the form tells the cell it stands on, and nothing of a cell stays behind."""

import pytest
from train_visits import choose, find, open_train, rerun, use_stand_in

from medpeft_core.paper_cells import CELLS
from pages.widgets.train_draft import build_config


@pytest.fixture
def compute(monkeypatch):
    return use_stand_in(monkeypatch)


@pytest.fixture
def train(app, compute):
    """The Train page in an empty lab, drawn once."""
    return open_train(app.run())


def take(train, name):
    """Click on a cell of the list."""
    train.selectbox(key="train_paper_group").set_value(CELLS[name].group)
    rerun(train)
    train.button(key=f"train_paper_{name}").click()
    return rerun(train)


def read_config(train):
    return build_config(train.session_state["train_draft"])


def captions(train):
    return "\n".join(item.value for item in train.caption)


@pytest.mark.parametrize("group", dict.fromkeys(cell.group for cell in CELLS))
def test_papers_lists_every_cell_with_its_count_and_open_points(train, group):
    train.selectbox(key="train_paper_group").set_value(group)
    rerun(train)
    cells = [cell for cell in CELLS if cell.group == group]
    shown = [item.label for item in train.button if (item.key or "").startswith("train_paper_")]
    assert shown == [cell.title for cell in cells]
    told = captions(train)
    for cell in cells:
        assert cell.printed in told
        assert all(point in told for point in (*cell.open_points, *cell.differences))


def test_papers_opens_on_the_group_of_the_backbone(train):
    assert train.selectbox(key="train_paper_group").value == "Dutt 2024, ViT"


def test_papers_cell_of_another_kind_brings_the_backbone_of_the_paper(train):
    choose(train, "data", "dataset", "phantom_shortcut")
    take(train, "dutt2024_cnn_tsa")
    config = read_config(train)
    assert (config.backbone.name, config.backbone.weights, config.method.name) == ("resnet50", "pretrained", "tsa")
    assert (config.train.batch_size, config.train.accumulation) == (64, 8)
    assert config.data.dataset == "phantom_shortcut", "the data set stays"
    number = len(CELLS["dutt2024_cnn_tsa"].open_points)
    told = f"As in Dutt 2024, ResNet50: Task-specific adapters. The paper leaves {number} points open"
    assert told in captions(train)
    assert "--method tsa" in train.code[0].value
    assert find(train.selectbox, "train_backbone").value == "resnet50"


def test_papers_cell_keeps_a_backbone_of_the_same_kind(train):
    take(train, "dutt2024_vit_lora")
    config = read_config(train)
    assert (config.backbone.name, config.backbone.weights, config.backbone.image_size) == ("demo_vit", "demo", 96)
    assert config.method.knobs == {"rank": 16, "alpha": 16.0, "dropout": 0.0, "targets": "q,v"}
    assert "Dutt 2024, ViT: LoRA, on demo_vit in place of vit_base_patch16_224." in captions(train)
    find(train.selectbox, "train_backbone").set_value("vit_base_patch16_224")
    rerun(train)
    choose(train, "backbone", "weights", "pretrained")
    choose(train, "backbone", "image_size", 224)
    assert "As in Dutt 2024, ViT: LoRA." in captions(train)


def test_papers_tells_when_the_form_has_left_the_cell(train):
    take(train, "dutt2024_cnn_bias")
    assert "As in Dutt 2024, ResNet50: Bias tuning." in captions(train)
    assert "Own settings" not in captions(train)
    find(train.number_input, "train_train_accumulation").set_value(1)
    rerun(train)
    assert "The settings of Dutt 2024, ResNet50: Bias tuning, with changes." in captions(train)


def test_papers_names_every_cell_with_the_same_settings(train):
    choose(train, "backbone", "name", "vit_base_patch16_224")
    take(train, "lian2024_lora_mae_nih_1")
    told = captions(train)
    assert "As in Lian 2024, CXR-MAE: LoRA, NIH, 1 %; Lian 2024, CXR-MAE: LoRA, CheXpert, 1 %." in told
    config = read_config(train)
    assert (config.train.epochs, config.data.fraction) == (400, 0.01)
    assert config.optim.lr == pytest.approx(7.5e-4)
    assert config.backbone.mean == (0.4785,) * 3
    find(train.segmented_control, "train_weights").set_value("pretrained")
    rerun(train)
    assert read_config(train).backbone.mean is None, "the pixel constants are those of the paper's weights"


def test_papers_another_cell_or_preset_leaves_nothing_of_the_one_before(train):
    take(train, "lian2024_lora_mrm_nih_100")
    assert read_config(train).optim.optimizer == "sgd"
    take(train, "dutt2024_vit_bitfit")
    config = read_config(train)
    assert (config.optim.optimizer, config.optim.lr, config.optim.layer_decay) == ("adamw", None, 1.0)
    assert (config.method.name, config.method.knobs, config.backbone.drop_path) == ("bitfit", {}, 0.0)
    assert (config.train.epochs, config.data.fraction) == (10, 1.0)
    take(train, "lian2024_lora_mae_nih_10")
    train.segmented_control(key="train_preset_None").set_value("quick")
    rerun(train)
    config = read_config(train)
    assert (config.optim.layer_decay, config.optim.lr, config.train.epochs) == (1.0, None, 3)
    assert config.method.knobs["rank"] == 8, "a preset leaves the method alone"


def test_papers_cell_turns_cached_features_off_where_they_cannot_be(train):
    choose(train, "method", "name", "linear")
    choose(train, "train", "cached_features", True)
    take(train, "dutt2024_vit_ssf")
    assert not read_config(train).train.cached_features
    assert not train.error


def test_papers_marks_the_cell_of_the_form(train):
    def marked():
        return [item.label for item in train.button if (item.key or "").startswith("train_paper_") and item.icon]

    assert marked() == []
    take(train, "dutt2024_vit_lora")
    assert marked() == ["LoRA"]
