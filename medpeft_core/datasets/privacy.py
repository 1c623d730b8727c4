"""Pseudonyms for patient ids: the same for one id within one home, and no way back without that home's key."""

import hashlib
import hmac
import os
import secrets
import tempfile
from pathlib import Path

import filelock
import pandas as pd

from medpeft_core.errors import DataError
from medpeft_core.paths import ensure_dir, get_home

KEY_FILE = "privacy.key"
KEY_BYTES = 32
PSEUDONYM_CHARACTERS = 16  # 64 bits: two of a million patients share one with probability 3e-8


def pseudonymise(ids: pd.Series, home_key: bytes) -> pd.Series:
    """Replace every id by 16 hexadecimal characters of its HMAC-SHA256 under `home_key`; missing ids stay missing."""
    pseudonyms = {name: _pseudonym(str(name), home_key) for name in ids.dropna().unique()}
    return ids.map(pseudonyms).astype(object).where(ids.notna(), None)


def load_home_key() -> bytes:
    """The 32 secret bytes of this home, made on first use and readable by their owner only.

    Raises:
        DataError: the key file is damaged.
    """
    path = ensure_dir(get_home()) / KEY_FILE
    if not path.exists():
        with filelock.FileLock(path.with_suffix(".lock")):
            if not path.exists():  # another process may have been faster
                _write_key(path)
    key = path.read_bytes()
    if len(key) != KEY_BYTES:
        raise DataError(
            f"The key of the patient pseudonyms, {path}, has {len(key)} bytes instead of {KEY_BYTES}. Restore it from "
            "a backup; if you delete it, a new one is made and patients get other pseudonyms than in earlier runs."
        )
    return key


def _pseudonym(name: str, key: bytes) -> str:
    return hmac.new(key, name.encode(), hashlib.sha256).hexdigest()[:PSEUDONYM_CHARACTERS]


def _write_key(path: Path) -> None:
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{KEY_FILE}.", suffix=".tmp")  # mode 0600
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(secrets.token_bytes(KEY_BYTES))
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
