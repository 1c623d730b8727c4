"""Weights files that are odd in one way: small ones that ask for much work, whole numbers, half a norm, older torch."""

import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import timm
import torch
import torch.nn.functional as F
from foreign_states import build, fill, list_vit

from medpeft_core.backbones.base_models import find_normalisation
from medpeft_core.backbones.build import build_backbone, build_encoder
from medpeft_core.backbones.key_report import KeyReport
from medpeft_core.backbones.layouts.fitting import fit_file
from medpeft_core.backbones.layouts.needs import find_needs
from medpeft_core.backbones.shelf_adding import add_weights
from medpeft_core.backbones.weight_files import read_weights_file
from medpeft_core.errors import BackboneError, UnknownNameError
from medpeft_core.pretrain_config import PretrainConfig
from medpeft_core.pretrain_resolve import resolve_pretraining

DEPTH = 40  # texts of such a tuple would have 2 ** 40 parts


def write_nested(tail: bytes, path: Path) -> Path:
    """A torch file whose pickle puts a tuple into itself `DEPTH` times, and then does what `tail` says with it."""
    doubled = b"".join(b"q\x01h\x01h\x01\x86" for _ in range(DEPTH))
    content = b"\x80\x02" + b"X\x01\x00\x00\x00a" + doubled + tail
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", content)
        archive.writestr("archive/version", "3\n")
    return path


@pytest.mark.parametrize(
    "tail",
    [
        pytest.param(b"q\x02}h\x02K\x01s.", id="as a name in a table"),
        pytest.param(b"q\x02}(h\x02K\x01u.", id="as one of several names"),
        pytest.param(b"q\x02\x93.", id="as the name of a function"),
        pytest.param(
            b"q\x02(X\x07\x00\x00\x00storagectorch\nFloatStorage\nh\x02X\x03\x00\x00\x00cpuK\x01tQ.",
            id="as the key of a storage",
        ),
    ],
)
def test_small_files_that_ask_for_endless_work_are_refused(tail: bytes, tmp_path: Path) -> None:
    """With 2 ** 40 parts to write or to hash, a test that ends at all shows that nobody began."""
    with pytest.raises(BackboneError, match="cannot be read") as caught:
        read_weights_file(write_nested(tail, tmp_path / "small.pth"))
    assert len(str(caught.value)) < 1000


def test_long_reasons_are_cut(tmp_path: Path) -> None:
    name = b"m" * 5000
    with zipfile.ZipFile(tmp_path / "long.pth", "w") as archive:
        archive.writestr("archive/data.pkl", b"\x80\x02c" + name + b"\nf\n.")
    with pytest.raises(BackboneError) as caught:
        read_weights_file(tmp_path / "long.pth")
    assert len(str(caught.value)) < 1000


def test_tables_without_tensors_hide_no_others(tmp_path: Path) -> None:
    table = {"a": torch.ones(2)}
    torch.save({"ema": {"decay": 0.99}, "teacher": {"args": {"lr": 1}}, "model": table}, tmp_path / "file.pth")
    file = read_weights_file(tmp_path / "file.pth")
    assert (file.container, list(file.tensors)) == ("model", ["a"])


def fit(state: dict[str, torch.Tensor], path: Path, *, model: torch.nn.Module, is_open: bool = False) -> KeyReport:
    torch.save(state, path)
    needs = find_needs(model, "tiny", is_open=is_open)
    return fit_file(read_weights_file(path), needs, positions="antialias")[1]


def to_integers(tensor: torch.Tensor) -> torch.Tensor:
    return (tensor * 127).to(torch.int8)


