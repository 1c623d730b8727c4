"""What a timm model needs of a file: names, shapes, and the few facts by which tensors are brought into shape."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, kw_only=True)
class Needs:
    """What a model without head needs.

    Attributes:
        name: of the backbone, for messages.
        shapes: of each tensor, in the model's order.
        counts: names of the tensors that hold whole numbers, such as `num_batches_tracked`.
        classifiers: module names of the head or heads.
        first_convs: module names of the layers that read the image.
        grid: rows and columns of patches; None where there is no grid.
        num_prefix_tokens: class and register tokens.
        has_prefix_positions: whether these have positions of their own.
        is_open: for storing and not for a model: both norms are welcome, and sizes and channels stay as they are.
    """

    name: str
    shapes: dict[str, tuple[int, ...]]
    counts: frozenset[str]
    classifiers: tuple[str, ...]
    first_convs: tuple[str, ...]
    grid: tuple[int, int] | None
    num_prefix_tokens: int
    has_prefix_positions: bool
    is_open: bool = False

    @property
    def pools_mean(self) -> bool:
        """Whether it has a norm for the mean of patches in place of the last norm."""
        return "fc_norm.weight" in self.shapes and not self.is_open


def find_needs(model: "nn.Module", name: str, *, is_open: bool = False) -> Needs:
    """Look at a model that was built with `num_classes=0`; one on the meta device will do."""
    state = model.state_dict()
    shapes = {key: tuple(tensor.shape) for key, tensor in state.items()}
    if is_open and "norm.weight" in shapes:
        shapes |= {f"fc_norm.{kind}": shapes[f"norm.{kind}"] for kind in ("weight", "bias")}
    config = getattr(model, "pretrained_cfg", {})
    grid = getattr(getattr(model, "patch_embed", None), "grid_size", None)
    return Needs(
        name=name,
        shapes=shapes,
        counts=frozenset(key for key, tensor in state.items() if not tensor.is_floating_point()),
        classifiers=_as_names(config.get("classifier") or "head"),
        first_convs=_as_names(config.get("first_conv") or ()),
        grid=(int(grid[0]), int(grid[1])) if grid else None,
        num_prefix_tokens=int(getattr(model, "num_prefix_tokens", 0) or 0),
        has_prefix_positions=not getattr(model, "no_embed_class", False),
        is_open=is_open,
    )


def _as_names(value: str | list[str] | tuple[str, ...]) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(value)
