"""Settings: the home folder and what can go from it, this computer, the look, versions, and a report of a problem."""

import streamlit as st

from medpeft_core.errors import MedPeftError
from pages.widgets.frame import ensure_frame
from pages.widgets.lab_settings_cleanup import draw_cleanup
from pages.widgets.lab_settings_home import draw_home, draw_measuring, read_inventory
from pages.widgets.lab_settings_machine import draw_look, draw_machine, draw_versions
from pages.widgets.lab_settings_report import draw_report
from pages.widgets.wording import escape_markdown

ensure_frame()  # a deep link on a fresh server would otherwise bypass app.py

st.title("Settings")
st.markdown("Where the lab keeps its files, what it found on this computer, and a report for when something is broken.")

home_tab, machine_tab, look_tab, report_tab = st.tabs(
    ["Home folder", "This computer", "Look and versions", "Report a problem"], key="settings_tab", bind="query-params"
)
try:
    if home_tab.open:
        with home_tab:
            inventory = read_inventory()
            draw_home(inventory)
            draw_measuring()
            draw_cleanup(inventory)
    if machine_tab.open:
        with machine_tab:
            draw_machine()
    if look_tab.open:
        with look_tab:
            draw_look()
            draw_versions()
    if report_tab.open:
        with report_tab:
            draw_report()
except MedPeftError as error:
    st.error(escape_markdown(str(error)), title="This cannot be shown", icon=":material/error:")
