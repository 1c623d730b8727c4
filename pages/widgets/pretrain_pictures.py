"""Watching it learn: fixed training images as they are, as the encoder sees them, and as the model rebuilds them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import streamlit as st

from medpeft_core.figures.pretraining import compute_rebuilt_share
from medpeft_core.pretrain_config import PretrainConfig
from medpeft_core.pretraining.files import MASKED, ORIGINAL
from medpeft_core.runs.run import Run
from pages.widgets.lab import get_lab
from pages.widgets.monitor_history import open_history
from pages.widgets.pretrain_film import draw_save_menu
from pages.widgets.run_heading import POLL_EVERY_S
from pages.widgets.wording import DISCLAIMER, SYNTHETIC

PLAY_EVERY_S = 0.5
SLIDER_KEY, LOOK_KEY = "pretrain_epoch", "pretrain_look"
NORMALISED = (
    "Brightness and contrast of each hidden patch are taken from the original, because the model learns what is in a "
    "patch and not how bright it is (normalised pixels)."
)


class Look:
    """Which epoch a visitor looks at; it follows the newest until the visitor chooses an older one.

    An epoch that the visitor did not choose goes into a new slider: a value that is written into the present one could
    be overwritten by a tick that was under way, and would then be taken for the visitor's own choice.

    Attributes:
        revision: of the slider; another one is another widget.
    """

    def __init__(self, run_id: str) -> None:
        self.run_id = run_id
        self.epoch = -1
        self.is_following, self.is_playing = True, False
        self.revision = 0

    def advance(self, there: list[int]) -> bool:
        """Go to the newest when it follows, one further when it plays; false when playing has come to its end.

        Args:
            there: the epochs that exist, rising.
        """
        later = [epoch for epoch in there if epoch > self.epoch]
        if self.is_playing and later:
            self._show(later[0])
        elif self.is_playing:
            self.is_playing, self.is_following = False, True
            return False
        elif self.epoch not in there or (self.is_following and later):
            self._show(there[-1])
        return True

    def take(self, epoch: int, *, newest: int) -> None:
        """The visitor has moved the slider: at its right end it follows, elsewhere it stays."""
        self.epoch, self.is_following, self.is_playing = epoch, epoch == newest, False

    def toggle_play(self, there: list[int]) -> None:
        """Pause, or play on from here; from the beginning when it stands at the end."""
        self.is_playing = not self.is_playing
        self.is_following = False
        if self.is_playing and self.epoch == there[-1]:
            self.epoch = there[0] - 1

    def _show(self, epoch: int) -> None:
        self.epoch, self.revision = epoch, self.revision + 1


def draw_pictures(run: Run, config: PretrainConfig, origin: dict[str, Any], *, is_active: bool) -> None:
    """The pictures in a live part of their own, which follows the newest as long as nobody looks at an older one."""
    look = st.session_state.get(LOOK_KEY)
    if look is None or look.run_id != run.run_id:
        look = st.session_state[LOOK_KEY] = Look(run.run_id)
    run_every = PLAY_EVERY_S if look.is_playing else POLL_EVERY_S if is_active else None
    st.fragment(_draw, run_every=run_every)(look, config, origin)


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


def _draw(look: Look, config: PretrainConfig, origin: dict[str, Any]) -> None:
    run = Run(get_lab().store.folder_of(look.run_id))
    found = list_pictures(open_history(run).read(), run.pictures_dir)
    masked_words = _describe_mask(config, origin)
    if not (run.pictures_dir / ORIGINAL).is_file():
        st.info("The pictures come with the first step.", icon=":material/image:")
        return
    event = _choose_epoch(look, found) if found else None
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


def _choose_epoch(look: Look, found: dict[int, dict[str, Any]]) -> dict[str, Any]:
    """The slider over the epochs that exist, and the button beside it."""
    there = list(found)
    if not look.advance(there):
        st.rerun()  # it has come to the end, and ticks more slowly again
    if len(there) < 2:
        return found[there[-1]]
    key = f"{SLIDER_KEY}_{look.revision}"
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.select_slider(
            "Watch how it learned: epoch",
            there,
            value=look.epoch,
            key=key,
            on_change=lambda: look.take(st.session_state[key], newest=there[-1]),
            help="0 is the untrained model. At its right end it follows along while the pre-training goes on.",
        )
        label, icon = ("Pause", ":material/pause:") if look.is_playing else ("Play", ":material/play_arrow:")
        if st.button(label, icon=icon, key="pretrain_play"):
            look.toggle_play(there)
            st.rerun()  # the live part is made anew to tick faster, or more slowly
    return found[look.epoch]


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
