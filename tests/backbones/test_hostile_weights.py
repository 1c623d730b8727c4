"""Files that lie or carry code: refused by name, nothing executed, little memory used."""

import argparse
import io
import json
import os
import pickle
import struct
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch

from medpeft_core.backbones.weight_files import read_metadata, read_weights_file
from medpeft_core.errors import BackboneError

TEN_GB = 10_000_000_000
TABLE = {"a": torch.arange(6.0).reshape(2, 3), "b": torch.ones(4)}


class Evil:
    """Runs a command when it is unpickled."""

    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self) -> tuple:
        return os.system, (self.command,)


def save_zip(content: object, path: Path) -> Path:
    torch.save(content, path)
    return path


def save_legacy(content: object, path: Path) -> Path:
    torch.save(content, path, _use_new_zipfile_serialization=False)
    return path


SAVERS: dict[str, Callable[[object, Path], Path]] = {"zip": save_zip, "legacy": save_legacy}


def change_zip(path: Path, change: Callable[[str, bytes], tuple[str, bytes]], *, how: int = zipfile.ZIP_STORED) -> None:
    """Write a torch zip file anew, with each entry as `change` gives it."""
    with zipfile.ZipFile(path) as archive:
        entries = [change(name, archive.read(name)) for name in archive.namelist()]
    with zipfile.ZipFile(path, "w", how) as archive:
        for name, content in entries:
            archive.writestr(name, content)


def write_header(path: Path, header: dict, *, length: int | None = None, data: bytes = b"") -> Path:
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text) if length is None else length) + text + data)
    return path


def claim(shape: list[int], begin: int, end: int) -> dict:
    return {"dtype": "F32", "shape": shape, "data_offsets": [begin, end]}


@pytest.mark.parametrize("form", SAVERS)
def test_hostile_pickle_is_refused_by_the_name_it_asks_for(tmp_path: Path, form: str) -> None:
    marker = tmp_path / "executed"
    path = SAVERS[form]({"model": TABLE, "args": Evil(f"touch {marker}")}, tmp_path / "w.pth")
    with pytest.raises(BackboneError, match=rf"{path}.*cannot be read: it asks for 'posix\.system'.*executed"):
        read_weights_file(path)
    assert not marker.exists()


@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
def test_hostile_bare_pickle_is_refused_at_each_protocol(tmp_path: Path, protocol: int) -> None:
    marker, path = tmp_path / "executed", tmp_path / "w.bin"
    path.write_bytes(pickle.dumps(Evil(f"touch {marker}"), protocol=protocol))
    with pytest.raises(BackboneError, match=r"asks for 'posix\.system'|neither a safetensors file nor"):
        read_weights_file(path)
    assert not marker.exists()


@pytest.mark.parametrize("form", SAVERS)
@pytest.mark.parametrize("value", [bytearray(b"x"), np.ones(3), slice(3)])
def test_hostile_calls_that_torch_would_allow_are_refused(tmp_path: Path, form: str, value: object) -> None:
    """torch's restricted reader would call bytearray(10 ** 10) without a question."""
    path = SAVERS[form]({"a": torch.ones(3), "b": value}, tmp_path / "w.pth")
    with pytest.raises(BackboneError, match="it asks for '"):
        read_weights_file(path)


@pytest.mark.parametrize("form", SAVERS)
@pytest.mark.parametrize("value", [torch.ones(2, dtype=torch.complex64), torch.eye(2).to_sparse(), 3, "text", None])
def test_hostile_entries_that_are_no_plain_tensors_are_refused(tmp_path: Path, form: str, value: object) -> None:
    path = SAVERS[form]({"a": torch.ones(3), "odd": value}, tmp_path / "w.pth")
    with pytest.raises(BackboneError, match=r"cannot be read: (it asks for|the entry 'odd' is no tensor but a)"):
        read_weights_file(path)


@pytest.mark.parametrize("form", SAVERS)
def test_hostile_expanded_tensor_is_refused(tmp_path: Path, form: str) -> None:
    path = SAVERS[form]({"a": torch.ones(1).expand(2_500_000_000)}, tmp_path / "w.pth")
    assert path.stat().st_size < 10_000
    with pytest.raises(BackboneError, match=r"claims a tensor of shape \(2500000000,\) over a storage of 1 numbers"):
        read_weights_file(path)


