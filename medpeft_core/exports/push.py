"""Sends an export to the Hugging Face Hub, on explicit choice only. Light.

Only a folder that `export_run` wrote is sent, and of it only the files that its `export.json` names. What holds the
predictions of single patients never goes to a public repository.
"""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import huggingface_hub
from huggingface_hub.errors import HfHubHTTPError, LocalTokenNotFoundError, RepositoryNotFoundError

from medpeft_core.backbones.hub import TransportError, is_repo_name, open_hub
from medpeft_core.backbones.hub_gate import find_gate_to_hub, is_hub_in_reach
from medpeft_core.errors import ExportError
from medpeft_core.exports.files import EXPORT_FILE
from medpeft_core.paths import read_json

Progress = Callable[[str, int, int], None]

WITH_PATIENTS = ("archive",)  # formats whose files tell of single patients
PATIENT_WORDS = ("predictions", "patients", "manifest")  # in paths of files


def push_to_hub(
    folder: Path,
    repo_id: str,
    *,
    private: bool = True,
    token: str | None = None,
    progress: Progress = lambda what, done, total: None,
    commit_message: str = "",
) -> str:
    """Upload an export (large ones in several commits) into a repository that is made where it is missing.

    Args:
        folder: of an export.
        repo_id: OWNER/NAME.
        private: only who is invited sees it. A public repository is never used where this is set.
        token: with the right to write; None for the one that `hf auth login` keeps.
        progress: told what is done; may raise to stop before the upload begins. It is not called after that.
        commit_message: "" for one that names the run and the format.

    Returns:
        The address of the repository.

    Raises:
        ExportError: no export, changed files, patients' data for a public place, no token, no rights, no network.
    """
    about = _read_about(folder)
    if not is_repo_name(repo_id):
        raise ExportError(
            f"{repo_id!r} is no repository of the hub. Write OWNER/NAME, the owner being your name there."
        )
    check_privacy(about, private=private)
    if not (token or huggingface_hub.get_token()):
        raise ExportError(
            "There is no token for the hub on this computer. Make one with the right to write at "
            "https://huggingface.co/settings/tokens, then run `hf auth login`."
        )
    if not is_hub_in_reach():
        raise ExportError(
            f"The export cannot be sent to {repo_id}: {find_gate_to_hub()[0]} cannot be reached, or HF_HUB_OFFLINE is "
            "set. Connect to the internet and try again."
        )
    progress("checking the files", 0, 0)
    _check_files(folder, about)
    names = [*(str(item["name"]) for item in about["files"]), EXPORT_FILE]
    message = commit_message or f"Export of the run {about['run_id']} as {about['format']} by MedPEFT Lab"
    try:
        api = open_hub(token)
        progress("opening the repository", 0, 0)
        address = str(api.create_repo(repo_id, private=private, exist_ok=True))
        _check_visibility(api, repo_id, private=private)
        progress(f"uploading {len(names)} files", 0, 0)
        api.upload_folder(
            repo_id=repo_id,
            folder_path=folder,
            allow_patterns=[_quote(name) for name in names],
            commit_message=message,
        )
    except (TransportError, LocalTokenNotFoundError, OSError, RuntimeError) as error:  # the last: of the xet uploader
        raise _explain(error, repo_id) from error
    return address


def check_privacy(about: dict[str, Any], *, private: bool) -> None:
    """Refuse a public place for what tells of single patients.

    Args:
        about: what `export.json` holds.
        private: whether the place is private.

    Raises:
        ExportError: says what must not go there.
    """
    names = [str(item["name"]) for item in about["files"]]
    telling = [name for name in names if any(word in name.lower() for word in PATIENT_WORDS)]
    if not private and (about["format"] in WITH_PATIENTS or telling):
        what = f"the file {telling[0]!r}" if telling else f"an export of the format {about['format']!r}"
        raise ExportError(
            f"A public repository is no place for {what}: it holds the predictions of single patients. Send it to a "
            "private repository, or send the trained weights alone."
        )


def _read_about(folder: Path) -> dict[str, Any]:
    try:
        about = read_json(folder / EXPORT_FILE)
        names = [Path(str(item["name"])) for item in about["files"]]
        is_fine = bool(about["format"] and about["run_id"] and names)
    except (OSError, ValueError, TypeError, KeyError):
        is_fine, names = False, []
    if not is_fine or any(name.is_absolute() or ".." in name.parts for name in names):
        raise ExportError(
            f"{folder} is no export of the lab: its {EXPORT_FILE} is missing or damaged. Only exports are sent to the "
            "hub; make one with `python -m medpeft_core export`."
        )
    return dict(about)


def _check_files(folder: Path, about: dict[str, Any]) -> None:
    for item in about["files"]:
        path = folder / str(item["name"])
        try:
            with path.open("rb") as file:
                is_intact = hashlib.file_digest(file, "sha256").hexdigest() == item["sha256"]
        except (FileNotFoundError, IsADirectoryError):
            is_intact = False
        if not is_intact:
            raise ExportError(f"The file {path} is gone or has changed since it was exported. Export the run again.")


def _check_visibility(api: "huggingface_hub.HfApi", repo_id: str, *, private: bool) -> None:
    """A repository that was there already may be public."""
    if private and not api.model_info(repo_id).private:
        raise ExportError(
            f"The repository {repo_id} is there already, and it is public. Choose another name, make it private on its "
            "page, or say that the export may be public."
        )


def _quote(name: str) -> str:
    """A pattern that fits this name only."""
    return "".join(f"[{letter}]" if letter in "*?[" else letter for letter in name)


def _explain(error: Exception, repo_id: str) -> ExportError:
    """What the client raised, as one message for people."""
    status = getattr(getattr(error, "response", None), "status_code", None)
    owner = repo_id.partition("/")[0]
    if status == 401 or isinstance(error, LocalTokenNotFoundError):
        return ExportError("The hub does not accept the token of this computer. Run `hf auth login` with a new one.")
    if status == 403 or isinstance(error, RepositoryNotFoundError):
        return ExportError(
            f"The token has no right to write to {repo_id}. Use a token of {owner} that has it, or your own name as "
            "the owner."
        )
    if isinstance(error, HfHubHTTPError):
        return ExportError(f"The hub refused the export for {repo_id}: it answered {status}. Try again in a while.")
    reason = (str(error).splitlines() or [type(error).__name__])[0]
    return ExportError(
        f"The upload to {repo_id} broke off: {reason}. Try again; files that are there already are not sent twice."
    )
