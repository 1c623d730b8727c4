"""What the tests of NIH ChestX-ray14 share: reading a made folder, changing its table, and split lists for it."""

from pathlib import Path

from medpeft_core.datasets.manifest import Manifest
from medpeft_core.datasets.nih import LABELS, NihOptions
from medpeft_core.datasets.progress import ignore_progress
from medpeft_core.datasets.spec import DATASETS


def read(root: Path, *, seed: int = 0, **options: str) -> Manifest:
    return DATASETS["nih"].read_manifest(root, NihOptions(**options), split_seed=seed, progress=ignore_progress)


def edit_table(root: Path, old: str, new: str) -> None:
    path = root / "Data_Entry_2017.csv"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def write_lists(folder: Path, *, with_labels: bool) -> dict[str, list[str]]:
    """Lists for `make_nih(20)`: patients 1-14, 15-16, 17-20; names only: 1-16, 17-20."""
    folder.mkdir(exist_ok=True)
    names = [f"{patient:08d}_{number:03d}.png" for patient in range(1, 21) for number in range(3)]
    findings = {0: [], 1: ["Mass", "Hernia"], 2: ["Pneumonia"]}
    if not with_labels:
        parts = {"train_val_list": names[:48], "test_list": names[48:]}
        for part, own in parts.items():
            (folder / f"{part}.txt").write_text("\n".join(own))
        return parts
    parts = {"train_list": names[:42], "val_list": names[42:48], "test_list": names[48:]}
    for part, own in parts.items():
        lines = [
            f"some/folder/{name} " + " ".join(str(int(x in findings[int(name[9:12])])) for x in LABELS) for name in own
        ]
        (folder / f"{part}.txt").write_text("\r\n".join(lines) + "\r\n")
    return parts


def names_of(manifest: Manifest, split: str) -> set[str]:
    return {name.rpartition("/")[2] for name in manifest.split(split).table["image"]}
