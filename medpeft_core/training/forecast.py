"""What a run will need before it is launched: parameters, memory, steps, data, time. Writes nothing."""

from collections import OrderedDict
from dataclasses import replace
from typing import Any

import psutil

from medpeft_core.config import RunConfig
from medpeft_core.datasets import DATASETS
from medpeft_core.datasets.prepare import PreparedData
from medpeft_core.errors import ComputeError, DataError
from medpeft_core.resolve import resolve_config
from medpeft_core.runs.store import RunStore
from medpeft_core.training.bare_backbones import BareBackbones
from medpeft_core.training.build import BuiltModel, apply_method
from medpeft_core.training.check import MIN_TRAIN_IMAGES
from medpeft_core.training.data import DEVICE_SHARE
from medpeft_core.training.device import resolve_device, resolve_precision
from medpeft_core.training.feature_forecast import forecast_features
from medpeft_core.training.known_data import KnownData
from medpeft_core.training.memory import (
    MemoryNeed,
    ModelNeeds,
    find_device_memory,
    find_free_memory,
)
from medpeft_core.training.model_facts import ModelFacts, build_key, describe_model, warn_of_weights
from medpeft_core.training.speed import (
    Speed,
    count_steps,
    find_measured_speed,
    forecast_times,
    time_on_cpu,
    time_on_gpu,
)

MAX_KNOWN_MODELS = 64


