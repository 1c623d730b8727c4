"""The encoders that a pre-training has kept: download, model card, and the way to a fine-tuning from one."""

from pathlib import Path

import streamlit as st

from medpeft_core.errors import MedPeftError
from medpeft_core.pretraining.files import EncoderFile, list_encoders
from medpeft_core.runs.run import Run
from pages.widgets.lab import get_lab
from pages.widgets.pretrain_handover import build_encoder_link
from pages.widgets.wording import write_bytes

NUM_SHOWN = 4  # more lie folded away
MAX_LOOKED_AT = 30  # newest pre-trainings
HASH_LENGTH = 12
MIDDLE_NOTE = (
    "The learning rate falls over all epochs, so an encoder from the middle is not what a shorter pre-training would "
    "have given."
)


def draw_encoders(run: Run, *, is_active: bool) -> None:
    """A row for each encoder, the newest first. Not in a live part: downloads and links must survive its ticks.

    Args:
        run: a pre-training.
        is_active: more may come.
    """
    found = list_encoders(run)[::-1]
    st.subheader("Encoders", anchor=False)
    if not found:
        st.caption(
            "The first one comes here as soon as it is kept; fine-tuning can begin with it while this goes on."
            if is_active
            else "None was kept: it ended before the first one was due."
        )
        return
    middle = f" {MIDDLE_NOTE}" if len(found) > 1 else ""
    st.caption(f"What pre-training is for: each of these can be fine-tuned, here or with timm elsewhere.{middle}")
    for item in found[:NUM_SHOWN]:
        _draw_encoder(run, item)
    if rest := found[NUM_SHOWN:]:
        with st.expander(f"{len(rest)} earlier", key="pretrain_more_encoders"):
            for item in rest:
                _draw_encoder(run, item)


def list_all_encoders(backbone: str) -> list[tuple[str, EncoderFile]]:
    """Encoders of a backbone that this lab has pre-trained, each with its name for people, the newest first."""
    found: list[tuple[str, EncoderFile]] = []
    for run in get_lab().store.list_pretrainings()[:MAX_LOOKED_AT]:
        try:
            if run.pretrain_config().encoder.name == backbone:
                found += [(f"Epoch {item.epoch} of {run.run_id}", item) for item in list_encoders(run)[::-1]]
        except MedPeftError:  # a damaged one is told of in the list
            continue
    return found


def _draw_encoder(run: Run, item: EncoderFile) -> None:
    name = f"{run.run_id}-{item.path.name}"
    with st.container(border=True, key=f"pretrain_encoder_{item.epoch}"):
        words, links = st.columns([1, 1], vertical_alignment="center")
        with words, st.container(horizontal=True, vertical_alignment="center", gap="small"):
            st.markdown(
                f"**Epoch {item.epoch}** · loss {item.train_loss:.4f} · {write_bytes(item.num_bytes)}", width="content"
            )
            st.caption(
                f"SHA-256 `{item.sha256[:HASH_LENGTH]}…`",
                help=f"Of the file: `{item.sha256}`. The card and every run that starts from it name it.",
                width="content",
            )
        with links, st.container(horizontal=True, horizontal_alignment="right", vertical_alignment="center"):
            st.download_button(
                "Weights",
                data=item.path.read_bytes,
                file_name=name,
                mime="application/octet-stream",
                icon=":material/download:",
                key=f"pretrain_weights_{item.epoch}",
                on_click="ignore",
                help="A safetensors file in timm's names.",
            )
            if item.card.is_file():
                _draw_card(item, name)
            st.page_link(
                "pages/train.py",
                label="Train on it",
                icon=":material/model_training:",
                query_params=build_encoder_link(run.run_id, item.epoch),
            )


def _draw_card(item: EncoderFile, name: str) -> None:
    """The model card to read, and to download."""
    with st.popover("Model card", icon=":material/description:", key=f"pretrain_card_{item.epoch}"):
        st.code(_read_card(item.card), language="markdown", wrap_lines=True)
        st.download_button(
            "Download the card",
            data=item.card.read_bytes,
            file_name=str(Path(name).with_suffix(".md")),
            mime="text/markdown",
            icon=":material/download:",
            key=f"pretrain_card_file_{item.epoch}",
            on_click="ignore",
        )


def _read_card(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:  # deleted a moment ago
        return ""
