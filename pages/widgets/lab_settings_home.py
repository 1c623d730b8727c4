"""The home folder in figures: where it is, how full the disk is, and what takes how much."""

import shutil
from pathlib import Path

import pandas as pd
import streamlit as st

from medpeft_core.housekeeping.background import Background
from medpeft_core.housekeeping.inventory import Inventory, take_inventory
from medpeft_core.paths import HOME_VARIABLE, get_home
from pages.widgets.wording import write_ago, write_bytes

POLL_EVERY_S = 0.5
PATIENCE_S = 0.6  # a small home is measured within this, and then nothing flickers
MEASURE_AGAIN_S = 120.0  # nobody needs the sizes to the second, and a big home takes seconds
FIGURE_WIDTH = 150  # pixels; two in a row of a phone
LOW_SPACE_BYTES = 5 * 10**9  # below this `doctor` warns as well


def get_meter() -> Background[Inventory]:
    """The one that measures this home for all visitors."""
    return _open_meter(str(get_home()))


def read_inventory() -> Inventory | None:
    """What was measured last; begins anew when that is old. None before the first."""
    meter = get_meter()
    meter.ask(older_than_s=MEASURE_AGAIN_S)
    meter.wait(PATIENCE_S)
    return meter.answer()


def draw_home(inventory: Inventory | None) -> None:
    """Path, free space, and a row for each part."""
    home = get_home()
    st.markdown("**Everything that the lab stores lies in this folder.** Nothing else on this computer is changed.")
    st.code(str(home), language=None)
    _draw_space(home, inventory)
    if inventory is None:
        st.skeleton(320)
        return
    table = pd.DataFrame(
        [
            {
                "part": part.title,
                "bytes": part.size.num_bytes,
                "size": "elsewhere" if part.is_link else write_bytes(part.size.num_bytes),
                "files": part.size.num_files,
                "about": f"a link to another place: not counted, {part.about}" if part.is_link else part.about,
            }
            for part in inventory.parts
        ]
    )
    most = max(int(table["bytes"].max()), 1)
    config = st.column_config
    st.dataframe(
        table,
        key="settings_parts",
        hide_index=True,
        lazy=False,
        height="content",
        column_order=("part", "size", "bytes", "files", "about"),
        column_config={
            "part": config.TextColumn("Part", width=150),
            "size": config.TextColumn("Size", width=80),
            "bytes": config.ProgressColumn("", width=110, min_value=0, max_value=most, format=" "),
            "files": config.NumberColumn("Files", width=70, format="localized"),
            "about": config.TextColumn("What it holds", width=330),
        },
        alt="; ".join(f"{row.part}: {row.size} in {row.files} files" for row in table.itertuples()),
    )


def draw_measuring() -> None:
    """When the sizes were measured, and how far the measuring is while it goes on."""
    meter = get_meter()
    is_running = meter.is_running
    st.fragment(_draw_state, run_every=POLL_EVERY_S if is_running else None)(was_running=is_running)


def _draw_state(*, was_running: bool) -> None:
    meter = get_meter()
    if was_running and not meter.is_running:
        st.rerun()  # the whole page once more, with the new sizes and without polling
    if was_running:
        st.caption(f":material/hourglass_top: Measuring the folder: {meter.progress or 'starting'} …")
    elif meter.answered_at is not None:
        st.caption(f"Measured {write_ago(meter.answered_at)}.")


def _draw_space(home: Path, inventory: Inventory | None) -> None:
    existing = next(folder for folder in (home, *home.parents) if folder.exists())
    disk = shutil.disk_usage(existing)
    figures = (
        ("Home folder", write_bytes(inventory.num_bytes) if inventory is not None else "measuring …"),
        ("Files", f"{inventory.num_files:,}" if inventory is not None else "…"),
        ("Free on this disk", write_bytes(disk.free)),
        ("Size of the disk", write_bytes(disk.total)),
    )
    with st.grid(4, min_column_width=FIGURE_WIDTH):
        for title, value in figures:
            st.metric(title, value, border=True)
    if disk.free < LOW_SPACE_BYTES:
        st.warning(
            "Little space is left. Free some below, or move the lab: end it, move the folder, and start it with "
            f"{HOME_VARIABLE} set to the new place.",
            icon=":material/hard_disk:",
        )


@st.cache_resource(show_spinner=False, max_entries=1)
def _open_meter(home: str) -> Background[Inventory]:
    return Background(lambda tell: take_inventory(Path(home), tell), name="home-meter")
