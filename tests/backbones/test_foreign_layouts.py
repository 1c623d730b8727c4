"""Foreign weights by every layout: features are those of the authors' own formula, each tensor is accounted for."""

import argparse
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from foreign_states import (
    GRID,
    PATCH,
    WIDTH,
    apply_linear,
    apply_norm,
    attend,
    build,
    fill,
    list_hf,
    list_mae_rest,
    list_vit,
    make_images,
    name_hf_dinov2,
    name_hf_vit,
    run,
    run_hf,
    run_paper_encoder,
    save,
)

from medpeft_core.backbones.key_report import WeightsMismatchError
from medpeft_core.backbones.layouts import LAYOUTS, detect_layout
from medpeft_core.backbones.layouts.loading import load_weights_file

CLOSE = {"rtol": 1e-5, "atol": 1e-5}  # where the reference computes in another order


@pytest.mark.parametrize("pool", ["avg", "token"])
@pytest.mark.parametrize("is_whole", [True, False], ids=["with decoder and text", "encoder alone"])
def test_mae_features_are_bit_equal_to_the_formula_of_the_paper(tmp_path: Path, pool: str, is_whole: bool) -> None:
    encoder = fill(list_vit())
    state = {**encoder, **(fill(list_mae_rest(), seed=1) if is_whole else {})}
    content = {"model": state, "optimizer": {}, "epoch": 3, "args": argparse.Namespace(lr=1e-3)}
    model = build(global_pool=pool)
    report = load_weights_file(model, save(content, tmp_path / "MRM.pth"), name="tiny")
    images = make_images()
    assert torch.equal(run(model, images), run_paper_encoder(images, encoder, pool=pool))
    assert (report.layout, report.container, report.prefix) == ("mae" if is_whole else "timm", "model", "")
    assert report.left_out == ("optimizer", "epoch", "args")
    dropped = {row.source for row in report.rows if row.fate == "dropped"}
    norms = {"norm.weight", "norm.bias"} if pool == "avg" else set()
    assert dropped == norms | (set(list_mae_rest()) if is_whole else set())
    fresh = {row.target for row in report.rows if row.fate == "fresh"}
    assert fresh == {"head"} | ({"fc_norm.weight", "fc_norm.bias"} if pool == "avg" else set())
    assert {row.source for row in report.rows if row.source} == set(state), "every tensor of the file has a row"
    assert {row.target for row in report.rows if row.target} == {*model.state_dict(), "head"}
    assert all(row.note for row in report.rows if row.fate != "loaded")


@pytest.mark.parametrize("version", [4, 5])
@pytest.mark.parametrize("prefix", ["", "vit."])
def test_hf_vit_features_agree_with_separate_projections(tmp_path: Path, version: int, prefix: str) -> None:
    names = name_hf_vit(version)
    state = fill(list_hf(names, patch=PATCH, has_scales=False))
    rest = {"pooler.dense.weight": torch.ones(2, 2), "decoder.decoder_embed.weight": torch.ones(2, 2)}
    content = {f"{prefix}{name}": tensor for name, tensor in {**state, **rest}.items()}
    model = build()
    report = load_weights_file(model, save(content, tmp_path / "model.safetensors"), name="tiny")
    images = make_images()
    torch.testing.assert_close(run(model, images), run_hf(images, state, names, PATCH), **CLOSE)
    assert (report.layout, report.prefix) == ("hf_vit", prefix)
    joined = [row for row in report.rows if row.target == "blocks.0.attn.qkv.weight"]
    assert [row.fate for row in joined] == ["converted"] * 3
    assert {row.note for row in joined} == {"3 tensors joined"}
    assert {row.source for row in report.rows if row.fate == "dropped"} == {f"{prefix}{name}" for name in rest}


@pytest.mark.parametrize("version", [4, 5])
def test_hf_dinov2_features_agree_with_separate_projections(tmp_path: Path, version: int) -> None:
    names, patch = name_hf_dinov2(version), 16
    state = fill(list_hf(names, patch=patch, has_scales=True))
    content = {**state, "embeddings.mask_token": torch.ones(1, WIDTH)}
    model = build("vit_small_patch14_dinov2")
    report = load_weights_file(model, save(content, tmp_path / "model.safetensors"), name="tiny")
    images = make_images()
    torch.testing.assert_close(run(model, images), run_hf(images, state, names, patch), **CLOSE)
    assert report.layout == "hf_dinov2"
    assert [row.source for row in report.rows if row.fate == "dropped"] == ["embeddings.mask_token"]


