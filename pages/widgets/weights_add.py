"""Adding weights to the shelf: which they are, where their file is, how it is read; checked before they are stored."""

import streamlit as st

from medpeft_core.backbones import BACKBONES
from medpeft_core.backbones.known_weights import KNOWN_WEIGHTS
from medpeft_core.backbones.layouts import LAYOUTS
from medpeft_core.backbones.normalisations import NORMALISATIONS
from medpeft_core.backbones.spec import KIND_TITLES
from pages.widgets.settings_form import bind, renew_widgets
from pages.widgets.weights_check import draw_check
from pages.widgets.weights_draft import (
    BY_HUB,
    BY_PATH,
    FIRST_BACKBONE,
    KNOWN_PARAMETER,
    OWN,
    PLACES,
    Draft,
    follow_known,
    follow_path,
    get_draft,
)
from pages.widgets.weights_hub import draw_hub
from pages.widgets.weights_known import OTHER, draw_known, name_known
from pages.widgets.weights_uploads import describe_limit, draw_uploader
from pages.widgets.weights_words import MODEL_SUFFIXES, write_normalisation

FIELD_WIDTH = 230  # pixels below which a grid of fields has one column less


def draw_add() -> None:
    """The numbered choices, the check, and the button."""
    draft = get_draft()
    _follow_address(draft)
    _choose_known(draft)
    place = _choose_place(draft)
    if place == BY_HUB:
        draw_hub(draft, draw_choices=lambda: _choose_reading(draft))
        return
    if place == BY_PATH:
        _choose_path(draft)
        upload = None
    else:
        upload = draw_uploader("The file of the weights", types=list(MODEL_SUFFIXES), key="weights_upload")
        st.caption(describe_limit())
    _choose_reading(draft)
    draw_check(draft, upload=upload)


def _follow_address(draft: Draft) -> None:
    """A link names weights that are known: `?known=NAME`."""
    wanted = st.query_params.get(KNOWN_PARAMETER)
    if wanted is None:
        return
    del st.query_params[KNOWN_PARAMETER]
    if wanted in KNOWN_WEIGHTS:
        draft["known"] = wanted
        follow_known(draft)


def _choose_known(draft: Draft) -> None:
    options = [OTHER, *KNOWN_WEIGHTS.names()]
    st.selectbox(
        "**1** Which weights",
        options,
        index=options.index(draft["known"]) if draft["known"] in options else 0,
        format_func=name_known,
        help="For those in the list the lab knows the layout of their file; the fields below are filled in.",
        **bind(draft, "known", key="weights_known", after=lambda: follow_known(draft)),
    )
    if draft["known"] in KNOWN_WEIGHTS:
        draw_known(KNOWN_WEIGHTS[draft["known"]])


def _choose_place(draft: Draft) -> str:
    place = str(draft.get("place", BY_PATH))
    st.segmented_control(
        "**2** Where the file is",
        list(PLACES),
        default=place,
        format_func=lambda item: PLACES[item],
        required=True,
        **bind(draft, "place", key="weights_place"),
    )
    return place


def _choose_path(draft: Draft) -> None:
    st.text_input(
        "Weights file on the lab's computer",
        value=draft.get("path", ""),
        placeholder="/data/weights/mae_vit_base.pth",
        help="A .safetensors file, or a torch file: it is looked through first, and no code in it is ever executed.",
        **bind(draft, "path", key="weights_path", after=lambda: follow_path(draft)),
    )


def _choose_reading(draft: Draft) -> None:
    """For which backbone, in which layout, with which normalisation, under which name."""
    st.markdown("**3** How it is read")
    with st.grid(2, min_column_width=FIELD_WIDTH, vertical_alignment="bottom"):
        _choose_backbone(draft)
        _choose_layout(draft)
        _choose_normalisation(draft)
        st.text_input(
            "Name on the shelf",
            value=draft.get("name", ""),
            placeholder="rad-dino",
            max_chars=64,
            help="By this name Train, Pre-train and `--weights shelf:NAME` find them.",
            **bind(draft, "name", key="weights_name", after=lambda: _clean_name(draft)),
        )
        st.text_input(
            "Licence",
            value=draft.get("licence", ""),
            placeholder="as their source states it",
            max_chars=200,
            **bind(draft, "licence", key="weights_licence"),
        )
        st.text_input(
            "Paper or address",
            value=draft.get("reference", ""),
            placeholder="may stay empty",
            max_chars=300,
            **bind(draft, "reference", key="weights_reference"),
        )


def _choose_backbone(draft: Draft) -> None:
    name = str(draft.get("backbone", FIRST_BACKBONE))
    names = BACKBONES.names()
    options = names if name in names else [name, *names]
    st.selectbox(
        "Backbone",
        options,
        index=options.index(name),
        format_func=_name_option,
        accept_new_options=True,
        help="The model whose weights they are; choose one, or type the name of any other timm model.",
        **bind(draft, "backbone", key="weights_backbone", after=lambda: _take_backbone(draft)),
    )


def _take_backbone(draft: Draft) -> None:
    """Who types the title of a backbone and hits Enter means that one, not a timm model of that name."""
    typed = str(draft.setdefault("backbone", FIRST_BACKBONE)).strip()
    known = next((spec.name for spec in BACKBONES if spec.title.casefold() == typed.casefold()), None)
    if known is not None:
        draft["backbone"] = known
        renew_widgets("weights_backbone")


def _choose_layout(draft: Draft) -> None:
    titles = {"auto": "Found out from the names", **{item.name: item.title for item in LAYOUTS}}
    layout = str(draft.get("layout", "auto"))
    options = list(titles) if layout in titles else [*titles, layout]
    st.selectbox(
        "Layout of the file",
        options,
        index=options.index(layout),
        format_func=lambda item: titles.get(item, item),
        help="Which names its tensors have. The check below says which one was found.",
        **bind(draft, "layout", key="weights_layout", after=lambda: draft.setdefault("layout", "auto")),
    )


def _choose_normalisation(draft: Draft) -> None:
    chosen = str(draft.get("normalisation", OWN))
    options = [*([] if draft["known"] in KNOWN_WEIGHTS else [OWN]), *NORMALISATIONS.names()]
    st.selectbox(
        "Normalisation",
        options,
        index=options.index(chosen) if chosen in options else 0,
        format_func=_name_normalisation,
        help="The constants that the model was pre-trained with. Nothing is guessed from the name of the file: look "
        "into its paper or code. A wrong choice costs accuracy without a word.",
        **bind(draft, "normalisation", key="weights_normalisation"),
    )


def _clean_name(draft: Draft) -> None:
    name = str(draft.get("name", "")).strip()
    if name != draft.get("name", ""):
        draft["name"] = name
        renew_widgets("weights_name")


def _name_option(name: str) -> str:
    return f"{BACKBONES[name].title}, {KIND_TITLES[BACKBONES[name].kind]}" if name in BACKBONES else name


def _name_normalisation(name: str) -> str:
    if name not in NORMALISATIONS:
        return "The backbone's own"
    item = NORMALISATIONS[name]
    return f"{item.title}: {write_normalisation(item.mean, item.std)}"
