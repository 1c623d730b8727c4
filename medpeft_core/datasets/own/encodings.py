"""The text of a file whose encoding nobody states. Light."""

import codecs
from pathlib import Path

from medpeft_core.errors import DataError

_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF32_LE, "utf-32"), (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"),
)  # fmt: skip
_WESTERN = "cp1252"  # what Windows of Western Europe and the Americas writes; a superset of printable Latin-1
_SAMPLE_BYTES = 1 << 16
_ODD_CHARACTERS = 8  # lines with others than ASCII that are enough to tell an encoding by


def decode_text(path: Path, encoding: str, notes: list[str], *, max_bytes: int = 0) -> str:
    """The whole file as text.

    Args:
        path: of the file.
        encoding: a name that Python knows; "": a byte order mark, then UTF-8, then what its letters look like.
        notes: gets a sentence where that was not UTF-8.
        max_bytes: read whole lines of about so much; 0: everything.

    Raises:
        DataError: the encoding is unknown, or the file is not text in it.
    """
    content = _read_bytes(path, max_bytes)
    if encoding:
        return _decode_as(path, content, encoding)
    mark = next((name for start, name in _MARKS if content.startswith(start)), None)
    if mark:
        return _decode_as(path, content, mark)
    wide = _find_wide(content)
    if wide:
        notes.append(f"{path.name} was read as {wide}.")
        return _decode_as(path, content, wide)
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        pass
    if _is_binary(content):
        raise DataError(f"{path} is no text, so it cannot be read as CSV. Save it as CSV in UTF-8.")
    found = _guess(content)
    notes.append(
        f"{path.name} is not in UTF-8; it was read as {found}. If letters look wrong, name its encoding "
        "(data.encoding), or save it as UTF-8."
    )
    try:
        return content.decode(found)
    except UnicodeDecodeError:
        return content.decode(found, errors="replace")


def _read_bytes(path: Path, max_bytes: int) -> bytes:
    with path.open("rb") as file:
        content = file.read(max_bytes or -1)
        if not max_bytes or len(content) < max_bytes:
            return content
    head = content[: content.rfind(b"\n") + 1]
    return head[: len(head) - len(head) % 4] if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else head


def _decode_as(path: Path, content: bytes, encoding: str) -> str:
    try:
        return content.decode(encoding)
    except LookupError as error:
        raise DataError(
            f"There is no encoding {encoding!r} (data.encoding). Give a name such as utf-8, cp1252 or gb18030."
        ) from error
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path} is not text in {encoding} ({error.reason} at byte {error.start}). Save it as CSV in UTF-8."
        ) from error


def _find_wide(content: bytes) -> str | None:
    """UTF-16 without a mark: every other byte of mostly English text is zero."""
    head = content[:4096]
    half = len(head) // 2
    if half < 2:
        return None
    if head[1::2].count(0) > 0.8 * half and head[::2].count(0) < 0.1 * half:
        return "utf-16-le"
    return "utf-16-be" if head[::2].count(0) > 0.8 * half and head[1::2].count(0) < 0.1 * half else None


def _is_binary(content: bytes) -> bool:
    head = content[:4096]
    controls = sum(byte < 32 and byte not in b"\t\n\r\f\0" for byte in head)
    return controls > 0.02 * len(head)


def _guess(content: bytes) -> str:
    """The likeliest encoding of those lines that are not plain ASCII."""
    from charset_normalizer import from_bytes

    lines = [line for line in content.splitlines() if not line.isascii()]
    sample = b"\n".join(lines)[:_SAMPLE_BYTES]
    best = from_bytes(sample).best()
    try:
        content.decode(_WESTERN)
    except UnicodeDecodeError:
        return best.encoding if best else "latin-1"
    if best is None or sum(byte > 127 for byte in sample) < _ODD_CHARACTERS or not _is_other_script(str(best)):
        return _WESTERN  # among the encodings of Latin letters, by far the most frequent one
    return best.encoding


def _is_other_script(text: str) -> bool:
    """Whether most letters beyond ASCII are not Latin ones: Cyrillic, Greek, Chinese and so on."""
    odd = [character for character in text if ord(character) > 127 and character.isalpha()]
    return bool(odd) and sum(ord(character) > 0x24F for character in odd) > 0.8 * len(odd)
