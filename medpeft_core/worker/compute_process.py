"""`python -m medpeft_core.worker.compute_process`: answers requests of `compute.py` that need torch.

Requests come as JSON lines on stdin, answers go as JSON lines to stdout; whatever else is printed lands in the log.
Light until `main` calls `load_answers`.
"""

import functools
import gc
import json
import os
import queue
import signal
import threading
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from medpeft_core import errors
from medpeft_core.config import RunConfig
from medpeft_core.errors import MedPeftError
from medpeft_core.paths import get_home
from medpeft_core.pretrain_config import PretrainConfig
from medpeft_core.runs.disk import is_disk_full
from medpeft_core.runs.events import make_finite
from medpeft_core.runs.store import RunStore
from medpeft_core.worker.failures import is_out_of_memory
from medpeft_core.worker.processes import lower_priority

PRETRAINING_KINDS = ("check_pretraining", "pace_pretraining")
SETTING_UP_KINDS = ("ping", "check", "speed", "traits", "first_batch", "launch", *PRETRAINING_KINDS)

Answers = dict[str, Callable[..., dict[str, Any]]]


def main() -> None:
    """Answer until nobody asks any more."""
    lower_priority()
    serve(load_answers)


def load_answers() -> Answers:
    """Import what explaining needs, and let the other kinds import what they need when they are first asked for.

    `check`, `speed`, `traits`, `first_batch` and `explain` are told in the modules that they are imported from;
    `explain_ahead` is an `explain` that nobody waits for yet; `predict` is about an upload in memory, and
    `predict_ready` loads the model for it; `mask_shortcut` is told in `explain.masking`; `launch` checks all configs,
    then creates and queues their runs; `check_pretraining` and `pace_pretraining` are told in `pretraining.forecast`;
    `inspect_weights` compares a file of weights with a backbone; `describe_hub` asks the hub about one of its files;
    `ping` imports everything; `hello` does nothing.
    """
    gc.disable()  # importing makes a million objects that stay: looking through them takes a fifth of the time
    try:
        from medpeft_core.explain.answer import Explainer  # heavy: seconds, most of a gigabyte
        from medpeft_core.explain.likeness import Likeness
        from medpeft_core.explain.upload import Predictor
        from medpeft_core.training.known_data import KnownData
    finally:
        gc.freeze()
        gc.enable()
    store, known = RunStore(get_home()), KnownData()
    explainer = Explainer(store, known)
    predictor = Predictor(store, explainer.load, Likeness(known))

    @functools.cache
    def load_rest() -> Answers:
        return _load_rest(store, known)

    @functools.cache
    def load_masker() -> Any:
        from medpeft_core.explain.masking import Masker

        return Masker(store, known, explainer.load)

    def defer(kind: str) -> Callable[..., dict[str, Any]]:
        return lambda **arguments: load_rest()[kind](**arguments)

    return {
        "hello": dict,
        "explain": explainer.explain,
        "explain_ahead": explainer.explain,
        "predict": predictor.predict,
        "predict_ready": predictor.ready,
        "mask_shortcut": lambda **arguments: load_masker().mask(**arguments),
        **load_weights_answers(),
        **{kind: defer(kind) for kind in SETTING_UP_KINDS},
    }


def load_weights_answers() -> Answers:
    """What is asked of weights on their way to the shelf; the model library comes with the first question."""
    return {"inspect_weights": _inspect_weights, "describe_hub": _describe_hub}


def _inspect_weights(path: str, backbone: str, layout: str) -> dict[str, Any]:
    """What would become of a file on its way to the shelf, by the function that brings it there."""
    from medpeft_core.backbones.key_report import WeightsMismatchError
    from medpeft_core.backbones.layouts.checking import convert_weights

    try:
        _, report = convert_weights(Path(path).expanduser(), backbone=backbone, layout=layout)
    except WeightsMismatchError as error:
        report = error.report
    return report.to_dict()


def _describe_hub(source: str) -> dict[str, Any]:
    from medpeft_core.backbones.hub import describe_hub_file, parse_hub_source

    return describe_hub_file(*parse_hub_source(source)).to_dict()


