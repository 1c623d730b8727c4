"""Is this machine ready: versions, devices, home, free space, problems and what to do about them."""

import importlib.metadata
import os
import platform
import shutil
import sys
from pathlib import Path
from typing import Any

import psutil

from medpeft_core import __version__
from medpeft_core.commands.console import print_json
from medpeft_core.paths import HOME_VARIABLE, get_home
from medpeft_core.worker.devices import list_devices

PACKAGES = (
    "streamlit",
    "torch",
    "torchvision",
    "timm",
    "peft",
    "kornia",
    "grad-cam",
    "plotly",
    "pandas",
    "pyarrow",
    "pydicom",
)
MIN_FREE_BYTES = 5 * 10**9
MIN_PYTHON = (3, 11)


def doctor(*, as_json: bool) -> None:
    """Print what was found, and every problem with its remedy."""
    packages, problems = find_packages()
    torch_facts, torch_problems = examine_torch()
    home, home_problems = examine_home(get_home())
    problems += torch_problems + home_problems
    if sys.version_info[:2] < MIN_PYTHON:
        problems.append(f"Python {platform.python_version()} is too old. Install Python 3.11 or newer.")
    facts = {
        "version": __version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cores": psutil.cpu_count(logical=False),
        "memory_bytes": psutil.virtual_memory().total,
        "devices": [
            {"name": item.name, "title": item.title, "memory_bytes": item.memory_bytes} for item in list_devices()
        ],
        "torch": torch_facts,
        "packages": packages,
        "home": home,
        "problems": problems,
    }
    if as_json:
        print_json(facts)
        return
    _print_facts(facts)


def find_packages() -> tuple[dict[str, str | None], list[str]]:
    """Versions of the packages that the lab stands on, and a problem for each that is missing."""
    versions: dict[str, str | None] = {}
    for name in PACKAGES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            versions[name] = None
    missing = [name for name, version in versions.items() if version is None]
    problems = [f"Not installed: {', '.join(missing)}. Run: pip install -r requirements.txt"] if missing else []
    return versions, problems


def examine_torch() -> tuple[dict[str, Any], list[str]]:
    """What the installed torch can use, and why a GPU that is there cannot be used."""
    try:
        import torch  # heavy, and the one thing that is asked
    except (ImportError, OSError) as error:
        return {}, [f"torch cannot be imported: {error}. Run: pip install -r requirements.txt"]
    cuda = torch.cuda.is_available()
    gpus = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())] if cuda else []
    facts = {
        "version": torch.__version__,
        "cuda_build": torch.version.cuda,
        "gpus": gpus,
        "mps": torch.backends.mps.is_available(),
        "threads": torch.get_num_threads(),
    }
    has_driver = any(item.name.startswith("cuda") for item in list_devices())
    problems = []
    if has_driver and not cuda:
        reason = "is built without CUDA" if torch.version.cuda is None else f"is built for CUDA {torch.version.cuda}"
        problems.append(
            f"There is an NVIDIA GPU, but torch {torch.__version__} {reason} and cannot use it. Update the driver, or "
            "install the build for it: pip install torch torchvision --index-url https://download.pytorch.org/whl/cu130"
        )
    return facts, problems


def examine_home(home: Path) -> tuple[dict[str, Any], list[str]]:
    """The lab's folder: whether it can be written to, and the space that is left."""
    existing = next(folder for folder in (home, *home.parents) if folder.exists())
    free_bytes = shutil.disk_usage(existing).free
    problems = []
    if not os.access(existing, os.W_OK):
        problems.append(f"The lab's folder {home} cannot be written to. Set {HOME_VARIABLE} to one that can.")
    if free_bytes < MIN_FREE_BYTES:
        problems.append(
            f"Only {free_bytes / 1e9:.1f} GB are free for {home}. Free some space, or set {HOME_VARIABLE} elsewhere."
        )
    return {"path": str(home), "exists": home.exists(), "free_bytes": free_bytes}, problems


def _print_facts(facts: dict[str, Any]) -> None:
    print(f"MedPEFT Lab {facts['version']}, Python {facts['python']}, {facts['platform']}")
    print(f"{facts['cores']} cores, {facts['memory_bytes'] / 1e9:.0f} GB of memory")
    for device in facts["devices"]:
        memory = f", {device['memory_bytes'] / 1e9:.0f} GB" if device["memory_bytes"] else ""
        print(f"Device {device['name']}: {device['title']}{memory}")
    if facts["torch"]:
        cuda = facts["torch"]["cuda_build"]
        print(f"torch {facts['torch']['version']}, " + (f"built for CUDA {cuda}" if cuda else "built without CUDA"))
    print(", ".join(f"{name} {version or 'missing'}" for name, version in facts["packages"].items()))
    print(f"Home {facts['home']['path']}, {facts['home']['free_bytes'] / 1e9:.0f} GB free")
    for problem in facts["problems"]:
        print(f"Problem: {problem}")
    if not facts["problems"]:
        print("No problems found.")
