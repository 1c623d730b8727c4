"""The two kinds of runs, fine-tuning and pre-training: the name says which, and each kind has its folder. Light."""

from pathlib import Path

from medpeft_core.runs.run_ids import is_run_id

PRETRAIN_METHOD = "mae"  # in the place where other names have their method; no fine-tuning method has this name
RUNS_FOLDER = "runs"
PRETRAINING_FOLDER = "pretraining"


def is_pretraining_id(run_id: str) -> bool:
    """Whether `run_id` is the name of a pre-training, such as "20261125-2210-mae-demo_vit-4f2a"."""
    return is_run_id(run_id) and run_id.split("-")[2] == PRETRAIN_METHOD


def kind_folders(home: Path) -> tuple[Path, Path]:
    """Where the runs of a home lie: those that fine-tune, and those that pre-train. They need not exist yet."""
    return home / RUNS_FOLDER, home / PRETRAINING_FOLDER


def folder_of(home: Path, run_id: str) -> Path:
    """Where the run of that name lies, or would lie."""
    return home / (PRETRAINING_FOLDER if is_pretraining_id(run_id) else RUNS_FOLDER) / run_id
