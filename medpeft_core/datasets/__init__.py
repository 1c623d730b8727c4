"""The data sets; to add one, write its reader file and add an import line here.

The order is that of the lists people choose from: drawn by the lab, one's own, then published ones: chest radiographs,
skin, ultrasound, fundus, collections.
"""

# isort: off
from medpeft_core.datasets import phantom, phantom_shortcut
from medpeft_core.datasets import own
from medpeft_core.datasets import nih, chexpert, mimic_cxr_jpg, rsna, vindr_cxr, padchest
from medpeft_core.datasets import ham10000, fitzpatrick17k
from medpeft_core.datasets import busi
from medpeft_core.datasets import smdg
from medpeft_core.datasets import med_mnist

# isort: on
from medpeft_core.datasets.spec import DATASETS, DatasetSpec

__all__ = [
    "DATASETS",
    "DatasetSpec",
    "busi",
    "chexpert",
    "fitzpatrick17k",
    "ham10000",
    "med_mnist",
    "mimic_cxr_jpg",
    "nih",
    "own",
    "padchest",
    "phantom",
    "phantom_shortcut",
    "rsna",
    "smdg",
    "vindr_cxr",
]
