"""What a person should know of a data set of their own before it is stored. Light."""

from medpeft_core.datasets.manifest import Manifest
from medpeft_core.datasets.own.assembling import OFFERED
from medpeft_core.datasets.own.own_splits import EMPTY_SPLIT
from medpeft_core.datasets.own.patient_names import DOUBTFUL
from medpeft_core.datasets.own.patterns import offer_pattern
from medpeft_core.datasets.report_words import Finding

FEW_IMAGES = 30
MANY_CLASSES = 100
_LEFT_OUT = "left out"  # in a note: images or rows that a person may miss


def judge(manifest: Manifest | None) -> list[Finding]:
    """What a person should know before the set is stored."""
    assert manifest is not None
    found = []
    if len(manifest) < 3:
        found.append(problem(f"There are {len(manifest)} images only; train, val and test need one each.", "Add some."))
    elif len(manifest) < FEW_IMAGES:
        found.append(warn(f"There are {len(manifest)} images only: results will say next to nothing.", "Add images."))
    if len(manifest.labels) > MANY_CLASSES:
        found.append(
            warn(f"There are {len(manifest.labels):,} labels, most with few images.", "Check the column of labels.")
        )
    targets = manifest.targets()
    for label, column in zip(manifest.labels, targets.T, strict=True):
        if manifest.task == "multilabel" and len(manifest.labels) <= MANY_CLASSES and not (column == 1).any():
            found.append(warn(f"No image has the label {label!r}.", "It cannot be learned; leave it out."))
        elif manifest.task == "multilabel" and not (column == 0).any() and len(manifest.labels) <= MANY_CLASSES:
            found.append(warn(f"No image lacks the label {label!r}.", "It cannot be learned; leave it out."))
    if not manifest.has_patients:
        pattern = offer_pattern(manifest.table["image"].tolist())
        advice = "Name the column of patients, or how file names tell them (data.patient_pattern)."
        if pattern:
            advice = f"The file names seem to begin with the patient: set data.patient_pattern={pattern} if so."
        text = "No patients are known, so images of one patient may lie in train and test."
        found.append(warn(text, advice))
    for note in (note for note in manifest.notes if not note.startswith(OFFERED)):  # told above, with the patients
        is_warning = _LEFT_OUT in note or note.startswith((DOUBTFUL, EMPTY_SPLIT))
        found.append(warn(note) if is_warning else Finding(severity="note", text=note))
    return found


def problem(text: str, advice: str = "") -> Finding:
    """Something that must be mended first."""
    return Finding(severity="problem", text=text, advice=advice)


def warn(text: str, advice: str = "") -> Finding:
    """Something that results suffer from."""
    return Finding(severity="warning", text=text, advice=advice)
