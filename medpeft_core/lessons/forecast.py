"""How long each kind of cell takes on this machine, measured on its own model before anything starts."""

from collections.abc import Sequence

from medpeft_core.config import RunConfig
from medpeft_core.datasets.prepare import PreparedData
from medpeft_core.lessons.protocol import Cell

LANE_SLOWDOWN = 1.5  # measured: two one-thread runs on the two threads of one core


def forecast_cells(cells: Sequence[tuple[Cell, RunConfig]], prepared: PreparedData) -> dict[tuple[str, float], float]:
    """(method, fraction) to the seconds of one such run while all lanes of the CPU are at work.

    Each method is measured once, for some seconds, on one thread. Two threads of one core are slower together than
    each alone, so a lane is taken to be `LANE_SLOWDOWN` times slower than that.

    Args:
        cells: with their configs; of each method and fraction the first counts. Where features are cached, the time
            to compute them is added to the first kind.
        prepared: the data of all of them.

    Raises:
        MedPeftError: a model cannot be built.
    """
    # heavy: torch and timm
    from medpeft_core.training.build import build_model
    from medpeft_core.training.data import split_data
    from medpeft_core.training.device import use_device
    from medpeft_core.training.speed import START_S, Speed, forecast_times, time_features, time_on_cpu

    speeds: dict[str, Speed] = {}
    times: dict[tuple[str, float], float] = {}
    for cell, config in cells:
        kind = (cell.method, cell.fraction)
        if kind in times:
            continue
        features_s = 0.0
        if cell.method not in speeds:
            use_device(config.train.device, cpu_threads=config.train.cpu_threads)
            built = build_model(config, num_classes=len(prepared.manifest.labels))
            train, evaluation = time_on_cpu(built, config)
            if config.train.cached_features:  # the first run computes them for all
                features_s = len(prepared.cache_rows) / time_features(built, config, config.train.device)
            speeds[cell.method] = Speed(train_images_per_s=train, eval_images_per_s=evaluation, source="measured")
        splits = {name: len(part) for name, part in split_data(prepared, config.data).items()}
        found = forecast_times(
            config, num_train=splits["train"], num_val=splits["val"], num_test=splits["test"], speed=speeds[cell.method]
        )
        times[kind] = START_S + (found["total_s"] - START_S + features_s) * LANE_SLOWDOWN
    return times
