"""The fine-tuning methods: all of them, one in full, and which of them fit a backbone."""

from dataclasses import dataclass, fields
from typing import Any

from medpeft_core.backbones import BACKBONES
from medpeft_core.backbones.spec import KIND_TITLES
from medpeft_core.commands.console import print_json, print_table
from medpeft_core.commands.listing import describe_fields
from medpeft_core.methods import METHODS, MethodSpec
from medpeft_core.methods.not_offered import NOT_OFFERED, check_offered
from medpeft_core.traits import KINDS, WORDS, Traits


@dataclass(frozen=True, kw_only=True)
class Fitted:
    """A backbone that methods are held against."""

    name: str
    kind: str
    traits: Traits

    def describe(self) -> dict[str, Any]:
        """As JSON."""
        return {"name": self.name, "kind": self.kind, "traits": sorted(self.traits)}


def list_methods(*, fitted: Fitted | None, as_json: bool) -> None:
    """Print the methods; with a backbone whether each fits it."""
    if as_json:
        head = {} if fitted is None else {"backbone": fitted.describe()}
        print_json({**head, "methods": [_describe(spec, fitted) for spec in METHODS], "not_offered": NOT_OFFERED})
    elif fitted is None:
        print_table(
            ("name", "family", "fits", "knobs", "idea"),
            [(spec.name, spec.family, _tell_kinds(spec), _tell_knobs(spec), spec.idea) for spec in METHODS],
        )
        print(
            "fits: kinds of backbone of which it fits at least some; `methods --backbone NAME` tells for one backbone, "
            "and `methods NAME` shows one method in full."
        )
    else:
        print_table(
            ("name", "family", "fits", "why not, or the idea"),
            [_write_row(spec, fitted) for spec in METHODS],
            title=f"{fitted.name}, {KIND_TITLES[fitted.kind]}",
        )


def show_method(name: str, *, fitted: Fitted | None, as_json: bool) -> None:
    """Print all about one method.

    Raises:
        MedPeftError: there is no such method.
    """
    check_offered(name)
    spec = METHODS[name]
    if as_json:
        print_json({**({} if fitted is None else {"backbone": fitted.describe()}), "method": _describe(spec, fitted)})
        return
    print(f"{spec.title} ({spec.name}, {spec.family})")
    print(spec.idea)
    print(f"Paper: {spec.reference}")
    print(f"Fits: {_tell_kinds(spec)}")
    for sentence in _tell_requirements(spec):
        print(f"- {sentence}")
    if fitted is not None:
        misfit = spec.find_misfit(fitted.kind, fitted.traits)
        print(f"On {fitted.name}: " + ("it fits." if misfit is None else f"it does not fit: {misfit}."))
    print(f"Merging: {_tell_merging(spec)}")
    print(f"Start: {_tell_start(spec)}")
    print(f"Default learning rate: {spec.default_lr:g} with AdamW")
    knobs = describe_fields(spec.knobs)
    if not knobs:
        print("Knobs: none.")
        return
    print_table(("knob", "default", "help"), [(item["name"], str(item["default"]), _tell_help(item)) for item in knobs])


def find_backbone(name: str, *, pool: str | None = None) -> Fitted:
    """What a backbone is made of: as described, or found in a model that is built without memory for its weights.

    Args:
        name: of the list, or timm's.
        pool: "token" or "avg"; None for the model's own.

    Raises:
        BackboneError: timm does not know the name, or the model is none that the lab can use.
    """
    if name in BACKBONES:
        spec = BACKBONES[name]
        return Fitted(name=spec.name, kind=spec.kind, traits=spec.traits)
    import torch  # heavy: only for a model that must be looked at

    from medpeft_core.backbones.build import build_backbone
    from medpeft_core.training.model_parts import find_traits

    with torch.device("meta"):
        built = build_backbone(name, num_classes=2, pool=pool)
        return Fitted(name=name, kind=built.kind, traits=find_traits(built))


def _describe(spec: MethodSpec, fitted: Fitted | None) -> dict[str, Any]:
    described = {
        "name": spec.name,
        "title": spec.title,
        "family": spec.family,
        "idea": spec.idea,
        "fits": list(spec.fits),
        "requirements": _tell_requirements(spec),
        "knobs": describe_fields(spec.knobs),
        "reference": spec.reference,
        "default_lr": spec.default_lr,
        "is_mergeable": spec.is_mergeable,
        "starts_at_base": spec.starts_at_base,
        "places": list(spec.places),
    }
    if fitted is not None:
        misfit = spec.find_misfit(fitted.kind, fitted.traits)
        described |= {"fits_backbone": misfit is None, "misfit": misfit}
    return described


def _write_row(spec: MethodSpec, fitted: Fitted) -> tuple[str, str, str, str]:
    misfit = spec.find_misfit(fitted.kind, fitted.traits)
    text = spec.idea if misfit is None else misfit
    return spec.name, spec.family, "yes" if misfit is None else "no", text


def _tell_kinds(spec: MethodSpec) -> str:
    if spec.fits == KINDS:
        return "all"
    return ", ".join(KIND_TITLES[kind] for kind in spec.fits) or "none of the described kinds"


def _tell_requirements(spec: MethodSpec) -> list[str]:
    """What a backbone must have and must not have, one sentence each."""
    needs = [(need,) if isinstance(need, str) else need for need in spec.requires]
    told = [f"It needs {' or '.join(WORDS[trait] for trait in need)}." for need in needs]
    told += [f"It does not take {WORDS[trait]}: {reason}." for trait, reason in spec.refuses.items()]
    if spec.only_kinds:
        told.append(f"It is meant for these kinds only: {', '.join(KIND_TITLES[kind] for kind in spec.only_kinds)}.")
    return told


def _tell_merging(spec: MethodSpec) -> str:
    if spec.is_mergeable:
        return "into the weights of the base, so that inference costs nothing extra."
    return "not possible; inference runs the addition beside the base, if the method adds any."


def _tell_start(spec: MethodSpec) -> str:
    if spec.starts_at_base:
        return "the model gives the output of the base until it is trained."
    return "the model's output differs from that of the base before the first step."


def _tell_knobs(spec: MethodSpec) -> str:
    return ", ".join(item.name for item in fields(spec.knobs)) or "none"


def _tell_help(knob: dict[str, Any]) -> str:
    choices = f" One of: {', '.join(map(str, knob['choices']))}." if knob["choices"] else ""
    return f"{knob['help']}{choices}"
