"""The lists of test images that Explain offers: their names, and what is in each and why."""

from medpeft_core.reports.class_cases import CLASS_CASES
from medpeft_core.reports.predictions import CASES

DISAGREE = "disagree"
DISAGREE_NAME = "The two runs disagree"
CASE_WORDS = {
    "all": "In the order of the data set.",
    "present": "The finding is there; most probable first.",
    "found": "The finding is there and the model says so; furthest above its threshold first.",
    "missed": "The finding is there, and the model says no; furthest below its threshold first.",
    "alarm": "The finding is not there, but the model says so; furthest above its threshold first.",
    "right": "The model's call is right; those furthest from its threshold first.",
    "wrong": "The model's call is wrong; those furthest from its threshold first.",
    DISAGREE: "One run says yes and the other no; those whose probabilities differ most first.",
}
ANY_CASE_WORDS = {
    **CASE_WORDS,
    "present": "Some label is there; the most probable one is explained, most probable first.",
    "found": "Some label is there and called; the one furthest above its threshold is explained, and comes first.",
    "missed": "Some label is there and not called; the one furthest below its threshold is explained, and comes first.",
    "alarm": "Some label is called and not there; the one furthest above its threshold is explained, and comes first.",
    "right": "Some label is called rightly; the one furthest from its threshold is explained, and comes first.",
    "wrong": "Some label is called wrongly; the one furthest from its threshold is explained, and comes first.",
    DISAGREE: "The two runs call some label differently; the one that differs most is explained, and comes first.",
}
CLASS_CASE_WORDS = {
    "all": "In the order of the data set.",
    "right": "Of this class and called so; most probable first.",
    "wrong": "Of this class or called so, and the model is wrong; most certain first.",
    "present": "Of this class; most probable first.",
    "missed": "Of this class, but another one is likelier; furthest behind first.",
    "alarm": "Of another class, but called this one; most probable first.",
    DISAGREE: "One run calls this class and the other another; those whose probabilities differ most first.",
}
ANY_CLASS_CASE_WORDS = {
    "all": "In the order of the data set; the likeliest class is explained.",
    "right": "The likeliest class is the true one; most certain first.",
    "wrong": "The likeliest class is not the true one; it is explained, most certain first.",
    DISAGREE: "The two runs call different classes; that of the first is explained, those furthest apart first.",
}
CASE_HELP = (
    "Calls are made at the thresholds that were chosen on the validation images. While no label is chosen, the lists "
    "are about any label: an image is in one when one of its labels puts it there, so it can be in several."
)
CLASS_CASE_HELP = "The likeliest class is the model's answer. With a class chosen there are lists about that class too."
LABEL_HELP = (
    "The map and the lists of images are about this label. Left empty, the lists are about any label, and each image "
    "is explained for the one that put it into the list."
)
CLASS_HELP = (
    "The map and the lists of images are about this class. Left empty, the lists are about all images, and each is "
    "explained for the class that it was called."
)


def name_cases(*, is_exclusive: bool) -> dict[str, str]:
    """Each list to its name."""
    return {**(CLASS_CASES if is_exclusive else CASES), DISAGREE: DISAGREE_NAME}


def describe_case(case: str, label: str | None, *, is_exclusive: bool) -> str:
    """What is in a list, and in which order.

    Args:
        case: which list.
        label: that was chosen; None: any.
        is_exclusive: whether the labels are classes that exclude each other.
    """
    if is_exclusive:
        return (CLASS_CASE_WORDS if label else ANY_CLASS_CASE_WORDS)[case]
    return (CASE_WORDS if label else ANY_CASE_WORDS)[case]
