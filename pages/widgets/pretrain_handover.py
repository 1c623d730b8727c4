"""From a kept encoder to the Train page: `?encoder=RUN&epoch=N` fills in backbone, weights file, size and data set."""

from dataclasses import asdict
from typing import Any

import streamlit as st

from medpeft_core.errors import RunError
from medpeft_core.pretraining.files import EncoderFile, list_encoders
from medpeft_core.runs.kinds import is_pretraining_id
from pages.widgets.data_choice import list_changed_options
from pages.widgets.lab import get_lab
from pages.widgets.settings_form import renew_widgets
from pages.widgets.shared_settings import replace_shared

RUN_PARAMETER, EPOCH_PARAMETER = "encoder", "epoch"


def build_encoder_link(run_id: str, epoch: int) -> dict[str, str]:
    """The query parameters of a link to Train."""
    return {RUN_PARAMETER: run_id, EPOCH_PARAMETER: str(epoch)}


def is_encoder_named() -> bool:
    """Whether the address names an encoder."""
    return RUN_PARAMETER in st.query_params


def take_encoder(draft: dict[str, dict[str, Any]]) -> str:
    """Put the encoder of the address into the draft of Train, and clear the address.

    Method, fraction and everything else stay as they are chosen. Mean and spread of the pixels are left to the file,
    which knows them.

    Args:
        draft: of the Train page.

    Returns:
        What was taken over, in a sentence.

    Raises:
        MedPeftError: it names one that is not here.
    """
    run_id, epoch = st.query_params.get(RUN_PARAMETER, ""), st.query_params.get(EPOCH_PARAMETER)
    for name in (RUN_PARAMETER, EPOCH_PARAMETER):
        st.query_params.pop(name, None)
    item = find_encoder(run_id, epoch)
    config = get_lab().store.load(run_id).pretrain_config()
    backbone, data = draft["backbone"], draft["data"]
    for field in ("weights_sha256", "mean", "std", "pool"):  # of another backbone
        backbone.pop(field, None)
    backbone |= {
        "name": config.encoder.name,
        "weights": str(item.path),
        "image_size": config.encoder.image_size,
    }
    data |= {"dataset": config.data.dataset, "root": config.data.root, "split_seed": config.data.split_seed}
    data["options"] = list_changed_options({"dataset": config.data.dataset, "options": config.data.options})
    replace_shared(data, asdict(config.data))
    renew_widgets()
    return f"Starts from the encoder of epoch {item.epoch} of {run_id}, on the images that it was pre-trained on."


def find_encoder(run_id: str, epoch: str | None) -> EncoderFile:
    """The encoder that an address names.

    Raises:
        MedPeftError: there is none.
    """
    if not is_pretraining_id(run_id):  # checked first: no text may lead to another folder
        raise RunError("The address names no pre-training. Choose an encoder on the Pre-train page.")
    found = {str(item.epoch): item for item in list_encoders(get_lab().store.load(run_id))}
    if epoch not in found:
        there = f"There are those of epochs {', '.join(found)}." if found else "There are none yet."
        raise RunError(f"The pre-training {run_id} has no encoder of that epoch. {there}")
    return found[epoch]
