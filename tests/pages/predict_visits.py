"""What visits of the Predict page share: an answer, images to upload, and ways to open and read the page."""

import io

import numpy as np
from PIL import Image

PROBS = {"Cardiomegaly": 0.2, "Effusion": 0.9, "Nodule": 0.05}


THRESHOLDS = {"Cardiomegaly": 0.3, "Effusion": 0.4, "Nodule": None}


PREVALENCE = {"Cardiomegaly": 0.1, "Effusion": 0.25, "Nodule": None}


ANSWER = {
    "probs": PROBS, "thresholds": THRESHOLDS, "prevalence": PREVALENCE, "warnings": ["It is small."],
    "is_synthetic": False,
}  # fmt: skip


def encode(value=100, *, size=(40, 30), kind="PNG"):
    stream = io.BytesIO()
    pixels = np.random.default_rng(value).integers(0, 255, (size[1], size[0]), dtype=np.uint8)
    Image.fromarray(pixels).save(stream, kind)
    return stream.getvalue()


def open_page(app, **address):
    app.run()
    for name, value in address.items():
        app.query_params[name] = value
    app.switch_page("pages/predict.py").run()
    assert not app.exception, app.exception[0].message
    return app


def upload(app, *files):
    """Give the uploader these (name, content), all at once."""
    app.main.get("file_uploader")[0].set_value([(name, content, "image/png") for name, content in files])
    app.run()
    assert not app.exception, app.exception[0].message


def read_words(app):
    kinds = ("markdown", "caption", "info", "warning", "error", "success")
    return "\n".join(item.value for kind in kinds for item in app.main.get(kind))


def read_alts(app):
    return [item.alt for element in app.get("image") for item in element.proto.imgs]