def test_hostile_zip_with_a_changed_storage_size_is_refused(tmp_path: Path) -> None:
    """torch takes the size from the pickle and not from the entry, and would read beyond it."""
    path = save_zip({"a": torch.ones(99)}, tmp_path / "w.pth")
    change_zip(path, lambda name, content: (name, content.replace(b"Kc", b"Kd") if "data.pkl" in name else content))
    with pytest.raises(BackboneError, match="claims a storage '0' of 400 bytes, and has 396"):
        read_weights_file(path)


def test_hostile_zip_of_compressed_zeros_is_refused(tmp_path: Path) -> None:
    path = save_zip({"a": torch.zeros(1_000_000)}, tmp_path / "w.pth")
    change_zip(path, lambda name, content: (name, content), how=zipfile.ZIP_DEFLATED)
    with pytest.raises(BackboneError, match=r"its entry '.*' is compressed, which torch never does"):
        read_weights_file(path)


@pytest.mark.parametrize("name", ["../evil", "/evil", "w/../../evil", "w\\..\\evil", "C:evil"])
def test_hostile_zip_names_are_refused(tmp_path: Path, name: str) -> None:
    path = save_zip(TABLE, tmp_path / "w.pth")
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(name, b"x")
    with pytest.raises(BackboneError, match="its entry '.*evil' leads out of it"):
        read_weights_file(path)
    assert not (tmp_path.parent / "evil").exists()


def test_hostile_zip_of_other_things_and_torchscript_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "w.pth"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme.txt", "hello")
    with pytest.raises(BackboneError, match=r"none that torch\.save has written"):
        read_weights_file(path)
    save_zip(TABLE, path)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("w/constants.pkl", b"x")
    with pytest.raises(BackboneError, match="TorchScript program"):
        read_weights_file(path)


