"""Visits to the Weights page, files for it, and what the compute process answers about them."""

import argparse

import torch
from monitor_visits import click
from safetensors.torch import load_file

from medpeft_core.backbones.demo import DEMO_BACKBONE, find_demo_weights
from medpeft_core.backbones.shelf_adding import add_weights
from medpeft_core.worker.compute_process import answer_request, load_weights_answers
from pages.widgets.weights_draft import DRAFT_KEY
from pages.widgets.weights_view import ADD, TAB_KEY

LICENCE = "CC <b>BY</b> [x](y)"  # as somebody might write it to look into another's page


def open_weights(app, **address):
    app.run()
    app.switch_page("pages/weights.py")
    for name, value in address.items():
        app.query_params[name] = value
    app.run()
    assert not app.exception, app.exception[0].message
    return app


def open_add(weights, path=None, **address):
    """The form, with a file of the demo backbone in it when one is given."""
    app = weights(**{TAB_KEY: ADD}, **address)
    if path is not None:
        draft = app.session_state[DRAFT_KEY]
        draft |= {"path": str(path), "backbone": DEMO_BACKBONE, "name": "new-one"}
        app.run()
    return app


def check(app, compute, answer):
    """Press the button; the compute process answers so."""
    compute.answers["inspect_weights"] = answer
    return click(app, "Check the file")


def inspect(path, backbone=DEMO_BACKBONE):
    """What the compute process really answers."""
    arguments = {"path": str(path), "backbone": backbone, "layout": "auto"}
    return answer_request({"kind": "inspect_weights", "arguments": arguments}, load_weights_answers())


def write_mae_file(path, *, without=""):
    """A file of the demo backbone as MAE leaves it: container, arguments, decoder; `without` one tensor of it."""
    state = load_file(find_demo_weights(DEMO_BACKBONE))
    state |= {"mask_token": torch.zeros(1, 1, 32), "decoder_embed.weight": torch.zeros(32, 192)}
    state = {name: tensor for name, tensor in state.items() if name != without}
    torch.save({"model": state, "epoch": 799, "args": argparse.Namespace(lr=1e-3)}, path)
    return path


def stock_shelf(home, file):
    """Really add a file to the shelf of a home, as "mae-tiny"."""
    add_weights(
        home=home, source=str(file), backbone=DEMO_BACKBONE, name="mae-tiny", licence=LICENCE, normalisation="mrm"
    )
    return home
