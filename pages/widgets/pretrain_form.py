"""The choices of a pre-training in their order: data, backbone, start weights, image size, length, mask, seed."""

import math
from typing import Any

import streamlit as st

from medpeft_core.backbones import BACKBONES
from medpeft_core.backbones.demo import DEMO_BACKBONE
from pages.widgets.pretrain_data import choose_data
from pages.widgets.pretrain_draft import DEFAULTS, FILE, Draft, find_grid_side, find_patch_size, get_draft
from pages.widgets.pretrain_encoders import list_all_encoders
from pages.widgets.pretrain_mask import draw_mask
from pages.widgets.pretrain_plan import PretrainPlan
from pages.widgets.settings_form import bind, renew_widgets
from pages.widgets.weights_handover import SHELF, choose_entry, is_shelf, list_fitting, settle_shelf, take_normalisation
from pages.widgets.wording import write_count

WEIGHTS = {
    "random": "Random",
    "demo": "Demo",
    "pretrained": "Pre-trained",
    SHELF: "From the shelf",
    FILE: "From a file",
}
ONLY_PLAIN = "Only plain ViTs are offered: CNNs and windowed transformers cannot leave the hidden patches out."
LEAST_RATIO, MOST_RATIO, RATIO_STEP = 0.05, 0.95, 0.05
DIGITS = 4  # of a mask ratio: 0.05 steps of a slider come as 0.30000000000000004
NUMBER_WIDTH = 120  # pixels


def draw_form(plan: PretrainPlan) -> None:
    """The seven numbered choices.

    Args:
        plan: what the choices amount to; it tells how many patches an unknown model has.
    """
    draft = get_draft()
    choose_data(draft)
    name = _choose_backbone(draft["encoder"])
    _choose_weights(draft["encoder"], name)
    _choose_numbers(draft, name)
    _choose_mask(draft, name, plan)


def list_backbones() -> list[str]:
    """The plain ViTs that the lab describes, the smallest first."""
    plain = [name for name in BACKBONES.names() if BACKBONES[name].kind == "vit"]
    return sorted(plain, key=lambda name: BACKBONES[name].num_params)


def _choose_backbone(table: dict[str, Any]) -> str:
    name = table.get("name", DEFAULTS.encoder.name)
    names = list_backbones()
    options = names if name in names else [*names, name]
    st.selectbox(
        "**2** Backbone",
        options,
        index=options.index(name),
        format_func=_name_backbone,
        accept_new_options=True,
        help="Choose one, or type the name of any other plain ViT of timm. `encoder.name`",
        **bind(table, "name", key="pretrain_backbone", after=lambda: _settle(table)),
    )
    if name not in BACKBONES:
        st.caption("A timm model that the lab does not describe; it is built and checked before anything starts.")
    elif BACKBONES[name].kind == "vit":
        st.caption(f"{BACKBONES[name].description} {ONLY_PLAIN}")
    return str(name)


def _settle(table: dict[str, Any]) -> None:
    """Another backbone was chosen: weights of the old one do not fit it, and its size may not be divided."""
    name = table.get("name", DEFAULTS.encoder.name)
    if table.get("weights", "random") not in list_weights(name):
        table.pop("weights", None)
        take_normalisation(table)
        renew_widgets("pretrain_weights")
    size, patch = table.get("image_size"), find_patch_size(name)
    if size and patch and size % patch:
        table.pop("image_size")
        renew_widgets("pretrain_image_size")


def list_weights(name: str) -> list[str]:
    """The start weights that there can be for a backbone."""
    shelf = [SHELF] if list_fitting(name) else []
    return ["random", "demo" if name == DEMO_BACKBONE else "pretrained", *shelf, FILE]


def _choose_weights(table: dict[str, Any], name: str) -> None:
    weights = table.get("weights", DEFAULTS.encoder.weights)
    kind = SHELF if is_shelf(weights) else weights if weights in WEIGHTS else FILE
    options = list_weights(name)
    st.segmented_control(
        "**3** Weights to start from",
        options if kind in options else [*options, kind],
        default=kind,
        format_func=lambda kind: WEIGHTS[kind],
        required=True,
        help="`encoder.weights`",
        **bind(table, "weights", key="pretrain_weights", after=lambda: _take_weights(table, name)),
    )
    if kind == SHELF:
        choose_entry(table, name, key="pretrain_weights_shelf", after=lambda: _take_weights(table, name))
    elif kind == FILE:
        _choose_file(table, name, None if weights == FILE else weights)
    elif kind == "random":
        st.caption("The usual beginning: everything is learned from these images.")
    elif kind == "demo":
        st.caption("Goes on from the weights that ship with the lab, which learned from synthetic radiographs.")
    else:
        st.caption("Goes on from the weights that timm names, which are downloaded once; that needs the network.")


