"""The second lesson, "What did it learn?": its one run, on images where a marker goes with a finding. Light.

What comes of it is computed in `shortcut_result.py`, put into words in `shortcut_words.py`, and stored without weights
by `shortcut_stored.py`.
"""

from dataclasses import replace

from medpeft_core.backbones.demo import DEMO_BACKBONE
from medpeft_core.config import (
    AugmentConfig,
    BackboneConfig,
    DataConfig,
    MethodConfig,
    RunConfig,
    TrainConfig,
)
from medpeft_core.errors import MedPeftError
from medpeft_core.lessons.likeness import is_run_of
from medpeft_core.resolve import resolve_config
from medpeft_core.runs.listing import list_summaries
from medpeft_core.runs.run import Run
from medpeft_core.runs.states import FINISHED
from medpeft_core.runs.store import RunStore

DATASET = "phantom_shortcut"
FINDING = "Effusion"  # the set's default: the marker goes with this one
COMMAND = "python -m medpeft_core lesson shortcut"
# Chosen on the development set `data.seed=700`: enough to learn the marker, in a minute or two on a laptop.
FRACTION, EPOCHS, BATCH = 0.25, 4, 16
STEADY = AugmentConfig(crop_scale_min=0.9, rotation_deg=0.0, contrast=0.1)  # few epochs learn more from steady images


def build_config() -> RunConfig:
    """The run of the lesson; with one thread it gives the same figures on every computer of a kind."""
    return RunConfig(
        data=DataConfig(dataset=DATASET, fraction=FRACTION),
        backbone=BackboneConfig(name=DEMO_BACKBONE, weights="demo"),
        method=MethodConfig(name="full"),
        train=TrainConfig(epochs=EPOCHS, batch_size=BATCH, cpu_threads=1),
        augment=STEADY,
    )


def build_tube_config() -> RunConfig:
    """The same run with a chest drain in place of the marker, for going on after the lesson."""
    config = build_config()
    return replace(config, data=replace(config.data, options={**config.data.options, "shortcut": "tube"}))


def build_plain_config() -> RunConfig:
    """The same run on radiographs without any mark: what the model can learn of the disease itself."""
    config = build_config()
    options = {name: value for name, value in config.data.options.items() if name in ("num_patients", "size", "seed")}
    return replace(config, data=replace(config.data, dataset="phantom", options=options))


def list_runs(store: RunStore) -> list[Run]:
    """The home's runs that are the lesson's, newest first."""
    wanted = build_config()
    likely = [
        item
        for item in list_summaries(store)
        if item.get("dataset") == wanted.data.dataset
        and item.get("method") == wanted.method.name
        and item.get("backbone") == wanted.backbone.name
        and item.get("epochs") == wanted.train.epochs
    ]
    runs = [store.load(item["run_id"]) for item in likely]
    return [run for run in runs if _is_like(run, wanted)]


def find_run(runs: list[Run]) -> Run | None:
    """The newest of them that is finished, else the newest."""
    return next((run for run in runs if run.status == FINISHED), runs[0] if runs else None)


def _is_like(run: Run, wanted: RunConfig) -> bool:
    try:
        return is_run_of(run.config(), resolve_config(wanted))
    except MedPeftError:  # damaged, or of another version
        return False
