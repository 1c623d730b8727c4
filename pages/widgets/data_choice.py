"""Which data set the Data page is about: widgets, and the address `?data=...&image=...`, which can be shared.

The choice lives in the session, so that it survives a look at another page. The address names a set that is prepared
in this lab by the key of its view, never by a path.
"""

import functools
from typing import Any

import streamlit as st

from medpeft_core.config import DataConfig
from medpeft_core.datasets import DATASETS
from medpeft_core.datasets.views import list_views
from pages.widgets.data_jobs import list_prepare_jobs
from pages.widgets.data_sets import DATA_PARAMETER, clean_folder, find_roots, find_section
from pages.widgets.settings_form import bind, draw_settings, list_settings, renew_widgets
from pages.widgets.shared_settings import draw_shared_settings, keep_fitting, take_shared, write_shared
from pages.widgets.wording import escape_markdown

IMAGE_PARAMETER = "image"
CHOICE_KEY = "data_chosen"
SHOWN_KEY = "data_shown"  # the key of the set that the page showed last
FIRST_DATASET = "phantom"
MAX_OFFERED = 6
UNKNOWN_SET = "The address names a data set that is not prepared in this lab. Choose one here."


def choose_data() -> dict[str, Any]:
    """Widgets for the data set, its folder and its reader's options; the data section of a config, not yet checked."""
    kept = list_views()
    if CHOICE_KEY not in st.session_state:
        st.session_state[CHOICE_KEY] = _begin(kept)
    choice = st.session_state[CHOICE_KEY]
    if choice["dataset"] not in DATASETS:  # one's own, and removed
        choice["dataset"] = FIRST_DATASET
        renew_widgets("data_dataset")
    _follow_address(choice)
    names = list(DATASETS.names())
    with st.container(horizontal=True, vertical_alignment="bottom"):
        name = st.selectbox(
            "Data set",
            names,
            index=names.index(choice["dataset"]),
            format_func=lambda item: DATASETS[item].title,
            **bind(choice, "dataset", key="data_dataset", after=forget_address),
        )
        root = _choose_root(choice, name) if DATASETS[name].needs_root else None
    options = _choose_options(choice, name)
    _offer_kept(choice, kept)
    shared = keep_fitting(DATASETS[name], _shared_table(choice, name))
    return {"dataset": name, "root": root, "options": options, "split_seed": choice.get("split_seed", 0), **shared}


def forget_address() -> None:
    """Another set was chosen: the address names the old one."""
    for parameter in (DATA_PARAMETER, IMAGE_PARAMETER):
        st.query_params.pop(parameter, None)
    st.session_state.pop(SHOWN_KEY, None)


def show_set(data: dict[str, Any]) -> None:
    """Let the page stand on a set that is new in this lab.

    Args:
        data: section of a config; what it leaves out is as usual.
    """
    forget_address()
    if CHOICE_KEY not in st.session_state:
        st.session_state[CHOICE_KEY] = _begin(list_views())
    _take(st.session_state[CHOICE_KEY], {"root": None, "options": {}, **data})


def show_in_address(key: str) -> None:
    """Name the set that is shown, so that the address can be shared."""
    st.session_state[SHOWN_KEY] = key
    if st.query_params.get(DATA_PARAMETER) != key:
        st.query_params[DATA_PARAMETER] = key


def _begin(kept: list[dict[str, Any]]) -> dict[str, Any]:
    """The choice of a new visit: the set that is being prepared, else the lab's own one, else the one prepared last."""
    choice: dict[str, Any] = {"dataset": FIRST_DATASET, "roots": {}, "options": {}}
    running = [data for job, data in list_prepare_jobs() if not job.is_finished and data["dataset"] in DATASETS]
    known = [item["data"]["dataset"] for item in kept if item["data"]["dataset"] in DATASETS]
    if running:
        _take(choice, running[0])
    elif known and FIRST_DATASET not in known:
        choice["dataset"] = known[0]
    return choice


