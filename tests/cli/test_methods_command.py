"""`methods`: all of them, one in full, and which fit a backbone and why the rest does not."""

import json
from typing import Any

import pytest

from medpeft_core.backbones import BACKBONES
from medpeft_core.backbones.build import build_backbone
from medpeft_core.cli import main
from medpeft_core.methods import METHODS
from medpeft_core.methods.not_offered import NOT_OFFERED
from medpeft_core.training.model_parts import find_traits

WIDTH = 160  # of a table that does not go to a terminal


def read_json(capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    assert main(["methods", *arguments, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_methods_table_is_readable(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["methods"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= WIDTH
    rows = [line for line in lines if line.startswith("│ ") and not line.startswith("│  ")]
    assert [row.split("│")[1].strip() for row in rows] == METHODS.names()
    assert len(lines) <= 4 * len(METHODS) + 10


@pytest.mark.parametrize("backbone", ["vit_base_patch16_224", "swin_tiny_patch4_window7_224", "efficientnet_b0"])
def test_methods_tells_what_fits_a_described_backbone(backbone: str, capsys: pytest.CaptureFixture[str]) -> None:
    spec = BACKBONES[backbone]
    answer = read_json(capsys, "--backbone", backbone)
    assert answer["backbone"] == {"name": backbone, "kind": spec.kind, "traits": sorted(spec.traits)}
    for item in answer["methods"]:
        misfit = METHODS[item["name"]].find_misfit(spec.kind, spec.traits)
        assert (item["fits_backbone"], item["misfit"]) == (misfit is None, misfit)
    assert main(["methods", "--backbone", backbone]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert {"full", "lora"} <= {item["name"] for item in answer["methods"] if item["fits_backbone"]}
    for item in answer["methods"]:
        if item["misfit"] is not None:
            assert item["misfit"].split(",")[0][:30] in out


def test_methods_looks_into_other_timm_models(capsys: pytest.CaptureFixture[str]) -> None:
    """Built without memory for weights, it is told the same as the real model."""
    answer = read_json(capsys, "--backbone", "test_convnext")
    built = build_backbone("test_convnext", num_classes=2)
    assert answer["backbone"]["traits"] == sorted(find_traits(built))
    fits = {item["name"]: item for item in answer["methods"]}
    assert fits["layernorm"]["fits_backbone"]
    assert fits["batchnorm"]["misfit"] == "it needs BatchNorm or GroupNorm layers, and this backbone has none"


def test_methods_refuses_an_unknown_backbone(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["methods", "--backbone", "resnet81"]) == 2
    assert "Did you mean resnet18" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["lora", "full", "bitfit", "tsa", "c3a"])
def test_methods_shows_one_in_full(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    spec = METHODS[name]
    described = read_json(capsys, name)["method"]
    assert described["name"] == name
    assert [knob["name"] for knob in described["knobs"]] == list(spec.knobs.__dataclass_fields__)
    assert main(["methods", name, "--backbone", "demo_vit"]) == 0
    out = capsys.readouterr().out
    assert spec.idea in out
    assert spec.reference in out
    misfit = spec.find_misfit("vit", BACKBONES["demo_vit"].traits)
    assert ("On demo_vit: it fits." if misfit is None else f"it does not fit: {misfit}.") in out
    assert all(sentence in out for sentence in described["requirements"])
    assert all(f"│ {knob['name']}" in out for knob in described["knobs"])


def test_methods_names_what_is_not_offered(capsys: pytest.CaptureFixture[str]) -> None:
    assert read_json(capsys)["not_offered"] == NOT_OFFERED
    assert main(["methods", "xlora"]) == 2
    assert "is not offered: it is made for language models" in capsys.readouterr().err
    assert main(["methods", "lorra"]) == 2
    assert "Did you mean 'lora'" in capsys.readouterr().err
