"""The card of the chosen method: idea, cost, paper, and a drawing of where it sits in the block."""

from typing import Any

import streamlit as st

from medpeft_core.figures.method_drawing import draw_method
from medpeft_core.methods import MethodSpec
from pages.widgets.method_fit import Architecture
from pages.widgets.method_picture import draw_method_picture
from pages.widgets.wording import escape_markdown, write_bytes, write_count, write_share

ADDS_NOTHING = ("baseline", "selective")  # families that train what is there
MERGED = "None once it is merged into the weights; the lab itself runs it beside them"
PENDING = "…"
SMALLEST_SHARE = 0.0001  # of the multiply-adds, below which no figure is given


def draw_method_card(
    spec: MethodSpec,
    architecture: Architecture | None,
    knobs: dict[str, Any],
    check: dict[str, Any] | None,
    *,
    is_fit: bool,
) -> None:
    """Everything that is known of a method on a backbone.

    Args:
        architecture: of the backbone; None until that is known: no drawing then.
        knobs: as chosen; absent ones have their defaults.
        check: what the compute process says of the form's run, or None until it does.
        is_fit: whether the method can be used there; no figures and no drawing where it cannot.
    """
    with st.container(border=True, key="train_method_card"):
        st.markdown(f"**{spec.title}** :violet-badge[{spec.family}]  \n{spec.idea}")
        if not is_fit:
            st.markdown(f":small[**Paper:** {escape_markdown(spec.reference)}]")
            return
        if architecture is None:
            _draw_facts(spec, check)
            return
        drawing = draw_method(
            family=spec.family,
            places=spec.places,
            kind=architecture.kind,
            traits=architecture.traits,
            targets=_find_targets(spec, knobs),
        )
        facts, picture = st.columns([4, 6], gap="small", vertical_alignment="center")
        with facts:
            _draw_facts(spec, check)
        with picture:
            draw_method_picture(drawing, key="train_method_picture")
        st.caption(drawing.alt)


def write_inference_cost(spec: MethodSpec, check: dict[str, Any] | None) -> str:
    """What a method adds to the computing of a prediction, in words."""
    if spec.is_mergeable:
        return "None: nothing is added" if spec.family in ADDS_NOTHING else MERGED
    share = None if check is None else check["extra_compute"]
    if share is None:
        return PENDING
    if share < SMALLEST_SHARE:
        return "Less than 0.01 % more multiply-adds"
    return f"{write_share(share, 1)} more multiply-adds"


def _draw_facts(spec: MethodSpec, check: dict[str, Any] | None) -> None:
    trained = size = PENDING
    if check is not None:
        count, total = check["num_trainable_params"], check["num_params"]
        trained = f"{write_share(count, total)}, {write_count(count)} of {write_count(total)}"
        size = write_bytes(check["adapter_bytes"])
    facts = {
        "Trained share": trained,
        "Size on disk": size,
        "Added inference cost": write_inference_cost(spec, check),
        "Default learning rate": f"{spec.default_lr:g}",
        "Paper": escape_markdown(spec.reference),
    }
    st.markdown("\n\n".join(f":small[**{label}:** {value}]" for label, value in facts.items()))


def _find_targets(spec: MethodSpec, knobs: dict[str, Any]) -> str | None:
    """The value of the knob that chooses layers; None for a method without one."""
    fields = spec.knobs.__dataclass_fields__
    return str(knobs.get("targets", fields["targets"].default)) if "targets" in fields else None
