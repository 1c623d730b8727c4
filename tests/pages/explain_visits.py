"""What visits of the Explain page share: an answer about an image, and ways to open and read the page."""

SIZE = (40, 60)  # height, width


def make_answer(pictures):
    return {
        "image_path": str(pictures.image), "cam_path": str(pictures.cam), "cam_error": None, "layer": "layer4",
        "grid": [7, 7], "marks": [], "localisation": None, "warnings": [], "image_warnings": [], "size": list(SIZE),
        "source_size": list(SIZE), "source_path": str(pictures.image),
    }  # fmt: skip


def open_page(app, **address):
    app.run()
    for name, value in address.items():
        app.query_params[name] = value
    app.switch_page("pages/explain.py").run()
    assert not app.exception, app.exception[0].message
    return app


def read_words(app):
    """All sentences of the page."""
    kinds = ("markdown", "caption", "info", "warning", "error")
    return "\n".join(item.value for kind in kinds for item in app.main.get(kind))


def read_address(app, name):
    value = app.query_params.get(name)  # a list once the page has written it
    return value[0] if isinstance(value, list) else value
