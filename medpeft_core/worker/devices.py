"""What a run can be trained on, found without torch, and the names under which devices are locked."""

import csv
import os
import platform
import shutil
import subprocess
import sys
from dataclasses import dataclass

import psutil

_QUERY = ("--query-gpu=index,uuid,name,memory.total", "--format=csv,noheader,nounits")
_QUERY_TIMEOUT_S = 5.0
_MIB = 1024 * 1024


@dataclass(frozen=True, kw_only=True)
class DeviceInfo:
    """One device.

    Attributes:
        name: as torch calls it: "cpu", "cuda:0" or "mps"; also the name of its lock.
        title: the product's name.
        memory_bytes: its own memory, or None where it is not told.
    """

    name: str
    title: str
    memory_bytes: int | None = None


def list_devices() -> list[DeviceInfo]:
    """The GPUs in torch's numbering, then the CPU.

    Whether the installed torch can use a GPU is another question, which `doctor` answers.
    """
    title = platform.processor() or platform.machine() or "CPU"
    cpu = DeviceInfo(name="cpu", title=title, memory_bytes=psutil.virtual_memory().total)
    return [*_list_nvidia(), *_list_apple(), cpu]


def lock_name(device: str | None) -> str:
    """The name of a device's lock: "cuda" is "cuda:0"; "auto" or None is the first device of the listing."""
    if device is None or device == "auto":
        return list_devices()[0].name
    return "cuda:0" if device == "cuda" else device


def _list_apple() -> list[DeviceInfo]:
    is_apple_silicon = sys.platform == "darwin" and platform.machine() == "arm64"
    return [DeviceInfo(name="mps", title="Apple GPU")] if is_apple_silicon else []


def _list_nvidia() -> list[DeviceInfo]:
    """GPUs that the driver's own program tells of; none when it is absent, fails or hangs."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return []
    try:
        answer = subprocess.run(
            [program, *_QUERY], capture_output=True, text=True, timeout=_QUERY_TIMEOUT_S, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return []
    rows = [row for row in csv.reader(answer.stdout.splitlines(), skipinitialspace=True) if len(row) == 4]
    return [
        DeviceInfo(name=f"cuda:{number}", title=title, memory_bytes=int(memory) * _MIB if memory.isdigit() else None)
        for number, (_, _, title, memory) in enumerate(_only_visible(rows))
    ]


def _only_visible(rows: list[list[str]]) -> list[list[str]]:
    """The rows that CUDA_VISIBLE_DEVICES leaves, in its order: torch counts these from 0."""
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES")
    if chosen is None:
        return rows
    visible = []
    for item in (part.strip() for part in chosen.split(",")):
        row = next(
            (row for row in rows if item == row[0] or (item.startswith("GPU-") and row[1].startswith(item))), None
        )
        if row is None:
            break  # CUDA, too, ignores everything after an entry that it does not know
        visible.append(row)
    return visible
