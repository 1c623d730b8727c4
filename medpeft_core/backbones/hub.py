"""What a repository of the Hugging Face Hub has to offer, asked on explicit choice only. Light.

Nothing here is called at a start, at an import, or by a page that is only looked at. `hub_download` fetches a file.
"""

import os
import re
from dataclasses import asdict, dataclass
from pathlib import PurePosixPath
from typing import Any

import huggingface_hub
from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from medpeft_core.backbones.hub_gate import find_gate_to_hub, is_hub_in_reach
from medpeft_core.errors import BackboneError

HUB_PREFIX = "hf:"  # hf:OWNER/NAME[/FILE][@REVISION]
SUFFIXES = (".safetensors", ".bin", ".pth", ".pt", ".ckpt")
FIRST_CHOICES = ("model.safetensors", "pytorch_model.bin")
NO_WEIGHTS = ("optimizer", "scheduler", "training_args", "rng_state", "scaler")  # how files of training states begin
MAX_LISTED = 8  # files in an error
TIMEOUT_S = 15.0  # without a byte
_REPO = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}/[A-Za-z0-9][A-Za-z0-9._-]{0,95}")
_FILE_STEP = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._+= -]{0,127}")
_REVISION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,127}")
# httpx's or httpx2's error of a connection, whichever this huggingface_hub stands on
TransportError: type[Exception] = HfHubHTTPError.__bases__[0]


@dataclass(frozen=True, kw_only=True)
class HubFile:
    """One file of a repository at one commit.

    Attributes:
        repo: OWNER/NAME.
        file: path in the repository.
        revision: the commit, 40 hexadecimal digits.
        num_bytes: of the file.
        licence: as the repository states it; "" where it states none.
        sha256: of the file; "" where the hub does not know it, which is so for small files only.
        is_gated: whether its owner wants terms to be accepted first.
    """

    repo: str
    file: str
    revision: str
    num_bytes: int
    licence: str
    sha256: str
    is_gated: bool

    @property
    def source(self) -> str:
        """How the shelf writes where it came from."""
        return f"{HUB_PREFIX}{self.repo}/{self.file}@{self.revision}"

    def to_dict(self) -> dict[str, Any]:
        """Plain values, with `source`."""
        return {**asdict(self), "source": self.source}


def parse_hub_source(source: str) -> tuple[str, str, str]:
    """Repository, file and revision of "hf:OWNER/NAME[/FILE][@REVISION]"; the last two may be "".

    Raises:
        BackboneError: it is not of this form.
    """
    place, _, revision = source.removeprefix(HUB_PREFIX).partition("@")
    owner, _, rest = place.partition("/")
    name, _, file = rest.partition("/")
    check_hub_names(f"{owner}/{name}", file, revision)
    return f"{owner}/{name}", file, revision


def check_hub_names(repo: str, file: str = "", revision: str = "") -> None:
    """Refuse what is no repository, file or revision before anything is asked of the network.

    Raises:
        BackboneError: says which, and of what form it must be.
    """
    if not is_repo_name(repo):
        raise BackboneError(
            f"{repo!r} is no repository of the hub. Write hf:OWNER/NAME, or hf:OWNER/NAME/FILE@REVISION, for example "
            "hf:timm/vit_tiny_patch16_224.augreg_in21k."
        )
    if file and not all(_FILE_STEP.fullmatch(step) for step in file.split("/")):
        raise BackboneError(f"{file!r} is no file of a repository. Give its path there, such as model.safetensors.")
    if revision and (_REVISION.fullmatch(revision) is None or ".." in revision):
        raise BackboneError(f"{revision!r} is no revision. Give a branch, a tag or a commit, such as main.")


def is_repo_name(text: str) -> bool:
    """Whether a text is OWNER/NAME as the hub allows it."""
    return _REPO.fullmatch(text) is not None and ".." not in text and "--" not in text


