"""How fast a run will be: as earlier runs like it were, else as a few steps of its own model are now."""

import contextlib
import math
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from medpeft_core.config import RunConfig
from medpeft_core.errors import ComputeError, RunError
from medpeft_core.runs.run import Run
from medpeft_core.runs.states import RUNNING
from medpeft_core.runs.store import RunStore
from medpeft_core.training.build import BuiltModel
from medpeft_core.training.device import describe_device
from medpeft_core.training.parts import count_batches
from medpeft_core.training.trial_work import build_features, build_forward, build_step

START_S = 7.0  # from launch to the first step with decoded data: imports 5 s, data and model 1 to 2 s, on two cores
BUDGET_S = 2.5  # for training, and again for evaluation; a pass that has begun is finished
MAX_FIRST_S = 20.0
FIRST_IMAGES = 2  # of the first pass on a CPU; BatchNorm wants two
QUICK_S, GROWTH = 0.4, 4  # small batches tell little of large ones, so a quick one is followed by a larger one
# A training step computes the forward pass and once or twice as much on the way back, evaluation the first part only,
# but always in fp32, which eats up the gain where training is in a shorter format.
EVALUATION_SPEEDUP = {"fp32": 2.0, "bf16": 1.0, "fp16": 1.0}


@dataclass(frozen=True, kw_only=True)
class Speed:
    """Images a second, and a sentence that says where the figures come from."""

    train_images_per_s: float
    eval_images_per_s: float
    source: str


def find_measured_speed(store: RunStore, config: RunConfig) -> Speed | None:
    """The speed of the newest run of this home that did the same work on this device.

    Same work is the same backbone, image size, method, number format, batch size and CPU threads, on cached
    features or not; it may still be running. Knobs, augmentation and data may differ: they change little.

    Args:
        store: the runs.
        config: complete: device, precision and image size are resolved.
    """
    device_name = describe_device(config.train.device)
    for run in store.list_runs():
        with contextlib.suppress(RunError):  # a damaged run tells nothing
            if _work_of(run.config()) == _work_of(config) and run.provenance().get("device_name") == device_name:
                speed = _read_speed(run)
                if speed is not None:
                    return speed
    return None


def time_on_cpu(built: BuiltModel, config: RunConfig) -> tuple[float, float]:
    """Images a second of training and of evaluation, with batches of a size that fits into a few seconds.

    Trains the model on noise: throw it away afterwards, or use it for counting only.
    """
    step, predict = build_step(built, config, device="cpu"), build_forward(built, config, device="cpu")
    train, evaluation = config.train.batch_size, config.evaluation.batch_size
    return measure_pace(step, FIRST_IMAGES, train), measure_pace(predict, FIRST_IMAGES, evaluation)


def time_on_gpu(built: BuiltModel, config: RunConfig, device: str) -> tuple[float, float]:
    """Images a second of training and of evaluation with the run's own batches; the memory is freed afterwards.

    Trains the model on noise: throw it away afterwards, or use it for counting only.

    Raises:
        ComputeError: a batch does not fit into the device's memory.
    """
    train, evaluation = config.train.batch_size, config.evaluation.batch_size
    try:
        step, predict = build_step(built, config, device=device), build_forward(built, config, device=device)
        return measure_pace(step, train, train), measure_pace(predict, evaluation, evaluation)
    except torch.OutOfMemoryError as error:
        raise ComputeError(
            f"The memory of {device} ran out with train.batch_size {train} and evaluation.batch_size {evaluation}. Use "
            "half of them, and twice the train.accumulation: the same effective batch."
        ) from error
    finally:
        built.adapted.network.zero_grad(set_to_none=True)
        built.adapted.network.to("cpu")
        if device.startswith("cuda"):
            torch.cuda.empty_cache()


def time_features(built: BuiltModel, config: RunConfig, device: str) -> float:
    """Images a second whose features are computed, by the whole network in batches of an evaluation.

    Raises:
        ComputeError: a batch does not fit into the device's memory.
    """
    limit = config.evaluation.batch_size
    try:
        return measure_pace(build_features(built, config, device=device), FIRST_IMAGES, limit)
    except torch.OutOfMemoryError as error:
        raise ComputeError(
            f"The memory of {device} ran out with evaluation.batch_size {limit}. Use half of it."
        ) from error
    finally:
        built.adapted.network.to("cpu")
        if device.startswith("cuda"):
            torch.cuda.empty_cache()


