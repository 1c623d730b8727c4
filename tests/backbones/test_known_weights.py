"""The named weights: each has a place in its model under its layout, and all they name exists."""

from pathlib import Path

import pytest
import safetensors.torch
import timm
import torch

from medpeft_core.backbones import demo_model, eva_x_models  # noqa: F401  (timm learns their names)
from medpeft_core.backbones.anatomy import Backbone
from medpeft_core.backbones.build import build_backbone
from medpeft_core.backbones.key_report import KeyReport
from medpeft_core.backbones.known_weights import KNOWN_WEIGHTS
from medpeft_core.backbones.lab_models import LAB_MODELS, say_in_timm
from medpeft_core.backbones.layouts import LAYOUTS
from medpeft_core.backbones.layouts.checking import convert_weights, inspect_weights
from medpeft_core.backbones.layouts.fitting import fit_file
from medpeft_core.backbones.layouts.needs import find_needs
from medpeft_core.backbones.normalisations import NORMALISATIONS
from medpeft_core.backbones.shelf import ShelfEntry, hash_file, shelf_dir, shelf_file
from medpeft_core.backbones.weight_files import WeightsFile
from medpeft_core.errors import BackboneError
from medpeft_core.paths import write_json

# the names that each layout's own code gives to some of timm's tensors
THEIRS = {
    "mae": (),
    "dinov2": ((".mlp.fc1.", ".mlp.w12."), (".mlp.fc2.", ".mlp.w3.")),
    "eva": ((".mlp.fc1_g.", ".mlp.w1."), (".mlp.fc1_x.", ".mlp.w2."), (".mlp.fc2.", ".mlp.w3."),
            (".mlp.fc1.", ".mlp.w12."), (".mlp.norm.", ".mlp.ffn_ln."),
            (".q_proj.bias", ".q_bias"), (".v_proj.bias", ".v_bias")),
    "hf_dinov2": (("blocks.", "encoder.layer."), (".attn.proj.", ".attention.output.dense."),
                  (".ls1.gamma", ".layer_scale1.lambda1"), (".ls2.gamma", ".layer_scale2.lambda1"),
                  ("cls_token", "embeddings.cls_token"), ("pos_embed", "embeddings.position_embeddings"),
                  ("patch_embed.proj.", "embeddings.patch_embeddings.projection.")),
}  # fmt: skip
FINAL_NORM = {"hf_dinov2": "layernorm"}


def rename(name: str, layout: str) -> str:
    if name.startswith("norm."):
        return name.replace("norm.", f"{FINAL_NORM.get(layout, 'norm')}.")
    for ours, theirs in THEIRS[layout]:
        name = name.replace(ours, theirs)
    return name


def write_as_they_do(model: torch.nn.Module, layout: str) -> dict[str, torch.Tensor]:
    """The tensors of a model on the meta device by the names of a layout."""
    state = {}
    for name, tensor in model.state_dict().items():
        if layout == "hf_dinov2" and ".attn.qkv." in name:
            for part, rows in zip(("query", "key", "value"), tensor.chunk(3), strict=True):
                fused = rename(name, layout).replace(".attn.qkv.", f".attention.attention.{part}.")
                state[fused] = rows
        else:
            state[rename(name, layout)] = tensor
    return state


@pytest.mark.parametrize("name", KNOWN_WEIGHTS.names())
def test_known_weights_have_a_place_in_their_model(name: str) -> None:
    """Names and shapes only: the files themselves are not here."""
    known = KNOWN_WEIGHTS[name]
    assert known.layout in LAYOUTS
    assert NORMALISATIONS[known.normalisation].source
    assert known.proof
    assert known.hub_file if known.hub_id else known.get_it
    with torch.device("meta"):
        whole = timm.create_model(known.backbone, num_classes=0, global_pool="", img_size=known.image_size)
        pooled = timm.create_model(known.backbone, num_classes=0, global_pool=known.pool, img_size=known.image_size)
    state = write_as_they_do(whole, known.layout)
    file = WeightsFile(path=Path("w.pth"), tensors=state, container="", left_out=(), metadata={})
    fitted, report = fit_file(file, find_needs(pooled, known.backbone), layout=known.layout, positions="plain")
    assert report.first_fault is None
    fresh = {"fc_norm.weight", "fc_norm.bias"} if known.pool == "avg" and known.layout != "eva" else set()
    assert set(fitted) | fresh == set(pooled.state_dict())


@pytest.mark.parametrize("name", LAB_MODELS)
def test_lab_models_are_the_same_in_words_of_plain_timm(name: str) -> None:
    architecture, arguments = say_in_timm(name)
    with torch.device("meta"):
        ours = timm.create_model(name, num_classes=0)
        theirs = timm.create_model(architecture, num_classes=0, **arguments)
    shapes = {key: tensor.shape for key, tensor in ours.state_dict().items()}
    assert shapes == {key: tensor.shape for key, tensor in theirs.state_dict().items()}


