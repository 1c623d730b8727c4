"""The metrics that the lab shows: what each is called, which way is better, and what it means."""

from dataclasses import dataclass

from medpeft_core.registry import Registry


@dataclass(frozen=True, kw_only=True)
class MetricSpec:
    """One metric, for tables and help texts.

    Attributes:
        name: as in metrics.json.
        title: name for people.
        higher_is_better: which way models are ranked by it.
        range: smallest and largest value.
        explanation: two plain sentences.
        reference: where it is defined.
    """

    name: str
    title: str
    higher_is_better: bool
    range: tuple[float, float]
    explanation: str
    reference: str


METRICS: Registry[MetricSpec] = Registry("metric")

METRICS.add(
    MetricSpec(
        name="auroc",
        title="AUROC",
        higher_is_better=True,
        range=(0.0, 1.0),
        explanation="The chance that an image with the finding gets a higher score than one without it. "
        "0.5 is guessing and 1 is perfect; it needs no threshold and does not depend on how rare the finding is.",
        reference="Hanley & McNeil 1982, Radiology 143(1)",
    )
)
METRICS.add(
    MetricSpec(
        name="auprc",
        title="Average precision",
        higher_is_better=True,
        range=(0.0, 1.0),
        explanation="How pure the top of the list is when images are sorted by score, averaged over all findings. "
        "Guessing scores the share of positive images, so a rare finding has low values even for good models.",
        reference="Davis & Goadrich 2006, ICML",
    )
)
METRICS.add(
    MetricSpec(
        name="sensitivity",
        title="Sensitivity",
        higher_is_better=True,
        range=(0.0, 1.0),
        explanation="Of the images with the finding, the share that the model calls positive. "
        "It depends on the threshold, which is chosen on the validation images.",
        reference="Yerushalmy 1947, Public Health Reports 62(40)",
    )
)
METRICS.add(
    MetricSpec(
        name="specificity",
        title="Specificity",
        higher_is_better=True,
        range=(0.0, 1.0),
        explanation="Of the images without the finding, the share that the model calls negative. "
        "It depends on the threshold, which is chosen on the validation images.",
        reference="Yerushalmy 1947, Public Health Reports 62(40)",
    )
)
METRICS.add(
    MetricSpec(
        name="f1",
        title="F1",
        higher_is_better=True,
        range=(0.0, 1.0),
        explanation="One number for how many findings are found and how many alarms are true: their harmonic mean. "
        "It depends on the threshold and on how rare the finding is, so compare it within one data set only.",
        reference="van Rijsbergen 1979, Information Retrieval, ch. 7",
    )
)
METRICS.add(
    MetricSpec(
        name="accuracy",
        title="Accuracy",
        higher_is_better=True,
        range=(0.0, 1.0),
        explanation="The share of images that get the right answer. "
        "With rare findings it looks high even for a model that never finds one.",
        reference="Metz 1978, Seminars in Nuclear Medicine 8(4)",
    )
)
METRICS.add(
    MetricSpec(
        name="macro_f1",
        title="Macro F1",
        higher_is_better=True,
        range=(0.0, 1.0),
        explanation="The F1 of each class when the likeliest class is taken, averaged over the classes. "
        "A rare class counts as much as a frequent one; the interval rests on the resamplings that hold every class, "
        "and is left out where these are less than half.",
        reference="van Rijsbergen 1979, Information Retrieval, ch. 7",
    )
)
METRICS.add(
    MetricSpec(
        name="weighted_f1",
        title="Weighted F1",
        higher_is_better=True,
        range=(0.0, 1.0),
        explanation="The F1 of each class when the likeliest class is taken, averaged over the images. "
        "A frequent class decides it, so look at the macro F1 beside it.",
        reference="van Rijsbergen 1979, Information Retrieval, ch. 7",
    )
)
METRICS.add(
    MetricSpec(
        name="balanced_accuracy",
        title="Balanced accuracy",
        higher_is_better=True,
        range=(0.0, 1.0),
        explanation="The share of each class that is called so, averaged over the classes. "
        "Guessing among K classes scores 1 / K, however rare they are; the interval rests on the resamplings that hold "
        "every class, and is left out where these are less than half.",
        reference="Brodersen et al. 2010, ICPR",
    )
)
METRICS.add(
    MetricSpec(
        name="quadratic_kappa",
        title="Quadratic kappa",
        higher_is_better=True,
        range=(-1.0, 1.0),
        explanation="How well grades agree beyond chance, where a grade that is two steps off counts four times as "
        "much as one that is one step off. 0 is chance and 1 is perfect; only for classes in an order.",
        reference="Cohen 1968, Psychological Bulletin 70(4)",
    )
)
