"""Whether a run is one that a lesson asks for, judged by its config alone. Light."""

from dataclasses import replace

from medpeft_core.config import RunConfig

# filled in from the model or the machine when a run is checked; lessons leave them open
DECIDED_LATER = {"backbone": ("weights_sha256", "image_size", "pool", "mean", "std"), "train": ("device", "precision")}


def is_run_of(found: RunConfig, wanted: RunConfig) -> bool:
    """Whether a run differs from what was asked for in nothing but what a check decides.

    Args:
        found: the complete config of a run.
        wanted: a resolved config.
    """
    for section, names in DECIDED_LATER.items():
        known = {name: getattr(getattr(found, section), name) for name in names}
        wanted = replace(wanted, **{section: replace(getattr(wanted, section), **known)})
    return found == wanted
