"""The one place where a PretrainConfig turns into an autoencoder, batches and an optimizer. Heavy."""

from dataclasses import dataclass, replace
from pathlib import Path

import torch
from timm.models.vision_transformer import VisionTransformer

from medpeft_core.backbones.bare_models import RANDOM_MEAN, RANDOM_STD, find_kind_of
from medpeft_core.backbones.build import Encoder, build_encoder
from medpeft_core.backbones.weights import load_base
from medpeft_core.config import OptimConfig
from medpeft_core.datasets.prepare import PreparedData
from medpeft_core.errors import BackboneError
from medpeft_core.methods.adapted import PlainAdaptedModel
from medpeft_core.paths import weights_dir
from medpeft_core.pretrain_config import MaeConfig, PretrainConfig, PretrainTrainConfig
from medpeft_core.pretrain_resolve import build_unfit_error
from medpeft_core.pretraining.mae import MaskedAutoencoder, init_encoder
from medpeft_core.training.augment import BatchTransform
from medpeft_core.training.build import HUB_DIR
from medpeft_core.training.data import PixelSource, SplitData, split_data
from medpeft_core.training.optim import build_optimizer
from medpeft_core.training.parts import StepParts

METHOD = "mae"
SEED_OF_DECODER = 1_000_003  # added to the seed, so that the decoder does not repeat the encoder's random numbers
# The paper's decoder is 512 wide and 8 deep for ViT-B and ViT-L; its table 1 shows that fine-tuning needs no depth and
# that half of it costs linear probing two points. Half as deep, pre-training is faster by a third.
WIDTH_SHARE, MAX_WIDTH = 2 / 3, 512
DEPTH_SHARE, MAX_DEPTH = 1 / 3, 8
HEAD_WIDTH = 32


@dataclass(frozen=True, kw_only=True)
class PretrainParts(StepParts):
    """Everything that the loop of a pre-training needs, with the model on its device."""

    source: PixelSource
    transform: BatchTransform
    config: PretrainConfig
    autoencoder: MaskedAutoencoder
    encoders_dir: Path
    pictures_dir: Path

    @property
    def train_section(self) -> PretrainTrainConfig:
        return self.config.train


def build_autoencoder(config: PretrainConfig) -> tuple[MaskedAutoencoder, PretrainConfig]:
    """The model as it is before the first step, on the CPU, and the config with what only the model knows.

    Raises:
        BackboneError: no plain ViT, a size that its patches do not divide, or start weights of another model.
    """
    encoder = build_start_encoder(config)
    model = encoder.model
    assert isinstance(model, VisionTransformer)
    mae = complete_mae(config.mae, width=model.embed_dim, depth=len(model.blocks))
    generator_state = torch.get_rng_state()
    torch.manual_seed(config.train.seed + SEED_OF_DECODER)
    try:
        if config.encoder.weights == "random":
            init_encoder(model)
        autoencoder = MaskedAutoencoder(
            model,
            mask_ratio=mae.mask_ratio,
            norm_pixels=mae.norm_pixels,
            decoder_width=mae.decoder_width or 0,
            decoder_depth=mae.decoder_depth or 0,
            decoder_heads=mae.decoder_heads or 0,
        )
    finally:
        torch.set_rng_state(generator_state)
    part = replace(
        config.encoder,
        image_size=encoder.image_size,
        mean=config.encoder.mean or encoder.mean,
        std=config.encoder.std or encoder.std,
    )
    return autoencoder, replace(config, encoder=part, mae=mae)


def build_start_encoder(config: PretrainConfig) -> Encoder:
    """The encoder that a pre-training starts from.

    Raises:
        BackboneError: as `build_autoencoder`.
    """
    part = config.encoder
    kind = find_kind_of(part.name)
    if kind != "vit":
        raise build_unfit_error(part.name, kind)
    is_stored = part.weights_sha256 is not None and part.weights != "random"
    encoder = build_encoder(
        part.name,
        image_size=part.image_size,
        weights=part.weights,
        base_state=load_base(part.weights_sha256, weights_dir()) if is_stored and part.weights_sha256 else None,
        layout=part.layout,
        positions=part.positions,
        seed=config.train.seed,
        download_dir=weights_dir() / HUB_DIR,
    )
    check_encoder(encoder)
    return encoder


