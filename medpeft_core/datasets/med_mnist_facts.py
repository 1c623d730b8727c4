"""What the package medmnist says of its 2D sets: labels, counts, terms, addresses and checksums.

Its table is read as text, because importing the package imports torch and makes a folder in the user's home.
"""

import ast
import contextlib
import functools
import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medpeft_core.datasets.manifest import SPLITS
from medpeft_core.errors import DataError

TITLES = {
    "pathmnist": "PathMNIST, colon pathology",
    "chestmnist": "ChestMNIST, chest radiographs",
    "dermamnist": "DermaMNIST, dermoscopy",
    "octmnist": "OCTMNIST, retinal OCT",
    "pneumoniamnist": "PneumoniaMNIST, chest radiographs of children",
    "retinamnist": "RetinaMNIST, fundus photographs",
    "breastmnist": "BreastMNIST, breast ultrasound",
    "bloodmnist": "BloodMNIST, blood cell microscopy",
    "tissuemnist": "TissueMNIST, kidney cell microscopy",
    "organamnist": "OrganAMNIST, abdominal CT, axial",
    "organcmnist": "OrganCMNIST, abdominal CT, coronal",
    "organsmnist": "OrganSMNIST, abdominal CT, sagittal",
}
SIZES = ("28", "64", "128", "224")
ORDINAL, MULTI_LABEL = "ordinal-regression", "multi-label, binary-class"
_LABEL_BYTES = 8
_SLACK_BYTES = 1 << 14  # headers and directory of the zip archive


@dataclass(frozen=True, kw_only=True)
class MedMnistFacts:
    """One set at one size.

    Attributes:
        name: "pathmnist" and so on.
        title: such as "PathMNIST".
        side: of its square images, in pixels.
        channels: 1 or 3.
        task: as the package writes it: "multi-class", "binary-class", "multi-label, binary-class" or
            "ordinal-regression".
        labels: in the order of their numbers.
        num_images: by split.
        licence: its short name.
        description: a paragraph on where it comes from.
        url: of the .npz file.
        md5: of that file.
    """

    name: str
    title: str
    side: int
    channels: int
    task: str
    labels: tuple[str, ...]
    num_images: dict[str, int]
    licence: str
    description: str
    url: str
    md5: str

    @property
    def file_name(self) -> str:
        """As the package names the file."""
        return f"{self.name}.npz" if self.side == 28 else f"{self.name}_{self.side}.npz"

    @property
    def num_all(self) -> int:
        """Images in all three splits."""
        return sum(self.num_images.values())

    @property
    def max_bytes(self) -> int:
        """The size of the .npz file if nothing in it could be compressed; the files have 70 to 85 % of it."""
        label_bytes = _LABEL_BYTES * (len(self.labels) if self.task == MULTI_LABEL else 1)
        return self.num_all * (self.side * self.side * self.channels + label_bytes) + _SLACK_BYTES


def find_facts(name: str, size: str) -> MedMnistFacts:
    """What the installed package says of a set.

    Args:
        name: one of `TITLES`.
        size: one of `SIZES`.

    Raises:
        DataError: the package is missing, or of a version that does not know the set.
    """
    info = _read_info()
    ending = "" if size == "28" else f"_{size}"
    try:
        found = info[name]
        labels = tuple(found["label"][str(number)] for number in range(len(found["label"])))
        if found["task"] == ORDINAL:
            labels = tuple(f"grade {label}" for label in labels)
        return MedMnistFacts(
            name=name, title=found["python_class"], side=int(size), channels=found["n_channels"], task=found["task"],
            labels=labels, num_images={split: int(found["n_samples"][split]) for split in SPLITS},
            licence=found["license"], description=found["description"], url=found[f"url{ending}"],
            md5=found[f"MD5{ending}"],
        )  # fmt: skip
    except (KeyError, TypeError) as error:
        raise DataError(
            f"The installed package medmnist does not know {name} at {size} pixels. Install version 3: "
            'pip install "medmnist>=3.0.2"'
        ) from error


def write_titles() -> dict[str, str]:
    """Each set in words, by its name: "BreastMNIST · breast ultrasound · 780 images"."""
    titles = {}
    for name, title in TITLES.items():
        titles[name] = title.replace(", ", " · ", 1)
        with contextlib.suppress(DataError):  # without the package, nobody tells the number
            titles[name] += f" · {find_facts(name, SIZES[0]).num_all:,} images"
    return titles


@functools.cache
def _read_info() -> dict[str, Any]:
    spec = importlib.util.find_spec("medmnist")  # finds the package without running it
    if spec is None or spec.origin is None:
        raise DataError('The package medmnist, which knows these sets, is missing: pip install "medmnist>=3.0.2"')
    path = Path(spec.origin).with_name("info.py")
    try:
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.Assign) and any(getattr(item, "id", "") == "INFO" for item in node.targets):
                return dict(ast.literal_eval(node.value))
    except (OSError, ValueError, SyntaxError) as error:
        raise DataError(f"{path} cannot be read ({error}). Install the package medmnist anew.") from error
    raise DataError(f'{path} holds no table of data sets. Install version 3: pip install "medmnist>=3.0.2"')
