"""Histories and results for the tests of figures, and a check against the schema of Vega-Lite."""

import math

import altair

LABELS = ("Cardiomegaly", "Effusion", "Nodule")


EPOCHS, STEPS_PER_EPOCH = 10, 50


PLAN = {"epochs": EPOCHS, "num_steps": EPOCHS * STEPS_PER_EPOCH}


MEAN = "mean of the labels"


def make_history(aurocs, *, per_epoch=1, labels=LABELS):
    """Events as the loop emits them; None is an evaluation without any AUROC."""
    history, best = [], None
    for number, auroc in enumerate(aurocs, 1):
        step = number * STEPS_PER_EPOCH // per_epoch
        epoch = math.ceil(number / per_epoch)
        history.append(
            {"type": "step", "step": step, "epoch": epoch, "loss": 1 / number, "lr": 1e-3, "images_per_s": 50.0}
        )
        is_best = auroc is not None and (best is None or auroc > best)
        best = auroc if is_best else best
        per_label = {label: None if auroc is None else auroc - 0.01 * k for k, label in enumerate(labels)}
        history.append(
            {"type": "eval", "step": step, "epoch": epoch, "split": "val", "val_auroc": auroc, "val_loss": 0.6,
             "val_auroc_per_class": per_label, "is_best": is_best}
        )  # fmt: skip
        if number % per_epoch == 0:
            history.append({"type": "epoch", "step": step, "epoch": epoch, "train_loss": 0.5})
    return history


def rows_of(spec, name, *, best=False):
    return [row for row in spec["data"]["values"] if row["series"] == name and row["is_best"] is best]


def check_vega_lite(spec):
    """Against the schema of Vega-Lite; a few rows are as good as all of them."""
    altair.TopLevelSpec.validate({**spec, "data": {"values": spec["data"]["values"][:9]}})


def make_result(run_id, auroc, *, num_trainable_params=1000, wall_time_s=90.0, labels=LABELS):
    figures_of_label = {"auroc": auroc, "low": auroc - 0.05, "high": auroc + 0.02} if auroc else {}
    return {
        "run_id": run_id,
        "test_auroc": auroc,
        "test_auroc_low": auroc and auroc - 0.03,
        "test_auroc_high": auroc and auroc + 0.01,
        "per_class": {label: dict(figures_of_label) for label in labels} if auroc else {},
        "num_trainable_params": num_trainable_params,
        "wall_time_s": wall_time_s,
    }
