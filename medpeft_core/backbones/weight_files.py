"""Opens files of weights that others made: what is no table of tensors is refused before anything of it is used. Heavy.

Three formats are read: safetensors, torch's zip files, and the files of torch before 1.6. All of them are checked from
the outside first, so that neither code in a pickle nor a false size is ever acted upon. `layouts` turns the names into
timm's.
"""

import argparse
import json
import os
import pickle
import struct
import threading
import zipfile
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import safetensors
import torch
from safetensors import SafetensorError

from medpeft_core.backbones.pickle_scan import PickleFacts, ScanError, scan_pickle
from medpeft_core.errors import BackboneError

# Where a file holds several tables the first of these is taken: averaged weights before those that were averaged, and
# the teacher before the student, as the papers of DINO and DINOv2 evaluate them.
CONTAINERS = (
    "teacher", "target_encoder", "state_dict_ema", "model_ema", "ema", "state_dict", "model_state_dict", "model",
    "module", "student", "encoder", "backbone", "net", "checkpoint", "params",
)  # fmt: skip
MAX_NESTING = 4
LIGHTNING_KEY = "pytorch-lightning_version"
NAMESPACE = "argparse.Namespace"
# Numbers and paths that training scripts leave beside the tensors. They become `_Ignored`: no code of theirs is called.
IGNORED_GLOBALS = frozenset(
    {
        "numpy.core.multiarray.scalar", "numpy._core.multiarray.scalar", "numpy.dtype",
        *(f"numpy.dtypes.{kind}DType" for kind in ("Float64", "Float32", "Int64", "Int32", "Bool")),
        "pathlib.Path", "pathlib.PosixPath", "pathlib.WindowsPath", "pathlib.PurePosixPath",
    }
)  # fmt: skip
DTYPES = frozenset(
    {
        torch.float64, torch.float32, torch.float16, torch.bfloat16,
        torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.bool,
    }
)  # fmt: skip
SAFETENSORS_DTYPES = frozenset(["F64", "F32", "F16", "BF16", "I64", "I32", "I16", "I8", "U8", "BOOL"])
MAX_HEADER_BYTES = 16_000_000  # about 150,000 tensors
MAX_PICKLE_BYTES = 64_000_000
MAX_ENTRIES = 100_000
MAX_REASON = 300  # characters of it that are told
SHARED = 2  # tensors may share storages, as tied weights do, until they are this many times as large as the file
ZIP_START, PICKLE_START = b"PK\x03\x04", b"\x80"
LEGACY_PICKLES = 5  # magic number, protocol, machine, object, keys of the storages
LEGACY_OBJECT = 3
# what a damaged file makes the readers raise; torch's restricted unpickler also stumbles with plain Python errors
UNREADABLE = (
    SafetensorError, pickle.UnpicklingError, zipfile.BadZipFile, struct.error, OSError, EOFError, RuntimeError,
    ValueError, LookupError, TypeError, AttributeError, AssertionError, ArithmeticError, MemoryError,
)  # fmt: skip

_allowing = threading.Lock()  # torch keeps its list of allowed names for the whole process


@dataclass(frozen=True, kw_only=True)
class WeightsFile:
    """The table of tensors of a file.

    Attributes:
        path: the file.
        tensors: by name; they may be views of the mapped file, so copy them before it changes.
        container: key of the table in the file, with dots where tables lie in each other; "" where the file is it.
        left_out: what lies beside the table, such as "optimizer".
        metadata: of a safetensors file; for others `written_by` where the file says so.
    """

    path: Path
    tensors: dict[str, torch.Tensor]
    container: str
    left_out: tuple[str, ...]
    metadata: dict[str, str]


class _Ignored:
    """Stands in for a value that is of no interest, such as a number of NumPy's in the arguments of a training."""

    def __init__(self, *_: Any) -> None:
        pass

    def __setstate__(self, _: Any) -> None:
        pass