class Forecaster:
    """Answers `check`, `speed` and `traits`; remembers models by all that decides their size. For one thread.

    Args:
        store: the home's runs, whose speeds are taken where they fit.
        known: prepared data.
        library_bytes: memory that a process takes by its imports alone; None: what this process takes now.
    """

    def __init__(self, store: RunStore, known: KnownData, *, library_bytes: int | None = None) -> None:
        self._store = store
        self._known = known
        self._library_bytes = library_bytes or int(psutil.Process().memory_info().rss)
        self._facts: OrderedDict[tuple[Any, ...], ModelFacts] = OrderedDict()
        self._bare = BareBackbones()

    def check(self, config: RunConfig) -> dict[str, Any]:
        """Everything about a run that can be known without training.

        Returns:
            {"config": complete, "is_prepared", "num_params", "num_trainable_params", "adapter_bytes": of the files,
            "extra_compute": as in `ModelFacts`, "memory_bytes", "memory_parts": bytes by part, "device",
            "device_memory_bytes", "steps_per_epoch", "num_steps", "num_images": of the whole splits,
            "num_train_images" and "num_train_patients": in the label fraction, "positives": by label,
            "task" and "is_ordered": of the labels, "warnings" and "notes": sentences}. What only the data tell is None
            until they are prepared.

        Raises:
            MedPeftError: a field, the data, the backbone, the method or the device does not allow this run.
        """
        prepared = self._known.find(config.data)
        config, facts = self._complete(config, prepared)
        device, batches = config.train.device, (config.train.batch_size, config.evaluation.batch_size)
        need = MemoryNeed(needs=facts.needs, config=config, fixed=self._count_fixed(config, prepared, facts.needs))
        answer = {
            "config": config.to_dict(),
            "num_params": facts.num_params,
            "num_trainable_params": facts.num_trainable_params,
            "adapter_bytes": facts.needs.adapter,
            "extra_compute": facts.extra_compute,
            "memory_bytes": need.total(*batches),
            "memory_parts": need.parts(*batches),
            "device": device,
            "device_memory_bytes": find_device_memory(device),
            **self._describe_data(config, prepared),
        }
        answer["warnings"] = [
            *need.warn(find_free_memory(device)),
            *warn_of_weights(config, facts),
            *answer["warnings"],
        ]
        return answer

    def complete(self, config: RunConfig) -> RunConfig:
        """The config with everything that only the model and the machine tell filled in, but no stored weights.

        Raises:
            MedPeftError: as `check`.
        """
        return self._complete(config, self._known.find(config.data))[0]

    def describe_traits(self, config: RunConfig) -> dict[str, Any]:
        """What the backbone of a config is made of, whatever its method; nothing is downloaded for that.

        Returns:
            {"kind", "traits": sorted words of `medpeft_core.traits`}.

        Raises:
            BackboneError: there is no such model, or it cannot be built so.
        """
        return self._bare.describe_traits(config, count_classes(config, self._known.find(config.data)))

    def forecast_speed(self, config: RunConfig) -> dict[str, Any]:
        """How long a run will take.

        Returns:
            {"images_per_s": of training, "train_s" and "eval_s": of an epoch, "total_s": of the run with start and
            final evaluation, if it is not stopped early, "features_s": of that, to compute features that are to be
            cached, "source": sentences}; the times are None until the data are prepared.

        Raises:
            MedPeftError: the run is impossible, or its GPU is busy and no earlier run was like it.
        """
        prepared = self._known.find(config.data)
        config, _ = self._complete(config, prepared)
        speed = find_measured_speed(self._store, config) or self._measure_speed(config, prepared)
        data = None if prepared is None else self._known.describe(config.data)
        features_s, source = 0.0, speed.source
        if config.train.cached_features:
            self._leave_busy_gpu_alone(config)
            built = self._build(config, count_classes(config, prepared))
            features_s, sentence = forecast_features(built, config, prepared)
            source = f"{source} {sentence}"
        times: dict[str, float | None] = dict.fromkeys(("train_s", "eval_s", "total_s", "features_s"))
        if data is not None:
            sizes = {"num_val": data.num_images["val"], "num_test": data.num_images["test"]}
            times |= forecast_times(
                config, num_train=data.num_train_images, **sizes, speed=speed, features_s=features_s
            )
            times["features_s"] = features_s
        return {"images_per_s": speed.train_images_per_s, **times, "source": source}

    def _describe_data(self, config: RunConfig, prepared: PreparedData | None) -> dict[str, Any]:
        facts = None if prepared is None else self._known.describe(config.data)
        if facts is None:
            names = (
                "steps_per_epoch",
                "num_steps",
                "num_images",
                "num_train_images",
                "num_train_patients",
                "positives",
                "task",
                "is_ordered",
            )
            return {"is_prepared": False, **dict.fromkeys(names), "warnings": (), "notes": []}
        if facts.num_train_images < MIN_TRAIN_IMAGES:
            raise DataError(
                f"The training set has {facts.num_train_images} image at a fraction of {config.data.fraction:g}, but "
                f"at least {MIN_TRAIN_IMAGES} are needed. Use a larger data.fraction."
            )
        steps_per_epoch = count_steps(config, facts.num_train_images)
        return {
            "is_prepared": True,
            "steps_per_epoch": steps_per_epoch,
            "num_steps": steps_per_epoch * config.train.epochs,
            "num_images": facts.num_images,
            "num_train_images": facts.num_train_images,
            "num_train_patients": facts.num_train_patients,
            "positives": facts.positives,
            "task": facts.task,
            "is_ordered": facts.is_ordered,
            "warnings": facts.warnings,
            "notes": list(facts.notes),
        }

    def _complete(self, config: RunConfig, prepared: PreparedData | None) -> tuple[RunConfig, ModelFacts]:
        config = resolve_config(config)
        device = resolve_device(config.train.device)
        precision = resolve_precision(config.train.precision, device)
        config = replace(config, train=replace(config.train, device=device, precision=precision))
        num_classes = count_classes(config, prepared)
        key = build_key(config, num_classes)
        facts = self._facts.get(key) or describe_model(self._bare, config, num_classes)
        complete = replace(config, backbone=replace(config.backbone, **facts.section))
        for name in (key, build_key(complete, num_classes)):
            self._facts[name] = facts
            self._facts.move_to_end(name)
        while len(self._facts) > MAX_KNOWN_MODELS:
            self._facts.popitem(last=False)
        return complete, facts

    def _build(self, config: RunConfig, num_classes: int) -> BuiltModel:
        """The model as it is before its first step."""
        return apply_method(self._bare.get(config, num_classes), config)

    def _count_fixed(self, config: RunConfig, prepared: PreparedData | None, needs: ModelNeeds) -> dict[str, int]:
        """Memory that no batch decides: the libraries of a process, decoded pixels on a GPU, cached features."""
        device, fixed = config.train.device, {}
        if device == "cpu":
            fixed["libraries"] = self._library_bytes
        if prepared is None:
            return fixed
        memory, nbytes = find_device_memory(device), prepared.cache.nbytes
        if device != "cpu" and memory is not None and prepared.cache.is_uniform and nbytes < DEVICE_SHARE * memory:
            fixed["pixels"] = nbytes
        if needs.feature:
            fixed["features"] = needs.feature * len(prepared.cache_rows)
        return fixed

    def _leave_busy_gpu_alone(self, config: RunConfig) -> None:
        device = config.train.device
        holder = self._store.index.device_holder(device)
        if device != "cpu" and holder is not None:
            raise ComputeError(
                f"The speed on {device} is not known: no run like this one was trained here yet, and the run "
                f"{holder.run_id} is using {device} now. Ask again when it has ended."
            )

    def _measure_speed(self, config: RunConfig, prepared: PreparedData | None) -> Speed:
        self._leave_busy_gpu_alone(config)
        device = config.train.device
        holder = self._store.index.device_holder(device)
        built = self._build(config, count_classes(config, prepared))
        if device == "cpu":
            train, evaluation = time_on_cpu(built, config)
            beside = f" beside the run {holder.run_id}, which was training" if holder is not None else ""
            source = f"Measured now on this CPU{beside}."
        else:
            train, evaluation = time_on_gpu(built, config, device)
            source = f"Measured now on {device} with this batch size."
        return Speed(train_images_per_s=train, eval_images_per_s=evaluation, source=source)


def count_classes(config: RunConfig, prepared: PreparedData | None) -> int:
    """Outputs of the model; 1 for data that only their files describe, as long as these were not read."""
    labels = DATASETS[config.data.dataset].labels if prepared is None else prepared.manifest.labels
    return max(len(labels), 1)