def forecast_times(
    config: RunConfig, *, num_train: int, num_val: int, num_test: int, speed: Speed, features_s: float = 0.0
) -> dict[str, float]:
    """Seconds of a run that is not stopped early.

    Args:
        config: complete.
        num_train: images in the label fraction.
        num_val, num_test: images of these splits.
        speed: of training and evaluation.
        features_s: to compute features before the first step.

    Returns:
        {"train_s", "eval_s"} of an epoch on average, {"total_s"} of the run from its launch to its figures.
    """
    train, evaluation = config.train, config.evaluation
    train_s = images_per_epoch(num_train, train.batch_size) / speed.train_images_per_s
    num_steps = train.epochs * count_steps(config, num_train)
    num_evals = math.ceil(num_steps / train.eval_every) if train.eval_every else train.epochs
    is_subset = bool(train.eval_every) and num_val > evaluation.max_val_images
    evals_s = num_evals * (evaluation.max_val_images if is_subset else num_val) / speed.eval_images_per_s
    final_s = (num_val + num_test) / speed.eval_images_per_s
    return {
        "train_s": train_s,
        "eval_s": evals_s / train.epochs,
        "total_s": START_S + features_s + train.epochs * train_s + evals_s + final_s,
    }


def count_steps(config: RunConfig, num_train: int) -> int:
    """Optimizer steps of an epoch, counted as the training loop counts them."""
    return math.ceil(count_batches(num_train, config.train.batch_size) / config.train.accumulation)


def images_per_epoch(num_train: int, batch_size: int) -> int:
    """Images that an epoch trains on: all, but for a lone last one."""
    return min(num_train, count_batches(num_train, batch_size) * batch_size)


def _work_of(config: RunConfig) -> tuple[object, ...]:
    train, backbone = config.train, config.backbone
    return (
        backbone.name,
        backbone.image_size,
        config.method.name,
        train.precision,
        train.device,
        train.batch_size,
        train.compile,
        train.cached_features,
        train.cpu_threads,
    )


def _read_speed(run: Run) -> Speed | None:
    history, train_config = run.history(), run.config().train
    epochs = [event for event in history if event["type"] == "epoch"]
    finished = (run.metrics() or {}).get("training", {}).get("train_images_per_s")
    train = finished or (epochs[-1].get("train_images_per_s") if epochs else None)
    if not train:
        return None
    num_images = images_per_epoch(run.provenance()["num_train_images"], train_config.batch_size)
    evaluate = measure_evaluation(history, num_images=num_images) or train * EVALUATION_SPEEDUP[train_config.precision]
    state = ", which is still running" if run.status == RUNNING else ""
    return Speed(
        train_images_per_s=train, eval_images_per_s=evaluate, source=f"Measured by the run {run.run_id}{state}."
    )


def measure_evaluation(history: list[dict[str, Any]], *, num_images: int) -> float | None:
    """Images a second of evaluations on val, from the time between two ends of epochs that training does not explain.

    Args:
        history: the events of a run.
        num_images: trained on in each epoch.

    Returns:
        None where no two epochs follow each other undisturbed.
    """
    speeds = []
    before: dict[str, Any] | None = None
    num_evaluated = 0
    for event in history:
        if event["type"] == "status":
            before = None  # stopped and resumed in between
        elif event["type"] == "eval":
            num_evaluated += event["num_images"]
        elif event["type"] == "epoch":
            if before is not None and num_evaluated:
                left_s = (
                    event["time"] - before["time"] - (_trained_s(event, num_images) - _trained_s(before, num_images))
                )
                speeds += [num_evaluated / left_s] if left_s > 0 else []
            before, num_evaluated = event, 0
    return statistics.median(speeds) if speeds else None


def _trained_s(event: dict[str, Any], num_images: int) -> float:
    """Seconds of training up to the end of an epoch; its speed is the one of the whole run so far."""
    return float(event["epoch"]) * num_images / float(event["train_images_per_s"])


def _time(work: Callable[[int], None], num_images: int) -> float:
    started = time.perf_counter()
    work(num_images)
    return time.perf_counter() - started


def measure_pace(work: Callable[[int], None], first: int, limit: int) -> float:
    """Images a second, with batches that grow from `first` to `limit` images as long as they are quick.

    The first pass also prepares kernels, which can take seconds: it counts only where a second would take too long.
    """
    started = time.perf_counter()
    num_images = min(first, limit)
    seconds = _time(work, num_images)
    speed = num_images / seconds
    times: list[float] = []
    while time.perf_counter() - started < BUDGET_S or (not times and seconds < MAX_FIRST_S):
        times.append(_time(work, num_images))
        speed = num_images / statistics.median(times)
        if times[-1] < QUICK_S and num_images < limit:
            num_images, times = min(GROWTH * num_images, limit), []
    return speed
