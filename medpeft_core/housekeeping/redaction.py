"""Takes everything private out of a text by letting through only what is known to be public. Light.

A list of what is private would always miss something: a name in the path of an image, a patient's number in a message.
So a word passes when this program's own source or Python's own manual uses it, a number when it counts something
harmless, a line of a traceback when it stands in an installed file. All else is replaced.
"""

import builtins
import functools
import linecache
import pydoc_data.topics
import re
import sysconfig
from pathlib import Path
from typing import Any

import medpeft_core
from medpeft_core.runs.run_ids import is_run_id

GAP, PATH, NUMBER = "<…>", "<path>", "#"
PACKAGE_DIR = Path(medpeft_core.__file__).resolve().parent
MAX_DIGITS = 6

# Words of torch's and the systems' most frequent messages that neither source happens to use.
_MORE_WORDS = (
    "CUDA MPS GPU CPU OOM GiB MiB KiB GB MB kB OSError errno Errno allocated allocate capacity fragmentation "
    "unallocated reserved segments expandable driver kernel launch asynchronously stacktrace dtype mat1 mat2 "
    "shapes multiplied cuDNN cuBLAS NCCL segmentation fault aborted killed broken pipe permission denied directory "
    "refused timed warning deprecated nan inf traceback recent INFO WARNING ERROR DEBUG"
)
_BEFORE_NUMBER = (
    "line epoch step code signal of x by rank batch size version argument dimension dim errno Errno channels got "
    "expected has capacity exit least most than to"
)
_AFTER_NUMBER = (
    "MiB GiB KiB MB GB kB bytes pixels px x images epochs steps seconds s ms min h modules channels classes labels "
    "megapixels runs batches parameters cores files free"
)
_NAMES = frozenset(("jack", "sjoerd"))  # of people in Python's manual
_NUMBER = re.compile(r"\d+(\.\d+)?")
_SHAPE = re.compile(r"\d{1,5}(x\d{1,5})+")
_QUOTED = re.compile(r"'[^'\n]*'|\"[^\"\n]*\"|“[^”\n]*”|`[^`\n]*`")
_FRAME = re.compile(r'(?P<start>\s*File ")(?P<path>[^"\n]+)", line (?P<line>\d+)(, in (?P<name>.+))?')
_RAISED = re.compile(r"(?P<name>[A-Za-z_][\w.]*(Error|Exception|Warning|Interrupt|Exit|Stopped))(?P<rest>:.*)?", re.S)
_EDGES = re.compile(r"^(?P<before>[^\w/\\~<#…]*)(?P<core>.*?)(?P<after>[^\w/\\>#…%]*)$", re.S)


def redact_text(text: str) -> str:
    """A message or a log with tracebacks, line by line, without anything private."""
    lines, source = [], ""
    for line in text.splitlines():
        frame = _FRAME.fullmatch(line)
        if frame is not None:
            lines.append(_redact_frame(frame))
            source = linecache.getline(frame["path"], int(frame["line"])).strip() if _shorten(frame["path"]) else ""
        elif (source and line.strip() == source) or (line.strip() and not line.strip(" ^~")):
            lines.append(line)  # code of an installed file, or the marks below it
        else:
            source = ""
            raised = _RAISED.fullmatch(line)
            if raised is None:
                lines.append(redact_words(line))
            else:  # the name of a class says nothing about people
                rest = raised["rest"] or ""
                lines.append(f"{raised['name'].rpartition('.')[2]}{rest[:1]}{redact_words(rest[1:])}")
    return "\n".join(lines)


def redact_words(text: str) -> str:
    """One line of prose without anything private."""
    text = _QUOTED.sub(
        lambda match: match[0] if _is_known(match[0][1:-1]) else f"{match[0][0]}{GAP}{match[0][-1]}", text
    )
    parts = re.split(r"(\s+)", text)
    words = [_core(part) for part in parts]
    shown = []
    for place, part in enumerate(parts):
        if not part or part.isspace():
            shown.append(part)
            continue
        before = words[place - 2] if place >= 2 else ""
        after = words[place + 2] if place + 2 < len(parts) else ""
        shown.append(_redact_chunk(part, before, after))
    return re.sub(rf"{GAP}(\s+{GAP})+", GAP, "".join(shown))


