"""Masked autoencoding beside a plain forward and backward pass of the same encoder over all tokens, interleaved.

    python -m benchmarks.pretrain_speed [--device cpu|cuda:0] [--batch N] [--rounds N] [--steps N] [--models A@PX,B@PX]

The plain side is timm's own encoder and one AdamW step, nothing of the lab. The lab's side is its whole loop: pixels
from the cache, crops, masks, decoder, update. "gain" is the median over rounds of plain over lab seconds an image;
"wait" is the share of the lab's time that went into pixels.
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import timm
import torch

from medpeft_core.config import DataConfig
from medpeft_core.datasets.prepare import prepare_dataset
from medpeft_core.pretrain_config import EncoderConfig, PretrainConfig, PretrainTrainConfig
from medpeft_core.pretrain_resolve import resolve_pretraining
from medpeft_core.pretraining.build import build_autoencoder, build_pretrain_parts, take_train_split
from medpeft_core.pretraining.loop import PretrainLoop
from medpeft_core.training.checkpoint import Position
from medpeft_core.training.control import SilentControl
from medpeft_core.training.data import PixelSource
from medpeft_core.training.device import autocast, resolve_precision

NUM_PATIENTS = 200
CACHE_SIZE = 256


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cuda:0" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--steps", type=int, default=2)
    parser.add_argument("--models", default="demo_vit@96,vit_tiny_patch16_224@128,vit_small_patch16_224@224")
    options = parser.parse_args()
    precision = resolve_precision("auto", options.device)
    threads = torch.get_num_threads()
    print(f"{options.device}, {precision}, batch {options.batch}, {threads} threads, torch {torch.__version__}")
    print(f"{'encoder':<24}{'px':>5}{'lab img/s':>11}{'plain img/s':>12}{'gain':>7}{'min..max':>14}{'wait':>8}")
    for model in options.models.split(","):
        name, _, size = model.partition("@")
        print_row(name, int(size), options, precision)


def print_row(name: str, image_size: int, options: argparse.Namespace, precision: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        lab = LabSide(name, image_size, options, precision, Path(folder))
        plain = PlainSide(name, image_size, options, precision)
        lab.run(), plain.run()  # warm-up
        lab.loop.position.train_time_s = lab.loop.position.data_wait_s = 0.0
        pairs = [(measure(lab), measure(plain)) for _ in range(options.rounds)]
    images = options.batch * options.steps
    ratios = [plain_s / lab_s for lab_s, plain_s in pairs]
    speeds = [images / statistics.median(times) for times in zip(*pairs, strict=True)]
    wait = lab.loop.position.data_wait_s / lab.loop.position.train_time_s
    print(
        f"{name:<24}{image_size:>5}{speeds[0]:>11.1f}{speeds[1]:>12.1f}{statistics.median(ratios):>7.2f}"
        f"{min(ratios):>8.2f}..{max(ratios):.2f}{wait:>8.1%}",
        flush=True,
    )


class LabSide:
    """Some batches of the lab's own loop."""

    def __init__(self, name: str, image_size: int, options: argparse.Namespace, precision: str, folder: Path) -> None:
        config = resolve_pretraining(
            PretrainConfig(
                data=DataConfig(dataset="phantom", options={"num_patients": NUM_PATIENTS}, cache_size=CACHE_SIZE),
                encoder=EncoderConfig(name=name, image_size=image_size),
                train=PretrainTrainConfig(batch_size=options.batch, device=options.device, precision=precision),
            )
        )
        prepared = prepare_dataset(config.data)
        autoencoder, config = build_autoencoder(config)
        train = take_train_split(prepared, config)
        rows = np.resize(np.arange(len(train)), options.batch * options.steps)
        parts = build_pretrain_parts(
            config,
            autoencoder,
            train=train.select(rows),
            source=PixelSource(prepared.cache, options.device),
            checkpoint_dir=folder,
            encoders_dir=folder,
            pictures_dir=folder,
        )
        self.loop = PretrainLoop(parts, Position(), SilentControl(), facts={})

    def run(self) -> None:
        self.loop.position.batch = 0
        self.loop.run_batches()


class PlainSide:
    """timm's encoder on all tokens, with a loss that reaches each of them."""

    def __init__(self, name: str, image_size: int, options: argparse.Namespace, precision: str) -> None:
        self.model = timm.create_model(name, num_classes=0, img_size=image_size, global_pool="").to(options.device)
        self.images = torch.randn(options.batch, 3, image_size, image_size, device=options.device)
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=1e-5, fused=True)
        self.device, self.precision, self.steps = options.device, precision, options.steps

    def run(self) -> None:
        for _ in range(self.steps):
            with autocast(self.device, self.precision):
                tokens = self.model(self.images)
            tokens.float().square().mean().backward()
            self.optimizer.step()
            self.optimizer.zero_grad(set_to_none=True)
        if self.device.startswith("cuda"):
            torch.cuda.synchronize()


def measure(side: LabSide | PlainSide) -> float:
    started = time.perf_counter()
    side.run()
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
