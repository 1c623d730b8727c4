"""Set up a pre-training, work on it, and tell what it gave."""

from typing import Any

from medpeft_core.command_line import build_command
from medpeft_core.commands.console import ProgressBar, describe_seconds, print_json, tell
from medpeft_core.commands.follow import Words, describe_eta, work_on
from medpeft_core.config import BackboneConfig, MethodConfig, RunConfig
from medpeft_core.datasets.prepare import prepare_dataset
from medpeft_core.pretrain_config import PretrainConfig
from medpeft_core.pretrain_resolve import resolve_pretraining
from medpeft_core.reports.pretrain_summary import summarise_pretraining
from medpeft_core.runs.run import Run
from medpeft_core.runs.states import RunState
from medpeft_core.runs.store import RunStore

EPOCH_EVERY_S = 5.0  # a pre-training has hundreds of epochs


def pretrain(config: PretrainConfig, *, queue: bool, as_json: bool) -> int:
    """Check a pre-training, make its folder, and work on it, or leave it in the queue.

    Returns:
        The exit code: 0 finished or queued, 1 failed or interrupted, 130 stopped.

    Raises:
        MedPeftError: it cannot start as it is; nothing was written.
    """
    config = resolve_pretraining(config)
    with ProgressBar() as progress:
        prepared = prepare_dataset(config.data, progress=progress)
    # heavy: torch and timm, only for commands that build a model
    from medpeft_core.pretraining.setup import check_pretraining, create_pretraining

    tell(f"Checking masked autoencoding of {config.encoder.name}.")
    plan = check_pretraining(config, prepared)
    _tell_facts(plan.config, plan.provenance)
    store, device = RunStore.open_default(), plan.config.train.device
    store.index.queued()  # a new index queues every queued run that it finds, which is not for it to do with this one
    run = create_pretraining(store, plan)
    if not queue:
        return work_on(store, run, words=WORDS, as_json=as_json)
    try:
        store.index.enqueue(run.run_id, device)
    except BaseException:
        store.discard([run])
        raise
    tell(f"Queued {run.run_id} for {device}. The app, or `python -m medpeft_core supervise`, starts it.")
    if as_json:
        print_json(summarise_pretraining(run))
    return 0


def describe_event(event: dict[str, Any], state: RunState) -> str:
    """A line for an epoch, a kept encoder or a note."""
    kind = event["type"]
    if kind == "epoch":
        speed = f"{event['train_images_per_s']:.0f} images/s"
        return f"epoch {event['epoch']} of {state.epochs}: loss {event['train_loss']:.4f}, {speed}{describe_eta(state)}"
    if kind == "encoder":
        return f"kept the encoder of epoch {event['epoch']}: {event['file']}"
    if kind == "log":
        return str(event.get("text", ""))
    return ""


def tell_result(run: Run) -> None:
    """What a finished pre-training gave: its losses, how well it rebuilds, its encoders, and what to do with them."""
    result = summarise_pretraining(run)
    tell(f"Run {run.run_id} finished in {describe_seconds(result['wall_time_s'])}.")
    tell(f"Loss {result['first_train_loss']:.4f} at first, {result['last_train_loss']:.4f} in the last epoch.")
    if text := describe_rebuilding(result["rebuilt"]):
        tell(text)
    for item in result["encoders"]:
        tell(f"  epoch {item['epoch']}: {item['path']}")
    if result["encoders"]:
        tell(f"To fine-tune the last one: {build_hint(run.pretrain_config(), result['encoders'][-1]['path'])}")
    tell(
        "Research and teaching only, not for clinical use."
        + (" These images are synthetic." if result["is_synthetic"] else "")
    )


def describe_rebuilding(rebuilt: dict[str, Any] | None) -> str:
    """How well hidden patches are rebuilt, against filling them with the mean of the visible ones; "" if not known."""
    if not rebuilt or rebuilt.get("masked_error") is None or not rebuilt.get("mean_fill_error"):
        return ""
    error, fill = rebuilt["masked_error"], rebuilt["mean_fill_error"]
    return (
        f"Hidden patches of training images are rebuilt with a mean squared error of {error:.3f}, which is "
        f"{error / fill:.0%} of what the mean of the visible patches gives ({fill:.3f})."
    )


def build_hint(config: PretrainConfig, path: str) -> str:
    """A command that fine-tunes an encoder on the data that it was pre-trained on."""
    part = config.encoder
    backbone = BackboneConfig(name=part.name, weights=path, image_size=part.image_size)
    return build_command(RunConfig(data=config.data, backbone=backbone, method=MethodConfig(name="lora")))


def _tell_facts(config: PretrainConfig, provenance: dict[str, Any]) -> None:
    images, patients = provenance["num_train_images"], provenance["num_train_patients"]
    by_patient = f" of {patients} patients" if patients is not None else ""
    tell(f"Pre-training on {images} training images{by_patient}. Labels, val and test are not used.")
    hidden = provenance["num_patches"] - provenance["num_visible_patches"]
    tell(
        f"Encoder: {provenance['num_params']:,} parameters, at {config.encoder.image_size} pixels. Decoder: "
        f"{provenance['num_decoder_params']:,}. {hidden} of {provenance['num_patches']} patches are hidden."
    )
    for note in provenance["data_notes"]:
        tell(f"Note: {note}")


WORDS = Words(
    describe_event=describe_event,
    tell_result=tell_result,
    summarise=summarise_pretraining,
    epoch_every_s=EPOCH_EVERY_S,
)
