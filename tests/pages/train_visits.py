"""Visits to the Train page without a browser, and a stand-in for the compute process that answers at once or never."""

from concurrent.futures import Future

from medpeft_core.config import RunConfig, section_names
from medpeft_core.resolve import resolve_config

COUNTS = {"num_positive": 3, "num_negative": 97, "num_unknown": 0}


SPEED = {"images_per_s": 12.5, "train_s": 8.0, "eval_s": 1.0, "total_s": 90.0, "source": "Measured now on this CPU."}


class StandInCompute:
    """Takes the place of the compute client; answers at once with `answers[kind]`, or not at all."""

    answers: dict
    asked: list
    is_warm = False

    def __init__(self, home) -> None:
        self.home = home

    def submit(self, kind, *, slot=None, **arguments):
        self.asked.append((kind, arguments))
        future: Future = Future()
        answer = self.answers.get(kind)
        if isinstance(answer, Exception):
            future.set_exception(answer)
        elif answer is not None:
            future.set_result(answer)
        return future

    def request(self, kind, *, timeout_s=None, **arguments):
        return self.submit(kind, **arguments).result(timeout=0)

    def warm_up(self) -> None:
        self.asked.append(("ping", {}))

    def close(self) -> None:
        pass


class SoonFuture(Future):
    """Not done when it is looked at first, done ever after."""

    def done(self):
        was_done = super().done()
        if not was_done:
            self.set_result(self.answer)
        return was_done


def submit_soon(self, kind, *, slot=None, **arguments):
    """In the place of `StandInCompute.submit`: answers while the page is being drawn."""
    self.asked.append((kind, arguments))
    future = SoonFuture()
    future.answer = self.answers[kind]
    return future


def use_stand_in(monkeypatch):
    """Let every lab use the stand-in: set its `answers`, read what it was `asked`."""
    monkeypatch.setattr(StandInCompute, "answers", {}, raising=False)
    monkeypatch.setattr(StandInCompute, "asked", [], raising=False)
    monkeypatch.setattr("pages.widgets.lab.ComputeClient", StandInCompute)
    return StandInCompute


def open_train(app, **address):
    app.switch_page("pages/train.py")
    for name, value in address.items():
        app.query_params[name] = value
    app.run()
    assert not app.exception, [item.message for item in app.exception]
    return app


def rerun(app):
    app.run()
    assert not app.exception, [item.message for item in app.exception]
    return app


def find(widgets, name):
    """The widget of that key; after a copy or a preset, keys end with a number."""
    return next(item for item in widgets if item.key == name or (item.key or "").startswith(f"{name}-"))


def choose(app, section, name, value):
    """What a visitor types into a list of choices, which AppTest cannot do."""
    app.session_state["train_draft"][section][name] = value
    app.session_state["settings_form_revisions"] = {"": 1}
    rerun(app)


def start_button(app):
    return app.button(key="train_start")


def read_check(**changes):
    """An answer to `check` for prepared data."""
    return {
        "config": resolve_config(RunConfig()).to_dict(),
        "is_prepared": True,
        "num_params": 5_700_000,
        "num_trainable_params": 38_213,
        "adapter_bytes": 150_000,
        "extra_compute": None,
        "memory_bytes": 2 * 1024**3,
        "memory_parts": {"weights": 1024**3, "activations": 1024**3},
        "device": "cpu",
        "device_memory_bytes": 16 * 1024**3,
        "steps_per_epoch": 4,
        "num_steps": 12,
        "num_images": {"train": 200, "val": 20, "test": 40},
        "num_train_images": 100,
        "num_train_patients": 52,
        "positives": {"Nodule": COUNTS},
        "warnings": [],
        "notes": [],
        **changes,
    }


def read_metrics(app):
    return {item.label: (item.value, item.delta) for item in app.metric}


def new_draft(**sections):
    """The choices of a form in which nothing else was chosen."""
    draft = {name: dict(sections.get(name, {})) for name in section_names()}
    draft["data"].setdefault("options", {})
    draft["method"].setdefault("knobs", {})
    return draft