def read_weights_file(path: Path) -> WeightsFile:
    """Read the tensors of a weights file, executing nothing of it.

    Memory stays within about twice the size of the file, whatever the file claims.

    Raises:
        BackboneError: no such file, damaged, or with anything in it that is no table of tensors; names file and reason.
    """
    if path.is_dir():
        raise BackboneError(
            f"{str(path)!r} is a folder. Give the weights file in it, for example {str(path / 'model.safetensors')!r}."
        )
    if not path.is_file():
        raise BackboneError(
            f"There is no weights file {str(path)!r}. Weights are random, pretrained, shelf:NAME, or the path of a "
            ".safetensors or .pth file."
        )
    try:
        found = _read_safetensors(path) if _is_safetensors(path) else _read_torch(path)
        _check_tensors(found.tensors, num_bytes=path.stat().st_size)
    except UNREADABLE as error:
        reason = str(error).splitlines()[0][:MAX_REASON] if str(error) else type(error).__name__
        raise BackboneError(
            f"The weights file {str(path)!r} cannot be read: {reason.rstrip('.')}. Give an intact .safetensors file, "
            "or a torch file that holds tensors only."
        ) from error
    if not found.tensors:
        raise BackboneError(f"The weights file {str(path)!r} holds no table of tensors. Give a state dict.")
    return found


def read_metadata(path: Path) -> dict[str, str]:
    """The texts in the header of a safetensors file; an empty dict for every other file, and for a damaged one."""
    try:
        return dict(_read_header(path).get("__metadata__", {})) if _is_safetensors(path) else {}
    except UNREADABLE:
        return {}


def _is_safetensors(path: Path) -> bool:
    if path.suffix == ".safetensors":
        return True
    with path.open("rb") as file:
        start = file.read(9)
    return start[8:] == b"{" and 0 < struct.unpack("<Q", start[:8])[0] <= MAX_HEADER_BYTES


def _read_header(path: Path) -> dict[str, Any]:
    """The header of a safetensors file, with every size in it held against the file."""
    size = path.stat().st_size
    with path.open("rb") as file:
        start = file.read(8)
        if len(start) < 8:
            raise ValueError("it is too short for a safetensors file")
        (length,) = struct.unpack("<Q", start)
        if length > min(size - 8, MAX_HEADER_BYTES):
            raise ValueError(f"it claims a header of {length:,} bytes, but has {size:,} in all")
        header = json.loads(file.read(length))
    if not isinstance(header, dict):
        raise ValueError("its header is no table of tensors")
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        begin, end = entry["data_offsets"]
        if entry["dtype"] not in SAFETENSORS_DTYPES:
            raise ValueError(f"the tensor {name!r} holds numbers of the kind {entry['dtype']}")
        if not 0 <= begin <= end <= size - 8 - length:
            raise ValueError(f"the tensor {name!r} claims the bytes {begin:,} to {end:,}, which the file does not have")
    return header


def _read_safetensors(path: Path) -> WeightsFile:
    metadata = _read_header(path).get("__metadata__", {})
    with safetensors.safe_open(path, framework="pt") as file:  # checks overlaps, gaps and shapes
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  (no mapping, whatever it looks)
    return WeightsFile(path=path, tensors=tensors, container="", left_out=(), metadata=dict(metadata))


def _read_torch(path: Path) -> WeightsFile:
    with path.open("rb") as file:
        start = file.read(4)
        file.seek(0)
        if start == ZIP_START:
            facts = _check_zip(path)
        elif start[:1] == PICKLE_START:
            facts = _check_legacy(file, num_bytes=path.stat().st_size)
        else:
            raise ValueError("it is neither a safetensors file nor one that torch has written")
    allowed: list[Any] = [(_Ignored, name) for name in facts.globals & IGNORED_GLOBALS]
    allowed += [(argparse.Namespace, NAMESPACE)] if NAMESPACE in facts.globals else []
    is_zip = start == ZIP_START
    with _allowing, torch.serialization.safe_globals(allowed):
        # mapped: what is not asked for, such as an optimizer, is never read
        loaded: Any = torch.load(os.fspath(path), map_location="cpu", weights_only=True, mmap=is_zip)
    return _find_table(path, loaded)


def _check_zip(path: Path) -> PickleFacts:
    """Hold the entries of a torch zip file against its size, and its pickle against its entries."""
    size = path.stat().st_size
    with zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
        if len(entries) > MAX_ENTRIES:
            raise ValueError(f"it is a zip of {len(entries):,} entries")
        for entry in entries:
            if entry.compress_type != zipfile.ZIP_STORED or entry.file_size != entry.compress_size:
                raise ValueError(f"its entry {entry.filename!r} is compressed, which torch never does")
        _check_names([entry.filename for entry in entries])
        if sum(entry.file_size for entry in entries) > size:
            raise ValueError("its entries claim more bytes than the file has")
        by_name = {entry.filename: entry.file_size for entry in entries}
        pickles = [name for name in by_name if name.count("/") == 1 and name.endswith("/data.pkl")]
        root = pickles[0].partition("/")[0] if pickles else ""
        if len(pickles) != 1 or any(not name.startswith(f"{root}/") for name in by_name):
            raise ValueError("it is a zip, but none that torch.save has written")
        if f"{root}/constants.pkl" in by_name:
            raise ValueError("it is a TorchScript program, and no table of tensors")
        if by_name[pickles[0]] > MAX_PICKLE_BYTES:
            raise ValueError(f"its table of contents has {by_name[pickles[0]]:,} bytes")
        with archive.open(pickles[0]) as stream:
            facts = scan_pickle(stream, extra_globals=IGNORED_GLOBALS | {NAMESPACE})
    for storage in facts.storages.values():
        if by_name.get(f"{root}/data/{storage.key}") != storage.num_bytes:
            raise ScanError(
                f"it claims a storage {storage.key!r} of {storage.num_bytes:,} bytes, and has "
                f"{by_name.get(f'{root}/data/{storage.key}', 0):,}"
            )
    return facts


