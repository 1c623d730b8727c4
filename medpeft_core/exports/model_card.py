"""A model card of a run for the Hugging Face Hub, from the run's own files only. Light.

Every number stands in a file of the run; of one that does not exist it is said that it does not. Texts of data sets
are shown as they are and cannot become Markdown, YAML or HTML. Folders of this machine, owners, notes, tags and
patients are left out.
"""

import hashlib
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from medpeft_core.datasets import DATASETS
from medpeft_core.errors import RunError
from medpeft_core.exports.card_head import build_head, find_base
from medpeft_core.exports.card_text import build_table, plain, show_interval, show_number
from medpeft_core.exports.spec import EXPORTS, ExportOptions, Outcome
from medpeft_core.methods import METHODS
from medpeft_core.metrics.exclusive import DECISION_METRICS
from medpeft_core.metrics.spec import METRICS
from medpeft_core.reports.support import describe_resamplings, describe_shortage, describe_thin, load_support

if TYPE_CHECKING:
    from medpeft_core.exports.context import ExportContext

CARD_FILE = "README.md"
NOTICE = "Research and teaching only, not for clinical use."
UNCHECKED = "The data have no patient ids, so leakage between images of one patient could not be checked."
SYNTHETIC = "It has learned from synthetic images only: on real ones its answers mean nothing."
_CARD_FORMAT = "card"


def write(context: "ExportContext", folder: Path, options: ExportOptions) -> Outcome:
    """Write the card alone.

    Raises:
        MedPeftError: the run is damaged.
    """
    (folder / CARD_FILE).write_text(build_card(context), encoding="utf-8")
    return Outcome(notes=("The card is alone here; the weights are not beside it.",))


def build_card(context: "ExportContext", *, format: str = "", files: Collection[str] = ()) -> str:
    """The card as one text.

    Args:
        context: the run.
        format: name in `EXPORTS` of what the card lies beside; "" or "card" when it stands alone.
        files: names of the files that it lies beside.

    Raises:
        MedPeftError: the run is damaged.
    """
    metrics, config = context.metrics, context.config
    method = METHODS[config.method.name]
    lines = [f"# {plain(method.title)} on {plain(config.backbone.name)}", f"**{NOTICE}**"]
    if context.provenance.get("is_synthetic"):
        lines.append(f"**{SYNTHETIC}**")
    lines += ["## What it is", *_tell_model(context)]
    lines += ["## Data", *_tell_data(context)]
    lines += ["## How it was trained", *_tell_training(context)]
    lines += ["## Results on test", *(_tell_results(context) if metrics.get("test") else ["No test result yet."])]
    lines += ["## How to load it", *_tell_loading(context, format, files), "## Preprocessing", *_tell_pixels(context)]
    lines += ["## Limits and intended use", *_tell_limits(context)]
    lines += ["## Hashes", *_tell_hashes(context), "## Please cite", *_tell_sources(context)]
    body = "\n\n".join(lines)
    return f"---\n{build_head(context, format=format)}\n---\n\n{body}\n"


def _tell_model(context: "ExportContext") -> Iterator[str]:
    config, base = context.config, find_base(context)
    method, sizes = METHODS[config.method.name], {**context.provenance, **context.metrics.get("training", {})}
    trained, total = sizes.get("num_trainable_params"), sizes.get("num_params")
    share = f" ({trained / total:.2%})" if isinstance(trained, int) and isinstance(total, int) and total else ""
    kind = "one or more of" if context.task == "multilabel" else "exactly one of"
    noun = "labels" if context.task == "multilabel" else "classes"
    if context.task == "multiclass" and context.provenance.get("is_ordered"):
        noun = "grades, the mildest first"
    yield f"A classifier of images that tells {kind} {len(context.labels)} {noun}: {_list(context.labels)}."
    knobs = ", ".join(f"{plain(name)} {plain(value)}" for name, value in config.method.knobs.items())
    rows = [
        ("method", f"{plain(method.title)}: {plain(method.idea)}"),
        ("its settings", knobs or "none"),
        ("backbone", plain(config.backbone.name)),
        ("base weights", plain(base.text)),
        ("licence of the base weights", _tell_licence(config.backbone.weights, base.licence)),
        ("parameters", show_number(total)),
        ("of these trained, counted", show_number(trained) + share),
        ("run", plain(context.run.run_id)),
    ]
    yield build_table(("", ""), rows)


def _tell_licence(weights: str, licence: str) -> str:
    if weights == "random":
        return "none needed"
    return plain(licence) if licence else "not known; find out before you give the model away"


