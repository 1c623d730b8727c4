"""The data sets; to add one, write its reader file and add an import line here."""

from medpeft_core.datasets import nih, phantom, phantom_shortcut
from medpeft_core.datasets.spec import DATASETS, DatasetSpec

__all__ = ["DATASETS", "DatasetSpec", "nih", "phantom", "phantom_shortcut"]
