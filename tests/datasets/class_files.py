"""Look-alikes of RSNA Pneumonia, HAM10000, BUSI and SMDG: the official columns, names and folders with tiny images."""

import csv
import json
from pathlib import Path

import numpy as np
from PIL import Image

from medpeft_core.datasets import DATASETS
from medpeft_core.datasets.manifest import Manifest
from medpeft_core.datasets.progress import ignore_progress

SIDE = 20
RSNA_HEADER = "patientId,x,y,width,height,Target"
HAM_HEADER = ["lesion_id", "image_id", "dx", "dx_type", "age", "sex", "localization", "dataset"]
SMDG_HEADER = [
    "types", "fundus", "fundus_od_seg", "fundus_oc_seg", "bv_seg", "artery_seg", "vein_seg", "names", "original_name",
    "patient_id", "sex", "age", "eye", "Unnamed  24", "iop",
]  # fmt: skip


def read(dataset: str, root: Path, *, seed: int = 0, **options: object) -> Manifest:
    spec = DATASETS[dataset]
    return spec.read_manifest(root, spec.options(**options), split_seed=seed, progress=ignore_progress)


def find_parts(dataset: str, root: Path, **options: object) -> dict[str, str]:
    """What `inspect` says is there: title -> detail."""
    spec = DATASETS[dataset]
    return {part.title: part.detail for part in spec.inspect(root, spec.options(**options)) if part.is_there}


def save(path: Path, *, seed: int = 0, side: int = SIDE, colour: bool = True) -> Path:
    """Noise; grey images are stored with three equal channels, as those of BUSI."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (side, side, 3 if colour else 1), np.uint8)
    Image.fromarray(np.broadcast_to(pixels, (side, side, 3)).copy()).save(path)
    return path


def save_mask(path: Path, rows: slice, *, side: int = SIDE) -> Path:
    """A 1-bit mask, white in some rows."""
    path.parent.mkdir(parents=True, exist_ok=True)
    inside = np.zeros((side, side), dtype=bool)
    inside[rows] = True
    Image.fromarray(inside).save(path)
    return path


def save_dicom(path: Path, *, age: str = "51", sex: str = "F", view: str = "PA") -> Path:
    """A file as RSNA's: 8 bits, MONOCHROME2, and an age without its unit."""
    import pydicom
    from pydicom.dataset import FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage, generate_uid

    tags = pydicom.Dataset()
    tags.file_meta = FileMetaDataset()
    tags.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    tags.file_meta.MediaStorageSOPClassUID = tags.SOPClassUID = SecondaryCaptureImageStorage
    tags.file_meta.MediaStorageSOPInstanceUID = tags.SOPInstanceUID = generate_uid()
    tags.PatientID, tags.PatientSex, tags.ViewPosition, tags.Modality = path.stem, sex, view, "CR"
    with pydicom.config.disable_value_validation():
        tags.PatientAge = age
    tags.Rows = tags.Columns = SIDE
    tags.SamplesPerPixel, tags.PhotometricInterpretation = 1, "MONOCHROME2"
    tags.BitsAllocated = tags.BitsStored = 8
    tags.HighBit, tags.PixelRepresentation = 7, 0
    tags.PixelData = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE), np.uint8).tobytes()
    path.parent.mkdir(parents=True, exist_ok=True)
    tags.save_as(path, enforce_file_format=True)
    return path


def rsna_id(number: int) -> str:
    return f"{number:08x}-fdbc-4c5a-b9bb-26baff924c6a"


def make_rsna(root: Path, num_images: int = 40, *, num_test: int = 0) -> Path:
    """Every fourth image has pneumonia, each eighth of them with two boxes; the files are empty but for their names."""
    train, test = root / "stage_2_train_images", root / "stage_2_test_images"
    for folder in (train, test):
        folder.mkdir(parents=True)
    lines, classes = [RSNA_HEADER], ["patientId,class"]
    for number in range(num_images):
        key = rsna_id(number)
        (train / f"{key}.dcm").touch()
        if number % 4:
            lines.append(f"{key},,,,,0")
            classes.append(f"{key},{'Normal' if number % 4 == 1 else 'No Lung Opacity / Not Normal'}")
            continue
        boxes = ["264.0,152.0,213.0,379.0", "562.0,152.0,256.0,453.0"][: 1 + (number % 8 == 0)]
        lines += [f"{key},{box},1" for box in boxes]
        classes += [f"{key},Lung Opacity"] * len(boxes)
    for number in range(num_test):
        (test / f"{rsna_id(100_000 + number)}.dcm").touch()
    (root / "stage_2_train_labels.csv").write_text("\n".join(lines) + "\n")
    (root / "stage_2_detailed_class_info.csv").write_text("\n".join(classes) + "\n")
    return root