def _tell_data(context: "ExportContext") -> Iterator[str]:
    data, origin, metrics = context.config.data, context.provenance, context.metrics
    known = DATASETS[data.dataset] if data.dataset in DATASETS.names() else None
    title = known.title if known is not None else data.dataset
    kind = "**Synthetic images**, drawn by a program" if origin.get("is_synthetic") else "Images as they are given"
    share = f"{data.fraction:.4g} of the training patients (seed {data.fraction_seed})"
    yield f"{plain(title)}. {kind}. Trained on {share}."
    images, patients = origin.get("num_train_images"), origin.get("num_train_patients")
    rows = [("train", show_number(images), show_number(patients))]
    for split in ("val", "test"):
        found = metrics.get(split) or {}
        count = found.get("num_images", (origin.get("num_images") or {}).get(split))
        rows.append((split, show_number(count), show_number(found.get("num_patients"))))
    yield build_table(("split", "images", "patients"), rows)
    yield build_table(("positive / negative images", "train", "val", "test"), list(_list_positives(context)))
    if notes := origin.get("data_notes"):
        yield "\n".join(f"- {plain(note)}" for note in notes)


def _list_positives(context: "ExportContext") -> Iterator[list[str]]:
    parts = [context.provenance.get("positives") or {}]
    parts += [(context.metrics.get(split) or {}).get("per_class", {}) for split in ("val", "test")]
    for label in context.labels:
        counts = [part.get(label, {}) for part in parts]
        cells = [
            f"{show_number(item['num_positive'])} / {show_number(item['num_negative'])}" if item else "not known"
            for item in counts
        ]
        yield [plain(label), *cells]


def _tell_training(context: "ExportContext") -> Iterator[str]:
    config, origin, training = context.config, context.provenance, context.metrics.get("training", {})
    optim, train = config.optim, config.train
    batch = f"{train.batch_size} x {train.accumulation}" if train.accumulation > 1 else str(train.batch_size)
    packages = {name: version for name, version in (origin.get("packages") or {}).items() if version}
    rows = [
        ("optimizer", f"{optim.optimizer}, weight decay {optim.weight_decay:g}, layer decay {optim.layer_decay:g}"),
        ("peak learning rate", show_number(optim.lr)),
        ("warm-up, then cosine", f"{optim.warmup_epochs:g} epochs, down to {optim.min_lr:g}"),
        ("epochs planned, done", f"{train.epochs}, {show_number(training.get('epochs_done'))}"),
        ("batch", batch),
        ("class weights", optim.class_weights),
        ("seed", str(train.seed)),
        ("device, precision", f"{plain(origin.get('device_name') or train.device)}, {train.precision}"),
        ("time", f"{show_number(context.metrics.get('wall_time_s'), 0)} s"),
        ("last training loss", show_number(training.get("last_train_loss"), 4)),
        ("MedPEFT Lab", f"{plain(origin.get('lab_version', 'not known'))}, commit {plain(origin.get('git_commit'))}"),
        ("packages", ", ".join(f"{plain(name)} {plain(version)}" for name, version in packages.items()) or "not known"),
    ]
    yield build_table(("", ""), rows)
    yield "The weights are those of the evaluation with the best val AUROC."


def _tell_results(context: "ExportContext") -> Iterator[str]:
    metrics, test = context.metrics, context.metrics["test"]
    macro = test.get("macro", {})
    drawn, counted = test.get("bootstrap_samples"), macro.get("num_valid_samples")
    mean = show_interval(metrics.get("test_auroc"), metrics.get("test_auroc_low"), metrics.get("test_auroc_high"))
    how = f", {describe_resamplings([(drawn, counted)])}" if drawn and counted is not None else ""
    confidence = test.get("confidence")
    level = f"{confidence:.0%} " if isinstance(confidence, float) else ""
    noun = "labels" if context.task == "multilabel" else "classes, each against all others"
    yield f"AUROC, mean over {noun}: **{mean}** ({level}intervals: {plain(test.get('interval', 'not known'))}{how})."
    if context.task == "multiclass":
        yield build_table(("the likeliest class as the answer", ""), _list_decisions(test))
    decisions = [*(["threshold"] if context.task == "multilabel" else []), "sensitivity", "specificity", "f1"]
    rows = []
    for label, item in test.get("per_class", {}).items():
        auroc = show_interval(item.get("auroc"), item.get("low"), item.get("high"))
        auprc = show_interval(item.get("auprc"), item.get("auprc_low"), item.get("auprc_high"))
        rows.append([plain(label), auroc, auprc, *(show_number(item.get(name), 3) for name in decisions)])
    columns = ("class" if context.task == "multiclass" else "label", "AUROC", "AUPRC")
    yield build_table((*columns, *decisions[:-1], "F1"), rows)
    if context.task == "multiclass":
        yield "Each class is the positive one of its row. No threshold is used: the likeliest class is the answer."
    else:
        yield "Each label is the positive class of its row. Thresholds were chosen on val; test was read once."
    if left_out := macro.get("labels_left_out"):
        reasons = (f"- {plain(label)} is left out of the mean: {plain(reason)}." for label, reason in left_out.items())
        yield "\n".join(reasons)


