"""Look-alikes of CheXpert, MIMIC-CXR-JPG, VinDr-CXR and PadChest: official columns and names, with tiny images."""

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from medpeft_core.datasets.manifest import Manifest
from medpeft_core.datasets.progress import ignore_progress
from medpeft_core.datasets.spec import DATASETS
from medpeft_core.sections import build_part

CHEXPERT_LABELS = (
    "No Finding,Enlarged Cardiomediastinum,Cardiomegaly,Lung Opacity,Lung Lesion,Edema,Consolidation,Pneumonia,"
    "Atelectasis,Pneumothorax,Pleural Effusion,Pleural Other,Fracture,Support Devices"
)
CHEXPERT_HEADER = f"Path,Sex,Age,Frontal/Lateral,AP/PA,{CHEXPERT_LABELS}"
FIVE = ("Atelectasis", "Cardiomegaly", "Consolidation", "Edema", "Pleural Effusion")


def read(dataset: str, root: Path, *, seed: int = 0, **options: object) -> Manifest:
    spec = DATASETS[dataset]
    built = build_part(spec.options, options, section="data")
    return spec.read_manifest(root, built, split_seed=seed, progress=ignore_progress)


def image_bytes(kind: str) -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.arange(256, dtype=np.uint8).reshape(16, 16)).save(file, kind)
    return file.getvalue()


_JPEG, _PNG = image_bytes("JPEG"), image_bytes("PNG")


def write_image(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(_PNG if path.suffix == ".png" else _JPEG)


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def chexpert_row(path: str, marks: Sequence[str], position: str = "AP") -> str:
    """A line of train.csv; `marks` are those of the papers' five labels."""
    by_name = dict(zip(FIVE, marks, strict=True))
    view = "Frontal" if "frontal" in path else "Lateral"
    cells = [path, "Female", "68", view, position if view == "Frontal" else ""]
    return ",".join([*cells, *(by_name.get(name, "") for name in CHEXPERT_LABELS.split(","))])


def make_chexpert(parent: Path, version: str = "CheXpert-v1.0-small", num_patients: int = 12) -> Path:
    """Three train films a patient (one lateral) with all marks in turn, and four valid patients."""
    root = parent / version
    marks = (("1.0", "-1.0", "0.0", "", "-1.0"), ("-1.0", "", "-1.0", "1.0", ""), ("", "1.0", "1.0", "-1.0", "0.0"))
    names = ("study1/view1_frontal.jpg", "study1/view2_lateral.jpg", "study2/view1_frontal.jpg")
    train = [
        (f"train/patient{number:05d}/{name}", marks[row])
        for number in range(1, num_patients + 1) for row, name in enumerate(names)
    ]  # fmt: skip
    valid = [
        (f"valid/patient{64541 + number}/study1/view1_frontal.jpg", ("1.0", "0.0") * 2 + ("0.0",))
        for number in range(4)
    ]
    for name, rows in (("train.csv", train), ("valid.csv", valid)):
        for path, _ in rows:
            write_image(root / path)
        lines = [chexpert_row(f"{version}/{path}", row) for path, row in rows]
        (root / name).write_text("\n".join([CHEXPERT_HEADER, *lines]) + "\n")
    return root


def chexpert_paths(part: str, first: int, num_patients: int, num_images: int, num_lateral: int) -> list[str]:
    """Paths of an official evaluation set: one study a patient, with more views of the first patients."""
    paths, extra, lateral = [], num_images - num_patients, num_lateral
    for number in range(num_patients):
        views = ["frontal"]
        if extra:
            views.append("lateral" if lateral else "frontal")
            extra, lateral = extra - 1, max(lateral - 1, 0)
        paths += [
            f"{part}/patient{first + number}/study1/view{place}_{view}.jpg" for place, view in enumerate(views, start=1)
        ]
    return paths


def spread(positives: Sequence[int], num_rows: int) -> list[list[str]]:
    """0/1 marks of rows with as many ones in each column as wanted."""
    columns = [[str(int(row < count)) for row in range(num_rows)] for count in positives]
    return [list(row) for row in zip(*columns, strict=True)]


def write_chexpert_set(root: Path, name: str, paths: list[str], marks: list[list[str]]) -> None:
    """Images, and a table without people as CheXlocalize has it."""
    lines = []
    for path, row in zip(paths, marks, strict=True):
        write_image(root / path)
        by_name = dict(zip(FIVE, row, strict=True))
        lines.append(",".join([path, *(f"{by_name.get(label, '0')}.0" for label in CHEXPERT_LABELS.split(","))]))
    (root / name).write_text("\n".join([f"Path,{CHEXPERT_LABELS}", *lines]) + "\n")


def add_chexpert_test(root: Path, num_patients: int = 3, name: str = "test_labels.csv") -> list[str]:
    """A test set of one film a patient and a lateral one of the first; paths in it."""
    paths = chexpert_paths("test", 64741, num_patients, num_patients + 1, 1)
    write_chexpert_set(root, name, paths, spread((2, 1, 0, 1, 1), len(paths)))
    return paths


def counts_of(manifest: Manifest, split: str) -> list[int]:
    """Positives of each label."""
    return manifest.split(split).targets().sum(axis=0).astype(int).tolist()
