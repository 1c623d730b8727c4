"""The share of an epoch that is spent on getting data: reading the pixel cache, augmenting, moving to the device.

    python -m benchmarks.data_wait [--device cpu|cuda:0] [--backbones A,B] [--batches N] [--image-size N]

Runs real epochs on phantoms with the default augmentation. Beside it, what decoding the files anew would cost: reading
the same images with Pillow and torchvision, one after the other, as a plain data loader does.
"""

import argparse
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import torch
from PIL import Image
from torchvision.transforms import v2

from medpeft_core.config import BackboneConfig, DataConfig, MethodConfig, OptimConfig, RunConfig, TrainConfig
from medpeft_core.datasets.prepare import PreparedData, prepare_dataset
from medpeft_core.training.build import build_loop_parts, build_model
from medpeft_core.training.checkpoint import Position
from medpeft_core.training.control import SilentControl
from medpeft_core.training.data import PixelSource, split_data
from medpeft_core.training.device import resolve_precision
from medpeft_core.training.loop import TrainingLoop

NUM_PATIENTS = 120
EPOCHS = 3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cuda:0" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--backbones", default="vit_small_patch16_224,resnet50,resnet18")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--batches", type=int, default=4, help="batches of an epoch")
    parser.add_argument("--image-size", type=int, default=224)
    options = parser.parse_args()
    prepared = prepare_dataset(DataConfig(options={"num_patients": NUM_PATIENTS}))
    decode_ms = measure_decoding(prepared, options.image_size)
    print(f"{options.device}, batch {options.batch}, {options.image_size} px; decoding a file anew: {decode_ms:.1f} ms")
    print(f"{'backbone':<24}{'method':<8}{'img/s':>8}{'wait':>8}{'ms/img':>8}  (from the second epoch on)")
    for backbone in options.backbones.split(","):
        for method in ("full", "linear", "lora"):
            speed, share, wait_ms = measure_wait(prepared, backbone, method, options)
            print(f"{backbone:<24}{method:<8}{speed:>8.1f}{share:>8.1%}{wait_ms:>8.2f}", flush=True)


def measure_wait(
    prepared: PreparedData, backbone: str, method: str, options: argparse.Namespace
) -> tuple[float, float, float]:
    """Images per second, share of the time spent on data, and milliseconds of it per image."""
    config = RunConfig(
        backbone=BackboneConfig(name=backbone, image_size=options.image_size),
        method=MethodConfig(name=method),
        optim=OptimConfig(lr=1e-4),
        train=TrainConfig(
            epochs=EPOCHS,
            batch_size=options.batch,
            device=options.device,
            precision=resolve_precision("auto", options.device),
        ),
    )
    splits = split_data(prepared, config.data)
    count = options.batch * options.batches
    splits["train"] = splits["train"].select(torch.arange(min(count, len(splits["train"]))).numpy())
    folder = Path(tempfile.mkdtemp())
    parts = build_loop_parts(
        config,
        build_model(config, num_classes=len(prepared.manifest.labels)),
        splits=splits,
        source=PixelSource(prepared.cache, options.device),
        task=prepared.manifest.task,
        labels=prepared.manifest.labels,
        checkpoint_dir=folder / "checkpoint",
        adapter_dir=folder / "adapter",
    )
    loop = TrainingLoop(parts, Position(), SilentControl())
    loop.run_batches()
    first = replace(loop.position)
    for epoch in range(2, EPOCHS + 1):
        loop.position.epoch, loop.position.batch = epoch, 0
        loop.run_batches()
    images = loop.position.train_images - first.train_images
    seconds = loop.position.train_time_s - first.train_time_s
    wait_s = loop.position.data_wait_s - first.data_wait_s
    return images / seconds, wait_s / seconds, 1000 * wait_s / images


def measure_decoding(prepared: PreparedData, image_size: int, count: int = 50) -> float:
    """Milliseconds a file for the plain way."""
    transform = v2.Compose([v2.PILToTensor(), v2.Resize((image_size, image_size), antialias=True)])
    started = time.perf_counter()
    for path in prepared.manifest.paths()[:count]:
        transform(Image.open(path).convert("L"))
    return 1000 * (time.perf_counter() - started) / count


if __name__ == "__main__":
    main()