def _follow_address(choice: dict[str, Any]) -> None:
    """Take over the set that a link, a bookmark or a reload names."""
    wanted = st.query_params.get(DATA_PARAMETER)
    if wanted is None or wanted == st.session_state.get(SHOWN_KEY):
        return
    found = find_section(wanted)
    if found is None:
        st.warning(UNKNOWN_SET, icon=":material/search_off:")
        forget_address()
        return
    _take(choice, found)
    st.session_state[SHOWN_KEY] = wanted


def _take(choice: dict[str, Any], data: dict[str, Any]) -> None:
    """Let the widgets stand on a set that is prepared."""
    name = data["dataset"]
    choice["dataset"] = name
    choice["split_seed"] = data.get("split_seed", 0)
    choice["options"][name] = list_changed_options(data)
    choice.setdefault("shared", {})[name] = take_shared(data)
    if data["root"]:
        choice["roots"][name] = data["root"]
    renew_widgets()


def list_changed_options(data: dict[str, Any]) -> dict[str, Any]:
    """The reader's options of a data section that are not as they are by default."""
    settings = list_settings(DATASETS[data["dataset"]].options, section="data")
    defaults = {item.name: item.default for item in settings}
    return {name: value for name, value in data["options"].items() if value != defaults.get(name)}


def _choose_root(choice: dict[str, Any], name: str) -> str | None:
    """The folder; at first the one in which the set was found before."""
    roots, offered = choice["roots"], choice.setdefault("offered", {})
    known = find_roots(name)
    if known and not offered.get(name):  # once: who empties the field does not want it again
        roots.setdefault(name, known[0])
        offered[name] = True
    root = st.text_input(
        "Folder on this computer",
        value=roots.get(name, ""),
        placeholder="/data/nih-cxr14",
        help="The folder in which the data set lies, on the computer that the lab runs on.",
        **bind(roots, name, key=f"data_root_{name}", after=forget_address),
    )
    return clean_folder(root)


def _choose_options(choice: dict[str, Any], name: str) -> dict[str, Any]:
    """A field for each option of the reader, for the split, and for DICOM; only what was changed is given on."""
    table = choice["options"].setdefault(name, {})
    settings, main = list_settings(DATASETS[name].options, section="data"), DATASETS[name].main_options

    def draw(is_main: bool) -> None:
        chosen = [item for item in settings if (item.name in main) == is_main]
        draw_settings(chosen, table, key=f"data_option_{name}", after=lambda _: forget_address())

    if main:
        draw(True)
    with st.expander("Settings of this data set", icon=":material/tune:"):
        draw(False)
        seed = [item for item in list_settings(DataConfig, section="data") if item.name == "split_seed"]
        draw_settings(seed, choice, key="data", after=lambda _: forget_address())
        draw_shared_settings(
            DATASETS[name],
            _shared_table(choice, name),
            key=f"data_shared_{name}",
            after=lambda _: forget_address(),
        )
    return dict(table)


def _shared_table(choice: dict[str, Any], name: str) -> dict[str, Any]:
    table: dict[str, Any] = choice.setdefault("shared", {}).setdefault(name, {})
    return table


def _offer_kept(choice: dict[str, Any], kept: list[dict[str, Any]]) -> None:
    """Buttons for the sets that are prepared, where there is more than one to choose from."""
    if len(kept) < 2:
        return
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.caption("Prepared here:", width="content")
        for item in kept[:MAX_OFFERED]:
            st.button(
                f"{escape_markdown(item['title'])} · {item['num_images']:,} images{write_difference(item, kept)}",
                key=f"data_kept_{item['key']}",
                type="tertiary",
                icon=":material/inventory_2:",
                on_click=functools.partial(_open, choice, item["data"]),
            )


def _open(choice: dict[str, Any], data: dict[str, Any]) -> None:
    forget_address()
    _take(choice, data)


def write_difference(item: dict[str, Any], kept: list[dict[str, Any]]) -> str:
    """What tells a set from others of the same name and size."""
    twins = [other for other in kept if (other["title"], other["num_images"]) == (item["title"], item["num_images"])]
    if len(twins) < 2:
        return ""
    options = ", ".join(f"{name} {value}" for name, value in item["data"]["options"].items())
    parts = [options, f"split seed {item['data']['split_seed']}", *write_shared(item["data"])]
    return f" ({escape_markdown(', '.join(part for part in parts if part))})"
