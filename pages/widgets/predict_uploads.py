"""The uploads of a visit: taken, checked, and forgotten. They live in this visit's memory and nowhere else."""

from dataclasses import dataclass
from typing import Any

import streamlit as st
from starlette.formparsers import MultiPartParser

from medpeft_core.datasets.images import Reading, UnreadableImageError
from medpeft_core.datasets.uploads import MAX_DICOM_BYTES, Upload, clean_name, read_upload
from medpeft_core.runs.run import Run
from pages.widgets.picture_blend import decode
from pages.widgets.predict_answers import forget_answers
from pages.widgets.predict_reading import forget_readings, get_reading
from pages.widgets.wording import escape_markdown

MAX_IMAGES = 10
SPOOL_MARGIN_BYTES = 1024**2
ROUND_KEY, CHECKED_KEY = "predict_round", "predict_checked"
PRIVACY = (
    "Your images stay in the memory of the computer that runs this lab: nothing of them is stored or sent anywhere, "
    "and they are gone with this visit."
)


@dataclass(frozen=True, kw_only=True, eq=False)
class Checked:
    """A file that was looked at: an image, or why it is none."""

    name: str
    reading: Reading
    upload: Upload | None = None
    problem: str = ""


def choose_images(run: Run) -> dict[str, Upload]:
    """The uploader, and what is wrong with files that cannot be used.

    Args:
        run: it decides how large an image is decoded, and how a DICOM file is until somebody chooses.

    Returns:
        The good images by an id of this visit, in the order in which they came.
    """
    keep_in_memory()
    _forget_with_visit()
    files = st.file_uploader(
        "Images: PNG, JPEG or DICOM",
        accept_multiple_files=True,
        max_upload_size=MAX_DICOM_BYTES // 1024**2,
        key=f"predict_files_{st.session_state.setdefault(ROUND_KEY, 0)}",
        help=f"Up to {MAX_IMAGES} at once, up to 50 megapixels each, 8 or 16 bits, PNG and JPEG up to 25 MB, DICOM "
        "up to 64 MB. A DICOM file is read as the run's training images were; its window can be changed beside the "
        "picture.",
    )
    with st.container(horizontal=True, vertical_alignment="center"):
        st.caption(f":material/lock: {PRIVACY}")
        if files:
            st.button("Clear all", key="predict_clear", icon=":material/delete:", type="tertiary", on_click=clear)
    _forget_others({file.file_id for file in files})
    return _check(files[:MAX_IMAGES], num_more=len(files) - MAX_IMAGES, run=run)


def keep_in_memory() -> None:
    """Let the web server hold a whole upload in memory; by default it writes all above 1 MB to a nameless file first.

    Called before the uploader is drawn, so before anybody can upload.
    """
    MultiPartParser.spool_max_size = max(MultiPartParser.spool_max_size, MAX_DICOM_BYTES + SPOOL_MARGIN_BYTES)


def clear() -> None:
    """Forget every upload and every answer of this visit."""
    st.session_state[ROUND_KEY] = st.session_state.get(ROUND_KEY, 0) + 1  # another key is another, empty uploader
    st.session_state.pop(CHECKED_KEY, None)
    forget_answers()
    forget_readings()
    decode.cache_clear()


def _check(files: list[Any], *, num_more: int, run: Run) -> dict[str, Upload]:
    """Look at the files that are new or to be read otherwise, and say what is wrong with any."""
    cache_size = run.config().data.cache_size
    readings = {file.file_id: get_reading(run, file.file_id) for file in files}
    known: dict[tuple[str, int], Checked] = st.session_state.setdefault(CHECKED_KEY, {})
    fresh = [file for file in files if _is_to_read(known.get((file.file_id, cache_size)), readings[file.file_id])]
    if fresh:
        place = st.empty()
        for number, file in enumerate(fresh):
            text = f"Reading image {number + 1} of {len(fresh)}: {escape_markdown(clean_name(file.name))}"
            place.progress(number / len(fresh), text=text)
            known[file.file_id, cache_size] = _read(file, cache_size, readings[file.file_id])
        place.empty()
    images: dict[str, Upload] = {}
    digests: dict[str, str] = {}
    for file in files:
        checked = known[file.file_id, cache_size]
        if checked.upload is None:
            st.error(escape_markdown(checked.problem), icon=":material/broken_image:")
        elif checked.upload.digest in digests:
            first, second = escape_markdown(digests[checked.upload.digest]), escape_markdown(checked.name)
            st.info(f"{second} is the same file as {first}; it is shown once.", icon=":material/content_copy:")
        else:
            digests[checked.upload.digest] = checked.name
            images[file.file_id] = checked.upload
    if num_more > 0:
        st.warning(
            f"At most {MAX_IMAGES} images are taken at once; the last {num_more} "
            f"{'was' if num_more == 1 else 'were'} left out. Remove some, or clear all and go on with the rest.",
            icon=":material/filter:",
        )
    return images


def _is_to_read(checked: Checked | None, reading: Reading) -> bool:
    """Whether a file is new, or a DICOM file that was read by another window or frame."""
    is_scan = checked is not None and (checked.upload is None or checked.upload.choices is not None)
    return checked is None or (is_scan and checked.reading != reading)


def _read(file: Any, cache_size: int, reading: Reading) -> Checked:
    name = clean_name(file.name)
    try:
        upload = read_upload(file.getvalue(), file.name, cache_size=cache_size, reading=reading)
        return Checked(name=name, reading=reading, upload=upload)
    except UnreadableImageError as error:
        return Checked(name=name, reading=reading, problem=str(error))


def _forget_others(file_ids: set[str]) -> None:
    """Drop what belongs to files that were taken away."""
    known: dict[tuple[str, int], Checked] = st.session_state.get(CHECKED_KEY, {})
    gone = [key for key in known if key[0] not in file_ids]
    for key in gone:
        del known[key]
    if gone:
        forget_answers({file_id for file_id, _ in gone})
        forget_readings({file_id for file_id, _ in gone})
        decode.cache_clear()  # it keeps the last pictures of all visits


@st.cache_resource(show_spinner=False, scope="session", on_release=lambda _: decode.cache_clear())
def _forget_with_visit() -> object:
    """When the visit ends, the pictures that the viewer keeps for its sliders go too."""
    return object()
