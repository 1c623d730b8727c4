"""The backbones that people choose from; to add one, write its spec and, in a new file, add an import line here."""

from medpeft_core.backbones import cnns, demo, vits
from medpeft_core.backbones.spec import BACKBONES, BackboneSpec

__all__ = ["BACKBONES", "BackboneSpec", "cnns", "demo", "vits"]
