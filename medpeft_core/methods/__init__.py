"""The fine-tuning methods; to add one, write its file and add an import line here."""

from medpeft_core.methods import full, linear, lora
from medpeft_core.methods.spec import METHODS, MethodSpec, ModelParts, NoKnobs

__all__ = ["METHODS", "MethodSpec", "ModelParts", "NoKnobs", "full", "linear", "lora"]
