"""The synthetic set with a shortcut: the mark goes with the finding in train and val, and with nothing in test."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from medpeft_core.datasets.phantom_patients import plan_patient
from medpeft_core.datasets.phantom_render import render_picture
from medpeft_core.datasets.phantom_shortcut import PhantomShortcutOptions, plan_shortcut_table
from medpeft_core.datasets.progress import ignore_progress
from medpeft_core.datasets.spec import DATASETS
from medpeft_core.errors import ConfigError
from medpeft_core.sections import build_part

SHORTCUT = 1 << 7


@pytest.mark.parametrize("finding", ["Effusion", "Pneumothorax"])
def test_shortcut_goes_with_the_finding_in_train_and_val_only(finding: str) -> None:
    table = plan_shortcut_table(PhantomShortcutOptions(num_patients=3000, finding=finding), split_seed=0)
    share = table.groupby(["split", finding])["shortcut"].mean()
    assert share["train", 1.0] == pytest.approx(0.9, abs=0.04)
    assert share["train", 0.0] == pytest.approx(0.05, abs=0.02)
    assert share["val", 1.0] > 0.7
    assert share["val", 0.0] < 0.15
    assert share["test", 1.0] == pytest.approx(share["test", 0.0], abs=0.12)
    assert (table.groupby("patient_id")["split"].nunique() == 1).all()


@pytest.mark.parametrize("kind", ["marker", "tube"])
def test_shortcut_is_drawn_and_masked_where_the_table_says(tmp_path: Path, kind: str) -> None:
    options = PhantomShortcutOptions(num_patients=12, size=64, shortcut=kind)
    manifest = DATASETS["phantom_shortcut"].read_manifest(
        tmp_path / "set", options, split_seed=0, progress=ignore_progress
    )
    assert set(manifest.table["shortcut"]) == {0.0, 1.0}
    for row in manifest.table.to_dict("records"):
        index, number = int(row["patient_id"]), int(row["image"][-7:-4])
        plain = render_picture(plan_patient(0, index), number, size=64)
        pixels = np.array(Image.open(manifest.image_root / row["image"])).astype(int)
        if not row["shortcut"]:
            np.testing.assert_array_equal(pixels, plain.pixels)
            continue
        mask = np.array(Image.open(manifest.image_root / row["mask"]))
        marked = (mask & SHORTCUT) > 0
        np.testing.assert_array_equal(mask & ~np.uint8(SHORTCUT), plain.mask)
        assert (pixels - plain.pixels)[marked].mean() > 8
        assert np.abs(pixels - plain.pixels)[~marked].mean() < 2
        assert "shortcut" not in {box["label"] for box in json.loads(row["boxes"])}


def test_shortcut_split_seed_is_part_of_the_sets_identity(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEDPEFT_HOME", str(tmp_path))
    options = PhantomShortcutOptions(num_patients=10, size=32)
    spec = DATASETS["phantom_shortcut"]
    first, second = (spec.read_manifest(None, options, split_seed=seed, progress=ignore_progress) for seed in (0, 1))
    assert first.image_root != second.image_root
    again = spec.read_manifest(None, options, split_seed=0, progress=ignore_progress)
    assert again.fingerprint() == first.fingerprint()
    assert any("marker" in note for note in first.notes)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"positive_share": 1.5}, "data.positive_share is 1.5, but it must be from 0 to 1."),
        ({"shortcut": "stamp"}, "data.shortcut is 'stamp', but it must be one of marker, tube."),
        ({"finding": "Fracture"}, "data.finding is 'Fracture'"),
        ({"num_patients": 1}, "data.num_patients is 1"),
    ],
)
def test_shortcut_refuses_options_out_of_range(values: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build_part(PhantomShortcutOptions, values, section="data")
