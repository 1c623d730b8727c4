"""The listing of devices, made without torch."""

import os
import sys

import pytest

from medpeft_core.worker import devices
from medpeft_core.worker.devices import list_devices, lock_name

TWO_GPUS = """0, GPU-aaaa, NVIDIA H200, 143771
1, GPU-bbbb, NVIDIA RTX A1000, [N/A]
"""


@pytest.fixture
def fake_driver(tmp_path, monkeypatch):
    """Puts a program called nvidia-smi first on the PATH."""
    if os.name != "posix":
        pytest.skip("a script can be a program without an extension on POSIX only")

    def install(script):
        program = tmp_path / "nvidia-smi"
        program.write_text(f"#!{sys.executable}\n{script}")
        program.chmod(0o755)
        monkeypatch.setenv("PATH", str(tmp_path))
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)

    return install


def names():
    return [device.name for device in list_devices() if device.name != "mps"]


def test_list_devices_without_a_driver_is_the_cpu(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    cpu = list_devices()[-1]
    assert names() == ["cpu"]
    assert cpu.memory_bytes > 2**20
    assert cpu.title


def test_list_devices_reads_the_drivers_listing(fake_driver):
    fake_driver(f"print({TWO_GPUS!r})")
    first, second = list_devices()[:2]
    assert (first.name, first.title, first.memory_bytes) == ("cuda:0", "NVIDIA H200", 143771 * 2**20)
    assert (second.name, second.title, second.memory_bytes) == ("cuda:1", "NVIDIA RTX A1000", None)


@pytest.mark.parametrize(
    ("visible", "titles"),
    [
        ("1", ["NVIDIA RTX A1000"]),
        ("1,0", ["NVIDIA RTX A1000", "NVIDIA H200"]),
        ("GPU-bb", ["NVIDIA RTX A1000"]),
        ("", []),
        ("-1", []),
        ("0,7,1", ["NVIDIA H200"]),
    ],
)
def test_list_devices_numbers_gpus_as_torch_does(fake_driver, monkeypatch, visible, titles):
    fake_driver(f"print({TWO_GPUS!r})")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    gpus = [device for device in list_devices() if device.name.startswith("cuda")]
    assert [gpu.title for gpu in gpus] == titles
    assert [gpu.name for gpu in gpus] == [f"cuda:{number}" for number in range(len(titles))]


@pytest.mark.parametrize(
    "script", ["raise SystemExit(9)", "print('No devices were found')", "import time; time.sleep(30)"]
)
def test_list_devices_survives_a_driver_that_fails_or_hangs(fake_driver, monkeypatch, script):
    fake_driver(script)
    monkeypatch.setattr(devices, "_QUERY_TIMEOUT_S", 0.5)
    assert names() == ["cpu"]


def test_lock_name_is_one_name_for_one_device(fake_driver):
    fake_driver(f"print({TWO_GPUS!r})")
    assert [lock_name(name) for name in ("cpu", "mps", "cuda", "cuda:0", "cuda:1")] == [
        "cpu",
        "mps",
        "cuda:0",
        "cuda:0",
        "cuda:1",
    ]
    assert lock_name("auto") == lock_name(None) == "cuda:0"
