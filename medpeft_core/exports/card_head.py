"""The head of a model card, which the Hub reads: licence, base model, data, tags and results, as YAML. Light."""

from typing import TYPE_CHECKING, Any, NamedTuple

from huggingface_hub import EvalResult, ModelCardData

from medpeft_core.backbones import BACKBONES
from medpeft_core.backbones.shelf import SHELF_PREFIX, find_on_shelf
from medpeft_core.datasets import DATASETS
from medpeft_core.errors import BackboneError
from medpeft_core.exports.card_text import hide_folders

if TYPE_CHECKING:
    from medpeft_core.exports.context import ExportContext

# Licences as the Hub names them; it knows many more, but these are what the lab's own specs say
_HUB_LICENCES = frozenset({
    "apache-2.0", "mit", "bsd-2-clause", "bsd-3-clause", "cc-by-4.0", "cc-by-sa-4.0", "cc-by-nc-4.0", "cc-by-nc-sa-4.0",
    "cc0-1.0", "openrail", "gpl-3.0",
})  # fmt: skip
_LIBRARIES = {"peft": "peft", "onnx": "onnx"}
_HUB_SOURCE = "hf:"


class BaseWeights(NamedTuple):
    """What is known of the weights that a run began with.

    Attributes:
        text: what they are, in a few words.
        licence: as its source states it; "" where none is stated or none is needed.
        hub_id: model of the Hub that they are; "" for none.
        reference: their paper; "" where none is known.
    """

    text: str
    licence: str = ""
    hub_id: str = ""
    reference: str = ""


def find_base(context: "ExportContext") -> BaseWeights:
    """The weights that a run began with, as specs and the shelf tell."""
    part = context.config.backbone
    spec = BACKBONES[part.name] if part.name in BACKBONES.names() else None
    if part.weights == "random":
        return BaseWeights("random numbers (nothing was learned before)")
    if part.weights in ("demo", "pretrained") and spec is not None:
        hub_id = f"timm/{part.name}" if part.weights == "pretrained" and "." in part.name else ""
        return BaseWeights(spec.pretrained, spec.licence, hub_id, spec.reference)
    if part.weights == "pretrained":
        return BaseWeights("the pre-trained weights of timm", "", f"timm/{part.name}" if "." in part.name else "")
    if part.weights.startswith(SHELF_PREFIX):
        return _find_on_shelf(context, part.weights.removeprefix(SHELF_PREFIX))
    return BaseWeights("a file of weights; where it came from is not recorded")


def build_head(context: "ExportContext", *, format: str = "") -> str:
    """The YAML between the two lines of dashes."""
    base, data = find_base(context), context.config.data.dataset
    results = list_results(context)
    fields: dict[str, Any] = {
        "license": _name_licence(base.licence) if context.config.backbone.weights != "random" else None,
        "license_name": base.licence if base.licence and _name_licence(base.licence) == "other" else None,
        "library_name": _LIBRARIES.get(format, "timm"),
        "base_model": base.hub_id or None,
        "base_model_relation": ("adapter" if format == "peft" else "finetune") if base.hub_id else None,
        "pipeline_tag": "image-classification",
        "tags": ["medical", *(["chest-x-ray"] if is_chest(data) else []), "image-classification"],
        "eval_results": results or None,
        "model_name": context.run.run_id if results else None,
    }
    return ModelCardData(**{name: value for name, value in fields.items() if value is not None}).to_yaml()


def list_results(context: "ExportContext") -> list[EvalResult]:
    """AUROC on test, over all labels and of each, where there is one."""
    metrics, data = context.metrics, context.config.data.dataset
    title = DATASETS[data].title if data in DATASETS.names() else data
    figures = {"AUROC, mean over labels": metrics.get("test_auroc")}
    for label, values in (metrics.get("test") or {}).get("per_class", {}).items():
        figures[f"AUROC, {hide_folders(' '.join(label.split()))}"] = values.get("auroc")
    return [
        EvalResult(
            task_type="image-classification",
            dataset_type=data,
            dataset_name=title,
            dataset_split="test",
            metric_type="roc_auc",
            metric_name=name,
            metric_value=value,
            verified=False,
        )
        for name, value in figures.items()
        if value is not None
    ]


def is_chest(dataset: str) -> bool:
    """Whether the images of a data set are chest films."""
    if dataset not in DATASETS.names():
        return False
    return "chest" in f"{DATASETS[dataset].title} {DATASETS[dataset].description}".lower()


def _find_on_shelf(context: "ExportContext", name: str) -> BaseWeights:
    try:
        entry = find_on_shelf(context.run.home, name)
    except BackboneError:
        return BaseWeights(f"the weights {name} of a shelf, which are no longer there")
    steps = entry.source.removeprefix(_HUB_SOURCE).split("/") if entry.source.startswith(_HUB_SOURCE) else []
    hub_id = "/".join(steps[:2]) if len(steps) > 2 else ""
    text = f"{name} from {entry.source} (SHA-256 of the original {entry.source_sha256})"
    return BaseWeights(text, entry.licence, hub_id, entry.reference)


def _name_licence(licence: str) -> str:
    folded = licence.strip().lower()
    if not folded:
        return "unknown"
    return folded if folded in _HUB_LICENCES else "other"
