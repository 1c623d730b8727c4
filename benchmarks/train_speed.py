"""Images per second and peak memory of the lab's loop beside plain timm + peft, interleaved in one process.

    python -m benchmarks.train_speed [--device cpu|cuda:0] [--batch N] [--rounds N] [--steps N] [--backbones A,B]

Each round runs the two loops one after the other on the same tensors; the ratio is taken round by round, so that a
noisy machine disturbs both sides alike. Peak memory is measured in a process of its own for each row and side.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

import torch

from benchmarks.lab_loop import LABELS, LabLoop
from benchmarks.minimal_loop import MinimalLoop, build_reference
from medpeft_core.training.device import measure_peak_memory, resolve_precision

METHODS = ("full", "linear", "lora")
IMAGE_SIZE = 224


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cuda:0" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--steps", type=int, default=2)
    parser.add_argument("--backbones", default="vit_small_patch16_224,resnet50")
    parser.add_argument("--only", help=argparse.SUPPRESS)  # "backbone/method/side": print its peak memory and end
    options = parser.parse_args()
    if options.only:
        print(json.dumps(measure_memory(options)))
        return
    precision = resolve_precision("auto", options.device)
    print(f"{options.device}, {precision}, batch {options.batch}, {IMAGE_SIZE} px, torch {torch.__version__}")
    columns = f"{'backbone':<24}{'method':<8}{'lab img/s':>10}{'plain img/s':>12}{'ratio':>8}{'min..max':>14}"
    print(f"{columns}{'lab MB':>9}{'plain MB':>9}")
    for backbone in options.backbones.split(","):
        for method in METHODS:
            print_row(backbone, method, options, precision)


def print_row(backbone: str, method: str, options: argparse.Namespace, precision: str) -> None:
    lab, plain = build_sides(backbone, method, options, precision)
    lab(), plain()  # warm-up
    pairs = [(measure(lab), measure(plain)) for _ in range(options.rounds)]
    images = options.batch * options.steps
    ratios = [plain_s / lab_s for lab_s, plain_s in pairs]
    lab_speed = images / statistics.median(lab_s for lab_s, _ in pairs)
    plain_speed = images / statistics.median(plain_s for _, plain_s in pairs)
    memory = [ask_memory(backbone, method, side, options) / 1e6 for side in ("lab", "plain")]
    print(
        f"{backbone:<24}{method:<8}{lab_speed:>10.1f}{plain_speed:>12.1f}{statistics.median(ratios):>8.3f}"
        f"{min(ratios):>8.2f}..{max(ratios):.2f}{memory[0]:>9.0f}{memory[1]:>9.0f}",
        flush=True,
    )


def build_sides(
    backbone: str, method: str, options: argparse.Namespace, precision: str
) -> tuple[Callable[[], None], Callable[[], None]]:
    images, targets = build_batch(backbone, options)
    return build_lab(backbone, method, options, precision, images, targets), build_plain(
        backbone, method, options, precision, images, targets
    )


def build_batch(backbone: str, options: argparse.Namespace) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(options.batch, 3, IMAGE_SIZE, IMAGE_SIZE, generator=generator).to(options.device)
    targets = (torch.rand(options.batch, len(LABELS), generator=generator) < 0.3).float().to(options.device)
    return images, targets


def build_lab(backbone, method, options, precision, images, targets):  # type: ignore[no-untyped-def]
    loop = LabLoop(backbone, method, images=images, targets=targets, steps=options.steps, precision=precision)
    return loop.run


def build_plain(backbone, method, options, precision, images, targets):  # type: ignore[no-untyped-def]
    model = build_reference(backbone, method, num_classes=len(LABELS), image_size=IMAGE_SIZE, device=options.device)
    loop = MinimalLoop(model, device=options.device, precision=precision, method=method)
    return lambda: loop.run(images, targets, options.steps)


def measure(run: Callable[[], None]) -> float:
    started = time.perf_counter()
    run()
    return time.perf_counter() - started


def ask_memory(backbone: str, method: str, side: str, options: argparse.Namespace) -> int:
    command = [
        sys.executable,
        "-m",
        "benchmarks.train_speed",
        "--device",
        options.device,
        "--batch",
        str(options.batch),
    ]
    answer = subprocess.run(
        [*command, "--only", f"{backbone}/{method}/{side}"], capture_output=True, text=True, check=True
    )
    return int(json.loads(answer.stdout.strip().splitlines()[-1])["peak_memory_bytes"])


def measure_memory(options: argparse.Namespace) -> dict[str, int]:
    backbone, method, side = options.only.split("/")
    images, targets = build_batch(backbone, options)
    build = build_lab if side == "lab" else build_plain
    run = build(backbone, method, options, resolve_precision("auto", options.device), images, targets)
    run(), run()
    return {"peak_memory_bytes": measure_peak_memory(options.device)}


if __name__ == "__main__":
    main()
