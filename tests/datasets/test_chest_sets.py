"""What CheXpert, MIMIC-CXR-JPG, VinDr-CXR and PadChest share: full cards, and being prepared from look-alikes."""

import dataclasses

import pytest
from chest_files import make_chexpert
from more_chest_files import make_mimic, make_padchest, make_vindr

from medpeft_core.config import DataConfig
from medpeft_core.datasets.prepare import prepare_dataset
from medpeft_core.datasets.spec import DATASETS

SETS = ("chexpert", "mimic_cxr_jpg", "padchest", "vindr_cxr")


@pytest.mark.parametrize("name", SETS)
def test_chest_set_has_a_full_card(name):
    spec = DATASETS[name]
    for text in (spec.title, spec.description, spec.licence, spec.size, spec.modality, spec.how_to_get, spec.citation):
        assert text
    assert spec.description.count(". ") == 1
    assert "https://" in spec.how_to_get
    assert (spec.needs_root, spec.is_synthetic) == (True, False)
    assert all(item.metadata["help"].endswith(".") for item in dataclasses.fields(spec.options))


def test_chest_sets_are_prepared_as_they_are(tmp_path):
    """From the folder to decoded images; ids become pseudonyms and dates do not stay."""
    roots = {
        "chexpert": make_chexpert(tmp_path), "mimic_cxr_jpg": make_mimic(tmp_path / "mimic", packed=True),
        "padchest": make_padchest(tmp_path / "padchest", folder="{}"),
        "vindr_cxr": make_vindr(tmp_path / "vindr", ending=".png"),
    }  # fmt: skip
    sizes = {"chexpert": 40, "mimic_cxr_jpg": 20, "padchest": 10, "vindr_cxr": 24}
    for name, root in roots.items():
        prepared = prepare_dataset(DataConfig(dataset=name, root=str(root), cache_size=16))
        table = prepared.manifest.table
        assert len(table) == len(prepared.cache_rows) == sizes[name]
        assert "date" not in table
        assert prepared.manifest.has_patients == (name != "vindr_cxr")
        if prepared.manifest.has_patients:
            assert not table["patient_id"].isin(["patient00001", "10000032", "90000000"]).any()


@pytest.mark.parametrize("name", SETS)
def test_chest_set_inspects_an_empty_folder(name, tmp_path):
    spec = DATASETS[name]
    for folder in (tmp_path, tmp_path / "nowhere"):
        parts = spec.inspect(folder, spec.options())
        assert not any(part.is_there for part in parts)
        assert any(part.is_needed for part in parts)