def test_eva_x_computes_what_plain_timm_does() -> None:
    options = {"depth": 1, "embed_dim": 48, "num_heads": 3, "img_size": 64}
    torch.manual_seed(0)
    ours = timm.create_model("eva_x_tiny", num_classes=0, **options).eval()
    architecture, arguments = say_in_timm("eva_x_tiny")
    theirs = timm.create_model(architecture, num_classes=0, **{**arguments, **options}).eval()
    theirs.load_state_dict(ours.state_dict())
    images = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    assert torch.equal(ours(images), theirs(images))
    assert ours.pretrained_cfg["mean"] == NORMALISATIONS["eva_x"].mean


def build(**options: object) -> Backbone:
    return build_backbone("test_vit", **{"num_classes": 3, "image_size": 64, **options})


@pytest.fixture(scope="module")
def mae_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An MAE file of another image size, with a decoder."""
    model = timm.create_model("test_vit", num_classes=0, global_pool="", img_size=96)
    path = tmp_path_factory.mktemp("weights") / "mae.pth"
    state = {name: torch.randn_like(tensor) * 0.1 for name, tensor in model.state_dict().items()}
    torch.save({"model": {**state, "mask_token": torch.ones(1), "decoder_embed.weight": torch.ones(1)}}, path)
    return path


def test_converted_weights_keep_their_size_and_norms(mae_file: Path) -> None:
    original = torch.load(mae_file, weights_only=True)["model"]
    state, report = convert_weights(mae_file, backbone="test_vit")
    assert set(original) - set(state) == {"mask_token", "decoder_embed.weight"}
    assert all(torch.equal(original[name], tensor) for name, tensor in state.items())
    assert state["pos_embed"].shape == (1, 37, 64)
    assert report.counts == {"loaded": len(state), "dropped": 2}
    with pytest.raises(BackboneError, match=r"the tensor 'conv1.weight' is missing|another model than 'test_resnet'"):
        convert_weights(mae_file, backbone="test_resnet")


@pytest.mark.parametrize("pool", ["avg", "token"])
def test_inspected_weights_tell_what_loading_does_and_never_refuse(mae_file: Path, pool: str) -> None:
    report = inspect_weights(mae_file, backbone="test_vit", pool=pool, image_size=64)
    assert report.first_fault is None
    assert ("norm.weight" in {row.source for row in report.rows if row.fate == "dropped"}) == (pool == "avg")
    assert "6x6 to 4x4, antialias" in {row.note for row in report.rows}
    wrong: KeyReport = inspect_weights(mae_file, backbone="test_resnet")
    assert wrong.first_fault is not None
    assert wrong.to_dict()["counts"]["unexpected"] > 0


@pytest.fixture
def shelf(mae_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home whose shelf holds the converted file under the name `mine`."""
    monkeypatch.setenv("MEDPEFT_HOME", str(tmp_path))
    state, _ = convert_weights(mae_file, backbone="test_vit")
    shelf_dir(tmp_path).mkdir(parents=True)
    safetensors.torch.save_file(state, shelf_file(tmp_path, "mine"))
    entry = ShelfEntry(
        name="mine", backbone="test_vit", layout="mae", source="mae.pth", source_sha256="",
        sha256=hash_file(shelf_file(tmp_path, "mine")), num_bytes=1, mean=(0.1, 0.2, 0.3),
    )  # fmt: skip
    write_json(shelf_dir(tmp_path) / "mine.json", entry.to_dict())
    return tmp_path


@pytest.mark.parametrize("pool", ["avg", "token"])
@pytest.mark.parametrize("positions", ["antialias", "plain"])
def test_weights_of_the_shelf_load_as_the_file_does(shelf: Path, mae_file: Path, pool: str, positions: str) -> None:
    first = build(weights="shelf:mine", pool=pool, positions=positions)
    second = build(weights=str(mae_file), pool=pool, positions=positions, layout="mae")
    states = first.model.state_dict(), second.model.state_dict()
    assert all(torch.equal(tensor, states[1][name]) for name, tensor in states[0].items())
    assert first.mean == (0.1, 0.2, 0.3)
    assert second.mean != first.mean


def test_weights_of_the_shelf_are_refused_for_another_backbone_and_when_missing(shelf: Path) -> None:
    with pytest.raises(BackboneError, match="'mine' on the shelf are those of 'test_vit', and not of 'test_resnet'"):
        build_backbone("test_resnet", num_classes=2, weights="shelf:mine")
    with pytest.raises(BackboneError, match="no weights 'yours' on the shelf. There are: mine"):
        build(weights="shelf:yours")
    with pytest.raises(BackboneError, match="no name of weights on the shelf"):
        build(weights="shelf:../../etc/passwd")
