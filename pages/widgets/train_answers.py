"""What the compute process says about the form: asked for once for each config, never waited for."""

import json
import secrets
from concurrent.futures import CancelledError
from dataclasses import dataclass
from typing import Any

import streamlit as st

from medpeft_core.backbones import BACKBONES
from medpeft_core.errors import MedPeftError
from pages.widgets.lab import get_lab

ANSWERS_KEY = "train_answers"
ALL_ANSWERED = 2
TRAITS_ANSWERED = 10  # added to the stage when it is known what the backbone is made of
VISITOR_KEY = "train_visitor"


@dataclass(frozen=True, kw_only=True)
class Answer:
    """An answer as it is now.

    Attributes:
        value: the answer, or None.
        problem: what the compute process found wrong, or None.
    """

    value: dict[str, Any] | None = None
    problem: str | None = None

    @property
    def is_pending(self) -> bool:
        """It is still to come."""
        return self.value is None and self.problem is None


def ask(kind: str, config: dict[str, Any]) -> Answer:
    """The answer to a request about a config; the first call sends it, and a newer config replaces it."""
    asked = st.session_state.setdefault(ANSWERS_KEY, {})
    request = json.dumps(config, sort_keys=True)
    if asked.get(kind, ("",))[0] != request:
        slot = f"train-{kind}-{st.session_state.setdefault(VISITOR_KEY, secrets.token_hex(8))}"
        asked[kind] = (request, get_lab().compute.submit(kind, slot=slot, config=config))
    future = asked[kind][1]
    if not future.done():
        return Answer()
    try:
        return Answer(value=future.result())
    except CancelledError:
        del asked[kind]  # by the end of a lab; asked again at the next look
        return Answer()
    except MedPeftError as error:
        return Answer(problem=str(error))


def forget_answers() -> None:
    """Ask anew: the data may have been prepared, or the machine may have memory again."""
    st.session_state.pop(ANSWERS_KEY, None)


@dataclass(frozen=True, kw_only=True)
class Forecast:
    """What is known about the run of the form.

    Attributes:
        check: sizes, memory and data.
        speed: time; asked for when `check` is there.
        traits: what the backbone is made of; None where the lab describes it.
    """

    check: Answer
    speed: Answer
    traits: Answer | None = None

    @property
    def is_pending(self) -> bool:
        """Something is still to come."""
        return self.stage < ALL_ANSWERED + TRAITS_ANSWERED

    @property
    def stage(self) -> int:
        """0 nothing is known, 1 sizes and data, 2 all that will be; with the traits of the backbone 10 more."""
        traits = 0 if self.traits is not None and self.traits.is_pending else TRAITS_ANSWERED
        if self.check.is_pending:
            return traits
        return traits + (1 if self.check.value is not None and self.speed.is_pending else ALL_ANSWERED)


def ask_forecast(config: dict[str, Any]) -> Forecast:
    """What is known about a run now; sizes and memory come first, the time is asked for after them."""
    check = ask("check", config)
    traits = None if config["backbone"]["name"] in BACKBONES else ask_traits(config["backbone"])
    return Forecast(check=check, speed=ask("speed", config) if check.value is not None else Answer(), traits=traits)


def ask_traits(section: dict[str, Any]) -> Answer:
    """What a backbone is made of that the lab does not describe: {"kind", "traits"}.

    Args:
        section: backbone section of a config or of a draft; name and pooling decide it.
    """
    return ask("traits", {"backbone": {"name": section["name"], "pool": section.get("pool")}})
