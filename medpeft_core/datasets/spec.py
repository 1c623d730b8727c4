"""What the lab must know about a data set: a light spec, and the registry that readers add theirs to."""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from medpeft_core.errors import DataError
from medpeft_core.registry import Registry

if TYPE_CHECKING:
    from medpeft_core.datasets.manifest import Manifest
    from medpeft_core.datasets.progress import Progress


@dataclass(frozen=True, kw_only=True)
class NoOptions:
    """The options of a reader that has none."""


def need_no_drawing(root: Path | None, options: Any, *, split_seed: int) -> bool:
    """The `is_present` of data sets that are given, not made; their reader tells what is missing in the folder."""
    return True


@dataclass(frozen=True, kw_only=True)
class FolderPart:
    """One thing that belongs into the folder of a data set, and whether it is there.

    Attributes:
        title: what it is, such as "train.csv" or "images".
        is_there: found in the folder.
        is_needed: the set cannot be read without it.
        detail: how much was found or where it was looked for, or what goes without it; a short phrase.
    """

    title: str
    is_there: bool
    is_needed: bool
    detail: str = ""


@dataclass(frozen=True, kw_only=True)
class FetchOffer:
    """What a download would bring, shown before anything is asked for.

    Attributes:
        source: host or address that is asked.
        num_bytes: of the download; None where nobody says.
        is_limit: it may be less; nobody says how much.
        num_files: files that are asked for.
        licence: terms of use in one sentence.
        is_there: everything has been fetched before.
        note: what else one must know first, or "".
    """

    source: str
    num_bytes: int | None
    num_files: int
    licence: str
    is_there: bool
    note: str = ""
    is_limit: bool = False


def know_no_parts(root: Path | None, options: Any) -> list[FolderPart]:
    """The `inspect` of data sets without a folder of their own."""
    return []


@dataclass(frozen=True, kw_only=True)
class DatasetSpec:
    """One data set as it is distributed, or as the lab makes it.

    Attributes:
        name: unique lower_snake_case name.
        title: name for people.
        description: two sentences: what it is and what it is good for.
        task: "multilabel" (K independent labels) or "multiclass" (exactly one of K); where options decide, the usual
            one. The manifest's counts.
        labels: names of the labels in their order; empty when only the files tell.
        is_synthetic: made by a program; said wherever its images or numbers show.
        needs_root: a folder must be given.
        licence: terms of use in one sentence.
        how_to_get: what to do to have it, in one or two sentences.
        citation: the reference to give.
        options: dataclass with the reader's own settings, every field with a help text.
        read: `read(root, options, *, split_seed, progress) -> Manifest`; `root` is None where none is needed.
        is_present: `is_present(root, options, *, split_seed) -> bool`: false when `read` would have to draw the images
            first. Quick; raises DataError where `read` would refuse the folder.
        size: how many images and bytes, for the card: "112,120 images, 42 GB".
        modality: what the images are, such as "chest radiographs".
        inspect: `inspect(root, options) -> list[FolderPart]`: what is there and what is missing. Quick (it opens no
            image) and never raises for what is missing.
        offer: `offer(root, options) -> FetchOffer`, where the set can be downloaded by an explicit click; asks nobody.
        fetch: `fetch(root, options, *, progress) -> None`: the download; what is half there is never used.
        has_dicom: its images may be DICOM files, so that window and frame can be chosen.
        main_options: names of options that are part of the choice itself, such as which set of a collection.
        licence_of: `licence_of(options) -> str`: the terms of what was chosen, where they differ within a collection;
            raises DataError where nobody knows.
    """

    name: str
    title: str
    description: str
    task: str
    labels: tuple[str, ...]
    is_synthetic: bool
    needs_root: bool
    licence: str
    how_to_get: str
    citation: str
    read: Callable[..., "Manifest"]
    options: type[Any] = NoOptions
    is_present: Callable[..., bool] = need_no_drawing
    size: str = ""
    modality: str = ""
    inspect: Callable[..., list[FolderPart]] = know_no_parts
    offer: Callable[[Path | None, Any], FetchOffer] | None = None
    fetch: Callable[..., None] | None = None
    has_dicom: bool = False
    main_options: tuple[str, ...] = ()
    licence_of: Callable[[Any], str] | None = None

    def find_licence(self, options: Any) -> str:
        """The terms of use of what was chosen; those of the whole where nobody knows more."""
        if self.licence_of is not None:
            with contextlib.suppress(DataError):
                return self.licence_of(options)
        return self.licence

    def read_manifest(self, root: Path | None, options: Any, *, split_seed: int, progress: "Progress") -> "Manifest":
        """Read the data set into its manifest, checked and in a fixed order.

        Raises:
            DataError: the folder is not this data set, or something in it cannot be used.
        """
        manifest = self.read(root, options, split_seed=split_seed, progress=progress)
        manifest.check()
        return manifest


class DatasetRegistry(Registry[DatasetSpec]):
    """The data sets that readers register, and after them those that people have stored in this home, by `own/`."""

    def __init__(self, kind: str) -> None:
        super().__init__(kind)
        self.find_stored: Callable[[], dict[str, DatasetSpec]] = dict

    def names(self) -> list[str]:
        """All names: the registered ones in their order, then the stored ones."""
        return list(self._all())

    def __contains__(self, name: object) -> bool:
        return name in self._specs or name in self.find_stored()

    def __iter__(self) -> Iterator[DatasetSpec]:
        return iter(self._all().values())

    def __len__(self) -> int:
        return len(self._all())

    def __getitem__(self, name: str) -> DatasetSpec:
        if name in self._specs:
            return self._specs[name]
        found = self._all()
        for spelling in (name, name.replace("-", "_")):
            if spelling in found:
                return found[spelling]
        return super().__getitem__(name)

    def _all(self) -> dict[str, DatasetSpec]:
        stored = self.find_stored()
        return {**self._specs, **{name: spec for name, spec in stored.items() if name not in self._specs}}


DATASETS = DatasetRegistry("data set")
