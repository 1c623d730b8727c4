"""Names of runs: readable, sorted by time, and never a way to another folder."""

import random
from datetime import datetime

import pytest

from medpeft_core.errors import RunError
from medpeft_core.runs.run_ids import MAX_LENGTH, check_run_id, make_run_id, shorten_backbone

NOON = datetime(2026, 11, 21, 21, 54)


def test_make_run_id_reads_as_documented():
    name = make_run_id("lora", {"rank": 8}, "vit_tiny_patch16_224", NOON, random.Random(0))
    assert name.startswith("20261121-2154-lora-r8-vit_tiny-")
    check_run_id(name)


def test_make_run_id_leaves_out_a_rank_that_is_not_there():
    name = make_run_id("linear_probe", {}, "resnet18", NOON, random.Random(0))
    assert name.startswith("20261121-2154-linear_probe-resnet18-")


@pytest.mark.parametrize(
    ("name", "short"),
    [
        ("vit_tiny_patch16_224", "vit_tiny"),
        ("vit_base_patch16_224.augreg_in21k", "vit_base"),
        ("hf-hub:timm/vit_small_patch14_dinov2.lvd142m", "vit_small_dinov2"),
        ("swin_tiny_patch4_window7_224", "swin_tiny"),
        ("resnet18", "resnet18"),
        ("efficientnet_b0", "efficientnet_b0"),
    ],
)
def test_shorten_backbone_keeps_family_and_size(name, short):
    assert shorten_backbone(name) == short


@pytest.mark.parametrize("backbone", ["../../etc/passwd", "C:\\models\\x.pt", "Ünï cödé", "", "a" * 300, "-"])
def test_make_run_id_is_a_safe_name_whatever_the_backbone_is_called(backbone):
    name = make_run_id("m" * 300, {"rank": 99999}, backbone, NOON, random.Random(1))
    assert len(name) <= MAX_LENGTH
    check_run_id(name)


def test_make_run_id_sorts_by_time():
    rng = random.Random(2)
    days = [datetime(2026, month, 9, hour, 5) for month in (1, 2, 11, 12) for hour in (3, 13)]
    names = [make_run_id("lora", {"rank": 4}, "resnet18", day, rng) for day in days]
    assert names == sorted(names)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "..",
        "../20261121-2154-lora-r8-vit_tiny-4f2a",
        "20261121-2154-lora-r8-vit_tiny-4f2a/..",
        "20261121-2154-lora",
        "20261121-2154-lora-r8-vit_tiny-4f2a\n",
        "20261121-2154-lo.ra-vit_tiny-4f2a",
        "/tmp",
        "20261121-2154-LORA-vit-4f2a",
        "20261121-2154-" + "a" * 80 + "-vit-4f2a",
    ],
)
def test_check_run_id_refuses_what_is_no_name(text):
    with pytest.raises(RunError, match="is not the name of a run"):
        check_run_id(text)