def test_dinov2_with_registers_in_chunks_adds_the_position_of_the_class_token(tmp_path: Path) -> None:
    """Meta's files add positions to the class token and patches, and put the registers between them afterwards."""
    shapes = list_vit() | {f"blocks.{block}.ls{number}.gamma": (WIDTH,) for block in (0, 1) for number in (1, 2)}
    state = fill(shapes)
    registers = torch.randn(1, 4, WIDTH, generator=torch.Generator().manual_seed(3))
    backbone = {name.replace("blocks.", "blocks.0."): tensor for name, tensor in state.items()}
    backbone |= {"register_tokens": registers, "mask_token": torch.ones(1, WIDTH)}
    teacher = {f"backbone.{name}": tensor for name, tensor in backbone.items()}
    teacher |= {"dino_head.mlp.0.weight": torch.ones(2, 2), "ibot_head.last_layer.weight": torch.ones(2, 2)}
    model = build("vit_small_patch14_reg4_dinov2")
    path = save({"student": {"x": torch.ones(1)}, "teacher": teacher}, tmp_path / "w.pth")
    report = load_weights_file(model, path, name="tiny")
    patches = F.conv2d(
        make_images(), state["patch_embed.proj.weight"], state["patch_embed.proj.bias"], stride=PATCH
    ).flatten(2).transpose(1, 2)  # fmt: skip
    tokens = torch.cat((state["cls_token"].expand(2, -1, -1), patches), dim=1) + state["pos_embed"]
    tokens = torch.cat((tokens[:, :1], registers.expand(2, -1, -1), tokens[:, 1:]), dim=1)
    for block in range(2):
        at = f"blocks.{block}"
        rows = {**state}
        for index, letter in enumerate("qkv"):
            for kind in ("weight", "bias"):
                rows[f"{letter}.{kind}"] = state[f"{at}.attn.qkv.{kind}"].chunk(3)[index]
        mixed = attend(apply_norm(tokens, state, f"{at}.norm1"), rows, ("q", "k", "v"))
        tokens = tokens + state[f"{at}.ls1.gamma"] * apply_linear(mixed, state, f"{at}.attn.proj")
        hidden = F.gelu(apply_linear(apply_norm(tokens, state, f"{at}.norm2"), state, f"{at}.mlp.fc1"))
        tokens = tokens + state[f"{at}.ls2.gamma"] * apply_linear(hidden, state, f"{at}.mlp.fc2")
    torch.testing.assert_close(run(model, make_images()), apply_norm(tokens, state, "norm")[:, 0], **CLOSE)
    assert (report.layout, report.container, report.prefix) == ("dinov2", "teacher", "backbone.")
    assert report.left_out == ("student",)
    assert report.counts["dropped"] == 3


