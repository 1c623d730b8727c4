"""Downloads one file from the Hugging Face Hub: with progress, checked, and going on where it broke off. Light.

What the file holds is for `weight_files` to check.
"""

import hashlib
import os
import time
from collections.abc import Callable
from pathlib import Path, PurePosixPath

import filelock
import huggingface_hub
from huggingface_hub.errors import HfHubHTTPError
from huggingface_hub.utils import build_hf_headers, get_session, hf_raise_for_status

from medpeft_core.backbones.hub import SUFFIXES, TIMEOUT_S, HubFile, TransportError, check_network, explain_hub_error
from medpeft_core.errors import BackboneError
from medpeft_core.paths import ensure_dir

Progress = Callable[[str, int, int], None]

MIB = 2**20
MAX_TRIES = 4  # in a row that bring nothing
RETRY_WAIT_S = 1.0
LOCK_TIMEOUT_S = 1.0


def download_hub_file(hub_file: HubFile, folder: Path, progress: Progress) -> Path:
    """Download one file into a folder and check it; half a file stays, and the next try goes on from there.

    Args:
        hub_file: as `describe_hub_file` gave it.
        folder: is made; the caller removes the file when it is needed no more.
        progress: told the MiB; may raise to stop.

    Raises:
        BackboneError: the connection broke off, access is denied, or what came is not what the hub announced.
    """
    key = hashlib.sha256(hub_file.source.encode()).hexdigest()[:16]
    path = ensure_dir(folder) / f"{key}{_find_suffix(hub_file.file)}"  # no name from the network
    lock = filelock.FileLock(folder / f"{key}.lock")
    try:
        lock.acquire(timeout=LOCK_TIMEOUT_S)
    except filelock.Timeout as error:
        raise BackboneError(
            f"{hub_file.file} of {hub_file.repo} is being downloaded already. Wait for that."
        ) from error
    try:
        check_network(f"{hub_file.file} of {hub_file.repo} cannot be downloaded")
        _fetch_all(hub_file, path, progress)
        _check_content(hub_file, path, progress)
    finally:
        lock.release()
    return path


def _find_suffix(file: str) -> str:
    return next((suffix for suffix in SUFFIXES if file.endswith(suffix)), "")


def _fetch_all(hub_file: HubFile, path: Path, progress: Progress) -> None:
    """Bring the file to its full length, going on where a connection broke off."""
    tries = 0
    while True:
        have = path.stat().st_size if path.exists() else 0
        if have > hub_file.num_bytes:
            path.unlink()
            raise BackboneError(
                f"The server sends more of {hub_file.file} than the {hub_file.num_bytes:,} bytes that were announced. "
                "It was thrown away. Try again in a while, or bring the file to this computer by other means."
            )
        _tell(progress, hub_file, have)
        if have == hub_file.num_bytes:
            return
        try:
            _fetch(hub_file, path, have, progress)
            reason = "the server closed the connection"
        except HfHubHTTPError as error:
            raise explain_hub_error(error, hub_file.repo, hub_file.file, hub_file.revision) from error
        except TransportError as error:
            reason = str(error) or type(error).__name__
        got = path.stat().st_size if path.exists() else 0
        tries = 0 if got > have else tries + 1
        if tries == MAX_TRIES:
            raise BackboneError(
                f"The download of {hub_file.file} from {hub_file.repo} broke off at {got:,} of {hub_file.num_bytes:,} "
                f"bytes: {reason}. What is here is kept; add the weights again to go on from there."
            )
        if got < hub_file.num_bytes:
            time.sleep(RETRY_WAIT_S)


def _fetch(hub_file: HubFile, path: Path, have: int, progress: Progress) -> None:
    """Ask for what is missing, and append it; never writes beyond the size that the hub announced."""
    url = huggingface_hub.hf_hub_url(
        hub_file.repo, hub_file.file, revision=hub_file.revision, endpoint=os.environ.get("HF_ENDPOINT") or None
    )
    headers = build_hf_headers(library_name="medpeft")
    headers |= {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
    # httpx leaves the token out when it is sent on to another host
    with get_session().stream("GET", url, headers=headers, timeout=TIMEOUT_S, follow_redirects=True) as response:
        if response.status_code >= 400:
            response.read()
        hf_raise_for_status(response)
        goes_on = have > 0 and response.status_code == 206
        done = have if goes_on else 0
        with path.open("ab" if goes_on else "wb") as file:
            for chunk in response.iter_bytes():  # of any size: one that waits to be full is lost when it breaks off
                done += len(chunk)
                file.write(chunk)
                _tell(progress, hub_file, min(done, hub_file.num_bytes))
                if done > hub_file.num_bytes:
                    return


def _check_content(hub_file: HubFile, path: Path, progress: Progress) -> None:
    if not hub_file.sha256:
        return
    progress("checking the download", 0, 0)
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != hub_file.sha256:
        path.unlink()
        raise BackboneError(
            f"What came as {hub_file.file} from {hub_file.repo} is not what the hub announced: its SHA-256 is {found}, "
            f"not {hub_file.sha256}. It was thrown away; try again."
        )


def _tell(progress: Progress, hub_file: HubFile, done: int) -> None:
    name = PurePosixPath(hub_file.file).name
    progress(f"downloading {name} (MiB)", done // MIB, -(-hub_file.num_bytes // MIB))
