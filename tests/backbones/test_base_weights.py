"""Base weights: files in and out bit by bit, other sizes and containers, and everything that must be refused."""

import datetime
import socket
import time
from pathlib import Path

import pytest
import safetensors.torch
import torch
from timm.layers import resample_abs_pos_embed

from medpeft_core.backbones.anatomy import Backbone
from medpeft_core.backbones.build import build_backbone, get_base_state
from medpeft_core.backbones.hub_gate import find_gate_to_hub
from medpeft_core.backbones.weight_files import read_weights_file
from medpeft_core.backbones.weights import (
    compute_base_sha256,
    load_base,
    store_base,
)
from medpeft_core.errors import BackboneError

NUM_CLASSES = 3


def _build(name: str = "test_vit", **options: object) -> Backbone:
    return build_backbone(name, **{"num_classes": NUM_CLASSES, "image_size": 64, **options})


def _features(backbone: Backbone) -> torch.Tensor:
    images = torch.randn(2, 3, backbone.image_size, backbone.image_size, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        return backbone.model.eval().forward_features(images)


def _save(state: dict, path: Path, container: str = "") -> Path:
    if path.suffix == ".safetensors":
        safetensors.torch.save_file(state, path)
    else:
        torch.save({container: state} if container else state, path)
    return path


@pytest.mark.parametrize("name", ["test_vit", "test_resnet"])
@pytest.mark.parametrize(
    ("file", "container"), [("w.safetensors", ""), ("w.pth", ""), ("w.pth", "model"), ("w.pt", "state_dict")]
)
def test_weights_file_gives_bit_equal_features(tmp_path: Path, name: str, file: str, container: str) -> None:
    first = _build(name, seed=4)
    path = _save(get_base_state(first), tmp_path / file, container)
    second = _build(name, seed=5, weights=str(path), num_classes=7)
    assert not torch.equal(_features(_build(name, seed=5)), _features(first))
    assert torch.equal(_features(second), _features(first))


def test_weights_file_of_a_classifier_keeps_its_backbone_only(tmp_path: Path) -> None:
    first = _build(seed=4)
    path = _save(dict(first.model.state_dict()), tmp_path / "w.safetensors")
    second = _build(seed=5, weights=str(path), num_classes=9)
    assert torch.equal(_features(second), _features(first))
    assert second.model.head.out_features == 9


def test_weights_file_resamples_positions(tmp_path: Path) -> None:
    first = _build(seed=4, image_size=96)
    path = _save(get_base_state(first), tmp_path / "w.safetensors")
    second = _build(seed=5, weights=str(path), image_size=64)
    wanted = resample_abs_pos_embed(first.model.pos_embed.detach(), new_size=[4, 4], num_prefix_tokens=1)
    assert second.model.pos_embed.shape == (1, 17, 64)
    assert torch.equal(second.model.pos_embed, wanted)
    assert torch.equal(second.model.pos_embed[:, 0], first.model.pos_embed[:, 0])
    assert torch.equal(second.model.blocks[0].mlp.fc1.weight, first.model.blocks[0].mlp.fc1.weight)


def test_weights_file_for_mean_pooling_drops_the_final_norm(tmp_path: Path) -> None:
    path = _save(get_base_state(_build(seed=4, pool="token")), tmp_path / "w.safetensors")
    backbone = _build(seed=5, pool="avg", weights=str(path))
    assert backbone.fresh == ("fc_norm",)
    assert torch.equal(backbone.model.fc_norm.weight, torch.ones(64))


def test_weights_file_with_its_own_fc_norm_survives_storing(tmp_path: Path) -> None:
    """A fine-tuned mean-pooling ViT lost its fc_norm: the stored base left it out, so runs began with a blank one."""
    state = dict(_build(seed=4, pool="avg").model.state_dict())
    state["fc_norm.weight"] = torch.full((64,), 1.5)
    path = _save(state, tmp_path / "w.safetensors")
    from_file = _build(pool="avg", weights=str(path))
    sha256 = store_base(get_base_state(from_file), tmp_path / "weights")
    from_store = _build(pool="avg", weights=str(path), base_state=load_base(sha256, tmp_path / "weights"))
    assert torch.equal(from_file.model.fc_norm.weight, torch.full((64,), 1.5))
    assert torch.equal(from_store.model.fc_norm.weight, from_file.model.fc_norm.weight)


def test_weights_file_of_another_model_names_the_tensor(tmp_path: Path) -> None:
    path = _save(get_base_state(_build("test_resnet")), tmp_path / "w.safetensors")
    with pytest.raises(BackboneError, match=r"the tensor 'cls_token' is missing.*another model than 'test_vit'"):
        _build(weights=str(path))


def test_weights_file_of_another_width_names_the_tensor_and_shapes(tmp_path: Path) -> None:
    state = get_base_state(_build())
    state["blocks.0.attn.qkv.weight"] = torch.zeros(6, 64)
    path = _save(state, tmp_path / "w.safetensors")
    with pytest.raises(BackboneError, match=r"'blocks.0.attn.qkv.weight' has the shape \(6, 64\).*needs \(192, 64\)"):
        _build(weights=str(path))


def test_weights_file_with_a_missing_tensor_is_refused(tmp_path: Path) -> None:
    state = get_base_state(_build())
    del state["blocks.3.mlp.fc2.bias"]
    path = _save(state, tmp_path / "w.pth")
    with pytest.raises(BackboneError, match=r"'blocks.3.mlp.fc2.bias' is missing"):
        _build(weights=str(path))


def test_weights_file_with_a_tensor_too_many_is_refused(tmp_path: Path) -> None:
    path = _save({**get_base_state(_build()), "blocks.99.norm1.weight": torch.ones(64)}, tmp_path / "w.pth")
    with pytest.raises(BackboneError, match=r"'blocks.99.norm1.weight' has no place"):
        _build(weights=str(path))


@pytest.mark.parametrize("file", ["w.safetensors", "w.pth"])
@pytest.mark.parametrize("damage", ["cut", "empty", "noise"])
def test_weights_file_damaged_is_refused(tmp_path: Path, file: str, damage: str) -> None:
    path = _save(get_base_state(_build()), tmp_path / file)
    content = path.read_bytes()
    noise = torch.randint(0, 256, (999,), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    path.write_bytes({"cut": content[: len(content) // 2], "empty": b"", "noise": bytes(noise.tolist())}[damage])
    with pytest.raises(BackboneError, match=r"cannot be read: .*intact"):
        _build(weights=str(path))


def test_weights_file_of_random_bytes_never_escapes(tmp_path: Path) -> None:
    path = tmp_path / "w.pth"
    generator = torch.Generator().manual_seed(7)
    for _ in range(200):
        path.write_bytes(b"\x80\x02" + bytes(torch.randint(0, 256, (40,), generator=generator).tolist()))
        with pytest.raises(BackboneError, match="weights file"):
            read_weights_file(path)


def test_weights_file_with_a_foreign_class_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "w.pth"
    torch.save({"model": get_base_state(_build()), "args": datetime.datetime(2024, 1, 1)}, path)
    with pytest.raises(BackboneError, match="tensors only"):
        _build(weights=str(path))


@pytest.mark.parametrize("content", [[1, 2], {"model": {"a": 1}}, {}])
def test_weights_file_without_tensors_is_refused(tmp_path: Path, content: object) -> None:
    path = tmp_path / "w.pth"
    torch.save(content, path)
    with pytest.raises(BackboneError, match="holds no table of tensors"):
        _build(weights=str(path))


def test_weights_file_missing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BackboneError, match="There is no weights file"):
        _build(weights=str(tmp_path / "nowhere.pth"))


def test_store_base_round_trip_is_exact_and_named_by_its_hash(tmp_path: Path) -> None:
    first = _build(seed=4, num_classes=5)
    state = get_base_state(first)
    sha256 = store_base(state, tmp_path)
    assert sha256 == compute_base_sha256(state)
    assert [path.name for path in tmp_path.iterdir()] == [f"{sha256}.safetensors"]
    assert store_base(state, tmp_path) == sha256
    second = _build(seed=5, base_state=load_base(sha256, tmp_path))
    assert torch.equal(_features(second), _features(first))


def test_load_base_refuses_a_changed_byte(tmp_path: Path) -> None:
    state = get_base_state(_build())
    path = tmp_path / f"{store_base(state, tmp_path)}.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(BackboneError, match=r"have changed since the run was trained.*SHA-256 differs"):
        load_base(path.stem, tmp_path)


def test_store_base_mends_a_damaged_file(tmp_path: Path) -> None:
    """The message said "train again", but a new run found the damaged file of the right length and kept it."""
    state = get_base_state(_build())
    sha256 = store_base(state, tmp_path)
    path = tmp_path / f"{sha256}.safetensors"
    path.write_bytes(bytes(path.stat().st_size))
    store_base(state, tmp_path)
    assert torch.equal(load_base(sha256, tmp_path)["cls_token"], state["cls_token"])


def test_load_base_refuses_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(BackboneError, match="are missing from"):
        load_base("0" * 64, tmp_path)


def test_load_base_of_another_model_is_refused(tmp_path: Path) -> None:
    sha256 = store_base(get_base_state(_build("test_resnet")), tmp_path)
    with pytest.raises(BackboneError, match=r"the stored base weights: the tensor 'cls_token' is missing"):
        _build(base_state=load_base(sha256, tmp_path))


@pytest.mark.parametrize("offline", ["1", ""])
def test_pretrained_without_network_fails_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, offline: str
) -> None:
    def refuse(*_: object, **__: object) -> socket.socket:
        raise OSError("no route")

    monkeypatch.setenv("HF_HUB_OFFLINE", offline)
    monkeypatch.setattr(socket, "create_connection", refuse)
    started = time.perf_counter()
    with pytest.raises(BackboneError, match=r"weights of 'vit_tiny_patch16_224' are not on this machine") as caught:
        build_backbone("vit_tiny_patch16_224", num_classes=3, weights="pretrained", download_dir=tmp_path)
    assert time.perf_counter() - started < 5
    assert "--weights random" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_pretrained_is_refused_where_timm_has_none() -> None:
    with pytest.raises(BackboneError, match="no pre-trained weights for 'vit_tiny_patch16_384.nonsense'|no weights"):
        build_backbone("vit_tiny_patch16_384.nonsense", num_classes=3, weights="pretrained")


@pytest.mark.parametrize(
    ("variables", "gate"),
    [
        ({}, ("huggingface.co", 443)),
        ({"HTTPS_PROXY": "http://proxy.hospital.example:3128"}, ("proxy.hospital.example", 3128)),
        ({"HTTPS_PROXY": "proxy.hospital.example:3128"}, ("proxy.hospital.example", 3128)),
        ({"HF_ENDPOINT": "https://mirror.example"}, ("mirror.example", 443)),
        ({"HF_ENDPOINT": "http://mirror.example:8080"}, ("mirror.example", 8080)),
    ],
)
def test_pretrained_asks_the_proxy_or_mirror(
    variables: dict[str, str], gate: tuple[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Behind a hospital's proxy the hub itself cannot be reached, and downloads work all the same."""
    for name in ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy", "HF_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert find_gate_to_hub() == gate
