"""No note of a reader on its own split stands as if it were true once another split is asked for."""

import re
from pathlib import Path

import pytest
from chest_files import make_chexpert
from class_files import make_busi, make_ham, make_rsna, make_smdg
from more_chest_files import make_mimic, make_padchest, make_vindr

from medpeft_core.config import DataConfig
from medpeft_core.datasets import DATASETS
from medpeft_core.datasets.progress import ignore_progress
from medpeft_core.datasets.split_policy import apply_split
from medpeft_core.sections import build_part

MAKERS = {
    "busi": make_busi, "chexpert": make_chexpert, "ham10000": make_ham, "mimic_cxr_jpg": make_mimic,
    "padchest": make_padchest, "rsna": make_rsna, "smdg": make_smdg, "vindr_cxr": make_vindr,
}  # fmt: skip
TELLS = re.compile(r"\b(split|train|val|tested)\b", re.IGNORECASE)
OF_ANY_SPLIT = re.compile(
    "patient_id is the lesion|The dates of MIMIC-CXR|The patient is told for|One class alone comes|"
    "patientId of the label table|.*figures on a split of single images are too good"
)


def find_claims(name: str, root: Path, split: str, **options: str) -> list[str]:
    """Notes that tell of a split and neither say that it was replaced nor hold for any."""
    spec = DATASETS[name]
    manifest = spec.read_manifest(
        root, build_part(spec.options, options, section="data"), split_seed=0, progress=ignore_progress
    )
    notes = apply_split(manifest, DataConfig(dataset=name, root=str(root), split=split)).notes
    claims = [note for note in notes if TELLS.search(note) and not OF_ANY_SPLIT.match(note)]
    return [note for note in claims if not note.startswith("As read, before data.split=")]


@pytest.mark.parametrize("name", MAKERS)
def test_a_replaced_split_is_no_claim_of_any_reader(name, tmp_path):
    root = MAKERS[name](tmp_path / name)
    assert find_claims(name, root, "given")
    (new,) = find_claims(name, root, "patient")
    assert "(data.split=patient)" in new
    if name == "rsna":
        assert len(find_claims(name, root, "patient", lists="sorted")) == 1


def test_a_replaced_split_is_no_claim_of_drawn_or_own_data(tmp_path, make_nih):
    root = make_nih()
    for name, place in (("nih", root), ("phantom_shortcut", None)):
        options = {} if place else {"num_patients": 10, "size": 32}
        assert len(find_claims(name, place, "patient", **options)) == 1
    rows = [f"images/{path.name},{number % 2},{number % 5}" for number, path in enumerate((root / "images").iterdir())]
    (root / "Data_Entry_2017.csv").write_text("\n".join(["image,label,fold", *rows]) + "\n")
    assert len(find_claims("table", root, "given", split_column="fold")) == 2
    assert len(find_claims("table", root, "patient", split_column="fold")) == 1
