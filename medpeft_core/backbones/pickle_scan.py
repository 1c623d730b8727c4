"""Reads the instructions of a torch file without following them: which names it asks for, which storages it claims.

A torch file holds a pickle, a small program. torch's own restricted reader follows it while it checks; here it is
checked from end to end before torch sees it, so that a lie about sizes is known before memory is asked for. Nothing is
unpickled: `pickletools` only takes the instructions apart. Light.
"""

import pickletools
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import IO, Any

# what torch's restricted reader knows (torch/_weights_only_unpickler.py); every other instruction is refused
KNOWN_OPCODES = frozenset(
    {
        "APPEND", "APPENDS", "BINFLOAT", "BINGET", "BININT", "BININT1", "BININT2", "BINPERSID", "BINPUT", "BINUNICODE",
        "BUILD", "EMPTY_DICT", "EMPTY_LIST", "EMPTY_SET", "EMPTY_TUPLE", "GLOBAL", "LONG1", "LONG_BINGET",
        "LONG_BINPUT", "MARK", "NEWFALSE", "NEWOBJ", "NEWTRUE", "NONE", "PROTO", "REDUCE", "SETITEM", "SETITEMS",
        "SHORT_BINSTRING", "STOP", "TUPLE", "TUPLE1", "TUPLE2", "TUPLE3",
    }
)  # fmt: skip
ITEM_BYTES = {
    "DoubleStorage": 8, "FloatStorage": 4, "HalfStorage": 2, "BFloat16Storage": 2,
    "LongStorage": 8, "IntStorage": 4, "ShortStorage": 2, "CharStorage": 1, "ByteStorage": 1, "BoolStorage": 1,
}  # fmt: skip
REBUILD_TENSOR = "torch._utils._rebuild_tensor_v2"
# what makes tensors and the tables around them
TENSOR_GLOBALS = frozenset(
    {
        "collections.OrderedDict", "collections.Counter", "torch.Size", "torch.device",
        "__builtin__.set", "builtins.set", "_codecs.encode",
        REBUILD_TENSOR, "torch._utils._rebuild_parameter",
        *(f"torch.{name}" for name in ITEM_BYTES),
        "torch.float64", "torch.float32", "torch.float16", "torch.bfloat16",
        "torch.int64", "torch.int32", "torch.int16", "torch.int8", "torch.uint8", "torch.bool",
    }
)  # fmt: skip


class ScanError(ValueError):
    """What a pickle asks for that a file of weights has no use for, or what it claims that cannot be."""


@dataclass(frozen=True)
class ClaimedStorage:
    """A block of numbers that a pickle says the file holds."""

    key: str
    num_items: int
    item_bytes: int

    @property
    def num_bytes(self) -> int:
        return self.num_items * self.item_bytes


@dataclass(frozen=True)
class _Global:
    name: str


@dataclass
class PickleFacts:
    """What one pickle asks for and claims.

    Attributes:
        globals: the names that it looks up, such as "argparse.Namespace".
        storages: by key.
        result: the finished object where it is a number or a text, else None.
    """

    globals: set[str] = field(default_factory=set)
    storages: dict[str, ClaimedStorage] = field(default_factory=dict)
    result: Any = None


def scan_pickle(stream: IO[bytes], *, extra_globals: frozenset[str] = frozenset()) -> PickleFacts:
    """Take one pickle apart; the stream stands behind it afterwards.

    Args:
        stream: at the start of a pickle.
        extra_globals: names that may be asked for beside those of tensors.

    Raises:
        ScanError: a name, an instruction or a size that has no place in a file of weights.
        ValueError, IndexError, KeyError: no pickle, or a damaged one.
    """
    facts, scan = PickleFacts(), _Scan()
    for opcode, argument, _ in pickletools.genops(stream):
        _check_opcode(opcode.name, argument, scan)
        if opcode.name == "GLOBAL":
            name = str(argument).replace(" ", ".", 1)
            facts.globals.add(name)
            if name not in TENSOR_GLOBALS | extra_globals:
                raise ScanError(_describe_global(name))
            scan.stack.append(_Global(name))
        elif opcode.name == "BINPERSID":
            storage = _read_storage(scan.stack.pop())
            if facts.storages.setdefault(storage.key, storage) != storage:
                raise ScanError(f"it claims two sizes for the storage {storage.key!r}")
            scan.stack.append(storage)
        elif opcode.name == "STOP":
            top = scan.stack.pop()
            facts.result = top if isinstance(top, int | str) else None
        else:
            scan.step(opcode, argument)
    return facts


