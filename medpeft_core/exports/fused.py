"""Turns the adapter of a run into one that plain peft lays over the plain timm model, whose qkv is one layer. Heavy.

| method | on layers that were not split | where q, k, v were split |
| --- | --- | --- |
| LoRA, rsLoRA, LoRA+, DoRA | as it is | the same on the fused layer, at the sum of the ranks |
| PiSSA, AdaLoRA | LoRA, of twice the rank for PiSSA | LoRA, at the sum of these ranks |
| VB-LoRA, VeRA, MiSS, HRA | as it is | LoRA, at the sum of the ranks |
| LoHa, IA3, RoAd, C3A | as it is | the same on the fused layer, neutral for what was not adapted |
| SHiRA | as it is | the same where the counts of weights allow, else as below |
| all others | as it is | as it is, on a plain model whose qkv is split by a few lines |
"""

from collections import Counter
from collections.abc import Iterable
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import torch
from peft import LoraConfig
from peft.tuners.tuners_utils import BaseTunerLayer
from peft.utils import get_peft_model_state_dict
from torch import nn

from medpeft_core.backbones.qkv import ROLES, find_split_qkv
from medpeft_core.exports.low_rank import Factors, find_factors
from medpeft_core.methods.peft_adapted import PeftAdaptedModel, match_exactly

PREFIX = "base_model.model."
ALWAYS_LORA = ("pissa", "adalora")  # PiSSA would change the base anew when it is loaded; AdaLoRA's schedule is over
# what leaves a row of the layer as it was, by the name of the tensor: these are put together row by row
NEUTRAL = {"ia3": {"ia3_l": 1.0}, "road": {"road_theta": 0.0, "road_alpha": 1.0}, "c3a": {"c3a_kernel": 0.0}}
LOHA_PAIRS = (("hada_w1_a", "hada_w1_b"), ("hada_w2_a", "hada_w2_b"))
Tensors = dict[str, torch.Tensor]
# name of a layer of the plain model -> role ("q", "k", "v", or "" for a layer that was not split) -> its name here
Groups = dict[str, dict[str, str]]


@dataclass(frozen=True, kw_only=True)
class PlainAdapter:
    """An adapter as plain peft reads it.

    Attributes:
        config: peft's.
        tensors: as in peft's file.
        split: names of the qkv layers of the plain model that must be split before it fits; empty for most.
    """

    config: Any
    tensors: Tensors
    split: tuple[str, ...] = ()


def convert_adapter(adapted: PeftAdaptedModel, base: Tensors, *, dropout: float) -> PlainAdapter:
    """The adapter of a run for the plain timm model.

    Args:
        adapted: in eval mode, on the CPU; is not changed.
        base: all tensors of the plain model by timm's names, without the head.
        dropout: on the input of an addition, should somebody train it on.
    """
    config: Any = deepcopy(adapted.peft_model.peft_config["default"])
    state = get_peft_model_state_dict(adapted.peft_model, save_embedding_layers=False)
    tensors = {name: tensor.detach() for name, tensor in state.items()}
    split = find_split_qkv(adapted.network)
    layers = {name: item for name, item in adapted.network.named_modules() if isinstance(item, BaseTunerLayer)}
    groups = _group(layers, split)
    converted = None
    if split or adapted.method in ALWAYS_LORA:
        converted = _convert_to_lora(adapted.method, layers, groups, base, config=config, dropout=dropout)
    if converted is None and split:
        converted = _fuse_same(adapted.method, tensors, groups, base, config)
    if converted is None:
        return PlainAdapter(config=config, tensors=tensors, split=split)
    own = tuple(f"{PREFIX}{name}." for name in layers)
    kept = {name: tensor for name, tensor in tensors.items() if name.startswith(PREFIX) and not name.startswith(own)}
    config, changed = converted
    return PlainAdapter(config=config, tensors={**kept, **{PREFIX + name: item for name, item in changed.items()}})


def _group(layers: Iterable[str], split: tuple[str, ...]) -> Groups:
    groups: Groups = {}
    for name in layers:
        parent, _, role = name.rpartition(".")
        plain, role = (parent, role) if parent in split else (name, "")
        groups.setdefault(plain, {})[role] = name
    return groups


def _convert_to_lora(
    method: str, layers: dict[str, nn.Module], groups: Groups, base: Tensors, *, config: Any, dropout: float
) -> tuple[Any, Tensors] | None:
    fused: dict[str, Factors] = {}
    for plain, members in groups.items():
        weight = base[f"{plain}.weight"]
        parts = {role: find_factors(method, layers[name], _rows(weight, role)) for role, name in members.items()}
        found = {role: part for role, part in parts.items() if part is not None}
        if len(found) < len(parts):
            return None
        fused[plain] = found[""] if "" in found else _fuse_factors(found, weight)
    scale = next(iter(fused.values())).scale
    ranks = {name: item.rank for name, item in fused.items()}
    lora = LoraConfig(
        lora_dropout=dropout,
        target_modules=match_exactly(fused),
        modules_to_save=config.modules_to_save,
        use_dora=method == "dora",
        **_set_ranks(ranks, scale, alpha_name="lora_alpha"),
    )
    tensors: Tensors = {}
    for name, item in fused.items():
        tensors[f"{name}.lora_A.weight"], tensors[f"{name}.lora_B.weight"] = item.first, item.second
        if item.magnitude is not None:
            tensors[f"{name}.lora_magnitude_vector"] = item.magnitude
    return lora, tensors