def write_rsna_lists(folder: Path, parts: dict[str, list[tuple[str, int]]]) -> None:
    """Lists as the papers': a path, a label and a space at the end of each line."""
    folder.mkdir(exist_ok=True)
    for name, rows in parts.items():
        part = "test" if name == "test_list" else "train"
        lines = [f"stage_2_{part}_images/{key}.dcm {label} " for key, label in rows]
        (folder / f"{name}.txt").write_text("\n".join(lines) + "\n")


def write_rsna_patients(root: Path, patients: dict[str, str]) -> None:
    rows = [
        {"subset_img_id": key, "img_id": f"{patient}_00{number % 10}.png", "orig_labels": ["No Finding"]}
        for number, (key, patient) in enumerate(patients.items())
    ]
    (root / "pneumonia-challenge-dataset-mappings_2018.json").write_text(json.dumps(rows))


def ham_rows(num_lesions: int = 28) -> list[list[str]]:
    """Two images a lesion, the seven diagnoses in turn."""
    codes = ("akiec", "bcc", "bkl", "df", "mel", "nv", "vasc")
    sexes, sources = ("male", "female", "unknown"), ("vidir_modern", "rosendahl")
    return [
        [f"HAM_{lesion:07d}", f"ISIC_{24306 + 2 * lesion + image:07d}", codes[lesion % 7], "histo",
         ["80.0", ""][lesion == 3], sexes[lesion % 3], "scalp", sources[lesion % 2]]
        for lesion in range(num_lesions) for image in range(2)
    ]  # fmt: skip


def write_ham(path: Path, rows: list[list[str]], *, header: list[str] = HAM_HEADER, delimiter: str = ",") -> None:
    """As Kaggle writes it, or, with tabs, as Dataverse does: text in quotes."""
    quoting = csv.QUOTE_MINIMAL if delimiter == "," else csv.QUOTE_ALL
    with path.open("w", newline="") as file:
        csv.writer(file, delimiter=delimiter, quoting=quoting).writerows([header, *rows])


def make_ham(root: Path, num_lesions: int = 28) -> Path:
    rows = ham_rows(num_lesions)
    for number, row in enumerate(rows):
        part = 1 + (number >= len(rows) // 2)
        save(root / f"HAM10000_images_part_{part}/{row[1]}.jpg", seed=number)
    write_ham(root / "HAM10000_metadata.csv", rows)
    return root


def make_busi(root: Path, sizes: tuple[int, int, int] = (12, 10, 10)) -> Path:
    """Each image with a mask, "benign (1)" with three."""
    for kind, count in zip(("benign", "malignant", "normal"), sizes, strict=True):
        for number in range(1, count + 1):
            folder = root / "Dataset_BUSI_with_GT" / kind
            save(folder / f"{kind} ({number}).png", seed=sum(map(ord, kind)) + number, colour=False)
            save_mask(folder / f"{kind} ({number})_mask.png", slice(0, 0 if kind == "normal" else 4))
    save_mask(root / "Dataset_BUSI_with_GT/benign/benign (1)_mask_1.png", slice(6, 8))
    save_mask(root / "Dataset_BUSI_with_GT/benign/benign (1)_mask_2.png", slice(18, 20))
    return root


def make_smdg(root: Path) -> Path:
    """Four sources; both eyes of each patient of OIA-ODIR, one source with glaucoma alone, a suspect in PAPILA."""
    rows: list[dict[str, str]] = []
    for number in range(20):
        eye = "left" if number % 2 else "right"
        rows.append({"names": f"OIA-ODIR-TRAIN-{number}", "types": str(int(number // 2 % 3 == 0)),
                     "original_name": f"{1000 + number // 2}_{eye}.jpg", "sex": "MF"[number % 2], "age": "58.0",
                     "eye": "OS" if eye == "left" else "OD"})  # fmt: skip
    rows += [{"names": f"EyePACS-AIROGS-{number}", "types": "1"} for number in range(24)]
    rows += [{"names": f"PAPILA-{number}", "types": "-1" if number == 3 else "0",
              "original_name": f"RET{number // 2 + 2:03d}O{'DS'[number % 2]}.jpg"} for number in range(8)]  # fmt: skip
    rows += [{"names": "sjchoi86-HRF-1", "types": "0", "fundus_od_seg": "Not Visible"}]
    for number, row in enumerate(rows):
        row["fundus"] = f"/full-fundus/{row['names']}.png"
        save(root / f"full-fundus/full-fundus/{row['names']}.png", seed=number)
        if row["names"].startswith("OIA"):
            for column, kind in (("fundus_od_seg", "optic-disc"), ("fundus_oc_seg", "optic-cup")):
                row[column] = f"/{kind}/{row['names']}.png"
                save_mask(root / f"{kind}/{kind}/{row['names']}.png", slice(2, 6 if kind == "optic-cup" else 9))
    with (root / "metadata - standardized.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, SMDG_HEADER, restval="")
        writer.writeheader()
        writer.writerows(rows)
    return root


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
