"""What stands in a folder for peft: which layers, ranks and scales, and what is said and refused."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
from saved_runs import build_context, save_run

from medpeft_core.errors import ExportError, MethodError
from medpeft_core.exports import ExportOptions
from medpeft_core.exports.peft_folder import write
from medpeft_core.exports.write import export_run
from medpeft_core.training.best import load_best, save_best
from medpeft_core.training.build import build_model

WIDTH = 64  # of test_vit
FIRST = "base_model.model.blocks.0.attn.qkv"


def export(home: Path, folder: Path, method: str, architecture: str = "ViT", **knobs: Any) -> tuple[Any, Any, Any]:
    """Config, tensors and outcome of an export whose logits were compared."""
    folder.mkdir()
    outcome = write(build_context(save_run(home, method, architecture, **knobs)), folder, ExportOptions())
    config = json.loads((folder / "adapter_config.json").read_text())
    return config, safetensors.torch.load_file(folder / "adapter_model.safetensors"), outcome


def test_lora_on_q_and_v_becomes_one_lora_of_twice_the_rank_and_alpha(session_home: Path, tmp_path: Path) -> None:
    config, tensors, outcome = export(session_home, tmp_path / "out", "lora", rank=4, alpha=12.0, targets="q,v")
    assert (config["peft_type"], config["r"], config["lora_alpha"]) == ("LORA", 8, 24.0)
    assert config["inference_mode"] is True
    assert config["base_model_name_or_path"] == "test_vit"
    assert config["modules_to_save"] == ["head"]
    first, second = tensors[f"{FIRST}.lora_A.weight"], tensors[f"{FIRST}.lora_B.weight"]
    assert first.shape == (8, WIDTH)
    assert second.shape == (3 * WIDTH, 8)
    of_q, of_k, of_v = second.chunk(3)
    assert of_q[:, :4].any() and not of_q[:, 4:].any()  # noqa: PT018 (one block of three)
    assert not of_k.any()
    assert of_v[:, 4:].any() and not of_v[:, :4].any()  # noqa: PT018
    assert "once the base weights are in it" in outcome.notes[-1]


def test_layers_of_other_ranks_keep_the_scale(session_home: Path, tmp_path: Path) -> None:
    """rsLoRA divides by the root of the rank, so that a rank that doubled would change its scale."""
    config, tensors, _ = export(
        session_home, tmp_path / "out", "rslora", rank=4, alpha=6.0, targets="q,k,v,attn.proj,mlp.fc1"
    )
    assert config["use_rslora"] is False
    assert (config["r"], config["lora_alpha"]) == (4, 12.0)
    assert set(config["rank_pattern"].values()) == {12}
    assert set(config["alpha_pattern"].values()) == {36.0}
    assert len(tensors[f"{FIRST}.lora_A.weight"]) == 12


@pytest.mark.parametrize(
    ("method", "knobs", "rank"),
    [
        ("dora", {"targets": "k", "rank": 4}, 4),
        ("pissa", {"targets": "q,v", "rank": 4}, 16),
        ("pissa", {"targets": "mlp.fc1", "rank": 4}, 8),
        ("miss", {"targets": "q,v,mlp.fc2", "rank": 12}, 24),  # 12 does not divide the 64 inputs
        ("loha", {"targets": "q,v,mlp.fc1", "rank": 4}, 4),
        ("shira", {"targets": "q"}, 4),
        ("road", {"targets": "q,v", "variant": "road_4"}, None),
    ],
)
def test_other_targets_stay_exact(
    method: str, knobs: dict[str, Any], rank: int | None, session_home: Path, tmp_path: Path
) -> None:
    config, tensors, outcome = export(session_home, tmp_path / "out", method, **knobs)
    assert outcome.max_difference <= 1e-5
    assert config.get("r") == rank
    assert not [name for name in tensors if ".qkv.q." in name or ".qkv.v." in name]


def test_shira_whose_counts_peft_would_not_take_is_split_by_the_receiver(session_home: Path, tmp_path: Path) -> None:
    config, _, outcome = export(session_home, tmp_path / "out", "shira", rank=5, targets="q")
    assert config["r"] == 5
    assert "only after its qkv layers were split" in outcome.notes[-1]
    assert "model.set_submodule(name, SplitQKV(" in (tmp_path / "out" / "load.py").read_text()


def test_changed_statistics_go_along(session_home: Path, tmp_path: Path) -> None:
    """peft stores no buffers, and a model with others gives other logits."""
    run = save_run(session_home, "lora", "ResNet")
    built = build_model(run.config(), num_classes=2)
    load_best(built.adapted, run.adapter_dir)
    built.adapted.network.get_buffer("bn1.running_mean").add_(0.3)
    save_best(built.adapted, run.adapter_dir)
    outcome = write(build_context(run), tmp_path, ExportOptions())
    assert set(safetensors.torch.load_file(tmp_path / "buffers.safetensors")) == {"bn1.running_mean"}
    assert "buffers.safetensors must be loaded before" in outcome.notes[-1]


def test_base_can_stay_behind(session_home: Path, tmp_path: Path) -> None:
    run = save_run(session_home, "lora", "ResNet")
    outcome = write(build_context(run), tmp_path, ExportOptions(include_base=False))
    assert not (tmp_path / "base.safetensors").exists()
    assert outcome.max_difference is not None
    (said,) = [note for note in outcome.notes if "did not go along" in note]
    assert json.loads((tmp_path / "method.json").read_text())["base"]["sha256"] in said


def test_export_that_is_off_is_refused(session_home: Path, tmp_path: Path) -> None:
    """The check opens what lies on the disk: here the weights changed under the export, as by a worker that goes on."""
    run = save_run(session_home, "lora", "ViT")
    context = build_context(run)
    assert context.logits.isfinite().all()
    built = build_model(run.config(), num_classes=2)
    save_best(built.adapted, run.adapter_dir)
    with pytest.raises(ExportError, match=r"does not give the logits of the run: they differ by .* is allowed"):
        write(context, tmp_path, ExportOptions())


def test_methods_that_peft_does_not_know_are_refused(session_home: Path, tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=r"the peft library does not know this method. Choose: tensors, merged"):
        export_run(save_run(session_home, "bitfit", "ViT"), "peft", tmp_path / "out")


def test_adapter_of_another_run_is_refused_and_leaves_nothing(session_home: Path, tmp_path: Path) -> None:
    run = save_run(session_home, "lora", "ViT")
    shutil.copy(run.adapter_dir / "buffers.safetensors", run.adapter_dir / "adapter_model.safetensors")
    with pytest.raises(MethodError, match="does not fit this model"):
        export_run(run, "peft", tmp_path / "out")
    assert list(tmp_path.iterdir()) == []
