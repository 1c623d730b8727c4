"""Which device and number format a run uses, and how much memory it took."""

import sys
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import psutil
import torch

from medpeft_core.errors import ConfigError

DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


def resolve_device(name: str) -> str:
    """ "auto" becomes the best device there is; a named one must exist.

    Returns:
        "cpu", "mps" or "cuda:N".

    Raises:
        ConfigError: there is no such device.
    """
    if name == "auto":
        if torch.cuda.is_available():
            return "cuda:0"
        return "mps" if torch.backends.mps.is_available() else "cpu"
    if name.startswith("cuda"):
        index = int(name.partition(":")[2] or 0)
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if index >= count:
            there = f"{count} GPUs are" if count != 1 else "one GPU is"
            raise ConfigError(
                f"train.device is {name!r}, but {'no GPU is' if not count else there} visible to torch "
                f"{torch.__version__}. Use --device auto or cpu; `python -m medpeft_core doctor` tells why a GPU is "
                "missing."
            )
        return f"cuda:{index}"
    if name == "mps" and not torch.backends.mps.is_available():
        raise ConfigError("train.device is 'mps', but this machine has no Apple GPU. Use --device auto or cpu.")
    return name


def use_device(name: str, *, cpu_threads: int = 0) -> None:
    """Make a resolved device this process's own, so that nothing lands on another GPU.

    Args:
        name: of the device.
        cpu_threads: so many threads on a CPU, whose number decides in which order sums are made; 0 leaves it.

    Raises:
        ConfigError: it is gone, for example because the run's folder was brought to another machine.
    """
    device = resolve_device(name)
    if device.startswith("cuda"):
        torch.cuda.set_device(device)
    elif device == "cpu" and cpu_threads:
        torch.set_num_threads(cpu_threads)


def resolve_precision(name: str, device: str) -> str:
    """Turn "auto" into the format that this device gains by, from its capabilities alone: the same every time.

    On a CPU bf16 wins where matrix units work on it (AMX, or AVX-512 BF16; benchmarks/precision.py measures the gain).

    Raises:
        ConfigError: fp16 on a CPU.
    """
    if name == "fp16" and device == "cpu":
        raise ConfigError("train.precision is 'fp16', which CPUs compute slowly. Use auto, bf16 or fp32.")
    if name != "auto":
        return name
    if device.startswith("cuda"):
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp16"
    if device == "cpu":
        return "bf16" if has_fast_cpu_bf16() else "fp32"
    return "fp32"


def has_fast_cpu_bf16() -> bool:
    """Whether this CPU multiplies bf16 matrices natively."""
    capabilities = torch.cpu.get_capabilities()
    return bool(capabilities.get("amx_bf16") or capabilities.get("avx512_bf16"))


def autocast(device: str, precision: str) -> AbstractContextManager[object]:
    """The context of a forward pass in that format."""
    if precision == "fp32":
        return nullcontext()
    return torch.autocast(torch.device(device).type, dtype=DTYPES[precision])


def measure_peak_memory(device: str) -> int:
    """Most bytes that this process has used so far: of the GPU where one trains, else of the machine."""
    if device.startswith("cuda"):
        return int(torch.cuda.max_memory_allocated(device))
    if sys.platform == "win32":
        return int(psutil.Process().memory_info().peak_wset)
    if sys.platform == "linux":  # getrusage would count what the process that started this one had used
        lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))
    import resource  # POSIX only

    return int(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)  # bytes on macOS


def describe_device(device: str) -> str:
    """The device's name as its maker gives it."""
    if device.startswith("cuda"):
        return torch.cuda.get_device_name(device)
    return str(torch.cpu.get_capabilities().get("cpu_name") or device) if device == "cpu" else device