def _take_weights(table: dict[str, Any], name: str) -> None:
    table.setdefault("weights", FILE)
    settle_shelf(table, name)


def _choose_file(table: dict[str, Any], name: str, path: str | None) -> None:
    """An encoder that this lab has pre-trained, or any other file of this very backbone."""
    known = {str(item.path): title for title, item in list_all_encoders(name)}
    options = list(known) if path is None or path in known else [path, *known]
    st.selectbox(
        "Weights file on this computer",
        options,
        index=None if path is None else options.index(path),
        format_func=lambda option: known.get(option, option),
        accept_new_options=True,
        placeholder="Choose an encoder of this lab, or type /data/weights/vit.safetensors",
        help="A .safetensors file, or a torch file that holds tensors only, of this very backbone.",
        **bind(table, "weights", key="pretrain_weights_file", after=lambda: table.setdefault("weights", FILE)),
    )


def _choose_numbers(draft: Draft, name: str) -> None:
    encoder, train = draft["encoder"], draft["train"]
    own = BACKBONES[name].image_size if name in BACKBONES else None
    patch = find_patch_size(name)
    multiple = f" It must be a multiple of the patch, {patch} pixels." if patch else ""
    with st.grid(2, min_column_width=NUMBER_WIDTH):
        st.number_input(
            "**4** Image size",
            value=encoder.get("image_size"),
            step=patch or 1,
            placeholder=f"{own} (its own)" if own else "its own",
            help=f"Side of the square that the model sees, in pixels; empty: the backbone's own.{multiple} "
            "`encoder.image_size`",
            **bind(encoder, "image_size", key="pretrain_image_size", shown=encoder.get("image_size")),
        )
        for label, field, help_text in (
            ("**5** Epochs", "epochs", "Passes over the training images; the papers' curves flatten after hundreds."),
            ("Batch size", "batch_size", "Images in one forward pass; the learning rate grows with it."),
            ("**6** Seed", "seed", "Of random weights, order, augmentation and masks."),
        ):
            number = int(train.get(field, getattr(DEFAULTS.train, field)))
            st.number_input(
                label,
                value=number,
                step=1,
                help=f"{help_text} `train.{field}`",
                **bind(train, field, key=f"pretrain_{field}", shown=number),
            )


def _choose_mask(draft: Draft, name: str, plan: PretrainPlan) -> None:
    table = draft["mae"]
    ratio = float(table.get("mask_ratio", DEFAULTS.mae.mask_ratio))
    left, right = st.columns([3, 2], gap="medium", vertical_alignment="center")
    with left:
        st.slider(
            "**7** Mask ratio: share of the patches that are hidden",
            min_value=min(LEAST_RATIO, ratio),
            max_value=max(MOST_RATIO, ratio),
            value=ratio,
            step=RATIO_STEP,
            format="percent",
            help="With few patches hidden, copying the neighbours is enough; with three quarters, the model must know "
            "what a chest looks like. `mae.mask_ratio`",
            **bind(table, "mask_ratio", key="pretrain_mask_ratio", after=lambda: _round(table)),
        )
        st.caption(
            "The encoder works on the visible patches only, so hiding more also makes it faster. "
            "He et al. 2022 found 75 % best on photographs."
        )
    with right:
        side = find_grid_side(name, draft["encoder"].get("image_size")) or _find_built_side(plan)
        if side is None:
            st.caption("How many patches that leaves is known once the backbone is built.")
            return
        draw_mask(side, ratio, plan.config.data if plan.config is not None else None, width=200)


def _find_built_side(plan: PretrainPlan) -> int | None:
    """Patches along a side, as the built model tells."""
    sizes = plan.answers.check.value if plan.answers is not None else None
    return None if sizes is None else math.isqrt(sizes["num_patches"])


def _round(table: dict[str, Any]) -> None:
    if "mask_ratio" in table:
        table["mask_ratio"] = round(float(table["mask_ratio"]), DIGITS)


def _name_backbone(name: str) -> str:
    if name not in BACKBONES:
        return name
    spec = BACKBONES[name]
    return f"{spec.title}, {spec.image_size} px, {write_count(spec.num_params)} parameters"
