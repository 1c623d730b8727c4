"""Merged models: timm's own names, its own loader, and a place for every shift or a refusal."""

import json
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import timm
import torch
from saved_runs import LABELS, build_context
from timm.models import SwinTransformerV2, VisionTransformer, build_model_with_cfg, register_model
from tiny_models import IMAGE_SIZE
from torch import nn
from trials import build_bare

from medpeft_core.backbones.qkv import fuse_qkv, split_qkv
from medpeft_core.config import BackboneConfig, MethodConfig, RunConfig, TrainConfig
from medpeft_core.errors import BackboneError, ExportError
from medpeft_core.exports import ExportOptions
from medpeft_core.exports.merged import write
from medpeft_core.exports.write import export_run
from medpeft_core.runs.run import Run
from medpeft_core.runs.states import FINISHED
from medpeft_core.runs.store import RunStore
from medpeft_core.training.best import save_best
from medpeft_core.training.build import build_model

CONFIG = {"input_size": (3, IMAGE_SIZE, IMAGE_SIZE), "fixed_input_size": False}
VIT = {"img_size": IMAGE_SIZE, "patch_size": 16, "embed_dim": 64, "depth": 2, "num_heads": 2}


def _build(architecture: type[Any], name: str, head: str, pretrained: bool, options: dict[str, Any]) -> Any:
    config = options.pop("pretrained_cfg", None) or {**CONFIG, "classifier": head}
    return build_model_with_cfg(architecture, name, pretrained, pretrained_cfg=config, **options)


@register_model
def tiny_clip(pretrained: bool = False, **options: Any) -> VisionTransformer:
    """As CLIP's: a norm before the blocks, and pixels read without a bias."""
    return _build(VisionTransformer, "tiny_clip", "head", pretrained, {**VIT, "pre_norm": True, **options})


@register_model
def tiny_unbiased(pretrained: bool = False, **options: Any) -> VisionTransformer:
    """Attention projects without a bias."""
    return _build(VisionTransformer, "tiny_unbiased", "head", pretrained, {**VIT, "qkv_bias": False, **options})


@register_model
def tiny_swin_v2(pretrained: bool = False, **options: Any) -> SwinTransformerV2:
    """Two stages of a block."""
    sizes = {"img_size": IMAGE_SIZE, "window_size": 4, "embed_dim": 32, "depths": (1, 1), "num_heads": (2, 2)}
    return _build(SwinTransformerV2, "tiny_swin_v2", "head.fc", pretrained, {**sizes, **options})


def save_moved_run(home: Path, method: str, backbone: str) -> Run:
    """A run whose trained numbers all lie away from where they started."""
    config = RunConfig(
        backbone=BackboneConfig(name=backbone, image_size=IMAGE_SIZE, mean=(0.4, 0.5, 0.6), std=(0.2, 0.3, 0.4)),
        method=MethodConfig(name=method),
        train=TrainConfig(seed=1),
    )
    built = build_model(config, num_classes=len(LABELS))
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in built.adapted.trainable().values():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
    provenance = {"labels": list(LABELS), "task": "multilabel", "is_synthetic": False}
    run = RunStore(home).create(config, status=FINISHED, provenance=provenance)
    save_best(built.adapted, run.adapter_dir)
    return run


def test_fusing_undoes_splitting() -> None:
    model = build_bare("test_vit").model
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    names = split_qkv(model)
    assert fuse_qkv(model) == names
    after = model.state_dict()
    assert list(after) == list(before)
    assert all(torch.equal(after[name], tensor) for name, tensor in before.items())


def test_fusing_keeps_a_layer_without_bias_and_refuses_an_adapter() -> None:
    model = nn.Sequential()
    model.add_module("qkv", nn.Linear(4, 12, bias=False))
    split_qkv(model)
    fuse_qkv(model)
    assert model.qkv.bias is None
    split_qkv(model)
    model.qkv.v = nn.Sequential(model.qkv.v)
    with pytest.raises(BackboneError, match=r"qkv.v is a Sequential. Merge its adapter before it is fused"):
        fuse_qkv(model)


def test_timm_loads_the_folder_with_labels_and_normalisation(session_home: Path, tmp_path: Path) -> None:
    run = save_moved_run(session_home, "lora", "test_vit")
    context = build_context(run)
    outcome = write(context, tmp_path, ExportOptions())
    model = timm.create_model(f"local-dir:{tmp_path}", pretrained=True).eval()
    with torch.inference_mode():
        assert (model(context.images) - context.logits).abs().max() <= 1e-5 * max(1, context.logits.abs().max())
    data = timm.data.resolve_model_data_config(model)
    assert list(data["mean"]) == [0.4, 0.5, 0.6]
    assert list(data["std"]) == [0.2, 0.3, 0.4]
    assert list(data["input_size"]) == [3, IMAGE_SIZE, IMAGE_SIZE]
    assert tuple(model.pretrained_cfg["label_names"]) == LABELS
    plain = timm.create_model("test_vit", num_classes=2, img_size=IMAGE_SIZE).state_dict()
    tensors = safetensors.torch.load_file(tmp_path / "model.safetensors")
    assert {name: item.shape for name, item in tensors.items()} == {name: item.shape for name, item in plain.items()}
    assert outcome.max_difference is not None


@pytest.mark.parametrize(
    ("backbone", "moved"),
    [("tiny_swin", "layers.1.downsample.norm.bias"), ("tiny_clip", "pos_embed"), ("tiny_unbiased", "qkv_bias")],
)
def test_shifts_find_a_place_where_a_layer_has_no_bias(
    backbone: str, moved: str, session_home: Path, tmp_path: Path
) -> None:
    """SSF shifts what layers give; Swin joins patches, CLIP reads pixels, and others project without a bias."""
    context = build_context(save_moved_run(session_home, "ssf", backbone))
    outcome = write(context, tmp_path, ExportOptions())
    tensors = safetensors.torch.load_file(tmp_path / "model.safetensors")
    assert "layers.1.downsample.reduction.bias" not in tensors
    assert ("patch_embed.proj.bias" in tensors) == (backbone != "tiny_clip")
    arguments = json.loads((tmp_path / "config.json").read_text())["model_args"]
    assert (moved in arguments) == (moved == "qkv_bias")
    assert (moved in tensors) == (moved != "qkv_bias")
    assert outcome.max_difference is not None


def test_shift_without_a_place_is_refused(session_home: Path, tmp_path: Path) -> None:
    """SwinV2 norms what the layer gives; no weight of the plain model could hold the shift."""
    run = save_moved_run(session_home, "ssf", "tiny_swin_v2")
    with pytest.raises(ExportError, match=r"tiny_swin_v2 has no place for .*downsample.reduction.bias"):
        export_run(run, "merged", tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("method", ["adaptformer", "vpt_deep"])
def test_what_cannot_be_merged_is_refused(method: str, session_home: Path, tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=r"nothing can be merged. Choose: tensors, onnx"):
        export_run(save_moved_run(session_home, method, "test_vit"), "merged", tmp_path / "out")
