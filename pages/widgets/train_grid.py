"""More runs like the one in the form: the same settings with other methods, ranks and seeds."""

from dataclasses import dataclass, replace
from typing import Any

import streamlit as st

from medpeft_core.config import RunConfig
from medpeft_core.errors import ConfigError, MedPeftError, require
from medpeft_core.methods import METHODS
from medpeft_core.resolve import resolve_config
from pages.widgets.method_fit import Architecture, find_architecture
from pages.widgets.train_draft import Draft, build_config, get_draft

GRID_KEY = "train_grid"
MAX_RUNS = 50


@dataclass(frozen=True, kw_only=True)
class Grid:
    """Runs that differ in method, rank and seed.

    Attributes:
        configs: of the runs, at least one; all can be resolved.
        left_out: one sentence for each combination that cannot.
    """

    configs: tuple[RunConfig, ...]
    left_out: tuple[str, ...]


def get_choices() -> dict[str, Any]:
    """What was chosen: `methods`, `ranks`, `num_seeds`; absent ones are as in the form."""
    return st.session_state.setdefault(GRID_KEY, {})


def plan_runs() -> Grid:
    """The runs that the page would start now: the form's own, or those of the choices above.

    Raises:
        MedPeftError: as `expand_grid`.
    """
    choices = get_choices()
    return expand_grid(
        get_draft(),
        methods=choices.get("methods") or [],
        ranks=choices.get("ranks") or [],
        num_seeds=choices.get("num_seeds", 1),
        architecture=find_architecture(get_draft()["backbone"]),
    )


def expand_grid(
    draft: Draft,
    *,
    methods: list[str],
    ranks: list[int],
    num_seeds: int,
    architecture: Architecture | None = None,
) -> Grid:
    """Every combination of methods, ranks and seeds on the settings of a draft; a method without a rank counts once.

    Args:
        draft: its knobs hold for every method that knows them, and its learning rate, when set, for all.
        methods: empty for the draft's own.
        ranks: empty for the draft's own.
        num_seeds: that many seeds, counted up from the draft's own.
        architecture: of the draft's backbone where that is known; a method that does not fit it is left out.

    Raises:
        ConfigError: no combination is possible, or there are more than 50.
        MedPeftError: the draft itself is not a config.
    """
    configs: list[RunConfig] = []
    left_out: list[str] = []
    for method in methods or [build_config(draft).method.name]:
        has_rank = "rank" in METHODS[method].knobs.__dataclass_fields__
        for rank in ranks if has_rank and ranks else [None]:
            try:
                if architecture is not None:
                    METHODS[method].check_fit(architecture.title, architecture.kind, architecture.traits)
                configs += _repeat(_change_method(draft, method, rank), num_seeds)
            except MedPeftError as error:
                left_out.append(str(error))
    if not configs:
        raise ConfigError(" ".join(dict.fromkeys(left_out)))
    require(len(configs) <= MAX_RUNS, "The number of runs", len(configs), f"at most {MAX_RUNS}")
    return Grid(configs=tuple(configs), left_out=tuple(dict.fromkeys(left_out)))


def _change_method(draft: Draft, method: str, rank: int | None) -> RunConfig:
    knobs = draft["method"]["knobs"] if rank is None else {**draft["method"]["knobs"], "rank": rank}
    return build_config({**draft, "method": {**draft["method"], "name": method, "knobs": knobs}})


def _repeat(config: RunConfig, num_seeds: int) -> list[RunConfig]:
    """The config with its seed and those after it, checked as far as that needs no model."""
    resolve_config(config)
    seeds = range(config.train.seed, config.train.seed + num_seeds)
    return [replace(config, train=replace(config.train, seed=seed)) for seed in seeds]
