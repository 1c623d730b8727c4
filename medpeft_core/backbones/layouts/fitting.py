"""Turns the tensors of a file into those of a timm model, and says of each what became of it."""

import torch

from medpeft_core.backbones.key_report import FAULTS, KeyReport, KeyRow, WeightsMismatchError
from medpeft_core.backbones.layouts.layout import LAYOUTS, Layout, detect_layout
from medpeft_core.backbones.layouts.needs import Needs
from medpeft_core.backbones.layouts.placing import Taken, place_tensors
from medpeft_core.backbones.layouts.positions import count_prefix_positions, resample_grid
from medpeft_core.backbones.weight_files import WeightsFile

AUTO = "auto"
GREY, COLOURS = 1, 3
QKV = 3
POSITIONS, CLASS_TOKEN = "pos_embed", "cls_token"
State = dict[str, torch.Tensor]


def fit_file(file: WeightsFile, needs: Needs, *, layout: str = AUTO, positions: str) -> tuple[State, KeyReport]:
    """The tensors of a file as a model needs them, as far as they fit; the report tells what does not.

    Args:
        file: as read.
        needs: of the model.
        layout: name of the file's layout; "auto" finds it out from the names.
        positions: "antialias" or "plain", how positions are brought to another size.

    Returns:
        Tensors by timm's names, possibly views of the file, and the report. Load them only if it has no fault.

    Raises:
        UnknownNameError: there is no such layout.
    """
    chosen = LAYOUTS[detect_layout(file.tensors) if layout == AUTO else layout]
    shapes = {name: tuple(tensor.shape) for name, tensor in file.tensors.items()}
    placing = place_tensors(shapes, chosen, needs)
    state: State = {}
    notes: dict[str, list[str]] = {}
    faults: list[KeyRow] = []
    for target, sources in placing.taken.items():
        joined = _join(target, sources, file.tensors, chosen)
        if isinstance(joined, KeyRow):
            faults.append(joined)
            continue
        state[target], notes[target] = joined
    _fit_positions(state, notes, needs, way=positions)
    _fit_channels(state, notes, needs)
    faults += _find_faults(state, needs, taken=placing.taken, known={row.target for row in faults})
    order = {name: index for index, name in enumerate(needs.shapes)}
    faults.sort(key=lambda row: order.get(row.target, len(order)))
    faulty = {row.target: row for row in faults}
    beside = [
        _describe_beside(item, faulty[target], shapes)
        for target, sources in placing.taken.items()
        if target in faulty
        for item in sources
        if item.source != faulty[target].source
    ]
    fine = [
        _describe(item, target, shapes, needs, notes[target])
        for target, sources in placing.taken.items()
        if target not in faulty
        for item in sources
    ]
    fine.sort(key=lambda row: order[row.target])
    fresh = [
        KeyRow(source="", target=name, found=None, needed=needs.shapes[name], fate="fresh", note="the file has none")
        for name in needs.shapes
        if name not in state and name not in faulty and not needs.is_open
    ]
    heads = [
        KeyRow(source="", target=name, found=None, needed=None, fate="fresh", note="made for the classes of the task")
        for name in (() if needs.is_open else needs.classifiers)
    ]
    unexpected = [row for row in placing.left if row.fate in FAULTS]
    dropped = [row for row in placing.left if row.fate not in FAULTS]
    report = KeyReport(
        backbone=needs.name,
        layout=chosen.name,
        container=file.container,
        prefix=placing.prefix,
        left_out=file.left_out,
        rows=(*faults, *unexpected, *beside, *fine, *fresh, *heads, *dropped),
    )
    return state, report


