"""Weights of medical foundation models that the lab knows by name: where they are, and how they load. Light."""

from dataclasses import dataclass

from medpeft_core.registry import Registry

NOT_OPENED = "layout from public code, file not opened here"


@dataclass(frozen=True, kw_only=True)
class KnownWeights:
    """One file of weights that others publish.

    Attributes:
        name: unique lower_snake_case name.
        title: name for people.
        description: one or two sentences: what it was trained on, and how.
        backbone: timm name of the model.
        layout: name of the layout of the file.
        image_size: side in pixels that it was trained at.
        pool: "token" or "avg", as its paper uses it.
        normalisation: name in `NORMALISATIONS`.
        hub_id: OWNER/NAME on the Hugging Face Hub; "" where it is not there.
        hub_file: its file there.
        get_it: how to get the file where the hub has it not, or only on request.
        num_bytes: about how large the file is; 0 where that is not known.
        licence: as its source states it.
        reference: paper.
        proof: `NOT_OPENED`, or what was opened.
    """

    name: str
    title: str
    description: str
    backbone: str
    layout: str
    image_size: int
    pool: str
    normalisation: str
    hub_id: str
    hub_file: str
    get_it: str
    num_bytes: int
    licence: str
    reference: str
    proof: str = NOT_OPENED


KNOWN_WEIGHTS: Registry[KnownWeights] = Registry("known weights")
