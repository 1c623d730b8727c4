"""Encoders that leave a pre-training: safetensors in timm's names, each with its model card. Heavy."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import nn

from medpeft_core.backbones.weights import CARD_KEY
from medpeft_core.command_line import build_pretrain_command
from medpeft_core.paths import ensure_dir, write_atomically
from medpeft_core.pretrain_config import PretrainConfig
from medpeft_core.pretraining.files import name_encoder

LICENCE_NOTE = "These weights come under the terms of the images that they were learned from."


@dataclass(frozen=True, kw_only=True)
class SavedEncoder:
    """What was written: file name, SHA-256 and size in bytes."""

    file: str
    sha256: str
    num_bytes: int


def get_encoder_state(encoder: nn.Module) -> dict[str, torch.Tensor]:
    """All tensors of an encoder by timm's names, copied to the CPU; the decoder stays behind."""
    return {name: tensor.detach().cpu().clone().contiguous() for name, tensor in encoder.state_dict().items()}


def save_encoder(
    encoder: nn.Module, folder: Path, *, config: PretrainConfig, epoch: int, train_loss: float, facts: dict[str, Any]
) -> SavedEncoder:
    """Write the encoder after an epoch, and its model card beside it.

    Args:
        encoder: the timm model.
        folder: of the pre-training's encoders.
        config: complete.
        epoch: epochs that were finished.
        train_loss: mean loss of that epoch.
        facts: `data_title`, `is_synthetic`, `num_train_images`, `num_train_patients`, `data_fingerprint`, `run_id`.
    """
    card = describe_encoder(config, epoch=epoch, train_loss=train_loss, facts=facts)
    metadata = {"format": "pt", CARD_KEY: json.dumps(card)}
    content = safetensors.torch.save(get_encoder_state(encoder), metadata=metadata)
    path = ensure_dir(folder) / name_encoder(epoch)
    write_atomically(path, lambda temporary: _write_bytes(temporary, content))
    saved = SavedEncoder(file=path.name, sha256=hashlib.sha256(content).hexdigest(), num_bytes=len(content))
    text = write_card(config, saved, epoch=epoch, train_loss=train_loss, facts=facts)
    write_atomically(path.with_suffix(".md"), lambda temporary: _write_bytes(temporary, text.encode()))
    return saved


def describe_encoder(config: PretrainConfig, *, epoch: int, train_loss: float, facts: dict[str, Any]) -> dict[str, Any]:
    """What the weights file says about itself; `mean` and `std` are what images must be normalised with."""
    encoder = config.encoder
    return {
        "backbone": encoder.name,
        "image_size": encoder.image_size,
        "mean": encoder.mean,
        "std": encoder.std,
        "method": "masked autoencoding (He et al. 2022, arXiv:2111.06377)",
        "mask_ratio": config.mae.mask_ratio,
        "norm_pixels": config.mae.norm_pixels,
        "epoch": epoch,
        "epochs": config.train.epochs,
        "train_loss": train_loss,
        "dataset": config.data.dataset,
        "start_weights": Path(encoder.weights).name,
        "seed": config.train.seed,
        **facts,
    }


def write_card(
    config: PretrainConfig, saved: SavedEncoder, *, epoch: int, train_loss: float, facts: dict[str, Any]
) -> str:
    """The model card of one encoder as Markdown."""
    encoder, train = config.encoder, config.train
    patients = f" of {facts['num_train_patients']} patients" if facts["num_train_patients"] is not None else ""
    synthetic = " All images are **synthetic**, drawn by a program." if facts["is_synthetic"] else ""
    images = epoch * facts["num_train_images"]
    data = f"{facts['data_title']} (`{config.data.dataset}`), train split only"
    return f"""# {encoder.name}, pre-trained without labels

Encoder of a masked autoencoder (He et al. 2022, arXiv:2111.06377) after epoch {epoch} of {train.epochs}.
For research and teaching only, not for clinical use.{synthetic}

| | |
| --- | --- |
| file | `{saved.file}`, {saved.num_bytes:,} bytes |
| SHA-256 | `{saved.sha256}` |
| backbone | timm `{encoder.name}`, {encoder.image_size} x {encoder.image_size} pixels |
| normalisation | mean {_list(encoder.mean)}, standard deviation {_list(encoder.std)} of pixels in 0 to 1 |
| data | {data}: {facts["num_train_images"]} images{patients} |
| data fingerprint | `{facts["data_fingerprint"]}` |
| start weights | {Path(encoder.weights).name} |
| seed | {train.seed} |
| masking | {config.mae.mask_ratio:.0%} of the patches; loss on {_describe_target(config)} |
| seen | {epoch} epochs, {images:,} images |
| training loss | {train_loss:.4f} |
| run | {facts["run_id"]} |

## Command

```
{build_pretrain_command(config)}
```

The learning rate falls over all {train.epochs} epochs, so an encoder from the middle of them is not what a shorter
pre-training would have given.

## Use

```
python -m medpeft_core train --backbone {encoder.name} --weights {saved.file} --image-size {encoder.image_size} ...
```

or in Python: `timm.create_model("{encoder.name}", img_size={encoder.image_size}, num_classes=0, global_pool="")` and
`load_state_dict(safetensors.torch.load_file("{saved.file}"))`, which leaves no key missing and none over.

{LICENCE_NOTE}
"""


def _describe_target(config: PretrainConfig) -> str:
    return "pixels in units of each patch's mean and spread" if config.mae.norm_pixels else "plain pixels"


def _list(numbers: tuple[float, ...] | None) -> str:
    return ", ".join(f"{number:g}" for number in numbers or ())


def _write_bytes(path: Path, content: bytes) -> None:
    path.write_bytes(content)