def _fuse_factors(parts: dict[str, Factors], weight: torch.Tensor) -> Factors:
    """A stacked, B block by block: rows of qkv that were not adapted stay zero."""
    first = next(iter(parts.values()))
    magnitude = None
    if first.magnitude is not None:
        lengths = {role: _rows(weight, role).norm(dim=1) for role in ROLES}
        lengths |= {role: part.magnitude for role, part in parts.items() if part.magnitude is not None}
        magnitude = torch.cat([lengths[role] for role in ROLES])
    return Factors(
        first=torch.cat([part.first for part in parts.values()]),
        second=_place_blocks({role: part.second for role, part in parts.items()}),
        scale=first.scale,
        magnitude=magnitude,
    )


def _place_blocks(parts: Tensors) -> torch.Tensor:
    """(D, r) of some roles to (3 D, sum of r), each in the rows of its role and in columns of its own."""
    rows = len(next(iter(parts.values())))
    blocks = []
    for role, part in parts.items():
        block = part.new_zeros(len(ROLES), rows, part.shape[1])
        block[ROLES.index(role)] = part
        blocks.append(block.view(-1, part.shape[1]))
    return torch.cat(blocks, dim=1)


def _rows(weight: torch.Tensor, role: str) -> torch.Tensor:
    """The rows of a fused weight (3 D, in) that belong to a role; all of it for none."""
    return weight.chunk(len(ROLES))[ROLES.index(role)] if role else weight


def _set_ranks(ranks: dict[str, int], scale: float, *, alpha_name: str) -> dict[str, Any]:
    """peft's settings for these ranks, all with the same scale: the usual rank once, others by exact name."""
    usual = Counter(ranks.values()).most_common(1)[0][0]
    others = {match_exactly([name]): rank for name, rank in ranks.items() if rank != usual}
    return {
        "r": usual,
        alpha_name: scale * usual,
        "rank_pattern": others,
        "alpha_pattern": {pattern: scale * rank for pattern, rank in others.items()},
    }


def _fuse_same(method: str, tensors: Tensors, groups: Groups, base: Tensors, config: Any) -> tuple[Any, Tensors] | None:
    """The same method on the fused layers; None where that is not exact."""
    config = deepcopy(config)
    config.target_modules = match_exactly(groups)
    by_layer = {name: _take(tensors, name) for members in groups.values() for name in members.values()}
    untouched = {
        f"{members['']}.{kind}": tensor
        for members in groups.values() if "" in members
        for kind, tensor in by_layer[members[""]].items()
    }  # fmt: skip
    fusing = {
        plain: {role: by_layer[name] for role, name in members.items()}
        for plain, members in groups.items() if "" not in members
    }  # fmt: skip
    if method in NEUTRAL:
        return config, {**untouched, **_stack_rows(fusing, NEUTRAL[method])}
    if method == "loha":
        ranks = {name.rpartition(".")[0]: len(item) for name, item in untouched.items() if name.endswith("hada_w1_b")}
        fused = _fuse_loha(fusing)
        ranks |= {plain: len(fused[f"{plain}.hada_w1_b"]) for plain in fusing}
        for name, value in _set_ranks(ranks, config.alpha / config.r, alpha_name="alpha").items():
            setattr(config, name, value)
        return config, {**untouched, **fused}
    if method == "shira":
        return _fuse_shira(fusing, untouched, base, config)
    return None


def _take(tensors: Tensors, layer: str) -> Tensors:
    """The tensors of a layer by the rest of their names."""
    start = f"{PREFIX}{layer}."
    return {name.removeprefix(start): tensor for name, tensor in tensors.items() if name.startswith(start)}


def _stack_rows(fusing: dict[str, dict[str, Tensors]], neutral: dict[str, float]) -> Tensors:
    stacked: Tensors = {}
    for plain, parts in fusing.items():
        for kind, value in neutral.items():
            absent = torch.full_like(next(iter(parts.values()))[kind], value)
            stacked[f"{plain}.{kind}"] = torch.cat([parts[role][kind] if role in parts else absent for role in ROLES])
    return stacked


def _fuse_loha(fusing: dict[str, dict[str, Tensors]]) -> Tensors:
    fused: Tensors = {}
    for plain, parts in fusing.items():
        for tall, wide in LOHA_PAIRS:
            fused[f"{plain}.{tall}"] = _place_blocks({role: part[tall] for role, part in parts.items()})
            fused[f"{plain}.{wide}"] = torch.cat([part[wide] for part in parts.values()])
    return fused


def _fuse_shira(
    fusing: dict[str, dict[str, Tensors]], untouched: Tensors, base: Tensors, config: Any
) -> tuple[Any, Tensors] | None:
    """The places move down by the rows above them; peft wants rank * (outputs + inputs) of them in every layer."""
    fused, ranks = dict(untouched), {float(config.r)} if untouched else set()
    for plain, parts in fusing.items():
        outputs, inputs = base[f"{plain}.weight"].shape
        rows = {role: ROLES.index(role) * outputs // len(ROLES) for role in parts}
        moved = [part["shira_indices"] + torch.tensor([[rows[role]], [0]]) for role, part in parts.items()]
        fused[f"{plain}.shira_indices"] = torch.cat(moved, dim=1).to(torch.int)  # (2, count)
        fused[f"{plain}.shira_weight"] = torch.cat([part["shira_weight"] for part in parts.values()])
        ranks.add(len(fused[f"{plain}.shira_weight"]) / (outputs + inputs))
    rank = ranks.pop()
    if ranks or not rank.is_integer():
        return None
    config.r = int(rank)
    return config, fused
