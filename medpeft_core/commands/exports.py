"""Runs on their way out of the lab and in: export one, list the formats, import an archive."""

from pathlib import Path
from typing import Any

from medpeft_core.commands.console import ProgressBar, print_json, print_table, tell
from medpeft_core.errors import ConfigError
from medpeft_core.exports import EXPORTS, ExportOptions, ExportSpec
from medpeft_core.exports.run_import import import_run
from medpeft_core.methods import METHODS
from medpeft_core.paths import get_home
from medpeft_core.runs.run import Run
from medpeft_core.runs.store import RunStore

ARCHIVE = "archive"
HASH_LENGTH = 12
KIB = 1024
NEEDS_LABELS = "a pre-training has no labels; its encoders are files already"


def export(
    run_id: str,
    folder: Path,
    *,
    format: str | None,
    options: ExportOptions,
    push: str | None,
    public: bool,
    as_json: bool,
) -> None:
    """Write a run in one format into a new folder, and on demand send it to the Hugging Face Hub.

    Args:
        run_id: name of the run, or a part of it.
        folder: new or empty.
        format: name in `EXPORTS`; None for what fits the run best.
        options: what goes along.
        push: OWNER/NAME of a repository of the hub; None to send nothing.
        public: whether everybody may see the repository.
        as_json: whether one JSON object is printed.

    Raises:
        MedPeftError: no such run or format, they do not fit, the folder is in use, the run is damaged, or the hub
            refuses.
    """
    if public and push is None:
        raise ConfigError("--public says who may see a repository; give one with --push OWNER/NAME.")
    run = RunStore.open_default().load(run_id)
    spec = EXPORTS[format or choose_format(run)]
    check_fit(run, spec)
    if spec.name != ARCHIVE and (options.include_checkpoint or not options.include_predictions):
        raise ConfigError(f"--checkpoint and --no-predictions are about whole runs; give them with --as {ARCHIVE}.")
    from medpeft_core.exports.write import export_run  # heavy

    with ProgressBar() as progress:
        exported = export_run(run, spec.name, folder, options=options, progress=progress)
    address = _push(Path(exported.folder), push, public=public) if push is not None else None
    if as_json:
        print_json({**exported.to_dict(), "pushed_to": address})
        return
    rows = [(item.name, describe_bytes(item.num_bytes), item.sha256[:HASH_LENGTH]) for item in exported.files]
    print(f"{spec.title} of {run.run_id}, {describe_bytes(exported.num_bytes)} in {exported.folder}")
    print_table(("file", "size", f"SHA-256 ({HASH_LENGTH} of 64)"), rows)
    if exported.max_difference is not None:
        print(
            f"Opened as its receiver would, the outputs differ from the run's by at most {exported.max_difference:.1e}."
        )
    for note in exported.notes:
        print(f"Note: {note}")
    if address is not None:
        print(f"Sent to {address}, which {'everybody' if public else 'only who is invited'} can see.")


def list_formats(run_id: str | None, *, as_json: bool) -> None:
    """Print the formats, and for a run which of them fit and why others do not.

    Raises:
        RunError: there is no such run, or it is damaged.
    """
    run = RunStore.open_default().load(run_id) if run_id is not None else None
    best = choose_format(run) if run is not None else None
    formats: list[dict[str, Any]] = [
        {
            "name": spec.name,
            "title": spec.title,
            "description": spec.description,
            "opens_with": spec.opens_with,
            "misfit": find_misfit(run, spec) if run is not None else None,
            "is_default": spec.name == best,
        }
        for spec in EXPORTS
    ]
    if as_json:
        print_json({"run_id": run.run_id if run is not None else None, "formats": formats})
        return
    rows = []
    for item in formats:
        fit = f"no: {item['misfit']}" if item["misfit"] else "yes, the default" if item["is_default"] else "yes"
        rows.append((item["name"], item["title"], item["opens_with"], fit if run else item["description"]))
    columns = ("format", "what", "opens with", f"fits {run.run_id}" if run else "good for")
    print_table(columns, rows)


def import_archive(path: Path, *, as_json: bool) -> None:
    """Bring the archive of a run into the home.

    Raises:
        ExportError: the archive is damaged or holds what none does, or another run of that name is here.
    """
    with ProgressBar() as progress:
        imported = import_run(path, home=get_home(), progress=progress)
    if as_json:
        print_json(imported.to_dict())
        return
    if imported.is_new:
        size = describe_bytes(imported.num_bytes)
        print(f"Imported {imported.run_id}: {imported.num_files} files, {size}, every hash as it should be.")
    for note in imported.notes:
        print(f"Note: {note}")
    tell(f"To see it: python -m medpeft_core show {imported.run_id}")


def choose_format(run: Run) -> str:
    """The format that most receivers of a run can open.

    Raises:
        RunError: the run is damaged.
    """
    if run.is_pretraining:
        return ARCHIVE
    return "peft" if METHODS[run.config().method.name].is_made_by_peft else "tensors"


def find_misfit(run: Run, spec: ExportSpec) -> str | None:
    """Why a run cannot leave in a format; None when it can.

    Raises:
        RunError: the run is damaged.
    """
    if spec.takes_any_run:
        return None
    return NEEDS_LABELS if run.is_pretraining else spec.find_misfit(METHODS[run.config().method.name])


def check_fit(run: Run, spec: ExportSpec) -> None:
    """Refuse what cannot be written, before anything slow is loaded.

    Raises:
        ConfigError: the run is a pre-training.
        ExportError: its method does not fit.
        RunError: the run is damaged.
    """
    if run.is_pretraining and not spec.takes_any_run:
        raise ConfigError(
            f"{run.run_id} is a pre-training: it has no labels to export as {spec.name!r}. Export it as {ARCHIVE!r}, "
            f"or take an encoder that `python -m medpeft_core show {run.run_id}` lists; it is a file of timm's weights."
        )
    if not spec.takes_any_run:
        spec.check_fit(METHODS[run.config().method.name])


def describe_bytes(count: int) -> str:
    """ "812 bytes", "4.6 KiB", "10.7 MiB"."""
    if count < KIB:
        return f"{count} bytes"
    size, units = count / KIB, ["KiB", "MiB", "GiB"]
    while size >= KIB and len(units) > 1:
        size, units = size / KIB, units[1:]
    return f"{size:.1f} {units[0]}"


def _push(folder: Path, repo_id: str, *, public: bool) -> str:
    from medpeft_core.exports.push import push_to_hub  # the client of the hub, for who asks for it only

    tell(f"Sending the export to {repo_id}. It stays in {folder} if that fails.")
    with ProgressBar() as progress:
        return push_to_hub(folder, repo_id, private=not public, progress=progress)
