"""How sources, licences and hashes of weights are written; what comes from files and people is escaped."""

from collections.abc import Sequence

from medpeft_core.backbones import BACKBONES
from pages.widgets.wording import escape_markdown

HASH_LENGTH = 12
HUB_PREFIX = "hf:"
MODEL_SUFFIXES = ("safetensors", "pth", "pt", "bin", "ckpt")


def write_source(source: str) -> str:
    """Where weights came from, for a caption."""
    if source.startswith(HUB_PREFIX):
        return f"Hugging Face, {escape_markdown(source.removeprefix(HUB_PREFIX))}"
    return f"the file {escape_markdown(source)}" if source else "a source that is not known"


def write_licence(licence: str) -> str:
    """A licence, or that none is known."""
    return escape_markdown(licence) if licence else "not stated"


def name_backbone(name: str) -> str:
    """A backbone's title with its timm name, escaped."""
    title = f"{BACKBONES[name].title}, " if name in BACKBONES else ""
    return f"{title}{escape_markdown(name)}"


def write_normalisation(mean: Sequence[float] | None, std: Sequence[float] | None) -> str:
    """Constants of pixels, one number where all channels have the same: 0.4785 / 0.2834."""
    if mean is None or std is None:
        return "of the backbone"
    return f"{_write_triple(mean)} / {_write_triple(std)}"


def _write_triple(values: Sequence[float]) -> str:
    return f"{values[0]:g}" if len(set(values)) == 1 else ", ".join(f"{value:g}" for value in values)


def shorten_hash(sha256: str) -> str:
    """The beginning of a hash, which is enough to tell files apart."""
    return f"{sha256[:HASH_LENGTH]}…" if sha256 else "not known"
