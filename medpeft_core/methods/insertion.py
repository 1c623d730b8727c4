"""How a method's own modules get into a plain model, told so that others can repeat it without the lab. Light."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, kw_only=True)
class Insertion:
    """One call that puts all modules of a method into a model.

    The lab makes it when it builds a run's model. The source of what it calls, and the settings, are written into
    exports, so that a receiver makes the very same call on a plain model of timm.

    Attributes:
        put_in: `put_in(model, **settings)`; changes the model in place.
        code: the classes and functions that `put_in` uses, in the order in which they must be defined. None of them may
            need anything but Python, torch and timm.
        settings: plain values, which JSON can hold.
    """

    put_in: Callable[..., None]
    code: tuple[Callable[..., Any], ...]
    settings: dict[str, Any]

    def apply(self, model: "nn.Module") -> "Insertion":
        """Put the modules in; gives the insertion, to be kept with the model."""
        self.put_in(model, **self.settings)
        return self
