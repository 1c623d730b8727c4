"""What visits of the Pre-train page share: ways to open it, to choose on it, and to read it."""

from medpeft_core.config import DataConfig
from medpeft_core.datasets.prepare import inspect_dataset
from medpeft_core.datasets.views import load_view, view_key

CHECK = {"num_params": 2_734_656, "num_decoder_params": 446_400, "num_patches": 16, "num_visible_patches": 4}
PACE = {"images_per_s": 20.0, "source": "Measured now on cpu."}


def open_pretrain(app, **address):
    """Opens the page, with values in the address when these are given."""
    app.run()
    app.switch_page("pages/pretrain.py")
    for name, value in address.items():
        app.query_params[name] = value
    return rerun(app)


def prepare_tiny_set(home):
    """A tiny set of phantoms, prepared as the Data page does; images by split."""
    home.mkdir(parents=True, exist_ok=True)
    data = DataConfig(options={"num_patients": 20, "size": 32}, cache_size=256)
    inspect_dataset(data)
    return load_view(view_key(data)).manifest.table["split"].value_counts().to_dict()


def rerun(app):
    app.run()
    assert not app.exception, [item.message for item in app.exception]
    return app


def read_words(app):
    """All words of the page, those of the sidebar left out."""
    kinds = ("markdown", "caption", "info", "warning", "error", "subheader", "title", "text", "code")
    words = [item.value for kind in kinds for item in app.main.get(kind)]
    words += [item.proto.title for kind in ("error", "warning") for item in app.main.get(kind)]
    words += [item.proto.text for item in app.main.get("progress")]
    return "\n".join(words)


def list_links(app):
    return {item.proto.label: (item.proto.page, item.proto.query_string) for item in app.main.get("page_link")}


def list_pictures(app):
    """The words for screen readers of the pictures."""
    return [image.alt for item in app.main.get("image") for image in item.proto.imgs]


def find_slider(app):
    """The slider over the epochs; its key ends with a number."""
    return next(item for item in app.select_slider if item.key.startswith("pretrain_epoch_"))


def list_buttons(app):
    return [item.label for item in app.button]


def choose(app, section, name, value):
    """What a visitor types into a list of choices, which AppTest cannot do."""
    app.session_state["pretrain_draft"][section][name] = value
    return rerun(app)
