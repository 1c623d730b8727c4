"""Model cards: every number from the run's files, YAML that the Hub reads, and texts that stay texts."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml
from huggingface_hub import ModelCard
from stored_runs import make_run

from medpeft_core.backbones.shelf import ShelfEntry, shelf_file
from medpeft_core.exports.context import ExportContext
from medpeft_core.exports.model_card import NOTICE, SYNTHETIC, UNCHECKED, build_card
from medpeft_core.exports.write import export_run
from medpeft_core.paths import ensure_dir, write_json
from medpeft_core.runs.run import Run

WILD = ("a|b", "<script>alert(1)</script>", "two\n---\nlines", "*bold* [x](http://y)", "#head `code` $1$")


def build_context(run: Run) -> ExportContext:
    provenance = run.provenance()
    return ExportContext(
        run=run, config=run.config(), labels=tuple(provenance["labels"]), task=provenance["task"],
        provenance=provenance, metrics=run.metrics() or {},
    )  # fmt: skip


def read_head(card: str) -> dict[str, Any]:
    return yaml.safe_load(card.split("---\n")[1])


def set_weights(run: Run, weights: str, **backbone: Any) -> Run:
    config = run.config()
    run.save_config(replace(config, backbone=replace(config.backbone, weights=weights, **backbone)))
    return run


def test_card_of_grades_tells_what_the_likeliest_class_gives(home):
    run = make_run(home, labels=("mild", "severe"), provenance={"task": "multiclass", "is_ordered": True})
    card, test = build_card(build_context(run)), run.metrics()["test"]
    assert "tells exactly one of 2 grades, the mildest first: mild, severe." in card
    for title, name in (("Accuracy", "accuracy"), ("Macro F1", "macro_f1"), ("Quadratic kappa", "quadratic_kappa")):
        assert f"| {title} | {test[name]:.3f} ({test[f'{name}_low']:.3f} to {test[f'{name}_high']:.3f}) |" in card
    assert "| class | AUROC | AUPRC | sensitivity | specificity | F1 |" in card
    assert "the likeliest class is the answer" in card


def test_card_tells_the_figures_of_the_run(home):
    run = make_run(home)
    card, metrics = build_card(build_context(run)), run.metrics()
    assert metrics is not None
    test = metrics["test"]
    mean = f"{metrics['test_auroc']:.3f} ({metrics['test_auroc_low']:.3f} to {metrics['test_auroc_high']:.3f})"
    assert f"mean over labels: **{mean}** (95% intervals" in card
    for label, item in test["per_class"].items():
        row = f"| {label} | {item['auroc']:.3f} ({item['low']:.3f} to {item['high']:.3f}) |"
        assert row in card
        assert f"| {item['threshold']:.3f} | {item['sensitivity']:.3f} | {item['specificity']:.3f} |" in card
        assert f"{item['num_positive']} / {item['num_negative']} |" in card
    origin = run.provenance()
    share = origin["num_trainable_params"] / origin["num_params"]
    assert f"{origin['num_trainable_params']:,} ({share:.2%})" in card
    assert f"| train | {origin['num_train_images']:,} | {origin['num_train_patients']:,} |" in card
    assert f"| test | {test['num_images']:,} | {test['num_patients']:,} |" in card
    for part in (NOTICE, SYNTHETIC, "arXiv:2106.09685", "0.485, 0.456, 0.406", origin["data_fingerprint"], run.run_id):
        assert part in card


def test_card_head_is_read_by_the_hub_and_has_the_same_figures(home):
    run = make_run(home)
    card, metrics = build_card(build_context(run), format="peft"), run.metrics()
    assert metrics is not None
    head = read_head(card)
    assert head["library_name"] == "peft"
    assert head["pipeline_tag"] == "image-classification"
    assert {"medical", "chest-x-ray"} <= set(head["tags"])
    found = ModelCard(card).data.eval_results
    values = {item.metric_name: item.metric_value for item in found}
    assert values == {
        "AUROC, mean over labels": metrics["test_auroc"],
        **{f"AUROC, {label}": item["auroc"] for label, item in metrics["test"]["per_class"].items()},
    }
    assert {(item.metric_type, item.dataset_split) for item in found} == {("roc_auc", "test")}


def test_card_before_the_test_says_so_and_invents_nothing(home):
    run = make_run(home, status="stopped", epochs_done=1, provenance={"num_params": None, "num_images": None})
    card = build_card(build_context(run))
    assert "No test result yet." in card
    assert "it was not evaluated on test" in card
    assert "| parameters | not known |" in card
    assert "| test | not known | not known |" in card
    assert "model-index" not in read_head(card)
    assert "0.0" not in card.split("## Results on test")[1].split("##")[0]


def test_card_shows_a_label_without_positives_as_left_out(home):
    card = build_card(build_context(make_run(home, labels=("Effusion", "Never"))))
    assert re.search(r"\| Never \| n/a \| n/a \|", card)
    assert "Never is left out of the mean" in card
    names = {item["name"] for item in read_head(card)["model-index"][0]["results"][0]["metrics"]}
    assert names == {"AUROC, mean over labels", "AUROC, Effusion"}


def test_card_keeps_wild_texts_harmless(home):
    run = make_run(home, labels=WILD, provenance={"data_notes": [*WILD, "# heading"]})
    card = build_card(build_context(run))
    head, body = read_head(card), card.split("\n---\n", 1)[1]
    assert len(head["model-index"][0]["results"][0]["metrics"]) == 1 + len(WILD)
    assert ModelCard(card).content == card
    assert "<" not in body
    assert "alert(1)&lt;/script&gt;" in body
    assert "[x](" not in body.replace("\\[x\\](", "")
    assert body.count("\n# ") + body.startswith("# ") <= 1
    rows = [line for line in body.splitlines() if line.startswith("| ") and "a\\|b" in line]
    assert len(rows) == 2
    for row in rows:
        assert len(re.findall(r"(?<!\\)\|", row)) in (5, 8)


def test_card_tells_no_folders_people_or_patients(home, tmp_path):
    note = f"Read from {tmp_path}/films/list_a.txt and C:\\Users\\ann\\x.csv; see https://nih.gov/data/x.pdf"
    run = make_run(
        home,
        settings={"data": {"dataset": "nih", "root": str(tmp_path)}},
        meta={"owner": "Ann Example", "notes": "call Ann", "tags": ["anns-tag"]},
        provenance={"data_notes": [note], "platform": "ann-laptop", "is_synthetic": False},
    )
    set_weights(run, str(tmp_path / "secret-folder" / "w.safetensors"))
    card = build_card(build_context(run))
    for word in (str(tmp_path), "C:\\Users", "Users\\ann", "Ann", "ann-laptop", "anns-tag", "secret-folder", str(home)):
        assert word not in card
    assert ".../list\\_a.txt" in card
    assert "https://nih.gov/data/x.pdf" in card
    patients = set(_read_patients(run))
    assert patients
    assert not [patient for patient in patients if patient in card]
    assert SYNTHETIC not in card
    assert "Wang X" in card


def _read_patients(run: Run) -> list[str]:
    ids = pd.read_parquet(run.predictions_dir / "test.parquet")["patient_id"].astype(str)
    return [item for item in ids if len(item) > 3]


def test_card_says_when_patients_were_not_known(home):
    assert UNCHECKED in build_card(build_context(make_run(home, provenance={"num_train_patients": None})))
    assert UNCHECKED not in build_card(build_context(make_run(home)))


def test_card_cautions_about_few_positives(home, monkeypatch):
    """The words are those of the comparison page; the threshold is lowered there, not here."""
    monkeypatch.setattr("medpeft_core.reports.support.MIN_POSITIVE_IMAGES", 10_000)
    card = build_card(build_context(make_run(home)))
    assert "Few positive test images, so these figures may be chance" in card


@pytest.mark.parametrize(
    ("weights", "name", "licence", "base_model"),
    [
        ("random", "vit_tiny_patch16_224", None, None),
        ("pretrained", "vit_base_patch16_224.mae", "cc-by-nc-4.0", "timm/vit_base_patch16_224.mae"),
        ("pretrained", "vit_small_patch32_224", "unknown", None),
        ("file.safetensors", "vit_tiny_patch16_224", "unknown", None),
        ("shelf:gone", "vit_tiny_patch16_224", "unknown", None),
        ("shelf:rad", "vit_tiny_patch16_224", "other", "clinic/rad"),
    ],
)
def test_card_names_licence_and_base_of_the_weights(home, weights, name, licence, base_model):
    entry = ShelfEntry(
        name="rad", backbone=name, layout="mae", source="hf:clinic/rad/model.safetensors@abc", source_sha256="0" * 64,
        sha256="1" * 64, num_bytes=1, licence="Ask the clinic", reference="Doe 2024",
    )  # fmt: skip
    path = shelf_file(home, "rad")
    ensure_dir(path.parent)
    path.write_bytes(b"x")
    write_json(path.with_suffix(".json"), entry.to_dict())
    run = set_weights(make_run(home), weights, name=name)
    card = build_card(build_context(run))
    head = read_head(card)
    assert head.get("license") == licence
    assert head.get("base_model") == base_model
    if licence == "other":
        assert head["license_name"] == "Ask the clinic"
        assert "Doe 2024" in card


def test_card_is_written_as_an_export(home, tmp_path):
    run = make_run(home)
    exported = export_run(run, "card", tmp_path / "out")
    assert [item.name for item in exported.files] == ["README.md"]
    assert (tmp_path / "out" / "README.md").read_text(encoding="utf-8") == build_card(build_context(run))
    assert json.loads((tmp_path / "out" / "export.json").read_text())["files"][0]["sha256"] == exported.files[0].sha256


def test_card_of_a_format_points_to_what_lies_beside_it(home):
    context = build_context(make_run(home))
    files = ("README.md", "load.py", "model.safetensors")
    assert "`load.py` in this folder" in build_card(context, format="peft", files=files)
    alone = build_card(context)
    assert "`load.py`" not in alone
    assert "- `peft`: " in alone
    assert "- `tensors`: " not in alone


def test_card_says_when_predictions_are_gone(home: Path):
    run = make_run(home)
    (run.predictions_dir / "test.parquet").unlink()
    assert "could not be looked at again" in build_card(build_context(run))
