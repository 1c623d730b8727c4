"""Making the folder of a new run, whole or not at all, under a name that no other run has."""

import random
import secrets
import shutil
from datetime import datetime
from pathlib import Path
from typing import Any

from medpeft_core.config import RunConfig
from medpeft_core.errors import RunError
from medpeft_core.paths import ensure_dir, write_json
from medpeft_core.pretrain_config import PretrainConfig
from medpeft_core.runs.disk import describe_full_disk, is_disk_full
from medpeft_core.runs.events import make_finite
from medpeft_core.runs.kinds import PRETRAIN_METHOD, folder_of, kind_folders
from medpeft_core.runs.run import DEFAULT_META, Run
from medpeft_core.runs.run_ids import make_run_id
from medpeft_core.runs.states import RunState

_NEW_PREFIX = ".new-"
_ID_ATTEMPTS = 100


def make_run_folder(home: Path, config: RunConfig | PretrainConfig, state: RunState, provenance: dict[str, Any]) -> Run:
    """Make the folder of a run, with all that is known of it.

    Raises:
        RunError: the disk is full.
    """
    runs_dir, pretraining_dir = kind_folders(home)
    parent = ensure_dir(pretraining_dir if isinstance(config, PretrainConfig) else runs_dir)
    draft = parent / f"{_NEW_PREFIX}{secrets.token_hex(8)}"
    try:
        draft.mkdir()
        write_json(draft / "config.json", config.to_dict())
        write_json(draft / "provenance.json", make_finite(provenance))
        write_json(draft / "state.json", state.to_dict())
        write_json(draft / "meta.json", DEFAULT_META)
        return Run(_name(draft, home, config))
    except OSError as error:
        shutil.rmtree(draft, ignore_errors=True)
        if is_disk_full(error):
            raise RunError(f"The run could not be made. {describe_full_disk(error, parent)}") from error
        raise


def _name(draft: Path, home: Path, config: RunConfig | PretrainConfig) -> Path:
    rng = random.SystemRandom()
    for _ in range(_ID_ATTEMPTS):
        folder = folder_of(home, _draw_id(config, rng))
        try:
            draft.rename(folder)
        except OSError:
            if not folder.exists():
                raise
        else:
            return folder
    raise RunError(f"No free name for a run was found below {draft.parent}. Try again in a minute.")


def _draw_id(config: RunConfig | PretrainConfig, rng: random.Random) -> str:
    if isinstance(config, PretrainConfig):
        return make_run_id(PRETRAIN_METHOD, {}, config.encoder.name, datetime.now(), rng)
    return make_run_id(config.method.name, config.method.knobs, config.backbone.name, datetime.now(), rng)
