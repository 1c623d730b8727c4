"""What an archive of a run may hold, under which names, and up to which sizes; for the writer and the reader. Light."""

import re

MANIFEST_FILE = "manifest.json"
FORMAT_VERSION = 1
RUN_PREFIX, WEIGHTS_PREFIX = "run/", "weights/"
CHUNK_BYTES = 1 << 20

# Files of a run folder, by their names below it
RUN_FILES = re.compile(
    r"(config|provenance|state|meta|metrics)\.json|events\.jsonl|log\.txt"
    r"|adapter/[a-z0-9_]{1,64}\.(safetensors|json)"
    r"|predictions/(val|test)\.parquet"
    r"|checkpoints/last/state\.safetensors"
    r"|encoders/epoch-[0-9]{1,8}\.(safetensors|md)"
    r"|pictures/(original|masked|rebuilt-[0-9]{1,8})\.png"
)
BASE_FILE = re.compile(r"weights/(?P<sha256>[0-9a-f]{64})\.safetensors")
REQUIRED_FILES = ("config.json", "provenance.json", "state.json")
# What people and the lab write about a run without changing what it is
CHANGING_FILES = ("meta.json", "state.json", "log.txt")

MAX_ARCHIVE_BYTES = 64 << 30  # unpacked, all together
MAX_JSON_BYTES = 16 << 20
MAX_TEXT_BYTES = 512 << 20
MAX_PICTURE_BYTES = 64 << 20


def is_known(name: str) -> bool:
    """Whether a file of that name belongs into an archive."""
    if name.startswith(RUN_PREFIX):
        return RUN_FILES.fullmatch(name.removeprefix(RUN_PREFIX)) is not None
    return name == MANIFEST_FILE or BASE_FILE.fullmatch(name) is not None


def is_compressed_already(name: str) -> bool:
    """Whether deflating it would take time and gain next to nothing."""
    return name.endswith((".safetensors", ".parquet", ".png"))


def find_limit(name: str) -> int:
    """Bytes that a file of that name may have at most."""
    if name.endswith(".json"):
        return MAX_JSON_BYTES
    if name.endswith((".jsonl", ".txt", ".md")):
        return MAX_TEXT_BYTES
    return MAX_PICTURE_BYTES if name.endswith(".png") else MAX_ARCHIVE_BYTES