class _Scan:
    """The stack and the memory of an unpickler, with numbers, texts and tuples in them, and None for all else."""

    def __init__(self) -> None:
        self.stack: list[Any] = []
        self._below: list[list[Any]] = []
        self._memory: dict[int, Any] = {}

    def step(self, opcode: pickletools.OpcodeInfo, argument: Any) -> None:
        name = opcode.name
        if name in ("BININT", "BININT1", "BININT2", "LONG1", "BINUNICODE", "SHORT_BINUNICODE", "SHORT_BINSTRING"):
            self.stack.append(argument)
        elif name in ("BINPUT", "LONG_BINPUT"):
            self._memory[argument] = self.stack[-1]
        elif name in ("BINGET", "LONG_BINGET"):
            self.stack.append(self._memory[argument])
        elif name == "MARK":
            self._below.append(self.stack)
            self.stack = []
        elif name == "EMPTY_TUPLE":
            self.stack.append(())
        elif name in ("TUPLE1", "TUPLE2", "TUPLE3"):
            count = int(name[-1])
            self.stack[-count:] = [tuple(self.stack[-count:])]
        elif name == "TUPLE":
            items = tuple(self._pop_mark())  # first: it puts another list in place of the stack
            self.stack.append(items)
        elif name in ("APPENDS", "SETITEMS"):
            popped = self._pop_mark()
            if name == "SETITEMS":
                _check_keys(popped[::2])
        elif name == "REDUCE":
            arguments, function = self.stack.pop(), self.stack.pop()
            self.stack.append(_rebuild(function, arguments))
        elif name == "BUILD":
            self.stack.pop()
            if isinstance(self.stack[-1], ClaimedStorage):
                raise ScanError("it changes a tensor after it was made")
        elif name not in ("PROTO", "FRAME", "MEMOIZE"):
            if name == "SETITEM":
                _check_keys(self.stack[-2:-1])
            del self.stack[len(self.stack) - len(opcode.stack_before) :]
            self.stack.extend(None for _ in opcode.stack_after)

    def _pop_mark(self) -> list[Any]:
        items = self.stack
        self.stack = self._below.pop()
        return items


def _check_opcode(name: str, argument: Any, scan: _Scan) -> None:
    """Refuse what torch's restricted reader does not know; where such an instruction asks for a name, say which."""
    if name in KNOWN_OPCODES:
        return
    if name == "STACK_GLOBAL":  # the way of newer pickles; torch writes protocol 2
        asked = ".".join(item for item in scan.stack[-2:] if isinstance(item, str))
        raise ScanError(_describe_global(asked))
    if name == "INST":
        raise ScanError(_describe_global(str(argument).replace(" ", ".", 1)))
    if name in ("FRAME", "MEMOIZE", "SHORT_BINUNICODE", "BINUNICODE8"):  # harmless by themselves: find out what follows
        return
    raise ScanError(f"it uses the pickle instruction {name}, which files of weights do without")


def _check_keys(keys: Iterable[Any]) -> None:
    """Refuse tuples as names in tables: a small one, put into itself again and again, takes hours to hash."""
    if any(isinstance(key, tuple) for key in keys):
        raise ScanError("it has a table whose names are no texts")


def _describe_global(name: str) -> str:
    return f"it asks for {name!r}, which a file of weights has no use for (nothing of it was executed)"


def _read_storage(value: Any) -> ClaimedStorage:
    """From ("storage", type, key, place, number of items), in older files with a view behind it."""
    is_known = isinstance(value, tuple) and len(value) in (5, 6) and value[0] == "storage"
    kind = value[1] if is_known else None
    type_name = kind.name.removeprefix("torch.") if isinstance(kind, _Global) else ""
    is_known = is_known and isinstance(value[2], str) and isinstance(value[4], int)
    if type_name not in ITEM_BYTES or not is_known or value[4] < 0:
        raise ScanError("it refers to something outside itself that is no storage of numbers")
    return ClaimedStorage(key=value[2], num_items=value[4], item_bytes=ITEM_BYTES[type_name])


def _rebuild(function: Any, arguments: Any) -> Any:
    """What a call leaves behind; a tensor must lie inside its storage."""
    name = function.name if isinstance(function, _Global) else ""
    if name == "torch._utils._rebuild_parameter" and isinstance(arguments, tuple) and arguments:
        return arguments[0]
    if name != REBUILD_TENSOR:
        return None
    is_known = isinstance(arguments, tuple) and len(arguments) >= 4 and isinstance(arguments[0], ClaimedStorage)
    if not is_known or not _are_counts(arguments[1:2], *arguments[2:4]) or len(arguments[2]) != len(arguments[3]):
        raise ScanError("it describes a tensor that has no storage or no shape")
    storage, offset, shape, strides = arguments[:4]
    last = offset + sum((size - 1) * stride for size, stride in zip(shape, strides, strict=True))
    num_items = 1
    for size in shape:
        num_items *= size
    if num_items and (last >= storage.num_items or num_items > storage.num_items):
        raise ScanError(
            f"it claims a tensor of shape {shape} over a storage of {storage.num_items} numbers, which cannot hold it"
        )
    return storage


def _are_counts(*values: Any) -> bool:
    return all(
        isinstance(value, tuple) and all(isinstance(item, int) and item >= 0 for item in value) for value in values
    )
