"""Freeing space: what can go, what that frees, what it costs, and what stays whatever is pressed.

The buttons stand outside live parts: Streamlit drops clicks on those while a tab finds a restarted server again.
"""

from collections.abc import Callable
from functools import partial

import streamlit as st

from medpeft_core.datasets import DATASETS
from medpeft_core.errors import MedPeftError
from medpeft_core.housekeeping.cleaning import (
    Cleaned,
    remove_bases,
    remove_caches,
    remove_exports,
    remove_features,
    remove_leftovers,
    remove_pictures,
)
from medpeft_core.housekeeping.inventory import CacheInfo, Inventory
from medpeft_core.runs.store import RunStore
from pages.widgets.lab import get_lab
from pages.widgets.lab_settings_home import get_meter
from pages.widgets.wording import escape_markdown, write_ago, write_bytes, write_duration

CONFIRM_KEY, DONE_KEY = "settings_confirm", "settings_done"
NEVER = (
    "Never touched: finished and unfinished runs, the weights shelf, data sets, your own folders, the key of the "
    "patient pseudonyms, anything that a run or a job at work needs, and whatever a link leads to."
)
SHOWN_RUNS = 3
HASH_CHARACTERS = 12


def draw_cleanup(inventory: Inventory | None) -> None:
    """A card for each kind of thing that can go."""
    st.subheader("Free some space")
    st.markdown(NEVER)
    _draw_done()
    if inventory is None:
        return
    left, right = st.columns(2)
    with left:
        with st.container(border=True):
            _draw_caches(inventory.caches)
        with st.container(border=True):
            _draw_pictures(inventory)
        if inventory.features:
            with st.container(border=True):
                _draw_features(inventory)
        if inventory.export_bytes:
            with st.container(border=True):
                _draw_exports(inventory)
    with right:
        with st.container(border=True):
            _draw_bases(inventory)
        with st.container(border=True):
            _draw_deleted()
        if inventory.leftover_bytes:
            with st.container(border=True):
                _draw_leftovers(inventory)


def _draw_caches(caches: list[CacheInfo]) -> None:
    st.markdown("**Decoded images**")
    st.caption("Costs: the images are decoded again when they are needed next. No result changes.")
    if not caches:
        st.caption("There are none.")
        return
    chosen = [info for info in caches if _draw_cache(info)]
    total = sum(info.num_bytes for info in chosen)
    lab = get_lab()
    _draw_removal(
        "caches",
        f"Remove {len(chosen)} of {len(caches)}" if chosen else "Remove the chosen ones",
        f"This frees {write_bytes(total)}. {_write_cost(chosen)}",
        partial(remove_caches, lab.store, lab.jobs, [info.name for info in chosen]),
        is_possible=bool(chosen),
    )


def _draw_cache(info: CacheInfo) -> bool:
    """One cache; whether it is chosen."""
    if info.dataset is None:
        title = "Unknown data set"
    else:
        title = DATASETS[info.dataset].title if info.dataset in DATASETS else info.dataset
    images = f"{info.num_images:,} images at {info.cache_size} pixels" if info.num_images else "damaged"
    is_chosen = st.checkbox(
        f"**{escape_markdown(title)}**: {images}, {write_bytes(info.num_bytes)}",
        key=f"settings_cache_{info.name}",
        disabled=info.held_by is not None,
    )
    parts = [f"Last used {write_ago(info.used_at)}"]
    if info.root:
        parts.append(f"from {escape_markdown(info.root)}")
    parts.append(f"{len(info.run_ids)} run{'' if len(info.run_ids) == 1 else 's'} trained on it")
    if info.decode_s is not None:
        parts.append(f"decoded in {write_duration(info.decode_s)}")
    if info.held_by is not None:
        parts.append(f"**stays: {escape_markdown(info.held_by)} needs it**")
    st.caption(", ".join(parts))
    return is_chosen and info.held_by is None


def _write_cost(chosen: list[CacheInfo]) -> str:
    known = [info.decode_s for info in chosen if info.decode_s is not None]
    if len(known) < len(chosen):
        return "Decoding them again takes as long as it did before; on a hundred thousand images that is many minutes."
    return f"Decoding them again takes about {write_duration(sum(known))}."


def _draw_bases(inventory: Inventory) -> None:
    st.markdown("**Base weights that no run stands on**")
    st.caption("Costs: nothing for any run that is here. A new run with the same base stores it again.")
    unused = [info for info in inventory.bases if info.is_unused]
    if any(info.run_ids is None for info in inventory.bases):
        st.warning(
            "The settings of a run are damaged, so nobody can say which base it stands on. All are kept. Compare "
            "shows which run; delete it, or put its config.json back.",
            icon=":material/warning:",
        )
    _draw_removal(
        "bases",
        f"Remove {len(unused)} of {len(inventory.bases)}",
        f"This frees {write_bytes(sum(info.num_bytes for info in unused))}.",
        partial(remove_bases, get_lab().home),
        is_possible=bool(unused),
        reason="Each is used by a run, or was stored within the last hour." if inventory.bases else "There are none.",
    )
    if inventory.bases:
        with st.expander("Which base is used by which run"):
            for info in inventory.bases:
                used = _write_users(info.run_ids)
                st.markdown(f"`{info.sha256[:HASH_CHARACTERS]}` {write_bytes(info.num_bytes)}: {used}")


