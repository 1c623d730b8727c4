"""The foundation models that the lab knows by name."""

from dataclasses import asdict

from medpeft_core.backbones.known_weights import KNOWN_WEIGHTS
from medpeft_core.commands.console import print_json, print_table

MIB = 2**20


def list_known(*, as_json: bool) -> None:
    """Print all known weights."""
    if as_json:
        print_json({"known": [asdict(item) for item in KNOWN_WEIGHTS]})
        return
    print_table(
        ("name", "title", "backbone", "on the hub", "licence"),
        [(item.name, item.title, item.backbone, item.hub_id or "no", item.licence) for item in KNOWN_WEIGHTS],
    )
    print("`python -m medpeft_core weights known NAME` shows one, and how its file is got.")


def show_known(name: str, *, as_json: bool) -> None:
    """Print one entry in full.

    Raises:
        UnknownNameError: there is none of that name.
    """
    item = KNOWN_WEIGHTS[name]
    if as_json:
        print_json(asdict(item))
        return
    print(f"{item.title}. {item.description}")
    place = f"hf:{item.hub_id}/{item.hub_file}" if item.hub_id else "not on the hub"
    print_table(
        ("about", name),
        [
            ("backbone", item.backbone),
            ("layout", f"{item.layout} ({item.proof})"),
            ("image size", f"{item.image_size} pixels"),
            ("pooling", item.pool),
            ("normalisation", item.normalisation),
            ("place", place),
            ("size", f"about {item.num_bytes / MIB:.0f} MiB" if item.num_bytes else "not known"),
            ("how to get it", item.get_it or "the lab downloads it on demand"),
            ("licence", item.licence),
            ("reference", item.reference),
        ],
    )
    where = "" if item.hub_id else "PATH "
    print(f"Put it on the shelf: python -m medpeft_core weights add {where}--known {name}")
