"""Weights from Hugging Face: first what lies there, how large and under which licence; then a download by a click."""

from collections.abc import Callable
from typing import Any

import streamlit as st

from pages.widgets import weights_jobs
from pages.widgets.settings_form import bind, renew_widgets
from pages.widgets.weights_answers import ask, find_answer, wait_for
from pages.widgets.weights_draft import HUB_PREFIX, Draft, describe_choices, find_name_problem, suggest_name
from pages.widgets.weights_words import shorten_hash, write_licence
from pages.widgets.wording import escape_markdown, write_bytes

DESCRIBE = "describe_hub"


def draw_hub(draft: Draft, *, draw_choices: Callable[[], None]) -> None:
    """What is asked of the hub, what it said, and the button that downloads.

    Args:
        draft: the choices.
        draw_choices: draws how the file is read, between what the hub said and the button.
    """
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.text_input(
            "Repository on huggingface.co",
            value=draft.get("hub_id", ""),
            placeholder="OWNER/NAME, OWNER/NAME/FILE or OWNER/NAME/FILE@REVISION",
            help="Without a file the lab takes the one that looks like the weights; without a revision the newest.",
            **bind(draft, "hub_id", key="weights_hub_id", after=lambda: _clean(draft)),
        )
        source = draft.get("hub_id")
        is_asked = st.button(
            "Look it up", icon=":material/travel_explore:", key="weights_hub_look", disabled=not source
        )
    st.caption("Looking asks huggingface.co for its list of files, which needs the network. It downloads nothing.")
    request = {"source": source}
    if is_asked:
        ask(DESCRIBE, request)
    answer = find_answer(DESCRIBE, request) if source else None
    if answer is None:
        return
    if answer.problem is not None:
        st.error(escape_markdown(answer.problem), title="Nothing was found", icon=":material/search_off:")
    elif answer.value is None:
        wait_for(DESCRIBE, "Asking huggingface.co; this can take a quarter of a minute.")
    else:
        _follow_answer(draft, answer.value)
        _draw_file(answer.value)
        draw_choices()
        _draw_download(draft, answer.value)


def _clean(draft: Draft) -> None:
    """People paste addresses."""
    text = str(draft.get("hub_id", "")).strip().removeprefix("https://huggingface.co/").removeprefix(HUB_PREFIX)
    if text != draft.get("hub_id", ""):
        draft["hub_id"] = text
        renew_widgets("weights_hub_id")


def _follow_answer(draft: Draft, found: dict[str, Any]) -> None:
    """What the hub says fills what is empty, once for each file."""
    if draft.get("hub_seen") == found["source"]:
        return
    draft["hub_seen"] = found["source"]
    draft.setdefault("licence", found["licence"])
    draft.setdefault("reference", f"https://huggingface.co/{found['repo']}")
    draft.setdefault("name", suggest_name(found["repo"].partition("/")[2]))
    renew_widgets("weights_licence", "weights_reference", "weights_name")


def _draw_file(found: dict[str, Any]) -> None:
    with st.container(border=True, key="weights_hub_card"):
        st.markdown(f"**{escape_markdown(found['repo'])}**, file {escape_markdown(found['file'])}")
        st.caption(
            f"{write_bytes(found['num_bytes'])} · licence {write_licence(found['licence'])} · commit "
            f"`{found['revision'][:8]}` · SHA-256 `{shorten_hash(found['sha256'])}`",
            help=f"SHA-256 as the hub states it: `{found['sha256'] or 'not stated'}`. Commit `{found['revision']}`.",
        )
        if found["is_gated"]:
            st.badge("Its owner wants terms to be accepted first", icon=":material/lock:", color="orange")
            st.caption(
                "Accept them on its page in a browser, then run `hf auth login` on the lab's computer. Without that "
                "the download is refused."
            )


def _draw_download(draft: Draft, found: dict[str, Any]) -> None:
    st.markdown("**4** Download, check, add")
    problem = find_name_problem(draft.get("name", ""))
    if problem is not None:
        st.warning(problem, icon=":material/label:")
    if st.button(
        f"Download {write_bytes(found['num_bytes'])} and add",
        type="primary",
        icon=":material/cloud_download:",
        disabled=problem is not None or weights_jobs.is_at_work(),
        key="weights_hub_add",
    ):
        weights_jobs.start(draft["name"], {"source": found["source"], **describe_choices(draft)})
    st.caption(
        "The file is checked against its hash and against the backbone, tensor by tensor. When one does not fit, "
        "nothing is added, and you are told which."
    )
