"""What visits of the Monitor page share: ways to read and to press."""


def read_texts(app):
    """All words of the page, those of the sidebar left out."""
    kinds = ("markdown", "caption", "info", "warning", "error", "subheader", "title", "text", "code")
    words = [item.value for kind in kinds for item in app.main.get(kind)]
    words += [item.proto.title for kind in ("error", "warning") for item in app.main.get(kind)]
    words += [item.proto.text for item in app.main.get("progress")]
    return "\n".join(words)


def read_metrics(app):
    """Name of each figure to its value and the note below it."""
    return {item.label: (item.value, item.delta) for item in app.metric}


def read_table(app, column):
    """The first table of the page that has this column."""
    return next(item.value for item in app.dataframe if column in item.value.columns)


def click(app, label):
    """Press the button with these words."""
    next(item for item in app.button if item.label == label).click().run()
    assert not app.exception, app.exception[0].message
    return app


def list_links(app):
    """The words of all links, with where they lead."""
    return {item.proto.label: (item.proto.page, item.proto.query_string) for item in app.main.get("page_link")}