def describe_hub_file(repo: str, file: str = "", revision: str = "") -> HubFile:
    """Ask the hub for one file: how large it is, under which licence, at which commit. Downloads nothing.

    Args:
        repo: OWNER/NAME.
        file: path in it; "" for the one that looks like its weights.
        revision: branch, tag or commit; "" for the newest.

    Raises:
        BackboneError: no network, no such repository, revision or file, several files to choose from.
    """
    check_hub_names(repo, file, revision)
    check_network(f"The repository {repo!r} cannot be looked at")
    try:
        info = open_hub().model_info(repo, revision=revision or None, files_metadata=True, timeout=TIMEOUT_S)
    except (TransportError, OSError, HFValidationError) as error:
        raise explain_hub_error(error, repo, file, revision) from error
    files = {item.rfilename: item for item in info.siblings or ()}
    chosen = files[_choose_file(list(files), repo, file)]
    check_hub_names(repo, chosen.rfilename)  # the listing comes from the network too
    if not chosen.size or not info.sha:
        raise BackboneError(f"The hub does not say how large {chosen.rfilename} of {repo} is. Name another file.")
    return HubFile(
        repo=repo,
        file=chosen.rfilename,
        revision=info.sha,
        num_bytes=chosen.size,
        licence=_find_licence(info),
        sha256=str(chosen.lfs.sha256) if chosen.lfs is not None else "",
        is_gated=bool(info.gated),
    )


def check_network(what: str) -> None:
    """Fail at once, and not after minutes of retries, when the hub cannot be reached.

    Raises:
        BackboneError: begins with `what`.
    """
    if not is_hub_in_reach():
        raise BackboneError(
            f"{what}: {find_gate_to_hub()[0]} cannot be reached, or HF_HUB_OFFLINE is set. Connect to the internet, or "
            "bring the file to this computer by other means and give its path."
        )


def open_hub(token: str | None = None) -> "huggingface_hub.HfApi":  # quoted: the client loads when it is called
    """The hub's client: at the mirror of `HF_ENDPOINT` where one is set, as who `hf auth login` said."""
    return huggingface_hub.HfApi(endpoint=os.environ.get("HF_ENDPOINT") or None, token=token, library_name="medpeft")


def _choose_file(files: list[str], repo: str, wanted: str) -> str:
    """The file that was asked for, or the one that looks like the weights.

    Raises:
        BackboneError: there is no such file, none at all, or several.
    """
    weights = [name for name in files if name.endswith(SUFFIXES) and not _is_training_state(name)]
    listed = ", ".join(weights[:MAX_LISTED]) + (
        f" and {len(weights) - MAX_LISTED} more" if weights[MAX_LISTED:] else ""
    )
    if wanted:
        if wanted not in files:
            raise BackboneError(f"There is no file {wanted!r} in {repo}. Files of weights there: {listed or 'none'}.")
        return wanted
    for name in FIRST_CHOICES:
        if name in weights:
            return name
    if len(weights) == 1:
        return weights[0]
    if not weights:
        raise BackboneError(f"The repository {repo} has no file of weights ({', '.join(SUFFIXES)}). Choose another.")
    raise BackboneError(f"The repository {repo} has several files of weights: {listed}. Write hf:{repo}/FILE.")


def _is_training_state(name: str) -> bool:
    return PurePosixPath(name).name.startswith(NO_WEIGHTS)


def _find_licence(info: Any) -> str:
    """The licence of the model card, else the one among the tags."""
    card = info.card_data
    stated = getattr(card, "license", None)
    if stated == "other":
        stated = getattr(card, "license_name", None) or "other"
    if isinstance(stated, list):
        stated = ", ".join(stated)
    tags = [tag.removeprefix("license:") for tag in info.tags or () if tag.startswith("license:")]
    return str(stated or (tags[0] if tags else ""))


def explain_hub_error(error: Exception, repo: str, file: str = "", revision: str = "") -> BackboneError:
    """What the client raised, as one message for people."""
    if isinstance(error, GatedRepoError):
        return BackboneError(
            f"The owner of {repo} wants its terms to be accepted first. Open https://huggingface.co/{repo} in a "
            "browser, accept them, then run `hf auth login` on this computer."
        )
    if isinstance(error, RevisionNotFoundError):
        return BackboneError(f"The repository {repo} has no revision {revision!r}. Leave it out for the newest.")
    if isinstance(error, RepositoryNotFoundError | HFValidationError):
        return BackboneError(
            f"The hub has no repository {repo!r}, or it is private. Look at its spelling; for a private one run "
            "`hf auth login` on this computer."
        )
    if isinstance(error, EntryNotFoundError):
        return BackboneError(f"There is no file {file!r} in {repo} any more. Look at its page on the hub.")
    status = getattr(getattr(error, "response", None), "status_code", None)
    if status in (401, 403):
        return BackboneError(
            f"The hub denies access to {repo}: the token of this computer is not valid for it. Run `hf auth login`."
        )
    reason = f"the hub answered {status}" if status else (str(error).splitlines() or [type(error).__name__])[0]
    return BackboneError(f"The hub could not be asked for {repo}: {reason}. Try again in a while.")
