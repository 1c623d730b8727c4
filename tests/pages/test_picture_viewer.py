"""The picture viewer: its views and colours, what is outlined, what is saved, and how the handle is told to readers."""

import io
import json

import matplotlib
import numpy as np
import pytest
from PIL import Image
from streamlit.testing.v1 import AppTest

from pages.widgets import picture_viewer
from pages.widgets.before_after import CSS, HTML, JS
from pages.widgets.picture_blend import (
    COLOUR_MAPS,
    MIN_SHOWN_SIDE,
    MIN_STRIP_WIDTH,
    Outline,
    add_strip,
    colour_table,
    draw_outlines,
    enlarge_small,
    lay_map,
)
from pages.widgets.picture_viewer import ALL, MAIN, NONE, ORIGINAL, OVERLAY, SIDE_BY_SIDE, Look, Picture, build_download
from pages.widgets.wording import DISCLAIMER

SIZE = (60, 40)  # width, height


def encode(pixels: np.ndarray) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


def make_cam() -> np.ndarray:
    """The right half is strong, the left half shows nothing."""
    cam = np.zeros((40, 60), np.uint8)
    cam[:, 30:] = 255
    return cam


def make_picture(**changes) -> Picture:
    whole = {
        "image": encode(np.full((40, 60), 100, np.uint8)),
        "cam": encode(make_cam()),
        "label": "Effusion",
        "alt": "Test image a.png.",
    }
    return Picture(**{**whole, **changes})


def look(view: str = OVERLAY, *, opacity: float = 0.5, colour_map: str = "inferno", outlines: str = MAIN) -> Look:
    return Look(view=view, opacity=opacity, colour_map=colour_map, outlines=outlines)


def read(content: bytes) -> Image.Image:
    return Image.open(io.BytesIO(content))


@pytest.mark.parametrize("colour_map", list(COLOUR_MAPS))
def test_map_lies_where_it_is_strong_and_nowhere_else(colour_map):
    image, cam = Image.new("L", SIZE, 100), Image.fromarray(make_cam())
    shown = np.asarray(lay_map(image, cam, 0.5, colour_map)).astype(float)
    np.testing.assert_array_equal(shown[:, :30], 100)
    top = colour_table(colour_map)[255].astype(float)
    np.testing.assert_allclose(shown[:, 30:], np.broadcast_to((100 + top) / 2, (40, 30, 3)), atol=1)
    np.testing.assert_array_equal(np.asarray(lay_map(image, cam, 0.0, colour_map)), 100)


@pytest.mark.parametrize("colour_map", list(COLOUR_MAPS))
def test_colours_are_those_of_matplotlib(colour_map):
    """`assets/colour_maps.png` holds them, a row for each map."""
    wanted = (matplotlib.colormaps[colour_map](np.arange(256))[:, :3] * 255).round()
    np.testing.assert_array_equal(colour_table(colour_map), wanted)


@pytest.mark.parametrize("colour_map", ["inferno", "viridis", "gray"])
def test_even_colours_rise_in_brightness(colour_map):
    """What the page says of them."""
    brightness = colour_table(colour_map) @ np.array([0.2126, 0.7152, 0.0722])
    assert (np.diff(brightness) > -0.5).all()
    turbo = colour_table("turbo") @ np.array([0.2126, 0.7152, 0.0722])
    assert (np.diff(turbo) < -0.5).any()


def test_map_of_another_size_is_scaled_to_the_image():
    shown = lay_map(Image.new("L", (120, 80), 100), Image.fromarray(make_cam()), 1.0, "viridis")
    assert shown.size == (120, 80)


