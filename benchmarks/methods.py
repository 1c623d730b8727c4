"""What each fine-tuning method costs: seconds a step, memory, trained parameters, disk; and what the lab adds to peft.

    python -m benchmarks.methods [--device cpu|cuda:0] [--backbones A,B] [--methods A,B] [--batch N] [--rounds N]
        [--steps N] [--memory] [--json FILE]

A step is forward, backward and update on tensors in memory, through the lab's own loop. Methods made by peft also run
in plain peft + timm (plain_peft.py), the two loops by turns in one process; the ratio is plain seconds by lab seconds,
taken round by round, so above 1 the lab is faster. Its interval is that of the median by order statistics: of N rounds
the k-th lowest and k-th highest ratio, k being the largest for which the binomial distribution gives at least 95 %
(for 9 rounds the second and the eighth, 96.1 %). It rests on no other assumption than that rounds are alike.

Peak memory is that of the lab's side, on a GPU what torch allocated. On a CPU it is that of a process of its own, and
measured with --memory only. The adapter's size is what the lab really writes for it, head and buffers included.
"""

import argparse
import gc
import json
import statistics
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import peft
import timm
import torch

from benchmarks.intervals import find_median_interval
from benchmarks.lab_loop import LABELS, LabLoop
from benchmarks.plain_peft import build_plain_loop
from benchmarks.train_speed import IMAGE_SIZE, build_batch, measure
from medpeft_core.backbones import BACKBONES
from medpeft_core.errors import MedPeftError
from medpeft_core.methods import METHODS
from medpeft_core.methods.peft_adapted import PeftAdaptedModel
from medpeft_core.paths import write_json
from medpeft_core.training.device import describe_device, measure_peak_memory, resolve_precision

WHAT_METHODS_RAISE = (MedPeftError, RuntimeError, ValueError, KeyError)  # memory and shapes included

MIN_ROUNDS = 9
WARM_UP_STEPS = 2
SCHEDULED = 2  # the rounds are half of the steps that a schedule goes by, so that they lie where AdaLoRA changes ranks
SLOW_STEP_S = {"cpu": 30.0, "cuda": 2.0}  # a step above this is timed once and gets no rounds
COLUMNS = "{:<23}{:<22}{:>9}{:>8}{:>12}{:>12}{:>8}{:>15}  {}"
HEADER = COLUMNS.format(
    "backbone", "method", "ms/step", "MB", "trained", "adapter kB", "ratio", "interval", ""
).rstrip()


@dataclass(frozen=True, kw_only=True)
class Row:
    """What was measured of one method on one backbone.

    Attributes:
        step_s: median over the rounds.
        ratio: median of plain seconds by lab seconds; None where there is no plain side.
        low, high: interval of that median.
        note: why something is missing.
    """

    backbone: str
    method: str
    step_s: float | None = None
    plain_step_s: float | None = None
    peak_memory_bytes: int | None = None
    num_trainable_params: int | None = None
    adapter_bytes: int | None = None
    ratio: float | None = None
    low: float | None = None
    high: float | None = None
    ratios: tuple[float, ...] = ()
    note: str = ""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda:0" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--backbones", default="vit_small_patch16_224,resnet50")
    parser.add_argument("--methods", help="names with commas between; without it all")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=MIN_ROUNDS)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--memory", action="store_true", help="on a CPU: peak memory too, each in its own process")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--only", help=argparse.SUPPRESS)  # "backbone/method": print its peak memory and end
    options = parser.parse_args()
    if options.rounds < MIN_ROUNDS:
        parser.error(f"--rounds is {options.rounds}; an interval needs at least {MIN_ROUNDS}.")
    if options.only:
        print(json.dumps({"peak_memory_bytes": measure_own_memory(options)}))
        return
    measure_all(options)


def measure_all(options: argparse.Namespace) -> None:
    """Print the table row by row; the file is written anew after each, so that a stop loses nothing."""
    about = {
        "device": describe_device(options.device),
        "precision": resolve_precision("auto", options.device),
        "batch": options.batch,
        "image_size": IMAGE_SIZE,
        "rounds": options.rounds,
        "steps": options.steps,
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "timm": timm.__version__,
        "peft": peft.__version__,
    }
    print(", ".join(f"{name} {value}" for name, value in about.items()))
    print(HEADER, flush=True)
    rows: list[Row] = []
    misfits: dict[str, list[str]] = {}
    for backbone in options.backbones.split(","):
        spec = BACKBONES[backbone]
        for method in options.methods.split(",") if options.methods else METHODS.names():
            misfit = METHODS[method].find_misfit(spec.kind, spec.traits)
            if misfit is not None:
                misfits.setdefault(f"{backbone}: {misfit}", []).append(method)
                continue
            rows.append(measure_row(backbone, method, options))
            print(format_row(rows[-1]), flush=True)
            if options.json:
                write_json(options.json, {"about": about, "rows": [asdict(row) for row in rows], "misfits": misfits})
    for reason, methods in misfits.items():
        print(f"does not fit {reason}: {', '.join(methods)}")


def measure_row(backbone: str, method: str, options: argparse.Namespace) -> Row:
    """All figures of one method; what fails is told in the row."""
    row = Row(backbone=backbone, method=method)
    try:
        row = measure_lab(row, options)
    except WHAT_METHODS_RAISE as error:  # one method that fails must not end the table
        traceback.print_exc(file=sys.stderr)
        row = replace(row, note=f"failed: {tell(error)}")
    gc.collect()  # loops refer to themselves, and their memory must be free for the next one
    if options.device.startswith("cuda"):
        torch.cuda.empty_cache()
    return row


