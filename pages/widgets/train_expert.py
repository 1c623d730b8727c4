"""The expert settings: every field of the config that is not among the numbered choices, folded away."""

import functools
import typing
from dataclasses import replace
from typing import Any

import streamlit as st

from medpeft_core.config import RunConfig
from medpeft_core.datasets import DATASETS, DatasetSpec
from medpeft_core.methods import METHODS, MethodSpec
from medpeft_core.resolve import CACHEABLE_METHOD
from medpeft_core.worker.devices import list_devices
from pages.widgets.settings_form import FIELD_WIDTH, Setting, bind, draw_settings, list_settings, renew_widgets
from pages.widgets.train_draft import DEFAULTS, Draft, find_backbone, get_draft, settle
from pages.widgets.train_plan import Plan

SECTION_TITLES = {
    "data": "Data",
    "backbone": "Backbone",
    "method": "Method",
    "optim": "Optimizer",
    "train": "Training",
    "augment": "Augmentation",
    "evaluation": "Evaluation",
}
# What has its place among the numbered choices, or is found and not chosen.
ELSEWHERE = {
    "data": {"dataset", "root", "fraction"},
    "backbone": {"name", "weights", "weights_sha256"},
    "method": {"name", "rank"},
}


def draw_expert(plan: Plan) -> None:
    """The expander with a tab for each section."""
    draft = get_draft()
    automatic = _find_automatic(draft, plan)
    with st.expander("Expert settings", icon=":material/tune:"):
        st.caption(
            "An empty field is chosen automatically. A help text ends with the setting's name on the command line."
        )
        for tab, section in zip(st.tabs(list(SECTION_TITLES.values())), SECTION_TITLES, strict=True):
            with tab:
                _draw_section(section, draft, automatic.get(section, {}))


def _draw_section(section: str, draft: Draft, automatic: dict[str, Any]) -> None:
    hidden = ELSEWHERE.get(section, set()) | _find_unfit(section, draft)
    part = typing.get_type_hints(RunConfig)[section]
    settings = [_localise(item) for item in list_settings(part, section=section) if item.name not in hidden]
    after = functools.partial(settle, section)
    if section == "data":
        _draw_fraction(draft["data"])
    if settings:
        draw_settings(settings, draft[section], key=f"train_{section}", automatic=automatic, after=after)
    if section == "data":
        name = draft["data"].get("dataset", DEFAULTS.data.dataset)
        if name in DATASETS:
            _draw_table(DATASETS[name].options, draft["data"]["options"], section="data", owner=DATASETS[name])
    if section == "method":
        name = draft["method"].get("name", DEFAULTS.method.name)
        if name in METHODS:
            _draw_table(METHODS[name].knobs, draft["method"]["knobs"], section="method", owner=METHODS[name])


def _find_unfit(section: str, draft: Draft) -> set[str]:
    """Settings that the chosen method knows nothing of; one that was turned on stays in sight, to be turned off."""
    is_fit = draft["method"].get("name", DEFAULTS.method.name) == CACHEABLE_METHOD
    is_on = draft["train"].get("cached_features", DEFAULTS.train.cached_features)
    return {"cached_features"} if section == "train" and not is_fit and not is_on else set()


def _draw_fraction(table: dict[str, Any]) -> None:
    """Any share; the slider among the numbered choices has a few, and both follow each other."""
    fraction = float(table.get("fraction", DEFAULTS.data.fraction))
    st.number_input(
        "Label fraction",
        value=fraction,
        step=0.01,
        format="%g",
        width=FIELD_WIDTH,
        help="Any share of the training patients, above 0 to 1. `data.fraction`",
        **bind(table, "fraction", key=f"train_data_fraction_{fraction:g}", after=_renew_slider),
    )


def _renew_slider() -> None:
    renew_widgets("train_fraction")


def _draw_table(part: type[Any], table: dict[str, Any], *, section: str, owner: DatasetSpec | MethodSpec) -> None:
    """The reader's options, or the method's knobs."""
    settings = [item for item in list_settings(part, section=section) if item.name not in ELSEWHERE[section]]
    if settings:
        st.caption(f"Of {owner.title}")
        draw_settings(settings, table, key=f"train_{section}_{owner.name}")
    elif section == "method":
        st.caption(f"{owner.title} has no further settings.")


def _localise(item: Setting) -> Setting:
    """The setting with the choices that this computer gives it."""
    return replace(item, choices=("auto", *_list_device_names())) if item.path == "train.device" else item


@st.cache_data(ttl=300, show_spinner=False)
def _list_device_names() -> list[str]:
    return [device.name for device in list_devices()]


def _find_automatic(draft: Draft, plan: Plan) -> dict[str, dict[str, Any]]:
    """By section and field, what an empty field becomes, as far as that is known."""
    if plan.forecast is not None and plan.forecast.check.value is not None:
        return plan.forecast.check.value["config"]
    known = find_backbone(draft["backbone"].get("name", DEFAULTS.backbone.name))
    backbone = {"image_size": known.image_size, "pool": known.pools[0]} if known else {}
    return {"backbone": backbone, "optim": {"lr": plan.resolved.optim.lr} if plan.resolved else {}}