def _list_decisions(test: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for name in DECISION_METRICS:
        if test.get(name) is not None:
            yield METRICS[name].title, show_interval(test[name], test.get(f"{name}_low"), test.get(f"{name}_high"))


def _tell_loading(context: "ExportContext", format: str, files: Collection[str]) -> Iterator[str]:
    if format in ("", _CARD_FORMAT):
        yield "This card stands alone. In the lab that trained it, `export` writes the weights in these formats:"
        method = METHODS[context.config.method.name]
        fitting = [spec for spec in EXPORTS if spec.needs_model and spec.find_misfit(method) is None]
        yield "\n".join(
            f"- `{spec.name}`: {plain(spec.description)} Needs {plain(spec.opens_with)}." for spec in fitting
        )
        return
    spec = EXPORTS[format]
    yield f"{plain(spec.description)} It opens with {plain(spec.opens_with)}; MedPEFT Lab is not needed."
    if programs := sorted(name for name in files if name.endswith(".py")):
        yield f"`{programs[0]}` in this folder does so, and says at its head how it is called."
    yield "`export.json` holds the size and SHA-256 of each file, and how far its outputs lie from those of the lab."


def _tell_pixels(context: "ExportContext") -> Iterator[str]:
    part = context.config.backbone
    rows = [
        ("size", f"{part.image_size} x {part.image_size} pixels"),
        ("channels", "3, equal ones for grey images" if part.channels == 3 else "1: colours become grey"),
        ("mean of pixels in 0 to 1", _list_numbers(part.mean)),
        ("standard deviation", _list_numbers(part.std)),
        ("resampling", context.config.augment.interpolation),
        ("short side before the centre square is taken", f"{context.config.data.cache_size} pixels"),
        ("outputs", "one logit a label; " + ("sigmoid of each" if context.task == "multilabel" else "softmax of all")),
    ]
    yield build_table(("", ""), rows)


def _tell_limits(context: "ExportContext") -> Iterator[str]:
    yield NOTICE
    if context.provenance.get("is_synthetic"):
        yield SYNTHETIC
    if "num_train_patients" in context.provenance and context.provenance["num_train_patients"] is None:
        yield UNCHECKED
    test = context.metrics.get("test")
    if not test:
        yield "How well it does is not known: it was not evaluated on test."
        return
    try:
        support = load_support(context.run)
    except RunError:
        yield "The predictions of each image are gone, so what the figures rest on could not be looked at again."
        return
    counts = [(test["bootstrap_samples"], test["macro"]["num_valid_samples"])] if test.get("macro") else []
    for caution in (describe_thin(support), describe_shortage(counts, support)):
        if caution is not None:
            yield plain(caution)
    yield "Its figures hold for images like those of the test split; on those of another hospital they may be worse."


def _tell_hashes(context: "ExportContext") -> Iterator[str]:
    origin, part = context.provenance, context.config.backbone
    rows = [
        ("base weights", f"`{part.weights_sha256}`" if part.weights_sha256 else "not known"),
        ("data", f"`{plain(origin['data_fingerprint'])}`" if origin.get("data_fingerprint") else "not known"),
        ("decoded pixels", f"`{plain(origin['pixels_sha256'])}`" if origin.get("pixels_sha256") else "not known"),
    ]
    adapter = context.run.adapter_dir
    for path in sorted(adapter.glob("*.safetensors")) if adapter.is_dir() else ():
        with path.open("rb") as file:
            rows.append(
                (f"trained weights in the run: {path.name}", f"`{hashlib.file_digest(file, 'sha256').hexdigest()}`")
            )
    yield build_table(("SHA-256 of", ""), [(plain(name), value) for name, value in rows])


def _tell_sources(context: "ExportContext") -> Iterator[str]:
    data = context.config.data.dataset
    sources: dict[str, Any] = {
        "method": METHODS[context.config.method.name].reference,
        "backbone and weights": find_base(context).reference,
        "data": DATASETS[data].citation if data in DATASETS.names() else "",
    }
    yield "\n".join(f"- {what}: {plain(text)}" for what, text in sources.items() if text)


def _list(labels: tuple[str, ...]) -> str:
    return ", ".join(plain(label) for label in labels)


def _list_numbers(values: tuple[float, ...] | None) -> str:
    return ", ".join(f"{value:g}" for value in values) if values else "not known"
