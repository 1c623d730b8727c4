"""What bf16 gains on this CPU, in plain torch: the reason for the rule in training/device.py.

python -m benchmarks.precision
"""

import statistics
import time

import timm
import torch

from medpeft_core.training.device import has_fast_cpu_bf16

CASES = (
    ("resnet18", 112, True),
    ("resnet50", 224, True),
    ("vit_tiny_patch16_224", 112, False),
    ("vit_small_patch16_224", 224, False),
)
BATCH, ROUNDS = 16, 7


def main() -> None:
    print(f"native bf16: {has_fast_cpu_bf16()}, {torch.get_num_threads()} threads, torch {torch.__version__}")
    print(f"{'model':<24}{'px':>4}{'fp32 img/s':>12}{'bf16 img/s':>12}{'ratio':>8}")
    for name, size, is_cnn in CASES:
        steps = {dtype: build_step(name, size, is_cnn, dtype) for dtype in (None, torch.bfloat16)}
        for step in steps.values():
            step()
        rounds = [{dtype: measure(step) for dtype, step in steps.items()} for _ in range(ROUNDS)]
        medians = {dtype: statistics.median(row[dtype] for row in rounds) for dtype in steps}
        ratio = statistics.median(row[None] / row[torch.bfloat16] for row in rounds)
        print(
            f"{name:<24}{size:>4}{BATCH / medians[None]:>12.1f}{BATCH / medians[torch.bfloat16]:>12.1f}{ratio:>8.2f}",
            flush=True,
        )


def build_step(name, size, is_cnn, dtype):  # type: ignore[no-untyped-def]
    """One training step of a timm model in that format."""
    model = timm.create_model(name, num_classes=5, **({} if is_cnn else {"img_size": size})).train()
    images = torch.randn(BATCH, 3, size, size)
    if is_cnn:
        model, images = (
            model.to(memory_format=torch.channels_last),
            images.contiguous(memory_format=torch.channels_last),
        )
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=True)

    def step() -> None:
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=dtype is not None):
            loss = model(images).float().square().mean()
        loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return step


def measure(step) -> float:  # type: ignore[no-untyped-def]
    started = time.perf_counter()
    step()
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