@pytest.mark.parametrize(
    ("header", "length", "reason"),
    [
        ({"a": claim([1], 0, 4)}, 10**15, "claims a header of"),
        ({"a": claim([1], 0, 4)}, 120_000_000, "claims a header of"),
        ({"a": claim([TEN_GB // 4], 0, TEN_GB)}, None, r"the tensor 'a' claims the bytes 0 to 10,000,000,000"),
        ({"a": claim([4], 0, 4)}, None, "cannot be read"),
        ({"a": claim([1], 0, 4), "b": claim([1], 2, 6)}, None, "cannot be read"),
        ({"a": claim([1], 4, 8)}, None, "cannot be read"),
        ({"a": claim([2**40, 2**40], 0, 8)}, None, "cannot be read"),
        ({"a": {"dtype": "F8_E4M3", "shape": [8], "data_offsets": [0, 8]}}, None, "numbers of the kind F8_E4M3"),
        ({"a": {"dtype": "F32"}}, None, "cannot be read"),
        ({"a": 3}, None, "cannot be read"),
        ([1], None, "no table of tensors"),
    ],
)
def test_hostile_safetensors_headers_are_refused(tmp_path: Path, header: dict, length: int, reason: str) -> None:
    path = write_header(tmp_path / "w.safetensors", header, length=length, data=bytes(8))
    with pytest.raises(BackboneError, match=reason):
        read_weights_file(path)
    assert read_metadata(path) == {}


def test_hostile_claims_cost_no_memory(tmp_path: Path) -> None:
    """Ten gigabytes claimed by a header, by a legacy file, by expanded tensors: some megabytes must do."""
    write_header(tmp_path / "a.safetensors", {"a": claim([TEN_GB // 4], 0, TEN_GB)}, data=bytes(8))
    write_header(tmp_path / "b.safetensors", {}, length=TEN_GB)
    legacy = save_legacy({"a": torch.ones(70_000, dtype=torch.uint8)}, tmp_path / "c.pth")
    legacy.write_bytes(legacy.read_bytes().replace(struct.pack("<i", 70_000), struct.pack("<i", 2_000_000_000)))
    save_legacy({"a": torch.ones(1).expand(TEN_GB // 4)}, tmp_path / "d.pth")
    save_zip({"a": torch.ones(1).expand(TEN_GB // 4)}, tmp_path / "e.pth")
    code = (
        "import resource, sys\n"
        "from pathlib import Path\n"
        "from medpeft_core.backbones.weight_files import read_weights_file\n"
        "from medpeft_core.errors import BackboneError\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "for path in sorted(Path(sys.argv[1]).iterdir()):\n"
        "    try:\n"
        "        read_weights_file(path)\n"
        "    except BackboneError as error:\n"
        "        assert path.name in str(error), error\n"
        "        print(path.name)\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, tmp_path], capture_output=True, text=True, timeout=300)
    *refused, grown = done.stdout.split()
    assert refused == ["a.safetensors", "b.safetensors", "c.pth", "d.pth", "e.pth"], done.stderr
    assert int(grown) < 100_000 * (1024 if sys.platform == "darwin" else 1)  # KiB on Linux


@pytest.mark.parametrize("form", SAVERS)
def test_file_with_the_arguments_of_a_training_is_read(tmp_path: Path, form: str) -> None:
    args = argparse.Namespace(lr=1e-3, output_dir=Path("/out"), best=np.float64(0.5))
    content = {"model": TABLE, "optimizer": {"state": {0: {"exp_avg": torch.ones(3)}}}, "epoch": 4, "args": args}
    found = read_weights_file(SAVERS[form](content, tmp_path / "w.pth"))
    assert found.container == "model"
    assert found.left_out == ("optimizer", "epoch", "args")
    assert {name: tensor.tolist() for name, tensor in found.tensors.items()} == {
        name: tensor.tolist() for name, tensor in TABLE.items()
    }


@pytest.mark.parametrize(
    ("content", "container", "left_out"),
    [
        ({"student": {"a": torch.zeros(1)}, "teacher": TABLE, "epoch": 1}, "teacher", ("student", "epoch")),
        ({"model": {"state_dict": TABLE, "x": 1}, "y": 2}, "model.state_dict", ("y", "model.x")),
        ({"state_dict": {"a": torch.zeros(1)}, "state_dict_ema": TABLE}, "state_dict_ema", ("state_dict",)),
        ({"module": TABLE}, "module", ()),
        (TABLE, "", ()),
    ],
)
def test_file_with_containers_is_opened_in_the_stated_order(
    tmp_path: Path, content: dict, container: str, left_out: tuple[str, ...]
) -> None:
    found = read_weights_file(save_zip(content, tmp_path / "w.pth"))
    assert (found.container, found.left_out) == (container, left_out)
    assert torch.equal(found.tensors["a"], TABLE["a"])


def test_file_of_lightning_says_so(tmp_path: Path) -> None:
    content = {
        "pytorch-lightning_version": "2.1.0", "state_dict": TABLE, "hyper_parameters": {"lr": 1}, "callbacks": {},
    }  # fmt: skip
    found = read_weights_file(save_zip(content, tmp_path / "w.ckpt"))
    assert found.metadata == {"written_by": "PyTorch Lightning 2.1.0"}
    assert found.container == "state_dict"


def test_file_is_known_by_its_content_and_a_folder_is_no_file(tmp_path: Path) -> None:
    safetensors.torch.save_file(TABLE, tmp_path / "pytorch_model.bin", metadata={"format": "pt"})
    found = read_weights_file(tmp_path / "pytorch_model.bin")
    assert found.metadata == {"format": "pt"}
    assert torch.equal(found.tensors["b"], TABLE["b"])
    with pytest.raises(BackboneError, match="is a folder"):
        read_weights_file(tmp_path)


def test_file_of_tied_and_half_tensors_is_read(tmp_path: Path) -> None:
    shared = torch.arange(8.0)
    content = {"a": shared, "b": shared[2:], "c": torch.nn.Parameter(shared.half()), "d": torch.ones(0)}
    buffer = io.BytesIO()
    torch.save(content, buffer)
    (tmp_path / "w.pt").write_bytes(buffer.getvalue())
    found = read_weights_file(tmp_path / "w.pt").tensors
    assert torch.equal(found["b"], shared[2:])
    assert found["c"].dtype is torch.float16
    assert not found["c"].requires_grad
