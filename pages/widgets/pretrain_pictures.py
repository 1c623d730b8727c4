"""Watching it learn: fixed training images as they are, as the encoder sees them, and as the model rebuilds them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import streamlit as st

from medpeft_core.figures.pretraining import compute_rebuilt_share
from medpeft_core.pretrain_config import PretrainConfig
from medpeft_core.pretraining.files import MASKED, ORIGINAL
from medpeft_core.runs.run import Run
from medpeft_core.runs.states import RunState
from pages.widgets.lab import get_lab
from pages.widgets.monitor_history import open_history
from pages.widgets.pretrain_film import draw_save_menu
from pages.widgets.wording import DISCLAIMER, SYNTHETIC

POLL_EVERY_S, PLAY_EVERY_S = 1.0, 0.5
EPOCH_KEY, FOLLOW_KEY, PLAY_KEY = "pretrain_epoch", "pretrain_is_following", "pretrain_is_playing"
NEXT_KEY, SHOWN_RUN_KEY = "pretrain_next_epoch", "pretrain_pictures_of"
NORMALISED = (
    "Brightness and contrast of each hidden patch are taken from the original, because the model learns what is in a "
    "patch and not how bright it is (normalised pixels)."
)


def draw_pictures(
    run: Run, state: RunState, config: PretrainConfig, origin: dict[str, Any], *, is_active: bool
) -> None:
    """The pictures in a live part of their own, which follows the newest as long as nobody looks at an older one."""
    if st.session_state.get(SHOWN_RUN_KEY) != run.run_id:
        st.session_state[SHOWN_RUN_KEY] = run.run_id
        st.session_state[FOLLOW_KEY], st.session_state[PLAY_KEY] = True, False
    is_playing = st.session_state.get(PLAY_KEY, False)
    run_every = PLAY_EVERY_S if is_playing else POLL_EVERY_S if is_active else None
    st.fragment(_draw, run_every=run_every)(run.run_id, state.epochs, config, origin)


def list_pictures(history: Sequence[dict[str, Any]], folder: Path) -> dict[int, dict[str, Any]]:
    """Epoch to the event of its rebuilt picture, for those whose file is there; 0 is the untrained model."""
    events = {event["epoch"]: event for event in history if event["type"] == "rebuilt"}
    return {
        epoch: events[epoch] for epoch in sorted(events) if (folder / Path(events[epoch]["picture"]).name).is_file()
    }


def write_error_sentence(event: dict[str, Any], *, norm_pixels: bool) -> str:
    """How far the error of a picture's epoch is below that of a guess that knows as much as the model is told."""
    share = compute_rebuilt_share(event)
    guess = "its own mean brightness" if norm_pixels else "the mean of the visible ones"
    if share is None:
        return "How well it rebuilds was not measured."
    if share >= 1:
        return f"Not better yet than painting each hidden patch in {guess}: {share:.2f} times the squared error."
    return f"The squared error is **{100 * (1 - share):.0f} % below** that of painting each hidden patch in {guess}."


def _draw(run_id: str, epochs: int | None, config: PretrainConfig, origin: dict[str, Any]) -> None:
    run = Run(get_lab().store.folder_of(run_id))
    found = list_pictures(open_history(run).read(), run.pictures_dir)
    masked_words = _describe_mask(config, origin)
    if not (run.pictures_dir / ORIGINAL).is_file():
        st.info("The pictures come with the first step.", icon=":material/image:")
        return
    event = _choose_epoch(found, epochs) if found else None
    _draw_row(run.pictures_dir / ORIGINAL, "Original", alt="Fixed training images in a row, as they are")
    _draw_row(
        run.pictures_dir / MASKED,
        f"What the encoder sees: {masked_words}",
        alt=f"The same images as the encoder sees them: {masked_words}, the rest is grey",
    )
    if event is None:
        return
    epoch = event["epoch"]
    title = f"Rebuilt after epoch {epoch}" if epoch else "Rebuilt by the untrained model"
    _draw_row(run.pictures_dir / Path(event["picture"]).name, title, alt=f"The same images, {title.lower()}")
    st.markdown(write_error_sentence(event, norm_pixels=config.mae.norm_pixels))
    notes = [NORMALISED] if config.mae.norm_pixels else []
    notes += [f":material/palette: {SYNTHETIC}"] if origin.get("is_synthetic") else []
    st.caption("  \n".join([*notes, DISCLAIMER]))
    draw_save_menu(
        run, list(found.values()), event, masked_words=masked_words, is_synthetic=bool(origin.get("is_synthetic"))
    )


