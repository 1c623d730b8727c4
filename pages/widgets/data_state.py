"""What is known of a data set: the view that was kept of it, read again only when its file changes."""

from typing import Any

import streamlit as st

from medpeft_core.config import DataConfig
from medpeft_core.datasets import counts
from medpeft_core.datasets.pixel_cache import PixelCache
from medpeft_core.datasets.prepare import find_view
from medpeft_core.datasets.views import DataView, load_view, view_key, view_path
from medpeft_core.errors import DataError
from medpeft_core.paths import cache_dir

LOOK_AGAIN_S = 60.0


def find_known(data: DataConfig) -> DataView | None:
    """The view of a prepared data set, or None when it must be prepared first.

    Raises:
        MedPeftError: the folder is not this data set.
    """
    key = view_key(data)
    view = _load_current(key)
    if view is None and _look(data, key, _read_changed_ns(cache_dir() / "pixels")):
        view = _load_current(key)
    return view


def count_all(view: DataView) -> dict[str, Any]:
    """What the charts show: `labels`, `splits`, `ages`, `pairs`, those of `VALUE_COLUMNS`, and `unknown` by column."""
    return _count_all(view, view.key, view.made_at)


def open_pixels(view: DataView) -> PixelCache | None:
    """The decoded images; None where they have been deleted."""
    if not view.has_pixels:
        return None
    try:
        return _open_pixels(view.cache_folder, str(view.cache_folder))
    except DataError:
        return None


def _load_current(key: str) -> DataView | None:
    changed_ns = _read_changed_ns(view_path(key))
    return _load(key, changed_ns) if changed_ns else None


def _read_changed_ns(path: Any) -> int:
    try:
        return int(path.stat().st_mtime_ns)
    except OSError:
        return 0


@st.cache_resource(show_spinner=False, max_entries=4)
def _load(key: str, changed_ns: int) -> DataView | None:
    return load_view(key)


@st.cache_data(ttl=LOOK_AGAIN_S, max_entries=16, show_spinner="Looking whether this set is prepared already")
def _look(_data: DataConfig, key: str, pixels_changed_ns: int) -> bool:
    """Whether the images were decoded before anything was kept for this page; then it is kept from now on."""
    return find_view(_data) is not None


@st.cache_resource(show_spinner=False, max_entries=4)
def _count_all(_view: DataView, key: str, made_at: float) -> dict[str, Any]:
    manifest = _view.manifest
    return {
        "labels": counts.count_labels(manifest),
        "splits": counts.count_splits(manifest),
        "ages": counts.count_ages(manifest),
        "pairs": counts.count_pairs(manifest),
        **{name: counts.count_values(manifest, name) for name in counts.VALUE_COLUMNS},
        "unknown": {name: counts.count_unknown(manifest, name) for name in ("age", *counts.VALUE_COLUMNS)},
    }


@st.cache_resource(show_spinner=False, max_entries=4)
def _open_pixels(_folder: Any, name: str) -> PixelCache:
    return PixelCache.open(_folder)