@pytest.mark.parametrize("is_fused", [True, False], ids=["as tiny and small", "as base"])
def test_eva_features_agree_with_rotary_attention_and_swiglu(tmp_path: Path, is_fused: bool) -> None:
    """EVA-X: queries and keys turned by their place, keys without bias, gated MLP, mean of patches, then the norm."""
    hidden = 2 * WIDTH
    shapes = {name: shape for name, shape in list_vit().items() if ".mlp." not in name and ".qkv." not in name}
    for at in ("blocks.0", "blocks.1"):
        shapes |= {f"{at}.attn.{letter}_proj.weight": (WIDTH, WIDTH) for letter in "qkv"}
        shapes |= {f"{at}.attn.{letter}_bias": (WIDTH,) for letter in "qv"}
        shapes |= {f"{at}.mlp.w{number}.weight": (hidden, WIDTH) for number in (1, 2)}
        shapes |= {f"{at}.mlp.w{number}.bias": (hidden,) for number in (1, 2)}
        shapes |= {f"{at}.mlp.w3.weight": (WIDTH, hidden), f"{at}.mlp.w3.bias": (WIDTH,)}
        if not is_fused:
            shapes |= {f"{at}.mlp.ffn_ln.weight": (hidden,), f"{at}.mlp.ffn_ln.bias": (hidden,)}
    state = fill(shapes)
    file = dict(state)
    for at in ("blocks.0", "blocks.1"):
        file[f"{at}.attn.rope.freqs_cos"] = torch.ones(16, 16)
        if is_fused:
            file[f"{at}.attn.qkv.weight"] = torch.cat([file.pop(f"{at}.attn.{letter}_proj.weight") for letter in "qkv"])
            for kind in ("weight", "bias"):
                file[f"{at}.mlp.w12.{kind}"] = torch.cat([file.pop(f"{at}.mlp.w{part}.{kind}") for part in (1, 2)])
    file |= {"mask_token": torch.ones(1, 1, WIDTH), "lm_head.weight": torch.ones(4, WIDTH)}
    architecture = "eva02_tiny_patch14_224" if is_fused else "eva02_base_patch14_224"
    model = build(architecture, ref_feat_shape=(GRID, GRID), mlp_ratio=2, qkv_fused=False)
    report = load_weights_file(model, save({"module": file}, tmp_path / "eva.pt"), name="tiny")
    images = make_images()
    torch.testing.assert_close(run(model, images), run_eva(images, state), **CLOSE)
    assert report.layout == "eva"
    dropped = {row.source for row in report.rows if row.fate == "dropped"}
    assert dropped == {"mask_token", "lm_head.weight", *(name for name in file if "rope" in name)}
    assert [row.fate for row in report.rows if row.source == "norm.weight"] == ["converted"]


