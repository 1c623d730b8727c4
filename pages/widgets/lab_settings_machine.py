"""What the lab found on this computer, how its look is chosen, and the versions of all that it stands on."""

import os
import platform
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import psutil
import streamlit as st

from medpeft_core import __version__
from medpeft_core.commands.doctor import find_packages
from medpeft_core.errors import MedPeftError
from medpeft_core.housekeeping.background import Background
from medpeft_core.housekeeping.examination import examine
from medpeft_core.paths import get_home
from medpeft_core.worker.devices import list_devices
from pages.widgets.lab import get_lab
from pages.widgets.wording import escape_markdown, write_ago, write_bytes

POLL_EVERY_S = 0.5
CUDA_COMMAND = "pip install torch torchvision --index-url https://download.pytorch.org/whl/cu130"
DOCTOR_COMMAND = "python -m medpeft_core doctor"


def get_examiner() -> Background[dict[str, Any]]:
    """The one that asks torch, in a process of its own, for all visitors."""
    return _open_examiner(str(get_home()))


def draw_machine() -> None:
    """Devices, what torch can use of them, and who starts queued runs."""
    st.subheader("Devices")
    devices = list_devices()
    table = pd.DataFrame(
        [
            {
                "device": item.name,
                "title": item.title,
                "memory": write_bytes(item.memory_bytes),
                "used": _describe_use(item.name, is_first=number == 0),
            }
            for number, item in enumerate(devices)
        ]
    )
    st.dataframe(
        table,
        key="settings_devices",
        hide_index=True,
        lazy=False,
        column_config={"device": "Device", "title": "What it is", "memory": "Memory", "used": "Used for"},
        alt="; ".join(f"{row.device}: {row.title}, {row.memory}" for row in table.itertuples()),
    )
    free = psutil.virtual_memory().available
    st.caption(f"{os.cpu_count()} processor cores; {write_bytes(free)} of the main memory are free at this moment.")
    if len(devices) == 1:
        st.caption(
            "No GPU was found, and none is needed: small models train on the processor in minutes. Large ones take "
            "hours there; Train tells how long before it starts."
        )
    _draw_examination()
    st.subheader("Queue")
    _draw_queue()


def _draw_examination() -> None:
    """What torch says; the question takes seconds, so it is asked when this is first opened, and not on each visit."""
    examiner = get_examiner()
    if examiner.answered_at is None:
        examiner.ask()
    is_running = examiner.is_running
    st.button(
        "Check again",
        key="settings_examine",
        icon=":material/stethoscope:",
        on_click=examiner.ask,
        disabled=is_running,
        help=f"Loads torch in a process of its own and asks it. The same in a terminal: {DOCTOR_COMMAND}",
    )
    st.fragment(_draw_answer, run_every=POLL_EVERY_S if is_running else None)(was_running=is_running)


def _draw_answer(*, was_running: bool) -> None:
    examiner = get_examiner()
    if was_running and not examiner.is_running:
        st.rerun()
    if was_running:
        st.caption(":material/hourglass_top: Loading torch in a process of its own …")
        return
    try:
        facts = examiner.answer()
    except MedPeftError as error:
        st.error(escape_markdown(str(error)), icon=":material/error:")
        return
    if facts is None:
        return
    torch = facts.get("torch") or {}
    build = torch.get("cuda_build")
    if torch:
        gpus = ", ".join(torch.get("gpus") or []) or ("the Apple GPU" if torch.get("mps") else "no GPU")
        st.markdown(
            f"torch {escape_markdown(torch['version'])}, built {f'for CUDA {build}' if build else 'without CUDA'}; "
            f"it can use **{escape_markdown(gpus)}** and {torch.get('threads')} threads of the processor. "
            f"Checked {write_ago(examiner.answered_at)}."
        )
    for problem in facts.get("problems", []):
        st.warning(escape_markdown(problem), icon=":material/warning:")
    if not facts.get("problems"):
        st.success("No problems found.", icon=":material/check_circle:")
    if any(device["name"].startswith("cuda") for device in facts.get("devices", [])) and not torch.get("gpus"):
        st.markdown("This build of torch can use your NVIDIA GPU:")
        st.code(CUDA_COMMAND, language="bash")


def _draw_queue() -> None:
    supervisor = get_lab().supervisor
    if supervisor.role == "leader":
        st.markdown("This server starts the queued runs, one at a time on each device.")
    else:
        st.markdown(
            "Another server or `python -m medpeft_core supervise` of this lab starts the queued runs; this one shows "
            "them, and takes over when the other ends."
        )
    if supervisor.problem:
        st.warning(
            escape_markdown(supervisor.problem), title="Queued runs cannot be started", icon=":material/warning:"
        )
    else:
        st.caption("Runs go on when the browser, or even the server, is closed. Monitor shows and stops them.")


def draw_look() -> None:
    """How the colours are chosen."""
    st.subheader("Light or dark")
    now = st.context.theme.type
    shown = f" You see the {now} one now." if now else ""
    st.markdown(
        f"The lab follows your system's light or dark mode.{shown} To choose yourself, open the menu **⋮** at the top "
        "right and press *Light*, *Dark* or *System*; this browser remembers it."
    )


def draw_versions() -> None:
    """The lab, Python, the system and the packages."""
    st.subheader("Versions")
    packages, problems = find_packages()
    rows = [
        ("MedPEFT Lab", __version__),
        ("Python", platform.python_version()),
        ("System", f"{platform.system()} {platform.release()}, {platform.machine()}"),
        *((name, version or "not installed") for name, version in packages.items()),
    ]
    table = pd.DataFrame(rows, columns=["what", "version"])
    st.dataframe(
        table,
        key="settings_versions",
        hide_index=True,
        lazy=False,
        width=520,
        height="content",
        column_config={"what": "What", "version": "Version"},
        alt="; ".join(f"{name} {version}" for name, version in rows),
    )
    for problem in problems:
        st.warning(escape_markdown(problem), icon=":material/warning:")
    st.caption(f"Python lies in {escape_markdown(str(Path(sys.executable).parent))}.")


def _describe_use(name: str, *, is_first: bool) -> str:
    if is_first:
        return "training" if name != "cpu" else "training, and all that pages ask for"
    return "all that pages ask for; training on demand" if name == "cpu" else "training on demand"


@st.cache_resource(show_spinner=False, max_entries=1)
def _open_examiner(home: str) -> Background[dict[str, Any]]:
    return Background(lambda tell: examine(Path(home)), name="examiner")
