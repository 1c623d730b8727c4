"""Foreign weights of other image sizes, channels and kinds of number: brought into shape exactly, and told of."""

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from foreign_states import (
    GRID,
    PATCH,
    SIZE,
    WIDTH,
    build,
    fill,
    list_vit,
    make_images,
    run,
    save,
)

from medpeft_core.backbones.layouts.loading import load_weights_file

CLOSE = {"rtol": 1e-5, "atol": 1e-5}  # where the reference computes in another order


@pytest.mark.parametrize("channels", [1, 3])
def test_kernels_of_grey_and_colour_images_are_exact_on_grey_ones(tmp_path: Path, channels: int) -> None:
    state = fill(list_vit())
    if channels == 3:  # the file is grey, the model wants colours
        state["patch_embed.proj.weight"] = state["patch_embed.proj.weight"][:, :1]
    path = save(state, tmp_path / "w.pth")
    model, other = build(in_chans=channels), build(in_chans=4 - channels)
    report = load_weights_file(model, path, name="tiny")
    load_weights_file(other, path, name="tiny")
    grey = make_images(channels=1)
    images = {1: grey, 3: grey.expand(-1, 3, -1, -1)}
    torch.testing.assert_close(run(model, images[channels]), run(other, images[4 - channels]), **CLOSE)
    row = next(row for row in report.rows if row.target == "patch_embed.proj.weight")
    assert (row.fate, row.note) == (
        "converted",
        "summed over the colours" if channels == 1 else "a third for each colour",
    )


def test_half_numbers_are_taken_as_single_ones_and_noted(tmp_path: Path) -> None:
    state = {name: tensor.half() for name, tensor in fill(list_vit()).items()}
    model = build()
    report = load_weights_file(model, save(state, tmp_path / "w.safetensors"), name="tiny")
    assert model.cls_token.dtype is torch.float32
    assert torch.equal(model.cls_token, state["cls_token"].float())
    assert {row.note for row in report.rows if row.fate == "converted"} == {"from float16"}


@pytest.mark.parametrize("way", ["antialias", "plain"])
@pytest.mark.parametrize("has_class_position", [True, False])
def test_positions_are_resampled_as_interpolate_does(tmp_path: Path, way: str, has_class_position: bool) -> None:
    grid = 7
    state = fill(list_vit(grid=grid, prefix=int(has_class_position)))
    model = build()
    report = load_weights_file(model, save(state, tmp_path / "w.pth"), name="tiny", positions=way)
    found = state["pos_embed"]
    planes = found[:, int(has_class_position) :].reshape(1, grid, grid, WIDTH).permute(0, 3, 1, 2)
    planes = F.interpolate(planes, (GRID, GRID), mode="bicubic", antialias=way == "antialias", align_corners=False)
    assert torch.equal(model.pos_embed[:, 1:], planes.permute(0, 2, 3, 1).flatten(1, 2))
    own = found[:, :1] if has_class_position else torch.zeros(1, 1, WIDTH)
    assert torch.equal(model.pos_embed[:, :1], own)
    note = next(row.note for row in report.rows if row.target == "pos_embed")
    assert f"7x7 to {SIZE // PATCH}x{SIZE // PATCH}, {way}" in note
