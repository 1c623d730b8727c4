"""One run: its folder, and the files in it by their meaning."""

import dataclasses
import time
from collections.abc import Callable, Collection, Iterable
from pathlib import Path
from typing import Any

from medpeft_core.config import DataConfig, RunConfig, TrainConfig
from medpeft_core.errors import ConfigError, RunError
from medpeft_core.paths import read_json, write_json
from medpeft_core.pretrain_config import PretrainConfig, PretrainTrainConfig
from medpeft_core.runs.events import append_event, make_finite, read_events
from medpeft_core.runs.kinds import is_pretraining_id, kind_folders
from medpeft_core.runs.run_ids import is_run_id
from medpeft_core.runs.states import RunState, Status
from medpeft_core.runs.tail import HistoryTail

DEFAULT_META: dict[str, Any] = {"tags": [], "notes": "", "owner": ""}
_CONFIG_REMEDY = "Put the file back from a copy, or delete the run."


class Run:
    """The folder of one run. Nothing is kept in memory: every call reads what is on disk now.

    Args:
        folder: the run's own folder, `<home>/runs/<run_id>`, or `<home>/pretraining/<run_id>` for a pre-training.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __repr__(self) -> str:
        return f"Run({str(self.folder)!r})"

    @property
    def run_id(self) -> str:
        return self.folder.name

    @property
    def home(self) -> Path:
        """The home of the lab that the run belongs to."""
        return self.folder.parent.parent

    @property
    def is_pretraining(self) -> bool:
        """Whether the run pre-trains an encoder; its config is a `PretrainConfig` then."""
        return is_pretraining_id(self.run_id)

    @property
    def config_path(self) -> Path:
        return self.folder / "config.json"

    @property
    def state_path(self) -> Path:
        return self.folder / "state.json"

    @property
    def events_path(self) -> Path:
        return self.folder / "events.jsonl"

    @property
    def metrics_path(self) -> Path:
        return self.folder / "metrics.json"

    @property
    def provenance_path(self) -> Path:
        return self.folder / "provenance.json"

    @property
    def meta_path(self) -> Path:
        return self.folder / "meta.json"

    @property
    def checkpoint_dir(self) -> Path:
        """All that an exact continuation needs."""
        return self.folder / "checkpoints" / "last"

    @property
    def adapter_dir(self) -> Path:
        """The best weights."""
        return self.folder / "adapter"

    @property
    def predictions_dir(self) -> Path:
        """Predictions of each image, one file a split."""
        return self.folder / "predictions"

    @property
    def encoders_dir(self) -> Path:
        """The encoders that a pre-training gives, each a safetensors file with its card."""
        return self.folder / "encoders"

    @property
    def pictures_dir(self) -> Path:
        """A pre-training's fixed images: original, masked, and rebuilt as time went on."""
        return self.folder / "pictures"

    @property
    def log_path(self) -> Path:
        """The worker's own output."""
        return self.folder / "log.txt"

    def config(self) -> RunConfig:
        """The resolved config of a run that fine-tunes.

        Raises:
            RunError: the file is missing or damaged, or this is a pre-training.
        """
        if self.is_pretraining:
            raise RunError(
                f"{self.run_id} is a pre-training: it learns without labels and predicts none. Choose a fine-tuned "
                f"run; `python -m medpeft_core show {self.run_id}` lists the encoders that can be fine-tuned."
            )
        return _load(self.config_path, RunConfig.from_dict, _CONFIG_REMEDY)

    def pretrain_config(self) -> PretrainConfig:
        """The complete config of a pre-training.

        Raises:
            RunError: the file is missing or damaged, or this is no pre-training.
        """
        if not self.is_pretraining:
            raise RunError(
                f"{self.run_id} is no pre-training. Choose one; `python -m medpeft_core runs --pretraining` lists them."
            )
        return _load(self.config_path, PretrainConfig.from_dict, _CONFIG_REMEDY)

    def any_config(self) -> RunConfig | PretrainConfig:
        """The config of a run of either kind.

        Raises:
            RunError: the file is missing or damaged.
        """
        return self.pretrain_config() if self.is_pretraining else self.config()

    def data_section(self) -> DataConfig:
        """The data of a run of either kind.

        Raises:
            RunError: the config is missing or damaged.
        """
        return self.any_config().data

    def train_section(self) -> TrainConfig | PretrainTrainConfig:
        """Device, epochs, batch size and the like of a run of either kind.

        Raises:
            RunError: the config is missing or damaged.
        """
        return self.any_config().train

    def save_config(self, config: RunConfig | PretrainConfig) -> None:
        """Replace the config."""
        write_json(self.config_path, config.to_dict())

    def state(self) -> RunState:
        """Where the run is.

        Raises:
            RunError: the file is missing or damaged.
        """
        remedy = 'Write {"status": "interrupted"} into it and resume the run, or delete the run.'
        return _load(self.state_path, RunState.from_dict, remedy)

    def write_state(self, **changes: Any) -> RunState:
        """Change some fields of the state, keep the others, and stamp the time.

        Raises:
            RunError: the present state is damaged.
            TypeError, ValueError: a field or status that does not exist; a bug.
        """
        state = dataclasses.replace(self.state(), **{"updated_at": time.time(), **changes})
        write_json(self.state_path, make_finite(RunState.from_dict(state.to_dict()).to_dict()))
        return state

    @property
    def status(self) -> Status:
        return self.state().status

    @property
    def is_finished(self) -> bool:
        """No process works on the run, and none will unless somebody resumes it."""
        return self.state().is_finished

    def emit(self, event: dict[str, Any]) -> None:
        """Append an event to the log."""
        append_event(self.events_path, event)

    def events(self) -> list[dict[str, Any]]:
        """Every event, also those of steps that were done again after a crash."""
        return read_events(self.events_path)[0]

    def history(self, types: Collection[str] | None = None) -> list[dict[str, Any]]:
        """The events that the run in its present form is made of; curves are drawn from these.

        Args:
            types: only these, and "status"; None for all.
        """
        return HistoryTail(self.events_path, types=types).read()

    def metrics(self) -> dict[str, Any] | None:
        """What evaluation found, or None before it.

        Raises:
            RunError: the file is damaged.
        """
        if not self.metrics_path.exists():
            return None
        return _load(self.metrics_path, dict, "Resume the run to evaluate it again.")

    def save_metrics(self, metrics: dict[str, Any]) -> None:
        """Store what evaluation found; NaN becomes null."""
        write_json(self.metrics_path, make_finite(metrics))

    def provenance(self) -> dict[str, Any]:
        """Package versions, git commit, device, data fingerprint.

        Raises:
            RunError: the file is missing or damaged.
        """
        return _load(self.provenance_path, dict, "Put the file back from a copy, or delete the run.")

    def meta(self) -> dict[str, Any]:
        """Tags, notes and owner, with defaults for what nobody wrote.

        Raises:
            RunError: the file is damaged.
        """
        stored = (
            _load(self.meta_path, dict, "Delete the file to begin with empty notes.") if self.meta_path.exists() else {}
        )
        return {**DEFAULT_META, "tags": [], **stored}

    def save_meta(self, meta: dict[str, Any]) -> None:
        """Store tags, notes and owner."""
        write_json(self.meta_path, meta)


def find_runs(runs_dir: Path) -> list[Run]:
    """The runs in a folder by name, so oldest first; folders of other origin or half made are left out."""
    try:
        folders: Iterable[Path] = sorted(runs_dir.iterdir())
    except FileNotFoundError:
        return []
    candidates = [Run(folder) for folder in folders if is_run_id(folder.name) and folder.is_dir()]
    return [run for run in candidates if run.config_path.exists() or run.state_path.exists()]


def find_all_runs(home: Path) -> list[Run]:
    """The runs of both kinds, by name, so oldest first."""
    found = [run for folder in kind_folders(home) for run in find_runs(folder)]
    return sorted(found, key=lambda run: run.run_id)


def _load(path: Path, build: Callable[[Any], Any], remedy: str) -> Any:
    try:
        values = read_json(path)
        if not isinstance(values, dict):
            raise ValueError("it is not a JSON object")
        return build(values)
    except FileNotFoundError as error:
        raise RunError(f"Run {path.parent.name} has no {path.name} ({path} is missing). {remedy}") from error
    except (ValueError, TypeError, ConfigError) as error:  # ValueError includes bad JSON and bad UTF-8
        raise RunError(f"{path.name} of run {path.parent.name} is damaged: {error} ({path}). {remedy}") from error