def check_report(report: KeyReport, *, source: str) -> None:
    """Refuse a file that does not fit.

    Raises:
        WeightsMismatchError: names the first offending tensor and carries the report.
    """
    row = report.first_fault
    if row is None:
        return
    name = report.backbone
    ending = f"These are the weights of another model than {name!r}, or of another way of pooling. Give its own weights"
    ending += f", or choose their layout (read as {report.layout!r})."
    key = row.source or row.target
    where = f" (here {row.target!r})" if row.source and row.target not in ("", row.source) else ""
    if row.fate == "shape":
        fault = f"the tensor {key!r}{where} has the shape {row.found}, but {name!r} needs {row.needed}"
    elif row.fate == "unusable":
        fault = f"the tensor {key!r}{where} is of no use: {row.note}"
    elif row.fate == "missing":
        fault = f"the tensor {key!r}{where} is missing"
    else:
        fault = f"the tensor {key!r} has no place in {name!r}"
    raise WeightsMismatchError(f"{source}: {fault}. {ending}", report)


def _join(target: str, sources: list[Taken], tensors: State, layout: Layout) -> tuple[torch.Tensor, list[str]] | KeyRow:
    """The tensor of one target with notes on what was done to it, or the row of the fault that prevents it."""
    needed = layout.parts(target) if sources[0].place.part is not None else 1
    by_part = {item.place.part or 0: item.source for item in sources}
    found = [tensors[item.source] for item in sources]
    if len(sources) > needed:
        return _fault("unexpected", sources[-1].source, target, found[-1], "a second tensor for the same place")
    if len(by_part) < needed:
        note = f"{len(by_part)} of its {needed} parts are there: {', '.join(by_part.values())}"
        return KeyRow(source="", target=target, found=None, needed=None, fate="missing", note=note)
    parts = [tensors[by_part[index]] for index in range(needed)]
    for source, part in zip(by_part.values(), found, strict=True):
        if needed > 1 and (part.ndim == 0 or part.shape[1:] != found[0].shape[1:]):
            return _fault("shape", source, target, part, "its parts differ")
    notes = [f"{needed} tensors joined"] if needed > 1 else []
    tensor = torch.cat(parts) if needed > 1 else parts[0]
    third = sources[0].place.third
    if third is not None and tensor.ndim and len(tensor) % QKV == 0:
        notes.append("a third of the rows")
        tensor = tensor.chunk(QKV)[third]
    if tensor.is_floating_point() and tensor.dtype != torch.float32:
        notes.append(f"from {str(tensor.dtype).removeprefix('torch.')}")
        tensor = tensor.float()
    return tensor, notes


def _fault(fate: str, source: str, target: str, tensor: torch.Tensor, note: str) -> KeyRow:
    return KeyRow(source=source, target=target, found=tuple(tensor.shape), needed=None, fate=fate, note=note)


def _fit_positions(state: State, notes: dict[str, list[str]], needs: Needs, *, way: str) -> None:
    """Bring positions to the model's grid, and the class token's to where the model has it."""
    found, needed = state.get(POSITIONS), needs.shapes.get(POSITIONS)
    if found is None or needed is None or needs.grid is None or found.ndim != 3 or found.shape[-1] != needed[-1]:
        return
    num_prefix = count_prefix_positions(found.shape[1], needs.num_prefix_tokens)
    if num_prefix is None:
        return  # no square grid: the shape check that follows names the tensor
    prefix, patches = found[:, :num_prefix], found[:, num_prefix:]
    if not needs.has_prefix_positions and num_prefix:
        if num_prefix != 1 or CLASS_TOKEN not in state or state[CLASS_TOKEN].shape != prefix.shape:
            return
        state[CLASS_TOKEN] = state[CLASS_TOKEN] + prefix  # they are added anyway
        notes[CLASS_TOKEN].append("its position added")
        notes[POSITIONS].append("that of the class token moved to it")
        prefix = prefix[:, :0]
    elif needs.has_prefix_positions and num_prefix != needs.num_prefix_tokens:
        if num_prefix:
            return
        prefix = torch.zeros(1, needs.num_prefix_tokens, found.shape[-1])
        notes[POSITIONS].append("zeros for the class token, which had none")
    if not needs.is_open:
        resampled = resample_grid(patches, grid=needs.grid, way=way)
        if resampled is not patches:
            side = round(patches.shape[1] ** 0.5)
            notes[POSITIONS].append(f"{side}x{side} to {needs.grid[0]}x{needs.grid[1]}, {way}")
        patches = resampled
    state[POSITIONS] = torch.cat((prefix, patches), dim=1)


