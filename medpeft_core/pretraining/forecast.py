"""What a pre-training will need, before it is started: whether its model fits, its sizes, its speed. Heavy."""

import contextlib
import json
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch

from medpeft_core.errors import ComputeError, RunError
from medpeft_core.pretrain_config import PretrainConfig
from medpeft_core.pretrain_resolve import resolve_pretraining
from medpeft_core.pretraining.build import build_autoencoder, build_transform
from medpeft_core.pretraining.mae import MaskedAutoencoder
from medpeft_core.runs.run import Run
from medpeft_core.runs.store import RunStore
from medpeft_core.training.device import autocast, describe_device, resolve_device, resolve_precision
from medpeft_core.training.speed import measure_pace
from medpeft_core.training.trial_work import wait_for_device

MAX_KNOWN = 32
FIRST_IMAGES = 2  # of the first pass on a CPU
MAX_LOOKED_AT = 30  # newest pre-trainings, for the speed of one alike


class PretrainForecaster:
    """Answers `check_pretraining` and `pace_pretraining`; remembers what it has found. For one thread.

    Args:
        store: the home's runs, whose speeds are taken where they fit.
    """

    def __init__(self, store: RunStore) -> None:
        self._store = store
        self._checks: OrderedDict[str, dict[str, Any]] = OrderedDict()
        self._paces: OrderedDict[str, dict[str, Any]] = OrderedDict()

    def check(self, config: PretrainConfig) -> dict[str, Any]:
        """What the model tells, built once on the CPU. Data are not looked at, and nothing is downloaded.

        Returns:
            {"config": complete, "num_params" of the encoder, "num_decoder_params", "num_patches",
            "num_visible_patches", "device"}.

        Raises:
            MedPeftError: the backbone, its weights, the size or the device does not allow this.
        """
        config = _complete_place(config)
        return _remember(self._checks, _identify(config), lambda: _describe(config))

    def pace(self, config: PretrainConfig) -> dict[str, Any]:
        """Images a second: of the newest pre-training alike, else measured now with a few steps on noise.

        Returns:
            {"images_per_s", "source": a sentence}.

        Raises:
            MedPeftError: as `check`, or the GPU is busy and no earlier one was alike.
        """
        config = PretrainConfig.from_dict(self.check(config)["config"])
        found = self._find_alike(config)
        if found is not None:
            return found
        if self._store.index.device_holder(config.train.device) is not None:
            return self._measure(config)  # slower than alone: not remembered
        return _remember(self._paces, _identify(config), lambda: self._measure(config))

    def _find_alike(self, config: PretrainConfig) -> dict[str, Any] | None:
        device_name = describe_device(config.train.device)
        for run in self._store.list_pretrainings()[:MAX_LOOKED_AT]:
            with contextlib.suppress(RunError):  # a damaged one tells nothing
                is_alike = _work_of(run.pretrain_config()) == _work_of(config)
                if is_alike and run.provenance().get("device_name") == device_name and (pace := _read_pace(run)):
                    return {"images_per_s": pace, "source": f"Measured by the pre-training {run.run_id}."}
        return None

    def _measure(self, config: PretrainConfig) -> dict[str, Any]:
        device = config.train.device
        holder = self._store.index.device_holder(device)
        if device != "cpu" and holder is not None:
            raise ComputeError(
                f"The speed on {device} is not known: no pre-training like this one was made here yet, and "
                f"{holder.run_id} is using {device} now. Ask again when it has ended."
            )
        autoencoder, config = build_autoencoder(_without_download(config))
        limit = config.train.batch_size
        try:
            step = _build_step(autoencoder.to(device), config)
            pace = measure_pace(step, FIRST_IMAGES if device == "cpu" else limit, limit)
        except torch.OutOfMemoryError as error:
            raise ComputeError(
                f"The memory of {device} ran out with train.batch_size {limit}. Use half of it, and twice the "
                "train.accumulation: then the updates stay alike."
            ) from error
        finally:
            autoencoder.to("cpu")
            if device.startswith("cuda"):
                torch.cuda.empty_cache()
        beside = f" beside {holder.run_id}, which was at work" if holder is not None else ""
        return {"images_per_s": pace, "source": f"Measured now on {device}{beside}."}


def _complete_place(config: PretrainConfig) -> PretrainConfig:
    config = resolve_pretraining(config)
    device = resolve_device(config.train.device)
    precision = resolve_precision(config.train.precision, device)
    return replace(config, train=replace(config.train, device=device, precision=precision))


def _describe(config: PretrainConfig) -> dict[str, Any]:
    autoencoder, complete = build_autoencoder(_without_download(config))
    num_params = sum(parameter.numel() for parameter in autoencoder.encoder.parameters())
    num_all = sum(parameter.numel() for parameter in autoencoder.parameters())
    encoder = replace(complete.encoder, weights=config.encoder.weights)
    return {
        "config": replace(complete, encoder=encoder).to_dict(),
        "num_params": num_params,
        "num_decoder_params": num_all - num_params,
        "num_patches": autoencoder.num_patches,
        "num_visible_patches": autoencoder.num_visible,
        "device": config.train.device,
    }


def _without_download(config: PretrainConfig) -> PretrainConfig:
    """Sizes and speed are those of random weights; what must be downloaded is fetched when it is started."""
    if config.encoder.weights != "pretrained":
        return config
    return replace(config, encoder=replace(config.encoder, weights="random", weights_sha256=None))


def _identify(config: PretrainConfig) -> str:
    """All that decides the answer; another text when a weights file was changed."""
    path = Path(config.encoder.weights)
    stamp = (path.stat().st_mtime_ns, path.stat().st_size) if path.is_file() else None
    train = (config.train.device, config.train.precision, config.train.batch_size)
    return json.dumps([asdict(config.encoder), asdict(config.mae), asdict(config.augment), train, stamp])


def _remember(known: OrderedDict[str, Any], key: str, find: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    if key not in known:
        known[key] = find()
        while len(known) > MAX_KNOWN:
            known.popitem(last=False)
    answer: dict[str, Any] = known[key]
    return answer


def _work_of(config: PretrainConfig) -> tuple[object, ...]:
    encoder, train, mae = config.encoder, config.train, config.mae
    decoder = (mae.mask_ratio, mae.decoder_width, mae.decoder_depth)
    return encoder.name, encoder.image_size, *decoder, train.precision, train.device, train.batch_size


def _read_pace(run: Run) -> float | None:
    pace = (run.metrics() or {}).get("training", {}).get("train_images_per_s")
    if pace is None:
        epochs = [event for event in run.history(types=("epoch",)) if event["type"] == "epoch"]
        pace = epochs[-1].get("train_images_per_s") if epochs else None
    return float(pace) if pace else None


def _build_step(autoencoder: MaskedAutoencoder, config: PretrainConfig) -> Callable[[int], None]:
    """`step(n)` does what the loop does with n images, on noise: throw the model away afterwards."""
    device, side = config.train.device, config.data.cache_size
    trained = [parameter for parameter in autoencoder.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=config.peak_lr)
    transform = build_transform(config, device=device)
    generator = torch.Generator().manual_seed(0)
    autoencoder.train()

    def step(num_images: int) -> None:
        pixels = torch.randint(0, 256, (num_images, 1, side, side), dtype=torch.uint8, device=device)
        images = transform.varied(pixels, torch.tensor([[side, side]]).expand(num_images, 2), generator)
        noise = torch.rand(num_images, autoencoder.num_patches, generator=generator).to(device)
        with autocast(device, config.train.precision):
            loss = autoencoder(images, noise).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        wait_for_device(device)

    return step