def to_nan(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.index_fill(0, torch.tensor([0]), torch.nan)


@pytest.mark.parametrize(
    ("change", "note"), [(to_integers, "whole numbers (int8)"), (to_nan, "not finite")], ids=["int8", "NaN"]
)
def test_numbers_that_are_no_weights_are_refused(
    change: Callable[[torch.Tensor], torch.Tensor], note: str, tmp_path: Path
) -> None:
    state = fill(list_vit())
    key = "blocks.1.mlp.fc1.weight"
    fault = fit({**state, key: change(state[key])}, tmp_path / "file.pth", model=build()).first_fault
    assert fault is not None
    assert (fault.source, fault.fate) == (key, "unusable")
    assert note in fault.note


@pytest.mark.parametrize("is_open", [True, False], ids=["for the shelf", "for a model"])
def test_half_a_norm_is_refused(is_open: bool, tmp_path: Path) -> None:
    state = fill(list_vit())
    del state["norm.bias"]
    fault = fit(state, tmp_path / "file.pth", model=build(), is_open=is_open).first_fault
    assert fault is not None
    assert (fault.target, fault.fate) == ("norm.bias", "missing")


def test_old_files_without_counts_are_fine(tmp_path: Path) -> None:
    model = timm.create_model("test_resnet", num_classes=0)
    state = {name: tensor for name, tensor in model.state_dict().items() if "num_batches" not in name}
    report = fit(state, tmp_path / "old.pth", model=model)
    assert report.first_fault is None
    assert report.counts["fresh"] > 1


def test_computed_buffers_are_dropped(tmp_path: Path) -> None:
    sizes = {"embed_dim": 24, "depths": (2, 2), "num_heads": (1, 2)}
    model = timm.create_model("swin_tiny_patch4_window7_224", num_classes=0, **sizes)
    extra = {
        "layers.0.blocks.1.attn_mask": torch.zeros(4, 49, 49),
        "layers.0.blocks.0.attn.relative_position_index": torch.zeros(49, 49, dtype=torch.int64),
    }
    report = fit({**model.state_dict(), **extra}, tmp_path / "swin.pth", model=model)
    assert report.first_fault is None
    assert {row.source for row in report.rows if row.fate == "dropped"} >= {"layers.0.blocks.1.attn_mask"}


def test_stored_bases_need_no_shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The entry may be removed, and a run may be imported into a home that never had it."""
    home = tmp_path / "home"
    monkeypatch.setenv("MEDPEFT_HOME", str(home))
    options = {"num_classes": 2, "image_size": 32}
    torch.save(timm.create_model("test_vit", num_classes=0).state_dict(), tmp_path / "vit.pth")
    add_weights(
        home=home, progress=lambda *_: None, source=str(tmp_path / "vit.pth"), backbone="test_vit", name="tiny",
        normalisation="mrm",
    )  # fmt: skip
    first = build_backbone("test_vit", weights="shelf:tiny", **options)
    assert first.mean == (0.4978, 0.4978, 0.4978)
    base = {name: tensor for name, tensor in first.model.state_dict().items() if not name.startswith("head.")}
    for path in (home / "weights" / "shelf").iterdir():
        path.unlink()
    again = build_backbone("test_vit", weights="shelf:tiny", base_state=base, **options)
    images = torch.zeros(1, 3, 32, 32)
    assert torch.equal(first.model.eval()(images), again.model.eval()(images))
    encoder = build_encoder("test_vit", weights="shelf:tiny", base_state=base, image_size=32)
    assert encoder.image_size == 32
    with pytest.raises(BackboneError, match="no weights 'tiny' on the shelf"):
        build_backbone("test_vit", weights="shelf:tiny", **options)
    with pytest.raises(BackboneError, match="no weights 'tiny' on the shelf"):
        find_normalisation(first.model, "shelf:tiny", name="test_vit")


def test_pretraining_resamples_positions_as_it_is_told(tmp_path: Path) -> None:
    """The embedding of a file of a 4 x 4 grid, at 2 x 2, by PyTorch's own interpolation."""
    torch.save(timm.create_model("test_vit", num_classes=0, img_size=64).state_dict(), tmp_path / "vit.pth")
    stored = torch.load(tmp_path / "vit.pth", weights_only=True)["pos_embed"]
    grid = stored[:, 1:].unflatten(1, (4, 4)).permute(0, 3, 1, 2)
    for positions, antialias in (("plain", False), ("antialias", True)):
        encoder = build_encoder("test_vit", weights=str(tmp_path / "vit.pth"), image_size=32, positions=positions)
        expected = F.interpolate(grid, (2, 2), mode="bicubic", antialias=antialias).flatten(2).transpose(1, 2)
        assert torch.equal(encoder.model.pos_embed[:, 1:], expected)


def test_pretraining_refuses_a_layout_that_there_is_not() -> None:
    config = PretrainConfig.from_dict({"encoder": {"layout": "mea"}})
    with pytest.raises(UnknownNameError, match="There is no layout 'mea'"):
        resolve_pretraining(config)
