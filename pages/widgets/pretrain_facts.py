"""The card beside the form: what the settings mean, which images are used and which never, and the command line."""

import contextlib
import math

import streamlit as st

from medpeft_core.command_line import build_pretrain_command
from medpeft_core.datasets import DATASETS
from medpeft_core.errors import MedPeftError
from medpeft_core.pretrain_config import PretrainConfig
from pages.widgets.lab import get_lab
from pages.widgets.monitor_cards import Card, draw_cards
from pages.widgets.pretrain_plan import ALL_ANSWERED, Counts, ModelAnswers, PretrainPlan, ask_model
from pages.widgets.train_messages import draw_problem
from pages.widgets.wording import SYNTHETIC, write_count, write_duration

POLL_EVERY_S = 0.3
LATER = "later"
NOT_PREPARED = "once the images are there"


def draw_facts(plan: PretrainPlan) -> None:
    """The card; what the compute process finds out appears as it comes."""
    with st.container(border=True, key="pretrain_facts"):
        st.subheader("What this means", anchor=False)
        if plan.problem is not None:
            title = "This cannot start" if plan.config is not None else "The settings have a mistake"
            draw_problem(plan.problem, title=title)
        if plan.config is None or plan.answers is None:
            return
        is_pending = plan.answers.stage < ALL_ANSWERED
        st.fragment(_follow, run_every=POLL_EVERY_S if is_pending else None)(plan.config, plan.answers.stage)
        if plan.problem is None:
            _draw_figures(plan.config, plan)
            _draw_data(plan.config, plan.counts)
        st.caption("The same on the command line")
        with contextlib.suppress(MedPeftError):
            st.code(build_pretrain_command(plan.config), language=None, wrap_lines=True)


def _follow(config: PretrainConfig, stage: int) -> None:
    """Draws the page anew when more is known; says why nothing is known at first."""
    if ask_model(config).stage != stage:
        st.rerun()
    if stage == 0 and not get_lab().compute.is_warm:
        st.caption(":material/hourglass_top: Warming up (about 8 s, once).")


def _draw_figures(config: PretrainConfig, plan: PretrainPlan) -> None:
    train, counts, answers = config.train, plan.counts, plan.answers
    sizes = answers.check.value if answers is not None else None
    steps = None
    if counts is not None:
        steps = train.epochs * math.ceil(math.ceil(counts.num_train / train.batch_size) / train.accumulation)
    draw_cards(
        [
            Card(
                label="Training images",
                value=LATER if counts is None else f"{counts.num_train:,}",
                note=_describe_patients(counts),
            ),
            Card(
                label="Images seen",
                value=LATER if counts is None else f"{counts.num_train * train.epochs:,}",
                note=f"in {train.epochs} {'epoch' if train.epochs == 1 else 'epochs'}",
            ),
            Card(
                label="Updates",
                value=LATER if steps is None else f"{steps:,}",
                note=f"peak rate {config.peak_lr:.2g}",
                help="Changes of the weights. The learning rate is given for 256 images an update and grows with the "
                "batch; this is its peak.",
            ),
            _describe_time(plan, answers),
            Card(
                label="Encoder",
                value="n/a" if sizes is None else write_count(sizes["num_params"]),
                note="is kept",
                help="Parameters of the part that can be fine-tuned afterwards.",
            ),
            Card(
                label="Decoder",
                value="n/a" if sizes is None else write_count(sizes["num_decoder_params"]),
                note="is thrown away",
                help="Parameters of the part that rebuilds the hidden patches; it serves the pre-training only.",
            ),
        ],
        columns=2,
    )


def _describe_patients(counts: Counts | None) -> str | None:
    if counts is None:
        return NOT_PREPARED
    return f"{counts.num_patients:,} patients" if counts.num_patients else None


def _describe_time(plan: PretrainPlan, answers: ModelAnswers | None) -> Card:
    pace = answers.pace if answers is not None else None
    value, note, source = "n/a", None, ""
    if pace is not None and pace.value is not None:
        source = str(pace.value["source"])
        value = LATER if plan.time_s is None else write_duration(plan.time_s)
        note = f"{pace.value['images_per_s']:.0f} images/s"
    elif pace is not None and pace.problem:
        note, source = "not known", pace.problem
    elif answers is not None and answers.stage < ALL_ANSWERED:
        note = "being measured"
    return Card(label="Time", value=value, note=note, help=source or "From the speed of this model on this computer.")


def _draw_data(config: PretrainConfig, counts: Counts | None) -> None:
    spec = DATASETS[config.data.dataset]
    if counts is None:
        verb = "drawn" if spec.is_synthetic else "decoded"
        st.info(
            f"The images of this set are not {verb} yet; starting does that first, about a minute for a few thousand.",
            icon=":material/inventory_2:",
        )
    held_out = "Val and test images"
    if counts is not None:
        held_out = f"The {counts.num_val:,} val and {counts.num_test:,} test images"
    st.markdown(
        f":material/verified_user: **Train split only.** {held_out} are never looked at, so that what is measured on "
        "them later stays honest. No label is used."
    )
    if spec.is_synthetic:
        st.caption(f":material/palette: {SYNTHETIC} What is learned from them need not hold for real films.")
