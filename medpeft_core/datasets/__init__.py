"""The data sets; to add one, write its reader file and add an import line here."""

from medpeft_core.datasets import chexpert, nih, phantom, phantom_shortcut
from medpeft_core.datasets.spec import DATASETS, DatasetSpec

__all__ = ["DATASETS", "DatasetSpec", "chexpert", "nih", "phantom", "phantom_shortcut"]
