"""What the lab takes somebody's images for: form, size, classes, what is odd, and some images with their labels."""

from pathlib import Path

import pandas as pd
import streamlit as st
from PIL import Image

from medpeft_core.datasets.images import AS_STORED, Reading, UnreadableImageError, read_image
from medpeft_core.datasets.own.proposal import Proposal
from medpeft_core.datasets.report_words import Finding
from medpeft_core.errors import MedPeftError
from pages.widgets.data_pictures import THUMBNAIL_SIDE
from pages.widgets.data_report import SHOWN_AT_ONCE, draw_finding
from pages.widgets.own_words import write_for_page
from pages.widgets.picture_blend import encode_jpeg
from pages.widgets.wording import escape_markdown

FORMS = {"folder": "A folder per class", "table": "A table and images", "dicom": "DICOM files"}
CARD_WIDTH, TILE_WIDTH = 150, 130  # pixels below which a grid has one column less
TILES = 4  # in a row
MAX_ROWS = 8  # classes that the table shows without scrolling
ROW_HEIGHT = 35
NO_LABEL = "no finding"
PSEUDONYMS = (
    "Patient ids become pseudonyms before anything is kept, names and dates of birth are not read, and the images stay "
    "on this computer."
)


def draw_found(proposal: Proposal) -> None:
    """Figures, classes with their numbers, findings."""
    if proposal.num_images:
        _draw_figures(proposal)
    for severity in SHOWN_AT_ONCE:
        for item in proposal.findings:
            if item.severity == severity:
                draw_finding(_to_dict(item))
    rest = [item for item in proposal.findings if item.severity not in SHOWN_AT_ONCE]
    if rest:
        with st.expander(f"What else was noted ({len(rest)})", icon=":material/info:", key="own_notes"):
            for item in rest:
                draw_finding(_to_dict(item))
    if proposal.form == "dicom":
        st.caption(f":material/lock: {PSEUDONYMS}")


def _draw_figures(proposal: Proposal) -> None:
    patients = "unknown" if proposal.num_patients is None else f"{proposal.num_patients:,}"
    noun = "Grades" if proposal.is_ordered else "Classes" if proposal.task == "multiclass" else "Labels"
    with st.grid(3, min_column_width=CARD_WIDTH):
        for title, value in (
            ("Images", f"{proposal.num_images:,}"),
            ("Patients", patients),
            (noun, f"{len(proposal.labels):,}"),
        ):
            st.metric(title, value, border=True, height="stretch")


def draw_labels(proposal: Proposal) -> None:
    """The classes or labels in their order with how many images have each."""
    if not proposal.labels:
        return
    frame = pd.DataFrame({"Class": list(proposal.labels)})
    if len(proposal.counts) == len(proposal.labels):
        frame["Images"] = list(proposal.counts)
        top = max(max(proposal.counts), 1)
    height = ROW_HEIGHT * (min(len(frame), MAX_ROWS) + 1) + 3
    columns = {"Class": st.column_config.TextColumn("Class" if proposal.task == "multiclass" else "Label")}
    if "Images" in frame:
        columns["Images"] = st.column_config.ProgressColumn("Images", format="localized", min_value=0, max_value=top)
    st.dataframe(
        frame,
        hide_index=True,
        width="stretch",
        height=height,
        column_config=columns,
        key="own_labels",
        alt="Images of each class: " + "; ".join(map(_write_count, frame.itertuples(index=False))),
    )


def draw_examples(proposal: Proposal, reading: Reading = AS_STORED) -> None:
    """Up to eight images with their labels."""
    if not proposal.examples:
        return
    with st.grid(TILES, min_column_width=TILE_WIDTH):
        for name, labels in proposal.examples:
            with st.container(border=True, gap="xsmall"):
                _draw_example(proposal.root / name, name, labels or NO_LABEL, reading)


def _draw_example(path: Path, name: str, labels: str, reading: Reading) -> None:
    try:
        changed_ns = path.stat().st_mtime_ns
        picture = _read_small(str(path), changed_ns, reading)
    except OSError:
        st.caption(":material/broken_image: is not there")
    except MedPeftError as error:
        reason = error.reason if isinstance(error, UnreadableImageError) else str(error)
        st.caption(f":material/broken_image: {escape_markdown(reason)}")
    else:
        st.image(picture, width="stretch", alt=f"{name}: {labels}")
    st.markdown(f"**{escape_markdown(labels)}**")
    st.caption(escape_markdown(Path(name).name))


@st.cache_data(show_spinner=False, max_entries=64)
def _read_small(path: str, changed_ns: int, reading: Reading) -> bytes:
    picture = Image.fromarray(read_image(Path(path), reading).pixels)
    picture.thumbnail((THUMBNAIL_SIDE, THUMBNAIL_SIDE), Image.Resampling.BILINEAR)
    return encode_jpeg(picture)


def _write_count(row: tuple) -> str:
    return ": ".join(str(item) for item in row)


def _to_dict(item: Finding) -> dict[str, str]:
    return {"severity": item.severity, "text": write_for_page(item.text), "advice": write_for_page(item.advice)}
