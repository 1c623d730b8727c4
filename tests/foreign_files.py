"""Files of weights as others write them, of timm's tiny test_vit."""

import argparse
from pathlib import Path

import timm
import torch

BACKBONE = "test_vit"


def write_mae_file(path: Path, *, seed: int = 0) -> dict[str, torch.Tensor]:
    """A pre-training file in the layout of MAE, with decoder, optimizer and arguments; gives its encoder."""
    generator = torch.Generator().manual_seed(seed)
    model = timm.create_model(BACKBONE, num_classes=0, global_pool="")
    encoder = {name: torch.randn(value.shape, generator=generator) for name, value in model.state_dict().items()}
    decoder = {"mask_token": torch.zeros(1, 1, 32), "decoder_embed.weight": torch.zeros(32, 64)}
    decoder |= {f"decoder_blocks.{number}.norm1.weight": torch.zeros(32) for number in range(3)}
    arguments = argparse.Namespace(model="mae_vit", lr=1e-3)
    torch.save({"model": {**encoder, **decoder}, "optimizer": {"state": {}}, "epoch": 7, "args": arguments}, path)
    return encoder
