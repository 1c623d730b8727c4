"""What people write about a run: tags, notes, owner; checked and stored in meta.json."""

from collections.abc import Collection, Iterable

from medpeft_core.errors import RunError
from medpeft_core.runs.disk import describe_full_disk, is_disk_full
from medpeft_core.runs.run import Run

MAX_TAGS, MAX_TAG_LENGTH = 20, 40
MAX_NOTES_LENGTH, MAX_OWNER_LENGTH = 10_000, 80


def clean_tags(tags: Iterable[str]) -> list[str]:
    """Tags without blanks around them and without repeats, in their order.

    Raises:
        RunError: a tag is too long or holds a comma, or there are too many.
    """
    cleaned = list(dict.fromkeys(" ".join(tag.split()) for tag in tags if tag.strip()))
    for tag in cleaned:
        if len(tag) > MAX_TAG_LENGTH:
            raise RunError(
                f"The tag {tag[:20]}... has {len(tag)} characters; at most {MAX_TAG_LENGTH} fit. Shorten it."
            )
        if "," in tag:
            raise RunError(f"The tag {tag!r} holds a comma, which separates tags. Make it two tags.")
    if len(cleaned) > MAX_TAGS:
        raise RunError(f"{len(cleaned)} tags are too many; a run takes {MAX_TAGS}. Remove some.")
    return cleaned


def change_tags(runs: Iterable[Run], *, added: Collection[str], removed: Collection[str]) -> None:
    """Add and remove tags of several runs; each keeps its other tags.

    Raises:
        RunError: a tag is refused, a meta.json is damaged, or the disk is full.
    """
    for run in runs:
        kept = [tag for tag in run.meta()["tags"] if tag not in removed]
        _save(run, tags=clean_tags([*kept, *added]))


def write_notes(run: Run, *, notes: str, owner: str) -> None:
    """Replace notes and owner of a run.

    Raises:
        RunError: a text is too long, meta.json is damaged, or the disk is full.
    """
    for name, text, limit in (("notes", notes, MAX_NOTES_LENGTH), ("owner", owner, MAX_OWNER_LENGTH)):
        if len(text) > limit:
            raise RunError(f"The {name} have {len(text):,} characters; at most {limit:,} fit. Shorten them.")
    _save(run, notes=notes.strip(), owner=" ".join(owner.split()))


def _save(run: Run, **changes: object) -> None:
    before = run.meta()
    after = {**before, **changes}
    if after == before:
        return
    try:
        run.save_meta(after)
    except OSError as error:
        if not is_disk_full(error):
            raise
        raise RunError(
            f"The notes of run {run.run_id} were not saved. {describe_full_disk(error, run.folder)}"
        ) from error
