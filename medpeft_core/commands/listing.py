"""What there is: backbones; data sets are listed in `listing_datasets`, methods in `listing_methods`."""

from dataclasses import fields
from typing import Any

from medpeft_core.backbones import BACKBONES
from medpeft_core.backbones.spec import KIND_TITLES
from medpeft_core.commands.console import print_json, print_table
from medpeft_core.resolve import to_plain


def list_backbones(*, as_json: bool) -> None:
    """Print the described backbones."""
    shown = [{**to_plain(spec), "pools": list(spec.pools), "traits": sorted(spec.traits)} for spec in BACKBONES]
    if as_json:
        print_json({"backbones": shown})
        return
    rows = [
        (
            spec.name,
            KIND_TITLES[spec.kind],
            f"{spec.num_params / 1e6:.1f} M",
            spec.image_size,
            spec.pretrained,
            spec.description,
        )
        for spec in BACKBONES
    ]
    print_table(("name", "kind", "parameters", "size", "pre-trained on", "what it is good for"), rows)
    print("Any other timm name works too.")


def describe_fields(part: type[Any]) -> list[dict[str, Any]]:
    """Name, default, choices and help of the fields of a settings dataclass."""
    return [
        {
            "name": item.name,
            "default": item.default,
            "choices": list(item.metadata.get("choices", ())),
            "suggestions": list(item.metadata.get("suggestions", ())),
            "help": item.metadata.get("help", ""),
        }
        for item in fields(part)
    ]
