"""Visual prompt tuning (Jia et al. 2022): trained tokens join those of the image; the backbone stays as it is."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from medpeft_core.config import setting
from medpeft_core.errors import MethodError, require
from medpeft_core.methods.spec import METHODS, MethodSpec, ModelParts
from medpeft_core.traits import ATTENTION, ONE_SEQUENCE, POSITION_BIAS

if TYPE_CHECKING:
    from torch import nn

    from medpeft_core.methods.adapted import AdaptedModel

MAX_PROMPTS = 1000
REFERENCE = "Jia et al. 2022, arXiv:2203.12119"
NO_POSITION = "its attention has relative or rotary positions, and prompts have no place in the image"


@dataclass(frozen=True, kw_only=True)
class VptKnobs:
    """Settings of visual prompt tuning."""

    num_prompts: int = setting(
        10, "How many prompts a block reads beside the tokens of the image. Every one makes attention a little slower."
    )
    dropout: float = setting(0.0, "Dropout on the prompts.")

    def __post_init__(self) -> None:
        require(1 <= self.num_prompts <= MAX_PROMPTS, "method.num_prompts", self.num_prompts, f"1 to {MAX_PROMPTS}")
        require(0 <= self.dropout < 1, "method.dropout", self.dropout, "0 or more and below 1")


def build_vpt_shallow(model: "nn.Module", parts: ModelParts, knobs: VptKnobs) -> "AdaptedModel":
    """Put one set of prompts in before the first block, through all blocks, and out after the last.

    Equations 4 and 5, with x the class token, P the prompts, E the patch tokens and L a block:

        [x_1, Z_1, E_1] = L_1([x_0, P, E_0]),    [x_i, Z_i, E_i] = L_i([x_i-1, Z_i-1, E_i-1])

    Prompts follow the class and register tokens, and join after position embeddings were added. What is after the
    blocks, mean pooling included, never sees them.

    Raises:
        MethodError: the blocks do not hand one sequence of tokens from each to the next.
    """
    return _build(model, parts, knobs, method="vpt_shallow", spans=[(0, len(parts.blocks) - 1)])


def build_vpt_deep(model: "nn.Module", parts: ModelParts, knobs: VptKnobs) -> "AdaptedModel":
    """Put a set of prompts of its own in before each block, and out after the same block.

    Equation 7, with what became of the prompts of the block before left out:

        [x_i, _, E_i] = L_i([x_i-1, P_i-1, E_i-1])

    Otherwise as `build_vpt_shallow`.

    Raises:
        MethodError: the blocks do not hand one sequence of tokens from each to the next.
    """
    return _build(model, parts, knobs, method="vpt_deep", spans=[(index, index) for index in range(len(parts.blocks))])


def _build(
    model: "nn.Module", parts: ModelParts, knobs: VptKnobs, *, method: str, spans: list[tuple[int, int]]
) -> "AdaptedModel":
    """A set of prompts for every pair of first and last block that it goes through."""
    from medpeft_core.methods.additive import UnmergeableModel, freeze_base
    from medpeft_core.methods.insertion import Insertion
    from medpeft_core.methods.layers.vpt import Prompts, put_in_prompts

    _check_blocks(model, parts)
    freeze_base(model, parts)
    # the layer by its place: a model that uses its weight without calling it (EVA) takes prompts as well
    tokens_in = model.get_parameter(f"{parts.attentions[0]}.qkv.weight")  # (3 D, D)
    pixels_in = model.get_parameter(f"{parts.patch_projection}.weight")
    settings = {
        "spans": [[parts.blocks[first], parts.blocks[last]] for first, last in spans],
        "num_prompts": knobs.num_prompts,
        "width": tokens_in.shape[-1],
        "num_prefix_tokens": parts.num_prefix_tokens,
        "num_pixels": pixels_in[0].numel(),  # 3 times the patch's area
        "dropout": knobs.dropout,
    }
    insertion = Insertion(put_in=put_in_prompts, code=(Prompts,), settings=settings)
    why = "prompts are tokens that its attention reads, not a change of its weights"
    adapted = UnmergeableModel(model, insertion, method=method, why_unmergeable=why)
    adapted.num_extra_tokens = knobs.num_prompts
    return adapted


def _check_blocks(model: "nn.Module", parts: ModelParts) -> None:
    """Refuse blocks that are not simply in order; those that only the class token goes through (CaiT) are others."""
    names = [f"blocks.{index}" for index in range(len(parts.blocks))]
    others = [name for name, _ in model.named_modules() if name.endswith(".norm1") and not name.startswith("blocks.")]
    in_order = list(parts.blocks) == names and len(list(model.get_submodule("blocks").children())) == len(names)
    reads_maps = set(parts.fused_qkv) & set(parts.linears_on_maps)
    if others or not in_order or reads_maps:
        raise MethodError(
            f"Visual prompt tuning does not fit {parts.backbone!r}: its blocks do not simply hand one sequence of "
            "tokens from each to the next, so that there is no place for prompts. Choose another method or backbone."
        )


_SHALLOW = METHODS.add(
    MethodSpec(
        name="vpt_shallow",
        title="VPT-shallow",
        family="additive",
        idea="Adds a few trained tokens to those of the image before the first block.",
        knobs=VptKnobs,
        build=build_vpt_shallow,
        reference=f"{REFERENCE}, equations 4 and 5",
        default_lr=1e-2,
        is_mergeable=False,
        requires=(ONE_SEQUENCE, ATTENTION),
        refuses={POSITION_BIAS: NO_POSITION},
        starts_at_base=False,
        places=("tokens",),
    )
)
METHODS.add(
    replace(
        _SHALLOW,
        name="vpt_deep",
        title="VPT-deep",
        idea="Adds a few trained tokens to those of the image, new ones before every block.",
        build=build_vpt_deep,
        reference=f"{REFERENCE}, equation 7",
    )
)
