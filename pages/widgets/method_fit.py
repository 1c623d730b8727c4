"""Which methods fit a backbone, in the order in which people choose from them, and why the others do not."""

from dataclasses import dataclass
from typing import Any

from medpeft_core.backbones import BACKBONES
from medpeft_core.backbones.spec import KIND_TITLES
from medpeft_core.config import RunConfig
from medpeft_core.methods import METHODS, MethodSpec
from medpeft_core.methods.spec import FAMILIES
from medpeft_core.traits import Traits
from pages.widgets.train_answers import ask_traits

FAMILY_IDEAS = {
    "baseline": "What every method is measured against.",
    "selective": "Some of the model's own parameters learn; nothing is added.",
    "additive": "Small new parts learn inside the frozen model.",
    "reparameterised": "Chosen weights get a small change that learns; most of them can be merged into the weights.",
}
FIRST_STAND_IN = "lora"


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """What is known of the chosen backbone.

    Attributes:
        title: for people.
        kind, traits: as `MethodSpec.find_misfit` wants them.
    """

    title: str
    kind: str
    traits: Traits

    @property
    def name(self) -> str:
        """The backbone with its kind: ResNet-18, a CNN."""
        return self.title if self.kind == "other" else f"{self.title}, a {KIND_TITLES[self.kind]}"


def find_architecture(section: dict[str, Any]) -> Architecture | None:
    """What the chosen backbone is made of; None until that is known.

    Args:
        section: backbone section of a draft. A model that the lab does not describe must be built to be known, which
            the compute process is asked for.
    """
    name = section.get("name", RunConfig().backbone.name)
    if name in BACKBONES:
        spec = BACKBONES[name]
        return Architecture(title=spec.title, kind=spec.kind, traits=spec.traits)
    found = ask_traits(section).value
    return Architecture(title=name, kind=found["kind"], traits=frozenset(found["traits"])) if found else None


def find_misfit(method: str, architecture: Architecture | None) -> str | None:
    """Why a method does not fit; None where it does, or where nothing is known."""
    if architecture is None or method not in METHODS:
        return None
    return METHODS[method].find_misfit(architecture.kind, architecture.traits)


def group_methods() -> dict[str, list[MethodSpec]]:
    """All methods by family, in the order of the lists."""
    return {family: [spec for spec in METHODS if spec.family == family] for family in FAMILIES}


def list_fitting(architecture: Architecture | None, *, kept: tuple[str, ...] = ()) -> list[str]:
    """Names of the methods to choose from: those that fit, by family, then those that are chosen although they do not.

    Args:
        kept: chosen already; an option that went away would change the choice.
    """
    ordered = [spec.name for specs in group_methods().values() for spec in specs]
    fitting = [name for name in ordered if find_misfit(name, architecture) is None]
    return [*fitting, *(name for name in kept if name not in fitting)]


def find_stand_in(architecture: Architecture) -> str | None:
    """The method to offer for one that does not fit: LoRA, else the first of the list."""
    fitting = list_fitting(architecture)
    return FIRST_STAND_IN if FIRST_STAND_IN in fitting else next(iter(fitting), None)
