"""The page of the first lesson from its question to what to try next."""

from dataclasses import replace
from typing import Any, Literal

import streamlit as st

from medpeft_core.config import MethodConfig, RunConfig
from medpeft_core.errors import MedPeftError
from medpeft_core.lessons.protocol import FULL, LORA, Cell, Protocol
from medpeft_core.lessons.stored import StoredFinding
from pages.widgets.lesson_labels_answer import draw_answer
from pages.widgets.lesson_labels_prediction import KEY, draw_predictions, is_open
from pages.widgets.lesson_labels_run import draw_own_runs
from pages.widgets.lesson_labels_state import (
    build_own_result,
    find_job,
    get_protocol,
    get_stored,
    look_at,
    read_stored_times,
    scale_times,
)
from pages.widgets.lesson_labels_stored import draw_stored
from pages.widgets.lesson_parts import (
    NextStep,
    draw_folded,
    draw_lesson_end,
    draw_next_steps,
    draw_question,
    draw_step,
)
from pages.widgets.wording import escape_markdown

LONGER = 4
STORED, OWN = "stored", "own"
SOURCES = {STORED: "Stored result", OWN: "Run it here"}
SHORT, WHOLE = "short", "whole"
FIRST_KEY = f"{KEY}_first_source"
QUESTION = "Is it better to train a few per cent of the weights, or all of them, when labels are few?"
BACKGROUND = (
    "Full fine-tuning adapts every weight of a pre-trained model. LoRA freezes them, adds small matrices beside some "
    "layers and trains these alone. Papers on medical images report that **fewer tuned parameters can be better when "
    "labels are few**: a model with little freedom has less room to learn the accidents of thirty films by heart. "
    "Others find no difference, once the learning rate of each method was searched with equal care.\n\n"
    "It matters to a hospital that has thirty labelled films of a finding and no hope of three thousand: LoRA leaves a "
    "file of kilobytes for each task in place of a copy of the whole model, and needs less memory. But is it also "
    "better, or does it cost accuracy? Here the same small vision transformer is fine-tuned on synthetic chest "
    "radiographs, whose truth is known, with 1 %, 10 % and all of the labels."
)

Source = Literal["stored", "own"]


def draw_page() -> None:
    """All five steps."""
    draw_question(
        QUESTION,
        BACKGROUND,
        facts={
            "Data": "synthetic radiographs, drawn by this lab, split by patient; test images are looked at once",
            "Fairness": "the same patients, epochs and number of tried learning rates for every method; full "
            "fine-tuning from random weights shows what pre-training is worth, linear probing what adapting more is",
            "Training": "a few hundred updates whatever the number of labels: few images are seen more often. So what "
            "changes is how many different images there are, not how long it trains; longer training may end otherwise",
            "Command": "`python -m medpeft_core finding`, or with `--short` for the short version",
        },
    )
    try:
        protocol, stored = get_protocol(), get_stored()
        _draw_steps(protocol, stored)
        steps = list_next_steps(protocol)
    except MedPeftError as error:
        st.error(escape_markdown(str(error)), title="The lesson cannot be shown", icon=":material/error:")
        steps = []
    if steps:
        draw_next_steps(steps, key=KEY)
    draw_lesson_end(is_synthetic=True)


def _draw_steps(protocol: Protocol, stored: StoredFinding | None) -> None:
    fractions = _list_fractions(protocol, stored)
    chosen = draw_predictions(fractions)
    may_look = is_open(chosen, fractions)
    draw_step(3, "The experiment")
    source = _choose_source(protocol, stored)
    if source == STORED and stored is not None:
        draw_stored(stored)
        result: dict[str, Any] | None = stored.result
    else:
        result = _draw_own(protocol, stored, may_look=may_look)
    draw_step(4, "The answer")
    if result is None or not result["points"]:
        st.info(
            "The answer grows here as soon as the first run is finished. Start the short version above"
            + (", or look at the stored result." if stored is not None else "."),
            icon=":material/hourglass_empty:",
        )
    elif not may_look:
        draw_folded()
    else:
        draw_answer(result, chosen)


def _choose_source(protocol: Protocol, stored: StoredFinding | None) -> Source:
    """Stored or own; own runs that there are come first, and the choice is in the address."""
    if stored is None:
        st.caption("No stored result ships with this copy of the lab; run it here.")
        return OWN
    if FIRST_KEY not in st.session_state:
        has_own = any(item.run_id is not None for item in look_at(protocol, is_short=False).cells)
        st.session_state[FIRST_KEY] = OWN if has_own or find_job() is not None else STORED
    return st.segmented_control(
        "Which result",
        list(SOURCES),
        format_func=SOURCES.__getitem__,
        default=st.session_state[FIRST_KEY],
        required=True,
        key="show",
        bind="query-params",
    )