def _choose_epoch(found: dict[int, dict[str, Any]], epochs: int | None) -> dict[str, Any]:
    """The slider over the epochs that exist, and the buttons beside it."""
    epochs_there = list(found)
    if len(epochs_there) < 2:
        return found[epochs_there[-1]]
    _advance(epochs_there)
    if st.session_state.get(FOLLOW_KEY, True) or st.session_state.get(EPOCH_KEY) not in found:
        st.session_state[EPOCH_KEY] = epochs_there[-1]
    is_playing = st.session_state.get(PLAY_KEY, False)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        epoch = st.select_slider(
            "Watch how it learned: epoch",
            epochs_there,
            key=EPOCH_KEY,
            on_change=_look,
            args=(epochs_there[-1],),
            help="0 is the untrained model. At its right end it follows along while the pre-training goes on.",
        )
        if st.button(
            "Pause" if is_playing else "Play",
            icon=":material/pause:" if is_playing else ":material/play_arrow:",
            key="pretrain_play",
        ):
            _play(epochs_there, is_playing=is_playing)
    return found[epoch]


def _look(newest: int) -> None:
    """The reader moved the slider: at its right end it follows, elsewhere it stays."""
    st.session_state[FOLLOW_KEY] = st.session_state[EPOCH_KEY] == newest
    st.session_state[PLAY_KEY] = False


def _play(epochs_there: list[int], *, is_playing: bool) -> None:
    """Begin at the start when it stands at the end; the live part must be made anew to tick faster."""
    st.session_state[PLAY_KEY] = not is_playing
    if not is_playing:
        st.session_state[FOLLOW_KEY] = False
        if st.session_state.get(EPOCH_KEY) == epochs_there[-1]:
            st.session_state[NEXT_KEY] = epochs_there[0]
    st.rerun()


def _advance(epochs_there: list[int]) -> None:
    """While it plays, one picture further at each tick; at the end it follows again."""
    if not st.session_state.get(PLAY_KEY):
        return
    present = st.session_state.get(EPOCH_KEY)
    wanted = st.session_state.pop(NEXT_KEY, None)
    later = [epoch for epoch in epochs_there if present is None or epoch > present]
    if wanted is None and not later:
        st.session_state[PLAY_KEY], st.session_state[FOLLOW_KEY] = False, True
        st.rerun()
    st.session_state[EPOCH_KEY] = later[0] if wanted is None else wanted


def _draw_row(path: Path, title: str, *, alt: str) -> None:
    st.caption(f"**{title}**")
    picture = _read_picture(str(path), _read_changed_ns(path))
    if picture is None:
        st.caption("This picture is not there any more.")
    else:
        st.image(picture, width="stretch", output_format="PNG", alt=f"{alt}.")  # else it is made a JPEG at each tick


def _describe_mask(config: PretrainConfig, origin: dict[str, Any]) -> str:
    visible, total = origin.get("num_visible_patches"), origin.get("num_patches")
    if visible is None or total is None:
        return f"{100 * config.mae.mask_ratio:g} % of the patches are hidden"
    return f"{visible} of {total} patches"


def _read_changed_ns(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0


@st.cache_data(show_spinner=False, max_entries=200)
def _read_picture(path: str, changed_ns: int) -> bytes | None:
    """A strip as it lies there; the browser enlarges it. Read once for each file and time of change."""
    try:
        return Path(path).read_bytes()
    except OSError:
        return None
