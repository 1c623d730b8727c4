"""What is in the folder of a data set that is not prepared: looked at quickly, kept for seconds, never an error."""

import json
from pathlib import Path

import streamlit as st

from medpeft_core.config import DataConfig
from medpeft_core.datasets import DATASETS
from medpeft_core.datasets.folder_parts import name_content
from medpeft_core.datasets.spec import FolderPart
from medpeft_core.errors import MedPeftError
from medpeft_core.sections import build_part
from pages.widgets.wording import escape_markdown

LOOK_AGAIN_S = 5.0
NO_FOLDER, UNREADABLE = "the folder", "a readable folder"


def list_parts(data: DataConfig) -> list[FolderPart]:
    """What belongs into the folder and whether it is there; empty where a folder is needed and not given yet.

    Args:
        data: resolved.
    """
    if DATASETS[data.dataset].needs_root and not data.root:
        return []
    return _look(data.dataset, data.root, json.dumps(data.options, sort_keys=True))


def list_missing(data: DataConfig) -> list[str]:
    """Titles of what the set cannot be read without and is not there."""
    return [part.title for part in list_parts(data) if part.is_needed and not part.is_there]


def find_lacking(data: DataConfig) -> list[str]:
    """What a published set lacks and cannot be prepared without; of one's own images, only reading them tells.

    Args:
        data: resolved.
    """
    return list_missing(data) if DATASETS[data.dataset].citation else []


def write_unlike(data: DataConfig) -> str:
    """What to do with a folder that holds nothing of a set, and what it holds; "" where some of it is there.

    Args:
        data: resolved, with a folder.
    """
    parts = [part for part in list_parts(data) if part.is_needed]
    folder = Path(data.root or "").expanduser()
    if not parts or any(part.is_there for part in parts) or not folder.is_dir() or parts[0].title == UNREADABLE:
        return ""
    title = DATASETS[data.dataset].title
    return escape_markdown(
        f"This does not look like {title} yet. Choose the folder that holds {parts[0].title}. "
        f"This folder holds: {name_content(folder)}."
    )


def look_again() -> None:
    """Forget what was found in folders."""
    _look.clear()


@st.cache_data(ttl=LOOK_AGAIN_S, max_entries=32, show_spinner=False)
def _look(dataset: str, root: str | None, options: str) -> list[FolderPart]:
    spec = DATASETS[dataset]
    folder = Path(root).expanduser() if root else None
    try:
        if folder is not None and not folder.exists():
            there = "there is no such folder on the computer that the lab runs on"
            there += "; a download makes it" if spec.offer else ""
            return [FolderPart(title=NO_FOLDER, is_there=False, is_needed=True, detail=there)]
        return spec.inspect(folder, build_part(spec.options, json.loads(options), section="data"))
    except (MedPeftError, OSError) as error:  # a card is no place for errors: preparing tells them
        return [FolderPart(title=UNREADABLE, is_there=False, is_needed=True, detail=str(error))]