def _draw_own(protocol: Protocol, stored: StoredFinding | None, *, may_look: bool) -> dict[str, Any] | None:
    standings = {name: look_at(protocol, is_short=name == SHORT) for name in (SHORT, WHOLE)}
    version = st.segmented_control(
        "Version",
        [SHORT, WHOLE],
        format_func=lambda name: f"{'Short version' if name == SHORT else 'All of it'}: {standings[name].num_all} runs",
        default=SHORT,
        required=True,
        key=f"{KEY}_version",
        persist_state="session",
        help="The short version is a part of the whole one: what it has made counts there too.",
    )
    standing, is_short = standings[version], version == SHORT
    forecast_s = scale_times(read_stored_times(protocol, stored), standing)
    st.caption(
        f"{describe_version(protocol, is_short=is_short)} The runs train in the background; this page can be closed."
    )
    draw_own_runs(protocol, standing, is_short=is_short, forecast_s=forecast_s, is_open=may_look)
    return build_own_result(protocol, standing, is_short=is_short)


def describe_version(protocol: Protocol, *, is_short: bool) -> str:
    """What a version trains, in a sentence."""
    cells = protocol.list_cells(is_short=is_short)
    methods = [protocol.methods[name].title for name in dict.fromkeys(cell.method for cell in cells)]
    shares = [f"{100 * fraction:g} %" for fraction in dict.fromkeys(cell.fraction for cell in cells)]
    seeds = sorted({sum((cell.method, cell.fraction) == kind for cell in cells) for kind in {c[:2] for c in cells}})
    count = f"{seeds[0]}" if len(seeds) == 1 else f"{seeds[0]} to {seeds[-1]}"
    return f"{_join(methods)} on {_join(shares)} of the labels, {count} seeds each."


def _list_fractions(protocol: Protocol, stored: StoredFinding | None) -> list[dict[str, Any]]:
    """Those of the protocol, with their images where the stored result knows them."""
    counts = {part["fraction"]: part["num_images"] for part in stored.result["fractions"]} if stored else {}
    return [{"fraction": part.fraction, "num_images": counts.get(part.fraction)} for part in protocol.fractions]


def list_next_steps(protocol: Protocol) -> list[NextStep]:
    """Where to go from here, with settings where that is a run.

    Raises:
        ConfigError: the protocol does not say all of a run.
    """
    return [
        NextStep(
            label="Train all weights for longer",
            text=f"**More time for full fine-tuning.** The same run on 10 % of the labels for {LONGER} times as many "
            "epochs. Does it catch up with LoRA, and would LoRA gain as much?",
            icon=":material/timer:",
            page="pages/train.py",
            config=build_longer_config(protocol),
        ),
        NextStep(
            label="Train LoRA with rank 32",
            text="**More freedom for LoRA.** The same run on 10 % of the labels with four times the rank. Does it come "
            "nearer to full fine-tuning, or further from it?",
            icon=":material/model_training:",
            page="pages/train.py",
            config=build_wider_config(protocol),
        ),
        NextStep(
            label="What did it learn?",
            text="**A high AUROC is not yet a good model.** The second lesson shows one that learned a marker in place "
            "of a disease.",
            icon=":material/psychology_alt:",
            page="pages/lesson_shortcut.py",
        ),
        NextStep(
            label="Pre-train without labels",
            text="**Better base weights.** All methods but one start from weights that were learned without labels. "
            "Make your own, and fine-tune them.",
            icon=":material/grid_view:",
            page="pages/pretrain.py",
        ),
    ]


def build_longer_config(protocol: Protocol) -> RunConfig:
    """Full fine-tuning at the middle fraction, for longer than any run of the lesson.

    Raises:
        ConfigError: the protocol does not say all of a run.
    """
    part = protocol.fractions[len(protocol.fractions) // 2]
    config = protocol.build_config(Cell(FULL, part.fraction, part.seeds[0]))
    return replace(config, train=replace(config.train, epochs=LONGER * config.train.epochs))


def build_wider_config(protocol: Protocol) -> RunConfig:
    """A LoRA run of the middle fraction with a rank that no run of the lesson has.

    Raises:
        ConfigError: the protocol does not say all of a run.
    """
    part = protocol.fractions[len(protocol.fractions) // 2]
    config = protocol.build_config(Cell(LORA, part.fraction, part.seeds[0]))
    knobs = {**config.method.knobs, "rank": 4 * config.method.knobs["rank"]}
    return replace(config, method=MethodConfig(name=config.method.name, knobs=knobs))


def _join(texts: list[str]) -> str:
    return texts[0] if len(texts) == 1 else f"{', '.join(texts[:-1])} and {texts[-1]}"