def _fit_channels(state: State, notes: dict[str, list[str]], needs: Needs) -> None:
    """Kernels of colour images sum over the channels for grey ones, and the other way round share a third each."""
    for name in (f"{conv}.weight" for conv in needs.first_convs):
        if name not in state or name not in needs.shapes or needs.is_open or state[name].ndim != 4:
            continue
        channels = (state[name].shape[1], needs.shapes[name][1])
        if channels == (COLOURS, GREY):
            state[name] = state[name].sum(dim=1, keepdim=True)
            notes[name].append("summed over the colours")
        elif channels == (GREY, COLOURS):
            state[name] = state[name].expand(-1, COLOURS, -1, -1) / COLOURS
            notes[name].append("a third for each colour")


def _find_faults(state: State, needs: Needs, *, taken: dict[str, list[Taken]], known: set[str]) -> list[KeyRow]:
    """Tensors of another shape, of no use, or missing; a norm for pooling may begin anew."""
    faults = []
    norms = {norm for norm in ("norm", "fc_norm") if f"{norm}.weight" in state or f"{norm}.bias" in state}
    has_pooled_norm = any(name.startswith("fc_norm.") for name in state)
    for name, needed in needs.shapes.items():
        found = tuple(state[name].shape) if name in state else None
        if found is not None and not _has_shape(name, found, needed, needs):
            source = taken[name][0].source
            faults.append(KeyRow(source=source, target=name, found=found, needed=needed, fate="shape"))
        elif found is not None and (note := _find_misuse(state[name], is_count=name in needs.counts)):
            source = taken[name][0].source
            faults.append(KeyRow(source=source, target=name, found=found, needed=needed, fate="unusable", note=note))
        is_spare = name.startswith("fc_norm.") and not has_pooled_norm
        norm, _, kind = name.rpartition(".")
        is_spare |= needs.is_open and norm in ("norm", "fc_norm") and bool(norms) and norm not in norms
        is_spare |= kind == "num_batches_tracked"  # torch before 0.4.1 did not count
        if found is None and name not in known and not is_spare:
            faults.append(KeyRow(source="", target=name, found=None, needed=needed, fate="missing"))
    return faults


def _find_misuse(tensor: torch.Tensor, *, is_count: bool) -> str:
    """Why its numbers cannot be weights; "" when they can."""
    if not is_count and not tensor.is_floating_point():
        return f"it holds whole numbers ({str(tensor.dtype).removeprefix('torch.')}), as quantised files do"
    if tensor.is_floating_point() and not tensor.is_meta and not bool(torch.isfinite(tensor).all()):
        return "some of its numbers are not finite"
    return ""


def _has_shape(name: str, found: tuple[int, ...], needed: tuple[int, ...], needs: Needs) -> bool:
    if found == needed or not needs.is_open or len(found) != len(needed):
        return found == needed
    if name == POSITIONS:
        return (found[0], found[2]) == (needed[0], needed[2])
    is_first = name in tuple(f"{conv}.weight" for conv in needs.first_convs)
    return is_first and found[1] in (GREY, COLOURS) and (found[0], *found[2:]) == (needed[0], *needed[2:])


def _describe_beside(item: Taken, fault: KeyRow, shapes: dict[str, tuple[int, ...]]) -> KeyRow:
    """A tensor that would be fine, were it not for another one of the same place."""
    fate = "shape" if fault.fate == "shape" else "unexpected"
    note = f"belongs to {fault.target}, which cannot be filled"
    return KeyRow(source=item.source, target=fault.target, found=shapes[item.source], needed=None, fate=fate, note=note)


def _describe(item: Taken, target: str, shapes: dict[str, tuple[int, ...]], needs: Needs, notes: list[str]) -> KeyRow:
    is_renamed = item.source.rpartition(target)[2] != "" or not item.source.endswith(target)
    return KeyRow(
        source=item.source,
        target=target,
        found=shapes[item.source],
        needed=needs.shapes[target],
        fate="converted" if notes or is_renamed else "loaded",
        note="; ".join(notes) or ("renamed" if is_renamed else ""),
    )