def _check_names(names: Iterable[str]) -> None:
    for name, count in Counter(names).items():
        if name.startswith("/") or "\\" in name or ":" in name or ".." in name.split("/"):
            raise ValueError(f"its entry {name!r} leads out of it")
        if count > 1:
            raise ValueError(f"its entry {name!r} is there twice")


def _check_legacy(file: IO[bytes], *, num_bytes: int) -> PickleFacts:
    """Take apart the five pickles at the start of a file of torch before 1.6; the storages follow them."""
    allowed = IGNORED_GLOBALS | {NAMESPACE}
    facts = [scan_pickle(file, extra_globals=allowed)]
    if facts[0].result != torch.serialization.MAGIC_NUMBER:
        raise ValueError("it is a pickle, but none that torch.save has written")
    for _ in range(LEGACY_PICKLES - 1):
        facts.append(scan_pickle(file, extra_globals=allowed))
    claimed = sum(storage.num_bytes for storage in facts[LEGACY_OBJECT].storages.values())
    if claimed > num_bytes - file.tell():
        raise ScanError(f"it claims {claimed:,} bytes of tensors, but has {num_bytes:,} in all")
    return facts[LEGACY_OBJECT]


def _find_table(path: Path, loaded: Any) -> WeightsFile:
    """Descend into the containers until a table of tensors is reached."""
    steps: list[str] = []
    left_out: list[str] = []
    metadata = {}
    if isinstance(loaded, dict) and LIGHTNING_KEY in loaded:
        metadata["written_by"] = f"PyTorch Lightning {loaded[LIGHTNING_KEY]}"
    while isinstance(loaded, dict) and not any(isinstance(value, torch.Tensor) for value in loaded.values()):
        key = next((item for item in CONTAINERS if _leads_to_tensors(loaded.get(item))), None)
        if key is None or len(steps) == MAX_NESTING:
            break
        left_out += [".".join((*steps, str(other))) for other in loaded if other != key]
        steps.append(key)
        loaded = loaded[key]
    is_table = isinstance(loaded, dict) and any(isinstance(value, torch.Tensor) for value in loaded.values())
    tensors = {name: _detach(value) for name, value in loaded.items()} if is_table else {}
    return WeightsFile(
        path=path, tensors=tensors, container=".".join(steps), left_out=tuple(left_out), metadata=metadata
    )


def _leads_to_tensors(value: Any, depth: int = MAX_NESTING) -> bool:
    """Whether a table holds tensors, or under one of the known names a table that does."""
    if not isinstance(value, dict) or depth == 0:
        return False
    has_tensors = any(isinstance(item, torch.Tensor) for item in value.values())
    return has_tensors or any(_leads_to_tensors(value.get(item), depth - 1) for item in CONTAINERS)


def _detach(value: Any) -> Any:
    return value.detach() if isinstance(value, torch.nn.Parameter) else value


def _check_tensors(tensors: dict[str, Any], *, num_bytes: int) -> None:
    """Refuse what is no plain tensor of ordinary numbers, and tensors that together claim more than the file holds."""
    total = 0
    for name, value in tensors.items():
        if not isinstance(name, str) or type(value) is not torch.Tensor:
            raise ValueError(f"the entry {name!r} is no tensor but a {type(value).__name__}")
        if value.is_quantized or value.layout is not torch.strided or value.dtype not in DTYPES:
            raise ValueError(f"the tensor {name!r} is {value.dtype}, {value.layout}")
        total += value.numel() * value.element_size()
    if total > SHARED * num_bytes:
        raise ValueError(f"its tensors claim {total:,} bytes, but it has {num_bytes:,}")