def run_eva(images: torch.Tensor, state: dict[str, torch.Tensor]) -> torch.Tensor:
    patches = F.conv2d(images, state["patch_embed.proj.weight"], state["patch_embed.proj.bias"], stride=PATCH)
    tokens = torch.cat((state["cls_token"].expand(2, -1, -1), patches.flatten(2).transpose(1, 2)), dim=1)
    tokens = tokens + state["pos_embed"]
    head = WIDTH // 3
    frequencies = 1 / 10000 ** (torch.arange(0, head // 2, 2) / (head // 2))
    places = torch.cartesian_prod(torch.arange(GRID), torch.arange(GRID)).float()  # row and column of each patch
    angles = (places[:, :, None] * frequencies).repeat_interleave(2, dim=-1).flatten(1)  # (N, D / heads)

    def turn(rows: torch.Tensor) -> torch.Tensor:
        pairs = rows[:, :, 1:].unflatten(-1, (-1, 2))
        turned = torch.stack((-pairs[..., 1], pairs[..., 0]), dim=-1).flatten(-2)
        return torch.cat((rows[:, :, :1], rows[:, :, 1:] * angles.cos() + turned * angles.sin()), dim=2)

    for at in ("blocks.0", "blocks.1"):
        normed = apply_norm(tokens, state, f"{at}.norm1")
        biases = (state[f"{at}.attn.q_bias"], None, state[f"{at}.attn.v_bias"])
        queries, keys, values = (
            F.linear(normed, state[f"{at}.attn.{letter}_proj.weight"], bias).unflatten(-1, (3, -1)).transpose(1, 2)
            for letter, bias in zip("qkv", biases, strict=True)
        )
        weights = (turn(queries) @ turn(keys).transpose(-1, -2) / head**0.5).softmax(dim=-1)
        tokens = tokens + apply_linear((weights @ values).transpose(1, 2).flatten(2), state, f"{at}.attn.proj")
        normed = apply_norm(tokens, state, f"{at}.norm2")
        gated = F.silu(apply_linear(normed, state, f"{at}.mlp.w1")) * apply_linear(normed, state, f"{at}.mlp.w2")
        if f"{at}.mlp.ffn_ln.weight" in state:
            gated = apply_norm(gated, state, f"{at}.mlp.ffn_ln")
        tokens = tokens + apply_linear(gated, state, f"{at}.mlp.w3")
    return apply_norm(tokens[:, 1:].mean(dim=1), state, "norm")


@pytest.mark.parametrize(
    "prefix", ["module.", "model.", "backbone.", "encoder.", "module.backbone.", "_orig_mod.", "teacher.backbone."]
)
def test_prefixes_are_cut_off_and_heads_beside_the_encoder_dropped(tmp_path: Path, prefix: str) -> None:
    encoder = fill(list_vit())
    state = {f"{prefix}{name}": tensor for name, tensor in encoder.items()}
    state[f"{prefix.partition('.')[0]}.head.mlp.0.weight"] = torch.ones(3, 3)
    state["loss_fn.weight"] = torch.ones(3)
    if prefix.startswith("teacher."):
        state |= {f"student.backbone.{name}": tensor + 1 for name, tensor in encoder.items()}
    content = {"pytorch-lightning_version": "2.1.0", "state_dict": state, "hyper_parameters": {}, "callbacks": {}}
    model = build(global_pool="token")
    report = load_weights_file(model, save(content, tmp_path / "w.ckpt"), name="tiny")
    assert report.prefix == prefix
    assert all(torch.equal(model.state_dict()[name], tensor) for name, tensor in encoder.items())


@pytest.mark.parametrize("layout", LAYOUTS.names())
def test_each_layout_refuses_a_file_that_lacks_a_tensor_by_the_first_name(tmp_path: Path, layout: str) -> None:
    shapes = {
        "timm": list_vit(), "mae": list_vit() | list_mae_rest(),
        "dinov2": {name.replace("blocks.", "blocks.0."): shape for name, shape in list_vit().items()},
        "hf_vit": list_hf(name_hf_vit(4), patch=PATCH, has_scales=False),
        "hf_dinov2": list_hf(name_hf_dinov2(4), patch=PATCH, has_scales=True),
        "eva": list_vit() | {"blocks.0.attn.rope.freqs_cos": (4, 4)},
    }[layout]  # fmt: skip
    state = fill(shapes)
    assert detect_layout(state) == layout
    gone = next(name for name in state if "1" in name and name.endswith(("fc1.weight", "key.weight", "query.weight")))
    del state[gone]
    state["blocks.7.strange"] = torch.ones(1)
    model = build("vit_small_patch14_dinov2") if layout == "hf_dinov2" else build()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    with pytest.raises(WeightsMismatchError, match=r"tensor 'blocks\.\d\.[\w.]+' is missing.*another model") as caught:
        load_weights_file(model, save(state, tmp_path / "w.pth"), name="tiny", layout=layout)
    faults = [(row.source, row.target, row.fate) for row in caught.value.report.rows[:2]]
    assert faults[0][2] == "missing"
    assert faults[1] == ("blocks.7.strange", "", "unexpected")
    assert caught.value.report.first_fault == caught.value.report.rows[0]
    assert all(torch.equal(model.state_dict()[name], tensor) for name, tensor in before.items()), "nothing was loaded"


def test_unexpected_and_wrongly_shaped_tensors_are_refused_by_name(tmp_path: Path) -> None:
    state = fill(list_vit())
    path = save({**state, "blocks.2.norm1.weight": torch.ones(WIDTH)}, tmp_path / "w.pth")
    with pytest.raises(WeightsMismatchError, match="the tensor 'blocks.2.norm1.weight' has no place in 'tiny'"):
        load_weights_file(build(), path, name="tiny")
    state["blocks.1.mlp.fc2.weight"] = torch.ones(WIDTH, 3)
    with pytest.raises(WeightsMismatchError, match=r"'blocks.1.mlp.fc2.weight' has the shape \(48, 3\).*\(48, 192\)"):
        load_weights_file(build(), save(state, tmp_path / "w.pth"), name="tiny")


def test_token_pooling_needs_the_final_norm_and_mean_pooling_takes_a_trained_one(tmp_path: Path) -> None:
    state = {name: tensor for name, tensor in fill(list_vit()).items() if not name.startswith("norm.")}
    state |= {"fc_norm.weight": torch.full((WIDTH,), 2.0), "fc_norm.bias": torch.ones(WIDTH)}
    path = save(state, tmp_path / "w.pth")
    with pytest.raises(WeightsMismatchError, match="the tensor 'norm.weight' is missing"):
        load_weights_file(build(global_pool="token"), path, name="tiny")
    model = build(global_pool="avg")
    load_weights_file(model, path, name="tiny")
    assert torch.equal(model.fc_norm.weight, torch.full((WIDTH,), 2.0))
