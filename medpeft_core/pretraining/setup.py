"""Setting a pre-training up: everything that can fail is tried before its folder exists. Heavy."""

from dataclasses import dataclass, replace
from typing import Any

from medpeft_core.backbones.weights import store_base
from medpeft_core.datasets.prepare import PreparedData
from medpeft_core.errors import BackboneError, DataError
from medpeft_core.paths import weights_dir
from medpeft_core.pretrain_config import PretrainConfig
from medpeft_core.pretrain_resolve import resolve_pretraining
from medpeft_core.pretraining.build import build_autoencoder, take_train_split
from medpeft_core.pretraining.encoders import get_encoder_state
from medpeft_core.runs.run import Run
from medpeft_core.runs.store import RunStore
from medpeft_core.training.device import resolve_device, resolve_precision
from medpeft_core.training.provenance import describe_origin

MIN_TRAIN_IMAGES = 2


@dataclass(frozen=True, kw_only=True)
class PretrainPlan:
    """A pre-training that was checked and can be made.

    Attributes:
        config: complete; the weights that it starts from are stored in the lab, unless they are random.
        provenance: what its folder will say of where it comes from.
    """

    config: PretrainConfig
    provenance: dict[str, Any]


def check_pretraining(config: PretrainConfig, prepared: PreparedData) -> PretrainPlan:
    """Resolve what is open, build the model once, and store the weights that it starts from.

    Raises:
        MedPeftError: a field, the data, the backbone, its weights or the device does not allow this; nothing was
            written.
    """
    config = resolve_pretraining(config)
    device = resolve_device(config.train.device)
    precision = resolve_precision(config.train.precision, device)
    train = take_train_split(prepared, config)
    if len(train) < MIN_TRAIN_IMAGES:
        raise DataError(
            f"The train split has {len(train)} image at a fraction of {config.data.fraction:g}, but at least "
            f"{MIN_TRAIN_IMAGES} are needed. Use a larger data.fraction."
        )
    autoencoder, config = build_autoencoder(config)
    if autoencoder.num_patches < 2:
        raise BackboneError(
            f"At {config.encoder.image_size} pixels the backbone {config.encoder.name!r} sees one patch, so nothing is "
            "left to rebuild it from. Use a larger --image-size."
        )
    sha256 = None
    if config.encoder.weights != "random":
        sha256 = store_base(get_encoder_state(autoencoder.encoder), weights_dir())
    complete = replace(
        config,
        encoder=replace(config.encoder, weights_sha256=sha256),
        train=replace(config.train, device=device, precision=precision),
    )
    num_params = sum(parameter.numel() for parameter in autoencoder.encoder.parameters())
    num_all = sum(parameter.numel() for parameter in autoencoder.parameters())
    provenance = {
        **describe_origin(prepared, device=device),
        "num_train_images": len(train),
        "num_train_patients": len(set(train.manifest.patient_ids)) if train.manifest.has_patients else None,
        "num_params": num_params,
        "num_decoder_params": num_all - num_params,
        "num_patches": autoencoder.num_patches,
        "num_visible_patches": autoencoder.num_visible,
    }
    return PretrainPlan(config=complete, provenance=provenance)


def create_pretraining(store: RunStore, plan: PretrainPlan) -> Run:
    """Make the folder of a pre-training; it is not put into the queue.

    Raises:
        RunError: the disk is full.
    """
    return store.create(plan.config, provenance=plan.provenance, device=plan.config.train.device)