def measure_lab(row: Row, options: argparse.Namespace) -> Row:
    """The lab's figures, then the plain side's where there is one."""
    is_cuda = options.device.startswith("cuda")
    left_over = torch.cuda.memory_allocated(options.device) if is_cuda else 0
    images, targets = build_batch(row.backbone, options)
    precision = resolve_precision("auto", options.device)
    lab = LabLoop(
        row.backbone,
        row.method,
        images=images,
        targets=targets,
        steps=options.steps,
        precision=precision,
        epochs=SCHEDULED * options.rounds,
    )
    row = replace(
        row,
        num_trainable_params=lab.adapted.num_trainable_params(),
        adapter_bytes=measure_adapter(lab),
        peak_memory_bytes=None if is_cuda else ask_memory(row, options),
    )
    if is_cuda:
        torch.cuda.reset_peak_memory_stats(options.device)
    lab.run(WARM_UP_STEPS)
    step_s = measure(lambda: lab.run(1))
    if is_cuda:
        row = replace(row, peak_memory_bytes=measure_peak_memory(options.device) - left_over)
    if step_s > SLOW_STEP_S[options.device.partition(":")[0]]:
        return replace(row, step_s=step_s, note="one step timed, no rounds: it takes too long")
    if not isinstance(lab.adapted, PeftAdaptedModel):
        times = [measure(lab.run) for _ in range(options.rounds)]
        return replace(row, step_s=statistics.median(times) / options.steps)
    try:
        return compare(row, lab, options, images, targets)
    except WHAT_METHODS_RAISE as error:  # the lab's side alone is worth a row
        traceback.print_exc(file=sys.stderr)
        times = [measure(lab.run) for _ in range(options.rounds)]
        note = f"the plain side failed: {tell(error)}"
        return replace(row, step_s=statistics.median(times) / options.steps, note=note)


def compare(row: Row, lab: LabLoop, options: argparse.Namespace, images: torch.Tensor, targets: torch.Tensor) -> Row:
    """Both sides by turns."""
    plain = build_plain_loop(
        row.backbone,
        row.method,
        num_classes=len(LABELS),
        image_size=IMAGE_SIZE,
        device=options.device,
        precision=resolve_precision("auto", options.device),
        num_steps=lab.loop.num_steps,
        is_channels_last=is_channels_last(lab),
    )
    num_trained = sum(parameter.numel() for parameter in plain.parameters)
    if num_trained != row.num_trainable_params:
        raise ValueError(f"it trains {num_trained} parameters")
    plain.run(images, targets, WARM_UP_STEPS)
    sides: dict[str, Callable[[], None]] = {
        "lab": lab.run,
        "plain": lambda: plain.run(images, targets, options.steps),
    }
    rounds = []
    for index in range(options.rounds):
        order = ("lab", "plain") if index % 2 == 0 else ("plain", "lab")  # whoever is first may find another clock
        rounds.append({side: measure(sides[side]) for side in order})
    ratios = [times["plain"] / times["lab"] for times in rounds]
    low, high = find_median_interval(ratios)
    return replace(
        row,
        step_s=statistics.median(times["lab"] for times in rounds) / options.steps,
        plain_step_s=statistics.median(times["plain"] for times in rounds) / options.steps,
        ratio=statistics.median(ratios),
        low=low,
        high=high,
        ratios=tuple(ratios),
    )


def is_channels_last(lab: LabLoop) -> bool:
    """Whether the lab trains with that layout; some methods of peft allow only the other one."""
    return any(parameter.ndim == 4 and not parameter.is_contiguous() for parameter in lab.adapted.network.parameters())


def measure_adapter(lab: LabLoop) -> int:
    """Bytes of all files that the lab keeps of the trained model."""
    with tempfile.TemporaryDirectory() as folder:
        lab.adapted.save(Path(folder))
        return sum(path.stat().st_size for path in Path(folder).rglob("*") if path.is_file())


def ask_memory(row: Row, options: argparse.Namespace) -> int | None:
    """Peak memory of a few steps in a process of its own, where that was asked for."""
    if not options.memory:
        return None
    command = [sys.executable, "-m", "benchmarks.methods", "--device", options.device, "--batch", str(options.batch)]
    answer = subprocess.run(
        [*command, "--only", f"{row.backbone}/{row.method}"], capture_output=True, text=True, check=True
    )
    return int(json.loads(answer.stdout.strip().splitlines()[-1])["peak_memory_bytes"])


def measure_own_memory(options: argparse.Namespace) -> int:
    backbone, method = options.only.split("/")
    images, targets = build_batch(backbone, options)
    precision = resolve_precision("auto", options.device)
    lab = LabLoop(backbone, method, images=images, targets=targets, steps=WARM_UP_STEPS, precision=precision)
    lab.run()
    return measure_peak_memory(options.device)


def format_row(row: Row) -> str:
    """A line of the table; a dash for what was not measured."""

    def show(value: float | None, text: str) -> str:
        return "-" if value is None else format(value, text)

    step_ms = row.step_s and 1000 * row.step_s
    memory_mb = row.peak_memory_bytes and row.peak_memory_bytes / 1e6
    adapter_kb = row.adapter_bytes and row.adapter_bytes / 1e3
    interval = "-" if row.low is None else f"{row.low:.3f}..{row.high:.3f}"
    return COLUMNS.format(
        row.backbone,
        row.method,
        show(step_ms, ".1f"),
        show(memory_mb, ".0f"),
        show(row.num_trainable_params, ","),
        show(adapter_kb, ",.1f"),
        show(row.ratio, ".3f"),
        interval,
        row.note,
    ).rstrip()


def tell(error: Exception) -> str:
    """An error in one short line."""
    lines = str(error).strip().splitlines() or [""]
    return f"{type(error).__name__}: {lines[0]}"[:160]


if __name__ == "__main__":
    main()
