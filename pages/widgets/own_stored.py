"""What can be done with a stored data set of one's own beside training: share it, or remove it."""

from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import get_args

import streamlit as st

from medpeft_core.config import DataConfig
from medpeft_core.datasets.own.proposal import Form
from medpeft_core.datasets.own.sharing import ENDING, share_data
from medpeft_core.datasets.own.store import remove_data
from medpeft_core.datasets.own.stored_sets import About, list_stored
from medpeft_core.errors import MedPeftError
from pages.widgets.data_choice import forget_address
from pages.widgets.own_found import FORMS
from pages.widgets.wording import escape_markdown, write_ago

SHOWN_FINGERPRINT = 12  # characters
GONE = (
    "The images of this set are not where they were: {folder}. If they have moved, give the folder that holds them now "
    "above; the set itself is kept."
)
NEVER_HERE = "This set was shared without its images. Give the folder that holds them above."
SHARING = (
    "A shared file holds labels, splits, pseudonyms and the names of the image files, no images and no dates. Make "
    "sure that those names hold no names or ids of patients. With the images: "
    "`python -m medpeft_core data share {name} FOLDER --with-images`."
)


def draw_stored(data: DataConfig) -> None:
    """Folded away below what the page says of the set; nothing for the sets of others.

    Args:
        data: what the page is about.
    """
    about = list_stored().get(data.dataset)
    if about is None:
        return
    if data.root is None and about.folder is None:
        st.warning(NEVER_HERE, icon=":material/folder_off:")
    elif data.root is None and about.folder is not None and not about.folder.is_dir():
        st.warning(GONE.format(folder=escape_markdown(str(about.folder))), icon=":material/folder_off:")
    with st.expander("Your own data set: share, remove", icon=":material/folder_shared:", key="own_stored"):
        st.markdown(_describe(about))
        st.caption(SHARING.format(name=about.name))
        with st.container(horizontal=True, vertical_alignment="center"):
            st.download_button(
                "Share as one file",
                data=partial(_write_file, about.name),
                file_name=f"{about.name}{ENDING}",
                mime="application/zip",
                key="own_share",
                icon=":material/ios_share:",
                on_click="ignore",
            )
            if st.button("Remove", key="own_remove", icon=":material/delete:", type="tertiary"):
                _confirm(about)


def _describe(about: About) -> str:
    form = next((FORMS[item] for item in get_args(Form) if item == about.form), about.form)
    ago = write_ago(about.made_at)
    came = (
        f"Opened {ago} from a shared file"
        if about.origin == "opened"
        else f"Added {ago}, read as “{escape_markdown(form)}”"
    )
    folder = f" Its images are in {escape_markdown(str(about.folder))}." if about.folder else ""
    return (
        f"{came}.{folder}  \nOn the command line `--dataset {about.name}`; fingerprint "
        f"`{about.fingerprint[:SHOWN_FINGERPRINT]}`, the same for the same images, labels and splits in every lab."
    )


def _write_file(name: str) -> bytes:
    with TemporaryDirectory() as folder:
        return Path(share_data(name, Path(folder))["path"]).read_bytes()


@st.dialog("Remove this data set?", icon=":material/delete:")
def _confirm(about: About) -> None:
    st.markdown(f"**{escape_markdown(about.title)}**, {about.counts['images']:,} images")
    st.markdown(
        "The lab forgets which images there are and what their labels say. Images in a folder of yours stay there; "
        "those that were uploaded are removed with it. Runs that were trained on it keep their results, but cannot be "
        "repeated or explained."
    )
    with st.container(horizontal=True):
        is_sure = st.button(
            "Remove it",
            type="primary",
            icon=":material/delete:",
            key="own_removal",
            on_click=partial(_remove, about.name),
        )
        if st.button("Keep it", key="own_kept") or is_sure:
            st.rerun()  # closes the dialog


def _remove(name: str) -> None:
    try:
        found = remove_data(name)
    except MedPeftError as error:
        st.toast(escape_markdown(str(error)), icon=":material/error:", duration="long")
        return
    forget_address()
    images = " and its uploaded images" if found["removed_images"] else ""
    st.toast(f"Removed{images}.", icon=":material/delete:")