def _load_rest(store: RunStore, known: Any) -> Answers:
    """What setting up runs needs; `known` is a `KnownData`."""
    from medpeft_core.methods import peft_adapted  # noqa: F401  (else the first LoRA would wait for peft)
    from medpeft_core.pretraining.forecast import PretrainForecaster
    from medpeft_core.training.first_batch import draw_first_batch
    from medpeft_core.training.forecast import Forecaster
    from medpeft_core.training.setup import set_up_runs

    forecaster, pretraining = Forecaster(store, known), PretrainForecaster(store)

    def launch(configs: list[dict[str, Any]]) -> dict[str, Any]:
        chosen = [RunConfig.from_dict(values) for values in configs]
        return {"run_ids": [run.run_id for run in set_up_runs(store, chosen, may_decode=False)]}

    def first_batch(config: dict[str, Any], max_images: int = 8) -> dict[str, Any]:
        chosen = RunConfig.from_dict(config)
        prepared = known.get(chosen.data)
        return draw_first_batch(forecaster.complete(chosen), prepared, max_images=max_images)

    return {
        "ping": dict,
        "check": lambda config: forecaster.check(RunConfig.from_dict(config)),
        "speed": lambda config: forecaster.forecast_speed(RunConfig.from_dict(config)),
        "traits": lambda config: forecaster.describe_traits(RunConfig.from_dict(config)),
        "first_batch": first_batch,
        "launch": launch,
        "check_pretraining": lambda config: pretraining.check(PretrainConfig.from_dict(config)),
        "pace_pretraining": lambda config: pretraining.pace(PretrainConfig.from_dict(config)),
    }


def serve(load: Callable[[], Answers]) -> NoReturn:
    """Answer requests in this process, one at a time; never returns.

    It ends when stdin does, also in the middle of a request: then whoever asked is gone.

    Args:
        load: gives the kinds of requests; may take long, requests wait meanwhile.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a Ctrl-C in the terminal is meant for the server, which then ends us
    inlet, outlet = _take_streams()
    requests: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(inlet, requests), name="requests", daemon=True).start()
    answers = load()
    _send(outlet, {"is_ready": True})
    while True:
        _send(outlet, answer_request(requests.get(), answers))


def answer_request(request: dict[str, Any], answers: Answers) -> dict[str, Any]:
    """{"answer": ...}, or {"error": {"type", "text"}} whatever happens.

    Args:
        request: {"kind", "arguments"}.
        answers: what to call, by kind.
    """
    try:
        return {"answer": make_finite(answers[request["kind"]](**request["arguments"]))}
    except MedPeftError as error:
        # a class of another module, such as UnreadableImageError, becomes its parent that everybody knows
        known = next(kind for kind in type(error).__mro__ if kind.__module__ == errors.__name__)
        return {"error": {"type": known.__name__, "text": str(error)}}
    except Exception as error:  # the border of a request: one that fails must not end the process
        traceback.print_exc()
        return {"error": {"type": "ComputeError", "text": _describe_fault(request["kind"], error)}}


def _describe_fault(kind: str, error: Exception) -> str:
    if is_disk_full(error):
        return f"The disk is full ({error}). Free some space for {get_home()} and try again."
    if is_out_of_memory(error):
        return (
            f"Memory ran out during {kind!r}. Choose a smaller backbone, image size or batch, or close other programs."
        )
    return (
        f"The request {kind!r} met a fault of the lab ({type(error).__name__}: {error}). compute.log holds the details."
    )


def _take_streams() -> tuple[int, int]:
    """Keep stdin and stdout for the protocol, and give libraries and child processes an empty one and the log."""
    inlet, outlet = os.dup(0), os.dup(1)
    os.dup2(2, 1)
    with open(os.devnull, "rb") as nothing:
        os.dup2(nothing.fileno(), 0)
    return inlet, outlet


def _listen(inlet: int, requests: "queue.SimpleQueue[dict[str, Any]]") -> None:
    with os.fdopen(inlet, "rb") as stream:
        for line in stream:
            requests.put(json.loads(line))
    os._exit(0)  # at once, also while the main thread computes


def _send(outlet: int, message: dict[str, Any]) -> None:
    data = memoryview(json.dumps(message, allow_nan=False).encode() + b"\n")
    while data:
        data = data[os.write(outlet, data) :]


if __name__ == "__main__":
    main()
