"""A report of a problem: shown whole before it is saved, so that everybody sees that nothing private is in it."""

import time

import streamlit as st

from medpeft_core.commands.doctor import find_packages
from medpeft_core.errors import MedPeftError
from medpeft_core.housekeeping.bug_report import Surroundings, build_bug_report
from medpeft_core.worker.devices import list_devices
from pages.widgets.lab import get_lab
from pages.widgets.lab_settings_home import MEASURE_AGAIN_S, get_meter
from pages.widgets.lab_settings_machine import get_examiner

REPORT_KEY = "settings_report"
MEASURE_WAIT_S = 3.0  # a home that takes longer is reported without its sizes, or with the last ones


def draw_report() -> None:
    """The button, the whole text, and the download."""
    st.markdown(
        "Something is broken? This makes a text that helps to mend it: versions, devices, sizes of the home folder, "
        "and the last failure with its traceback and settings."
    )
    st.markdown(
        ":material/lock: **It holds nothing private:** no patient ids or pseudonyms, no names of images, folders, "
        "people or computers, no notes, tags or owners. Words that the lab does not know are replaced by <…>. "
        "Nothing is sent; you read it, save it, and decide."
    )
    if st.button("Make the report", key="settings_make_report", type="primary", icon=":material/bug_report:"):
        st.session_state[REPORT_KEY] = _build()
    report = st.session_state.get(REPORT_KEY)
    if report is None:
        return
    st.download_button(
        "Save the report",
        data=report,
        file_name=f"medpeft-report-{time.strftime('%Y%m%d-%H%M')}.md",
        mime="text/markdown",
        key="settings_save_report",
        icon=":material/download:",
        on_click="ignore",
    )
    st.caption(f"Exactly this is in the file, {len(report.splitlines())} lines:")
    st.code(report, language=None, wrap_lines=True)


def _build() -> str:
    lab = get_lab()
    meter, examiner = get_meter(), get_examiner()
    meter.ask(older_than_s=MEASURE_AGAIN_S)
    meter.wait(MEASURE_WAIT_S)
    packages, _ = find_packages()
    try:
        doctor = examiner.answer()
    except MedPeftError:  # the report is wanted because something is broken
        doctor = None
    surroundings = Surroundings(
        packages=packages,
        devices=[
            {"name": item.name, "title": item.title, "memory_bytes": item.memory_bytes} for item in list_devices()
        ],
        doctor=doctor,
        role=lab.supervisor.role,
        problem=lab.supervisor.problem,
    )
    return build_bug_report(lab.home, surroundings, meter.answer())