def redact_value(value: Any, name: str = "") -> Any:
    """A setting with what is in it: numbers, and texts whose every word is known, stay; a folder or file never does."""
    if isinstance(value, dict):
        return {key if _is_known(str(key)) else GAP: redact_value(item, str(key)) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [redact_value(item, name) for item in value]
    if value is None or isinstance(value, bool | int | float):
        return value
    text = str(value)
    if name in ("root", "path", "folder") or "/" in text or "\\" in text:
        return PATH
    return text if is_run_id(text) or _is_known(text) or _is_hash(text, name) else GAP


def _redact_frame(frame: re.Match[str]) -> str:
    path = _shorten(frame["path"])
    name = f", in {frame['name'] if path else GAP}" if frame["name"] else ""
    return f'{frame["start"]}{path or PATH}", line {frame["line"]}{name}'


def _shorten(path: str) -> str | None:
    """A file of the lab or of an installed package without the folders above it; None for any other file."""
    for name, folder in _public_folders():
        try:
            return f"{name}/{Path(path).relative_to(folder).as_posix()}"
        except ValueError:
            continue
    return None


def _redact_chunk(chunk: str, before: str, after: str) -> str:
    """One word with the punctuation around it; `before` and `after` are the words beside it."""
    edges = _EDGES.match(chunk)
    assert edges is not None
    start, core, end = edges["before"], edges["core"], edges["after"]
    if not core or core in (GAP, PATH, NUMBER):
        return chunk
    if is_run_id(core) or _SHAPE.fullmatch(core):
        return chunk
    if _NUMBER.fullmatch(core):
        is_harmless = before in _BEFORE_NUMBER.split() or after in _AFTER_NUMBER.split()
        is_short = len(core.partition(".")[0]) <= MAX_DIGITS and not (core.startswith("0") and core[1:2].isdigit())
        return f"{start}{core if is_harmless and is_short else NUMBER}{end}"
    if _is_known(core):
        return chunk
    return f"{start}{PATH if '/' in core or chr(92) in core else GAP}{end}"


def _core(chunk: str) -> str:
    edges = _EDGES.match(chunk)
    return edges["core"] if edges is not None else ""


def _is_known(text: str) -> bool:
    """Whether every word of a text is public; a path of known words counts as one when it does not start at a root."""
    if not text or text.startswith(("/", "\\", "~")) or re.match(r"[A-Za-z]:[\\/]", text):
        return False
    words = re.findall(r"\w+", text)
    return bool(words) and all(_is_known_word(word) for word in words)


def _is_known_word(word: str) -> bool:
    known = vocabulary()
    if word in known or (word.istitle() and word.lower() in known):
        return True
    parts = word.split("_")
    return len(parts) > 1 and all(not part or part in known for part in parts)


def _is_hash(text: str, name: str) -> bool:
    """Whether a setting is a digest of weights: the same everywhere, and nothing can be read from it."""
    return name.endswith("sha256") and re.fullmatch(r"[0-9a-f]{64}", text) is not None


@functools.lru_cache(maxsize=1)
def vocabulary() -> frozenset[str]:
    """Words that this program and Python's manual use, without those that have a first capital: they may be names."""
    source = " ".join(path.read_text(encoding="utf-8", errors="ignore") for path in PACKAGE_DIR.rglob("*.py"))
    manual = " ".join(pydoc_data.topics.topics.values())
    words = set(re.findall(r"[A-Za-z]\w*", source)) | set(re.findall(r"[a-z]{2,}", manual)) | set(_MORE_WORDS.split())
    words |= {letters for word in words for letters in re.findall(r"[a-z]{2,}", word)}
    words |= {name for name in dir(builtins) if not name.startswith("_")}
    return frozenset(word for word in words - _NAMES if not (word.istitle() and word.isalpha() and len(word) > 1))


@functools.lru_cache(maxsize=1)
def _public_folders() -> tuple[tuple[str, Path], ...]:
    paths = sysconfig.get_paths()
    found = [("<lab>", PACKAGE_DIR.parent / "medpeft_core"), ("<lab>/pages", PACKAGE_DIR.parent / "pages")]
    found += [("<packages>", Path(paths[name])) for name in ("purelib", "platlib")]
    return (*found, ("<python>", Path(paths["stdlib"])))
