"""DICOM files on the Predict page: the same pixels as from the disk, with a choice of window and frame beside them."""

import base64
import io
from concurrent.futures import Future

import numpy as np
import pandas as pd
import pytest
from dicom_files import write_dicom
from PIL import Image
from predict_visits import PREVALENCE, PROBS, THRESHOLDS, encode, open_page, read_words, upload

from medpeft_core.datasets.images import Reading, read_image
from medpeft_core.datasets.manifest import Manifest
from medpeft_core.datasets.pixel_cache import load_for_model
from medpeft_core.worker.compute import ComputeClient
from pages.widgets.data_pictures import read_large, read_small


@pytest.fixture
def asked(monkeypatch):
    """What the page asks the compute process for; every question is answered at once."""
    questions = []

    def submit(self, kind, *, slot=None, **arguments):
        if kind == "predict":
            questions.append(arguments)
        picture = base64.b64encode(encode(size=(32, 32))).decode()
        future = Future()
        future.set_result(
            {
                "run_id": arguments["run_id"], "label": "Effusion", "probs": PROBS, "thresholds": THRESHOLDS,
                "prevalence": PREVALENCE, "square": picture, "image_size": 32, "cam": picture, "cam_error": None,
                "grid": [4, 4], "layer": "layer4", "is_synthetic": False, "warnings": [],
            }
        )  # fmt: skip
        return future

    monkeypatch.setattr(ComputeClient, "submit", submit)
    return questions


@pytest.fixture
def film(tmp_path):
    """Three frames of 12 bits with two windows."""
    frames = np.random.default_rng(0).integers(0, 4095, (3, 40, 50)).astype("u2")
    return write_dicom(
        tmp_path / "film.dcm", frames, NumberOfFrames=3, BitsStored=12, WindowCenter=[2000, 500],
        WindowWidth=[3000, 400], WindowCenterWidthExplanation=["SOFT", "HARD"], PatientName="Miller^Ann",
        BurnedInAnnotation="YES",
    )  # fmt: skip


def check_sent(question, path, reading, cache_size):
    sent = np.asarray(Image.open(io.BytesIO(base64.b64decode(question["pixels"]))))
    np.testing.assert_array_equal(sent, load_for_model(path, cache_size, reading)[0][0])


def test_predict_page_reads_dicom_as_the_disk_does_and_lets_choose(app, home, make_run, asked, film):
    run = make_run(home)
    size = run.config().data.cache_size
    open_page(app)
    upload(app, ("film.dcm", film.read_bytes()))
    check_sent(asked[-1], film, Reading(), size)
    words = read_words(app)
    assert "The file has 3 frames; number 1 was read" in words
    assert "it may name the patient" in words
    assert "Miller" not in words
    window = next(item for item in app.selectbox if item.label == "Window")
    assert window.options == [
        "1: SOFT (centre 2000, width 3000)", "2: HARD (centre 500, width 400)", "Percentiles 1 to 99", "Full range"
    ]  # fmt: skip
    assert window.value == "1"
    window.set_value("2").run()
    check_sent(asked[-1], film, Reading(window="2"), size)
    frame = next(item for item in app.number_input if item.label == "Frame, 1 to 3")
    frame.set_value(3).run()
    assert not app.exception
    check_sent(asked[-1], film, Reading(window="2", frame="3"), size)
    next(item for item in app.selectbox if item.label == "Window").set_value("1").run()
    next(item for item in app.number_input if item.label == "Frame, 1 to 3").set_value(1).run()
    assert len(asked) == 4  # the first picture was known; the third frame in the first window was not


def test_predict_page_keeps_a_choice_while_others_are_looked_at(app, home, make_run, asked, film):
    make_run(home)
    open_page(app)
    upload(app, ("film.dcm", film.read_bytes()), ("plain.png", encode()))
    next(item for item in app.selectbox if item.label == "Window").set_value("full").run()
    app.button(key="predict_next").click().run()
    assert not [item for item in app.selectbox if item.label == "Window"]  # a PNG leaves nothing to choose
    app.button(key="predict_previous").click().run()
    assert next(item for item in app.selectbox if item.label == "Window").value == "full"
    app.button(key="predict_clear").click().run()
    assert not app.session_state["predict_readings"]
    assert "film" not in read_words(app)


def test_pictures_of_a_data_set_are_read_as_the_set_is(tmp_path, film):
    """Small tiles and the large picture of the Data page, by the window and frame of the data set."""
    table = pd.DataFrame({"image": ["film.dcm"], "patient_id": ["1"], "split": ["test"], "Nodule": [1.0]})
    manifest = Manifest(dataset="own", task="multilabel", labels=("Nodule",), image_root=tmp_path, table=table)
    for reading in (Reading(), Reading(window="2", frame="last")):
        pixels = read_image(film, reading).pixels
        np.testing.assert_array_equal(np.asarray(read_small(manifest, 0, None, reading).picture), pixels)
        np.testing.assert_array_equal(np.asarray(read_large(film, reading).picture), pixels)
