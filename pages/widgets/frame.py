"""The page table, the look of the window, and the guard that every page begins with."""

from pathlib import Path

import streamlit as st

ASSETS = Path(__file__).resolve().parents[2] / "assets"
FRAME_KEY = "_has_frame"
HOME = "home"


def build_pages() -> dict[str, list]:
    """Sections of the menu with their pages; the address of a page is the name of its file."""
    home = {"title": "Home", "icon": ":material/home:"}
    return {
        "": [
            st.Page("pages/home.py", url_path="start", default=True, **home),
            st.Page("pages/home.py", url_path="home", visibility="hidden", **home),  # the default one is at / alone
        ],
        "Learn": [
            st.Page("pages/lesson_labels.py", title="Few labels", icon=":material/school:", url_path="lesson_labels"),
            st.Page(
                "pages/lesson_shortcut.py",
                title="What did it learn?",
                icon=":material/psychology_alt:",
                url_path="lesson_shortcut",
            ),
        ],
        "Set up": [
            st.Page("pages/data.py", title="Data", icon=":material/radiology:", url_path="data"),
            st.Page("pages/weights.py", title="Weights", icon=":material/database:", url_path="weights"),
            st.Page("pages/pretrain.py", title="Pre-train", icon=":material/grid_view:", url_path="pretrain"),
            st.Page("pages/train.py", title="Train", icon=":material/model_training:", url_path="train"),
        ],
        "Watch and read": [
            st.Page("pages/monitor.py", title="Monitor", icon=":material/monitoring:", url_path="monitor"),
            st.Page("pages/compare.py", title="Compare", icon=":material/compare_arrows:", url_path="compare"),
            st.Page("pages/explain.py", title="Explain", icon=":material/visibility:", url_path="explain"),
            st.Page("pages/predict.py", title="Predict", icon=":material/image_search:", url_path="predict"),
        ],
        "Lab": [
            st.Page("pages/settings.py", title="Settings", icon=":material/settings:", url_path="settings"),
        ],
    }


def configure_window() -> None:
    """Title and icon of the browser tab, before any page: else Streamlit fetches a page's icon from the internet."""
    st.set_page_config(page_title="MedPEFT Lab", page_icon=str(ASSETS / "icon.png"), layout="wide")


def ensure_frame() -> None:
    """Restart through `app.py` when a page was opened without it.

    On a fresh server a folder named `pages` makes Streamlit run the page's file alone at its own address; calling
    `st.navigation` once ends that mode.
    """
    if not st.session_state.get(FRAME_KEY):
        configure_window()
        st.navigation(build_pages())
        st.rerun()