def check_encoder(encoder: Encoder) -> None:
    """Refuse transformers that are made otherwise than timm's plain one: their tokens cannot be left out so simply.

    Raises:
        BackboneError: says what is different.
    """
    model = encoder.model
    remedy = "Choose a plain one, such as vit_tiny_patch16_224, vit_base_patch16_224 or demo_vit."
    if not isinstance(model, VisionTransformer):
        raise BackboneError(
            f"Masked autoencoding needs timm's plain VisionTransformer, but {encoder.name!r} is a "
            f"{type(model).__name__}. {remedy}"
        )
    if model.pos_embed is None:
        raise BackboneError(f"The backbone {encoder.name!r} has no table of positions. {remedy}")


def complete_mae(mae: MaeConfig, *, width: int, depth: int) -> MaeConfig:
    """Fill in the decoder: as wide as the paper's for ViT-B, half as deep, and as light for smaller encoders.

    Args:
        mae: what is None is chosen.
        width, depth: of the encoder.
    """
    decoder_width = mae.decoder_width
    if decoder_width is None:
        decoder_width = min(max(round(width * WIDTH_SHARE / HEAD_WIDTH), 1) * HEAD_WIDTH, MAX_WIDTH)
    decoder_depth = mae.decoder_depth or min(max(round(depth * DEPTH_SHARE), 1), MAX_DEPTH)
    heads = mae.decoder_heads or _largest_divisor(decoder_width, decoder_width // HEAD_WIDTH)
    return replace(mae, decoder_width=decoder_width, decoder_depth=decoder_depth, decoder_heads=heads)


def take_train_split(prepared: PreparedData, config: PretrainConfig) -> SplitData:
    """The images that may be learned from: those of the train split, within the fraction. Never val, never test."""
    return split_data(prepared, config.data)["train"]


def build_transform(config: PretrainConfig, *, device: str) -> BatchTransform:
    """From cached pixels to what the encoder sees."""
    encoder = config.encoder
    return BatchTransform(
        config.augment,
        image_size=encoder.image_size or 0,
        mean=encoder.mean or RANDOM_MEAN,
        std=encoder.std or RANDOM_STD,
        device=device,
    )


def build_pretrain_parts(
    config: PretrainConfig,
    autoencoder: MaskedAutoencoder,
    *,
    train: SplitData,
    source: PixelSource,
    checkpoint_dir: Path,
    encoders_dir: Path,
    pictures_dir: Path,
) -> PretrainParts:
    """Everything that the loop needs.

    Args:
        config: complete, as `build_autoencoder` and `pretraining.setup` leave it.
        autoencoder: on the CPU; it is moved.
    """
    device, optim = config.train.device, config.optim
    autoencoder.to(device)
    adapted = PlainAdaptedModel(autoencoder, method=METHOD)
    section = OptimConfig(
        lr=config.peak_lr, weight_decay=optim.weight_decay, beta1=optim.beta1, beta2=optim.beta2, layer_decay=1.0
    )
    return PretrainParts(
        config=config,
        autoencoder=autoencoder,
        adapted=adapted,
        optimizer=build_optimizer(adapted, section, device=device),
        scaler=torch.amp.GradScaler(torch.device(device).type) if config.train.precision == "fp16" else None,
        source=source,
        transform=build_transform(config, device=device),
        train=train,
        device=device,
        precision=config.train.precision,
        checkpoint_dir=checkpoint_dir,
        encoders_dir=encoders_dir,
        pictures_dir=pictures_dir,
    )


def _largest_divisor(number: int, limit: int) -> int:
    return next(item for item in range(max(limit, 1), 0, -1) if number % item == 0)
