"""What the form amounts to now: its config or the mistake in it, the runs to start, and what is known of them."""

from dataclasses import dataclass

from medpeft_core.config import RunConfig
from medpeft_core.errors import MedPeftError
from medpeft_core.resolve import resolve_config
from pages.widgets.train_answers import Forecast, ask_forecast
from pages.widgets.train_draft import build_config, get_draft
from pages.widgets.train_grid import Grid, plan_runs


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The form, evaluated.

    Attributes:
        config: as chosen; None with `problem`.
        resolved: complete as far as that needs no model.
        problem: the mistake in the form.
        grid: the runs to start, or None with `grid_problem` or `problem`.
        grid_problem: why there are none.
        forecast: of the form's own run, None with `problem`.
    """

    config: RunConfig | None = None
    resolved: RunConfig | None = None
    problem: str | None = None
    grid: Grid | None = None
    grid_problem: str | None = None
    forecast: Forecast | None = None

    @property
    def time_s(self) -> float | None:
        """How long the form's own run takes, or None while that is not known."""
        return self.forecast.speed.value["total_s"] if self.forecast and self.forecast.speed.value else None


def make_plan() -> Plan:
    """Read the form; asks the compute process without waiting for it."""
    try:
        config = build_config(get_draft())
        resolved = resolve_config(config)
    except MedPeftError as error:
        return Plan(problem=str(error))
    grid = grid_problem = None
    try:
        grid = plan_runs()
    except MedPeftError as error:
        grid_problem = str(error)
    return Plan(
        config=config,
        resolved=resolved,
        grid=grid,
        grid_problem=grid_problem,
        forecast=ask_forecast(config.to_dict()),
    )
