"""The choices of a run in their order: data, label fraction, backbone, weights, method, rank."""

from typing import Any

import streamlit as st

from medpeft_core.backbones import BACKBONES
from medpeft_core.backbones.demo import DEMO_BACKBONE
from medpeft_core.backbones.spec import KIND_TITLES
from medpeft_core.datasets import DATASETS, DatasetSpec
from pages.widgets.data_sets import clean_folder, find_roots
from pages.widgets.settings_form import bind, renew_widgets
from pages.widgets.shared_settings import replace_shared
from pages.widgets.train_draft import DEFAULTS, DEMO, FILE, get_draft, settle
from pages.widgets.train_methods import draw_method_choice
from pages.widgets.train_plan import Plan
from pages.widgets.weights_handover import SHELF, choose_entry, is_shelf, list_fitting, settle_shelf
from pages.widgets.wording import write_count

FRACTIONS = (0.01, 0.05, 0.1, 0.25, 0.5, 1.0)
WEIGHTS = {
    DEMO: "Demo weights",
    "random": "Random",
    "pretrained": "Pre-trained",
    SHELF: "From the shelf",
    FILE: "From a file",
}
# timm has no weights for the demo backbone, and the demo weights are for no other
NOT_FOR_DEMO, ONLY_FOR_DEMO = "pretrained", DEMO


def draw_form(plan: Plan) -> None:
    """The six numbered choices, and the card of the method."""
    draft = get_draft()
    _choose_data(draft["data"])
    _choose_fraction(draft["data"])
    name = _choose_backbone(draft["backbone"])
    _choose_weights(draft["backbone"], name)
    draw_method_choice(plan)


def choose_dataset(table: dict[str, Any], name: str) -> None:
    """Take another data set; its folder is the one where it was found last, not that of the set before it."""
    table["dataset"] = name
    roots = find_roots(name)
    table["root"] = roots[0] if roots else None
    replace_shared(table, {})  # sites and folds of the set before mean nothing to this one


def _choose_data(table: dict[str, Any]) -> None:
    name = table.get("dataset", DEFAULTS.data.dataset)
    names = DATASETS.names()
    options = names if name in names else [*names, name]
    st.selectbox(
        "**1** Data set",
        options,
        index=options.index(name),
        format_func=_name_dataset,
        help="`data.dataset`",
        **bind(table, "dataset", key="train_dataset", after=lambda: choose_dataset(table, table["dataset"])),
    )
    if name not in names:
        return
    spec = DATASETS[name]
    if spec.needs_root:
        _choose_root(table, spec)
    mark = ":violet-badge[:material/palette: Synthetic] " if spec.is_synthetic else ""
    st.caption(f"{mark}{spec.description}")


def _choose_root(table: dict[str, Any], spec: DatasetSpec) -> None:
    key, root = f"train_root_{spec.name}", table.get("root")
    known = find_roots(spec.name)
    options = known if root is None or root in known else [root, *known]
    st.selectbox(
        "Folder on this computer",
        options,
        index=None if root is None else options.index(root),
        accept_new_options=True,
        placeholder="Type the folder, for example /data/nih-cxr14",
        help=f"{spec.how_to_get} `data.root`",
        **bind(table, "root", key=key, after=lambda: _take_root(table, key)),
    )


def _take_root(table: dict[str, Any], key: str) -> None:
    """A path is often pasted with quotes around it."""
    root = clean_folder(table.get("root"))
    if root != table.get("root"):
        table["root"] = root
        renew_widgets(key)


def _choose_fraction(table: dict[str, Any]) -> None:
    fraction = float(table.get("fraction", DEFAULTS.data.fraction))
    st.select_slider(
        "**2** Label fraction: share of the training patients to learn from",
        sorted({*FRACTIONS, fraction}),
        value=fraction,
        format_func=lambda value: f"{100 * value:g} %",
        help="Whole patients, and smaller sets lie inside larger ones. Val and test stay whole. `data.fraction`",
        **bind(table, "fraction", key="train_fraction"),
    )


