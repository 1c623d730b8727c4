"""Which images to learn from: sets that are prepared in this lab first, then those that the lab can read or draw."""

from typing import Any

import streamlit as st

from medpeft_core.datasets import DATASETS
from medpeft_core.datasets.views import list_views, view_key
from medpeft_core.errors import MedPeftError
from pages.widgets.data_choice import UNKNOWN_SET, list_changed_options, write_difference
from pages.widgets.data_sets import DATA_PARAMETER, clean_folder, find_roots, find_section
from pages.widgets.pretrain_draft import Draft, get_draft, read_data
from pages.widgets.settings_form import bind, renew_widgets
from pages.widgets.shared_settings import replace_shared
from pages.widgets.wording import escape_markdown

UNPREPARED = "new:"  # begins the option of a set by its name; others are keys of kept sets


def choose_data(draft: Draft) -> None:
    """The list of data sets, and the folder of one that is not prepared yet."""
    kept = [item for item in list_views() if item["data"]["dataset"] in DATASETS]
    present = find_option(draft, kept)
    titles = {item["key"]: _name_kept(item, kept) for item in kept}
    titles |= {f"{UNPREPARED}{name}": f"{DATASETS[name].title} · not prepared yet" for name in _list_others(kept)}
    titles.setdefault(present, f"{_title(draft['data'])} · not prepared yet")
    options, chosen = list(titles), {}
    st.selectbox(
        "**1** Data set",
        options,
        index=options.index(present),
        format_func=lambda option: titles.get(option, option),
        help="Only its training images are learned from; labels are not used. `data.dataset`",
        **bind(chosen, "option", key="pretrain_dataset", after=lambda: _take(draft, chosen["option"], kept)),
    )
    name = draft["data"].get("dataset", "phantom")
    if name not in DATASETS:
        return
    spec = DATASETS[name]
    if spec.needs_root and present.startswith(UNPREPARED):
        _choose_root(draft["data"], name)
    mark = ":violet-badge[:material/palette: Synthetic] " if spec.is_synthetic else ""
    st.caption(f"{mark}{spec.description}")


def find_option(draft: Draft, kept: list[dict[str, Any]]) -> str:
    """The option that the draft's data section stands for."""
    name = draft["data"].get("dataset", "phantom")
    try:
        key = view_key(read_data(draft))
    except MedPeftError:  # the form says what is wrong with it
        key = ""
    return key if any(item["key"] == key for item in kept) else f"{UNPREPARED}{name}"


def use_data(key: str) -> bool:
    """Let the form stand on the data set of an address; false when this lab does not know it."""
    section = find_section(key)
    if section is None:
        return False
    _put(get_draft(), section)
    renew_widgets()
    return True


def follow_address() -> None:
    """Take over the set that a link names, and clear it, or it would undo every change of the form."""
    key = st.query_params.get(DATA_PARAMETER)
    if key is None:
        return
    del st.query_params[DATA_PARAMETER]
    if not use_data(key):
        st.toast(UNKNOWN_SET, icon=":material/search_off:", duration="long")


def _list_others(kept: list[dict[str, Any]]) -> list[str]:
    """Sets to begin with by their name: those that no kept one stands for as they are by default."""
    usual = {item["data"]["dataset"] for item in kept if not list_changed_options(item["data"])}
    return [name for name in DATASETS.names() if DATASETS[name].needs_root or name not in usual]


def _name_kept(item: dict[str, Any], kept: list[dict[str, Any]]) -> str:
    return f"{item['title']} · {item['num_images']:,} images{write_difference(item, kept)}"


def _title(table: dict[str, Any]) -> str:
    name = table.get("dataset", "phantom")
    return DATASETS[name].title if name in DATASETS else name


def _take(draft: Draft, option: str, kept: list[dict[str, Any]]) -> None:
    if option.startswith(UNPREPARED):
        name = option.removeprefix(UNPREPARED)
        roots = find_roots(name)
        _put(draft, {"dataset": name, "root": roots[0] if roots else None, "options": {}})
    else:
        _put(draft, next(item["data"] for item in kept if item["key"] == option))


def _put(draft: Draft, section: dict[str, Any]) -> None:
    """Everything of the old set goes, what is done about damage and size stays."""
    draft["data"] |= {
        "dataset": section["dataset"],
        "root": section["root"],
        "options": list_changed_options(section),
        "split_seed": section.get("split_seed", 0),
    }
    replace_shared(draft["data"], section)


def _choose_root(table: dict[str, Any], name: str) -> None:
    key = f"pretrain_root_{name}"
    st.text_input(
        "Folder on this computer",
        value=table.get("root") or "",
        placeholder="/data/nih-cxr14",
        help=f"{escape_markdown(DATASETS[name].how_to_get)} `data.root`",
        **bind(table, "root", key=key, after=lambda: _clean(table, key)),
    )


def _clean(table: dict[str, Any], key: str) -> None:
    """A path is often pasted with quotes around it."""
    root = clean_folder(table.get("root"))
    if root != table.get("root"):
        table["root"] = root
        renew_widgets(key)
