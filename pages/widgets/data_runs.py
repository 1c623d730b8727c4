"""Which finished runs were tested on an image, with the way to what each of them saw in it."""

import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import streamlit as st

from medpeft_core.config import DataConfig
from medpeft_core.datasets.views import DataView, view_key
from medpeft_core.errors import MedPeftError
from medpeft_core.runs.listing import list_summaries
from medpeft_core.runs.states import FINISHED
from pages.widgets.lab import get_lab
from pages.widgets.run_picker import PARAMETER, write_run_name
from pages.widgets.wording import escape_markdown

MAX_RUNS = 5
MAX_LOOKED_AT = 30  # newest finished runs; more would make a click slow


def draw_runs(view: DataView, row: int) -> None:
    """Links to Explain, for an image of the test split."""
    manifest = view.manifest
    image, split = str(manifest.table["image"].iloc[row]), manifest.table["split"].iloc[row]
    st.markdown("**How a run sees it**")
    if split != "test":
        st.caption(f"This image is in {split}; only test images can be explained for a run.")
        return
    found = find_runs(view, image)
    if not found:
        st.caption("No finished run was tested on this image yet.")
        return
    for summary, number in found:
        st.page_link(
            "pages/explain.py",
            label=escape_markdown(f"{write_run_name(summary)} · {summary['run_id'][-4:]}"),
            icon=":material/visibility:",
            query_params={PARAMETER: summary["run_id"], "image": str(number)},
        )


def find_runs(view: DataView, image: str) -> list[tuple[dict[str, Any], int]]:
    """The newest finished runs on this data set whose test predictions hold the image, with its number in there, from
    1 on, as the Explain page counts."""
    store = get_lab().store
    found: list[tuple[dict[str, Any], int]] = []
    finished = [item for item in list_summaries(store) if item["status"] == FINISHED]
    same = [item for item in finished if item.get("dataset") == view.data["dataset"]]
    for summary in same[:MAX_LOOKED_AT]:
        with contextlib.suppress(MedPeftError, OSError, ValueError, KeyError):
            run = store.load(summary["run_id"])
            if view_key(run.config().data) != _key_with_seed(view, run.config().data):
                continue
            images = _read_images(run.predictions_dir / "test.parquet")
            if image in images:
                found.append((summary, images.index(image) + 1))
        if len(found) == MAX_RUNS:
            break
    return found


def _key_with_seed(view: DataView, data: DataConfig) -> str:
    """The key that the view would have with the run's split: another split may hold the image in test as well."""
    splits = {name: getattr(data, name) for name in ("split_seed", "split", "folds", "fold", "hold_out")}
    section = {**view.data, **splits}
    return view_key(DataConfig(**section))


def _read_images(path: Path) -> Sequence[str]:
    return _read_column(str(path), path.stat().st_mtime_ns)


@st.cache_data(show_spinner=False, max_entries=MAX_LOOKED_AT)
def _read_column(path: str, changed_ns: int) -> list[str]:
    images: list[str] = pd.read_parquet(path, columns=["image"])["image"].astype(str).tolist()
    return images
