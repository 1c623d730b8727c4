"""The card beside the form: what the settings mean, which images are used and which never, and the command line."""

import contextlib
import math
from dataclasses import dataclass

import streamlit as st

from medpeft_core.command_line import build_pretrain_command
from medpeft_core.datasets import DATASETS
from medpeft_core.datasets.fractions import select_fraction
from medpeft_core.datasets.views import DataView
from medpeft_core.errors import MedPeftError
from medpeft_core.pretrain_config import PretrainConfig
from medpeft_core.runs.run import Run
from pages.widgets.data_state import find_known
from pages.widgets.lab import get_lab
from pages.widgets.monitor_cards import Card, draw_cards
from pages.widgets.train_messages import draw_problem
from pages.widgets.wording import SYNTHETIC, write_duration

MAX_LOOKED_AT = 30  # newest pre-trainings, for the speed of one alike
NOT_PREPARED = "after preparing"


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What is known of the pre-training in the form.

    Attributes:
        num_train, num_val, num_test: images of the splits, the first within the fraction; None before the set is
            prepared.
        num_patients: of the train split, within the fraction; None where the data set names none.
        time_s: how long it takes, by the speed of an earlier one alike; None where there is none.
        measured_by: the id of that one.
    """

    num_train: int | None = None
    num_val: int | None = None
    num_test: int | None = None
    num_patients: int | None = None
    time_s: float | None = None
    measured_by: str | None = None


def find_facts(config: PretrainConfig) -> Facts:
    """What files tell about a resolved config; quick.

    Raises:
        MedPeftError: the folder is not this data set.
    """
    view = find_known(config.data)
    if view is None:
        return Facts()
    counts = view.manifest.table["split"].value_counts()
    num_train, num_patients = _count_train(view, config)
    speed, run_id = _find_speed(config)
    return Facts(
        num_train=num_train,
        num_val=int(counts.get("val", 0)),
        num_test=int(counts.get("test", 0)),
        num_patients=num_patients,
        time_s=num_train * config.train.epochs / speed if speed else None,
        measured_by=run_id,
    )


def draw_facts(config: PretrainConfig | None, facts: Facts | None, problem: str | None) -> None:
    """The card.

    Args:
        config: resolved, or None with `problem`.
        facts: or None with `problem`.
        problem: the mistake in the form, or what is wrong with the data.
    """
    with st.container(border=True, key="pretrain_facts"):
        st.subheader("What this means", anchor=False)
        if problem is not None:
            draw_problem(problem, title="The settings have a mistake")
        if config is None:
            return
        if facts is not None:
            _draw_figures(config, facts)
            _draw_data(config, facts)
        st.caption("The same on the command line")
        with contextlib.suppress(MedPeftError):
            st.code(build_pretrain_command(config), language=None, wrap_lines=True)


def _draw_figures(config: PretrainConfig, facts: Facts) -> None:
    train, num_train = config.train, facts.num_train
    steps = None
    if num_train is not None:
        steps = train.epochs * math.ceil(math.ceil(num_train / train.batch_size) / train.accumulation)
    took = "no earlier one alike tells"
    if facts.time_s is not None and facts.measured_by is not None:
        took = f"as fast as …{facts.measured_by[-4:]}"
    draw_cards(
        [
            Card(
                label="Training images",
                value=NOT_PREPARED if num_train is None else f"{num_train:,}",
                note=f"{facts.num_patients:,} patients" if facts.num_patients else None,
            ),
            Card(
                label="Images seen",
                value=NOT_PREPARED if num_train is None else f"{num_train * train.epochs:,}",
                note=f"in {train.epochs} epochs",
            ),
            Card(
                label="Updates",
                value=NOT_PREPARED if steps is None else f"{steps:,}",
                note=f"peak rate {config.peak_lr:.2g}",
                help="Changes of the weights. The learning rate is given for 256 images an update and grows with the "
                "batch; this is its peak.",
            ),
            Card(
                label="Time",
                value="n/a" if facts.time_s is None else write_duration(facts.time_s),
                note=took,
                help="From the speed of the newest pre-training of this backbone, size, mask ratio and device.",
            ),
        ]
    )


def _draw_data(config: PretrainConfig, facts: Facts) -> None:
    spec = DATASETS[config.data.dataset]
    if facts.num_train is None:
        verb = "drawn" if spec.is_synthetic else "decoded"
        st.info(
            f"The images of this set are not {verb} yet; starting does that first, about a minute for a few thousand.",
            icon=":material/inventory_2:",
        )
    held_out = "Val and test images"
    if facts.num_val is not None and facts.num_test is not None:
        held_out = f"The {facts.num_val:,} val and {facts.num_test:,} test images"
    st.markdown(
        f":material/verified_user: **Train split only.** {held_out} are never looked at, so that what is measured on "
        "them later stays honest. No label is used."
    )
    if spec.is_synthetic:
        st.caption(f":material/palette: {SYNTHETIC} What is learned from them need not hold for real films.")


def _count_train(view: DataView, config: PretrainConfig) -> tuple[int, int | None]:
    manifest = view.manifest.split("train")
    if config.data.fraction < 1 and len(manifest):
        manifest = manifest.select(select_fraction(manifest, config.data.fraction, seed=config.data.fraction_seed))
    patients = manifest.table["patient_id"].nunique()
    return len(manifest), int(patients) or None


def _find_speed(config: PretrainConfig) -> tuple[float | None, str | None]:
    """Images per second of the newest pre-training that did the same work, and its id."""
    for run in get_lab().store.list_pretrainings()[:MAX_LOOKED_AT]:
        with contextlib.suppress(MedPeftError):  # a damaged one tells nothing
            if _is_alike(run.pretrain_config(), config) and (speed := _read_speed(run)):
                return speed, run.run_id
    return None, None


def _is_alike(done: PretrainConfig, wanted: PretrainConfig) -> bool:
    own = wanted.encoder.image_size in (None, done.encoder.image_size)
    same_device = wanted.train.device in ("auto", done.train.device)
    return (
        own
        and same_device
        and done.encoder.name == wanted.encoder.name
        and done.mae.mask_ratio == wanted.mae.mask_ratio
        and done.train.batch_size == wanted.train.batch_size
    )


def _read_speed(run: Run) -> float | None:
    speed = (run.metrics() or {}).get("training", {}).get("train_images_per_s")
    if speed is None:
        epochs = [event for event in run.history(types=("epoch",)) if event["type"] == "epoch"]
        speed = epochs[-1].get("train_images_per_s") if epochs else None
    return float(speed) if speed else None