def _choose_backbone(table: dict[str, Any]) -> str:
    name = table.get("name", DEFAULTS.backbone.name)
    names = BACKBONES.names()
    options = names if name in names else [*names, name]
    st.selectbox(
        "**3** Backbone",
        options,
        index=options.index(name),
        format_func=_name_backbone,
        accept_new_options=True,
        help="Choose one, or type the name of any other timm model. `backbone.name`",
        **bind(table, "name", key="train_backbone", after=lambda: _take_backbone(table)),
    )
    if name in BACKBONES:
        spec = BACKBONES[name]
        st.caption(f"{spec.description} {spec.reference}.")
    else:
        st.caption("A timm model that the lab does not describe; it is looked at when its figures are computed.")
    return name


def _take_backbone(table: dict[str, Any]) -> None:
    """Who types the title of a backbone and hits Enter means that one, not a timm model of that name."""
    typed = str(table.get("name", "")).strip()
    known = next((spec.name for spec in BACKBONES if spec.title.casefold() == typed.casefold()), None)
    if known is not None:
        table["name"] = known
        renew_widgets("train_backbone")
    settle("backbone", "name")


def _choose_weights(table: dict[str, Any], backbone: str) -> None:
    weights = table.get("weights", DEFAULTS.backbone.weights)
    kind = SHELF if is_shelf(weights) else weights if weights in WEIGHTS else FILE
    is_demo = backbone == DEMO_BACKBONE
    left_out = {NOT_FOR_DEMO if is_demo else ONLY_FOR_DEMO, *([] if list_fitting(backbone) else [SHELF])}
    st.segmented_control(
        "**4** Weights to start from",
        [item for item in WEIGHTS if item == kind or item not in left_out],
        default=kind,
        format_func=lambda kind: WEIGHTS[kind],
        required=True,
        help="`backbone.weights`",
        **bind(table, "weights", key="train_weights", after=lambda: _take_weights(table, backbone)),
    )
    if kind == SHELF:
        choose_entry(table, backbone, key="train_weights_shelf", after=lambda: _take_weights(table, backbone))
    elif kind == FILE:
        st.text_input(
            "Weights file on this computer",
            value="" if weights == FILE else weights,
            placeholder="/data/weights/vit_base.safetensors",
            help="A .safetensors file, or a torch file that holds tensors only, of this very backbone.",
            **bind(table, "weights", key="train_weights_file", after=lambda: _take_weights(table, backbone)),
        )
    elif kind == "random":
        st.caption("The model starts from nothing: fine for a CNN trained with all weights, weak under an adapter.")
    elif kind == DEMO and is_demo:
        st.caption(
            f"Learned from {BACKBONES[backbone].pretrained}. Nothing is downloaded. Made for demonstrations, "
            "not for real films: they have seen none."
        )
    else:
        _tell_pretrained(backbone)


def _take_weights(table: dict[str, Any], backbone: str) -> None:
    """A file that is still to be named, or is no longer, stays a file; else the weights would be random again."""
    table.setdefault("weights", FILE)
    settle("backbone", "weights")
    settle_shelf(table, backbone)
    renew_widgets("train_backbone_mean")
    renew_widgets("train_backbone_std")


def _tell_pretrained(backbone: str) -> None:
    if backbone not in BACKBONES:
        st.caption("The weights that timm names for this model. They are downloaded once, which needs the network.")
        return
    spec = BACKBONES[backbone]
    st.caption(
        f"Learned from {spec.pretrained}. Licence of the weights: {spec.licence}. They are downloaded once, which "
        "needs the network; nothing about your images is sent."
    )


def _name_dataset(name: str) -> str:
    return DATASETS[name].title if name in DATASETS else name


def _name_backbone(name: str) -> str:
    if name not in BACKBONES:
        return name
    spec = BACKBONES[name]
    return f"{spec.title}, {KIND_TITLES[spec.kind]}, {write_count(spec.num_params)} parameters"