def test_outlines_surround_what_is_marked():
    mask = np.zeros((40, 60), np.uint8)
    mask[10:20, 15:30] = 1
    outlines = (
        Outline(name="Effusion", kind="mask", geometry=encode(mask)),
        Outline(name="Nodule", kind="box", geometry=(0.5, 0.5, 0.25, 0.25)),
        Outline(name="Nothing", kind="mask", geometry=encode(np.zeros((40, 60), np.uint8))),
    )
    plain = Image.new("L", SIZE, 100)
    for kind, (left, top, right, bottom) in zip(outlines[:2], [(15, 10, 30, 20), (30, 20, 45, 30)], strict=True):
        changed = np.argwhere((np.asarray(draw_outlines(plain, [kind])) != 100).any(axis=2))
        assert (changed[:, 0].min(), changed[:, 0].max()) <= (top, bottom + 2)
        middle = np.asarray(draw_outlines(plain, [kind]))[(top + bottom) // 2, (left + right) // 2]
        np.testing.assert_array_equal(middle, 100)
    np.testing.assert_array_equal(np.asarray(draw_outlines(plain, [outlines[2]])), 100)
    numbered = np.asarray(draw_outlines(plain, outlines[:2]))
    assert len({tuple(colour) for colour in numbered.reshape(-1, 3)} - {(100, 100, 100), (0, 0, 0)}) >= 2


def test_small_pictures_are_enlarged_by_whole_steps():
    assert enlarge_small(Image.new("L", (224, 224))).size == (672, 672)
    assert enlarge_small(Image.new("L", (MIN_SHOWN_SIDE, 10))).size == (MIN_SHOWN_SIDE, 10)


def test_look_chooses_outlines():
    outlines = tuple(
        Outline(name=name, kind="box", geometry=(0, 0, 1, 1), is_main=name == "own") for name in ("own", "other")
    )
    picture = make_picture(outlines=outlines)
    names = {
        wanted: [item.name for item in look(outlines=wanted).choose_outlines(picture)] for wanted in (MAIN, ALL, NONE)
    }
    assert names == {MAIN: ["own"], ALL: ["own", "other"], NONE: []}


def test_download_holds_what_is_shown_in_the_pixels_of_the_source():
    large = encode(np.full((400, 600), 100, np.uint8))
    picture = make_picture(load_source=lambda: large, description="Grad-CAM of run x.", notice="It is synthetic.")
    overlay = read(build_download(picture, look()))
    assert (overlay.width, overlay.format) == (600, "PNG")
    assert overlay.height > 400
    assert np.asarray(overlay)[200, 10].tolist() == [100, 100, 100]
    assert np.asarray(overlay)[200, 590].tolist() != [100, 100, 100]
    assert overlay.text["Description"] == f"Grad-CAM of run x. It is synthetic. {DISCLAIMER}"
    both = read(build_download(picture, look(SIDE_BY_SIDE)))
    assert both.width == 600 + 9 + 600
    original = read(build_download(picture, look(ORIGINAL)))
    assert (np.asarray(original)[:400] == 100).all()
    assert (np.asarray(read(build_download(make_picture(cam=None), look())))[:40, :60] == 100).all()


@pytest.mark.parametrize(
    ("view", "cam", "words"),
    [
        (OVERLAY, True, ["Heat map (Grad-CAM) for Effusion.", "Run run-7.", "It is synthetic.", DISCLAIMER]),
        (ORIGINAL, True, ["Run run-7.", "It is synthetic.", DISCLAIMER]),
        (OVERLAY, False, ["Run run-7.", "It is synthetic.", DISCLAIMER]),
    ],
)
def test_download_says_on_the_picture_what_it_is(monkeypatch, view, cam, words):
    """A saved overlay went into a talk, and nothing on it said whose map it was or that it is not for the clinic."""
    written = []
    monkeypatch.setattr(picture_viewer, "add_strip", lambda shown, texts: written.extend(texts) or shown)
    changes = {} if cam else {"cam": None}
    build_download(make_picture(run_id="run-7", notice="It is synthetic.", **changes), look(view))
    assert written == words


@pytest.mark.parametrize("size", [(24, 24), (96, 96), (1024, 700)])
def test_strip_leaves_the_picture_as_it_is_and_has_room_for_words(size):
    pixels = np.random.default_rng(0).integers(0, 255, (size[1], size[0]), dtype=np.uint8)
    long = "Run 20261125-1904-full-resnet18-21ac" + "x" * 200
    whole = np.asarray(add_strip(Image.fromarray(pixels), [long, DISCLAIMER]))
    np.testing.assert_array_equal(whole[: size[1], : size[0]], np.repeat(pixels[..., None], 3, axis=2))
    strip = whole[size[1] :]
    ink = (strip < 128).all(axis=2)
    assert ink.any()
    assert not ink[:, -2:].any(), "the words must not be cut off"
    assert whole.shape[1] >= MIN_STRIP_WIDTH


def viewer_app(cam: bytes | None, reason: str | None) -> None:
    import io

    import numpy as np
    from PIL import Image

    from pages.widgets.picture_viewer import Outline, Picture, draw_viewer

    stream = io.BytesIO()
    Image.fromarray(np.full((40, 60), 100, np.uint8)).save(stream, "PNG")
    boxes = (Outline(name="Effu*sion", kind="box", geometry=(0.1, 0.1, 0.5, 0.5)),)
    draw_viewer(
        Picture(
            image=stream.getvalue(),
            cam=cam,
            reason=reason,
            label="Effusion",
            alt="Image a.",
            title="**A**",
            outlines=boxes,
        ),
        key="seen",
    )


def run_viewer(cam: bytes | None, reason: str | None = None) -> AppTest:
    app = AppTest.from_function(viewer_app, args=(cam, reason)).run()
    assert not app.exception, app.exception[0].message
    return app


def find_alts(app: AppTest) -> list[str]:
    return [item.alt for element in app.get("image") for item in element.proto.imgs]


def test_viewer_shows_each_view():
    app = run_viewer(encode(make_cam()))
    assert find_alts(app)[0] == "Image a. The same image with the heat map for Effusion at 60 % opacity."
    app.segmented_control(key="seen_view").set_value("side").run()
    assert find_alts(app)[:2] == ["Image a.", "The same image with the heat map for Effusion at 60 % opacity."]
    app.segmented_control(key="seen_view").set_value("original").run()
    assert find_alts(app) == ["Image a."]
    assert not app.slider
    app.segmented_control(key="seen_view").set_value("slider").run()
    (component,) = app.get("bidi_component")
    data = json.loads(component.proto.json)
    assert data["before"].startswith("data:image/jpeg;base64,")
    assert data["before"] != data["after"]
    assert "Right of the handle: the same image with the heat map" in data["alt"]
    assert "to the left of the handle" in data["label"]


def test_viewer_follows_colours_and_opacity():
    app = run_viewer(encode(make_cam()))
    app.slider(key="seen_opacity").set_value(20).run()
    app.selectbox(key="seen_colours").set_value("viridis").run()
    assert find_alts(app) == [
        "Image a. The same image with the heat map for Effusion at 20 % opacity.", "Scale of the colours, Viridis.",
    ]  # fmt: skip


def test_viewer_names_what_is_outlined_as_text():
    app = run_viewer(encode(make_cam()))
    legend = [item.value for item in app.caption if "Outlined" in item.value]
    assert legend == ["Outlined by the data set: **1** Effu\\*sion"]
    app.selectbox(key="seen_outlines").set_value("none").run()
    assert not [item for item in app.caption if "Outlined" in item.value]


def test_viewer_without_a_map_says_why():
    app = run_viewer(None, "The map is flat.")
    assert "is flat" in app.info[0].value
    assert find_alts(app) == ["Image a."]
    assert not app.get("button_group")
    assert not app.slider


def test_handle_takes_texts_as_data_only():
    """Nothing of a file or a person is ever put into the component's own HTML, CSS or script."""
    assert "{" not in HTML
    assert "innerHTML" not in JS
    assert "textContent" in JS
    assert 'type="range"' in HTML  # a native slider: its role, its keys and touch come from the browser
    assert "focus-visible" in CSS