def _write_users(run_ids: tuple[str, ...] | None) -> str:
    if run_ids is None:
        return "not known"
    if not run_ids:
        return "no run"
    shown = ", ".join(f"`{run_id}`" for run_id in run_ids[:SHOWN_RUNS])
    return shown if len(run_ids) <= SHOWN_RUNS else f"{shown} and {len(run_ids) - SHOWN_RUNS} more"


def _draw_pictures(inventory: Inventory) -> None:
    st.markdown("**Heat maps and first batches that pages showed**")
    st.caption("Costs: each is computed again when it is opened, in a second or so.")
    _draw_removal(
        "pictures",
        "Remove them",
        f"This frees about {write_bytes(inventory.picture_bytes)}.",
        partial(remove_pictures, get_lab().home),
        is_possible=inventory.picture_bytes > 0,
        reason="There are none.",
    )


def _draw_features(inventory: Inventory) -> None:
    st.markdown("**Cached features of linear probing**")
    st.caption("Costs: the next run that wants them computes them again. No result changes.")
    free = [info for info in inventory.features if info.held_by is None]
    _draw_removal(
        "features",
        f"Remove {len(free)} of {len(inventory.features)}",
        f"This frees {write_bytes(sum(info.num_bytes for info in free))}.",
        partial(remove_features, get_lab().store),
        is_possible=bool(free),
        reason="Each is needed by a run that is queued or at work.",
    )


def _draw_exports(inventory: Inventory) -> None:
    st.markdown("**Exports**")
    st.caption("Costs: each is written again from its run when it is wanted. Those of runs that are gone stay.")
    _draw_removal(
        "exports",
        "Remove them",
        f"This frees up to {write_bytes(inventory.export_bytes)}.",
        partial(remove_exports, get_lab().store),
        is_possible=True,
    )


def _draw_deleted() -> None:
    st.markdown("**Deleted runs**")
    deleted = get_lab().store.list_deleted()
    st.caption("They can be brought back on Compare for a week. Costs: after this there is no way back.")
    _draw_removal(
        "deleted",
        f"Remove {len(deleted)} for good" if deleted else "Remove them for good",
        f"{len(deleted)} deleted run{'' if len(deleted) == 1 else 's'} can then not be brought back.",
        partial(_purge, get_lab().store),
        is_possible=bool(deleted),
        reason="There are none.",
    )


def _draw_leftovers(inventory: Inventory) -> None:
    st.markdown("**Left over from work that was cut off**")
    st.caption(_describe_leftovers(inventory))
    _draw_removal(
        "leftovers",
        "Remove them",
        f"This frees {write_bytes(inventory.leftover_bytes)}.",
        partial(remove_leftovers, get_lab().home),
        is_possible=True,
    )


def _describe_leftovers(inventory: Inventory) -> str:
    about = "Half-made files of programs that were stopped or killed. "
    if not inventory.unfinished_bytes:
        return f"{about}Costs: nothing."
    return (
        f"{about}{write_bytes(inventory.unfinished_bytes)} of it are images that were decoded before a preparation was "
        "stopped. Costs: that preparation begins anew instead of going on. The first preparation after a week removes "
        "them too."
    )


def _purge(store: RunStore) -> Cleaned:
    sizes = {item.run_id: item.measure() for item in store.list_deleted()}
    gone = store.purge_deleted()
    return Cleaned(num_removed=len(gone), num_bytes=sum(sizes.get(run_id, 0) for run_id in gone))


def _draw_removal(
    name: str,
    label: str,
    frees: str,
    act: Callable[[], Cleaned],
    *,
    is_possible: bool,
    reason: str = "",
) -> None:
    """A button; pressed, it asks once more and says what will be freed."""
    if not is_possible and reason:
        st.caption(f":material/check: {reason}")
        return
    if not is_possible:
        st.button(label, key=f"settings_{name}", icon=":material/delete:", disabled=True)
        return
    if st.session_state.get(CONFIRM_KEY) != name:
        st.button(label, key=f"settings_{name}", icon=":material/delete:", on_click=_ask, args=(name,))
        return
    st.warning(f"{frees} Remove now?", icon=":material/delete:")
    with st.container(horizontal=True):
        st.button("Yes, remove", key=f"settings_{name}_yes", type="primary", on_click=_remove, args=(act,))
        st.button("No, keep", key=f"settings_{name}_no", on_click=_ask, args=(None,))


def _ask(name: str | None) -> None:
    st.session_state[CONFIRM_KEY] = name
    st.session_state.pop(DONE_KEY, None)


def _remove(act: Callable[[], Cleaned]) -> None:
    st.session_state[CONFIRM_KEY] = None
    try:
        st.session_state[DONE_KEY] = act()
    except (MedPeftError, OSError) as error:
        st.session_state[DONE_KEY] = str(error)
    get_meter().ask()


def _draw_done() -> None:
    """What the last click did."""
    done = st.session_state.pop(DONE_KEY, None)
    if done is None:
        return
    if isinstance(done, str):
        st.error(escape_markdown(done), title="That could not be removed", icon=":material/error:")
        return
    if done.num_removed:
        st.success(f"Done: {write_bytes(done.num_bytes)} are free again.", icon=":material/check_circle:")
    else:
        st.info("Nothing was removed.", icon=":material/info:")
    for sentence in done.kept:
        st.warning(escape_markdown(sentence), icon=":material/lock:")
