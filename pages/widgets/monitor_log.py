"""The Log tab: the end of the worker's own output, and what it reported on purpose."""

import os
from datetime import datetime
from typing import Any

import streamlit as st

from medpeft_core.runs.run import Run
from pages.widgets.wording import write_auroc, write_bytes

NUM_LINES = 200
TAIL_BYTES = 64 * 1024
MAX_UNSCROLLED_LINES = 15
LOG_HEIGHT = 420  # pixels


def read_tail(run: Run) -> tuple[str, int]:
    """The last lines of log.txt, at most 200 and 64 KiB, and the size of the whole file; empty before it exists."""
    try:
        with run.log_path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(size - TAIL_BYTES, 0))
            text = file.read().decode("utf-8", errors="replace")
    except FileNotFoundError:
        return "", 0
    return "\n".join(text.splitlines()[-NUM_LINES:]), size


def list_notices(history: list[dict[str, Any]]) -> list[str]:
    """What a run reported, oldest first: "21:54:03  epoch 3, step 57: val AUROC 0.521, val loss 0.504, best so far"."""
    return [f"{_write_time(event)}  {text}" for event in history if (text := _write_notice(event))]


def draw_log(run: Run, history: list[dict[str, Any]], *, key: str) -> None:
    """The notices, the end of log.txt, and the whole of it to download."""
    st.markdown("**What happened**")
    notices = list_notices(history)
    _draw_lines(notices[-NUM_LINES:] or ["Nothing yet."], key=f"{key}_notices")
    tail, size = read_tail(run)
    if not tail:
        st.caption("The worker has printed nothing besides: no warning, no error.")
        return
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        st.markdown("**What the worker printed**", width="content")
        st.download_button(
            f"All of it ({write_bytes(size)})",
            data=run.log_path.read_bytes,
            file_name=f"{run.run_id}.log.txt",
            mime="text/plain",
            on_click="ignore",
            icon=":material/download:",
            key=f"{key}_download",
        )
    _draw_lines(tail.splitlines(), key=f"{key}_output")


def _draw_lines(lines: list[str], *, key: str) -> None:
    """Text as it is; a long one scrolls, and stays at its end while it grows."""
    is_long = len(lines) > MAX_UNSCROLLED_LINES
    with st.container(height=LOG_HEIGHT if is_long else "content", border=False, autoscroll=is_long, key=key):
        st.code("\n".join(lines), language=None, wrap_lines=True)


def _write_notice(event: dict[str, Any]) -> str:
    kind = event["type"]
    if kind in ("log", "error"):
        return str(event.get("text") or "")
    if kind == "eval":
        best = ", best so far" if event.get("is_best") else ""
        place = f"epoch {event.get('epoch')}, step {event.get('step')}"
        auroc, loss = write_auroc(event.get("val_auroc")), write_auroc(event.get("val_loss"))
        return f"{place}: val AUROC {auroc}, val loss {loss}{best}"
    if kind == "encoder":
        return f"epoch {event.get('epoch')}: encoder kept as {event.get('file')}"
    return _write_status(event) if kind == "status" else ""


def _write_status(event: dict[str, Any]) -> str:
    status = str(event.get("status") or "")
    if status == "running":
        return f"started on {event.get('device')}, process {event.get('pid')}"
    if status == "resumed":
        return f"resumed at step {event.get('step')}"
    error = event.get("error")
    return f"{status}: {error}" if error else status


def _write_time(event: dict[str, Any]) -> str:
    moment = event.get("time")
    return datetime.fromtimestamp(moment).strftime("%H:%M:%S") if isinstance(moment, int | float) else "--:--:--"
