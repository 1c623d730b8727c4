"""Widgets made from the fields of a dataclass of settings, bound to a plain dict that outlives the widgets.

The dict holds what somebody chose and nothing else; a field that is absent has its default. Help texts and choices come
from the fields.
"""

import dataclasses
import functools
import math
import typing
from collections.abc import Callable, Iterable
from typing import Any

import streamlit as st

from pages.widgets.ticks import is_part_renewed

AUTOMATIC = "automatic"  # where None is allowed; a label that changed would be taken for a new choice
BEFORE_KEY = "settings_form_before"  # what each bound field showed before its last change
SHOWN_KEY = "settings_form_shown"  # what each bound field showed when it was drawn last
REVISIONS_KEY = "settings_form_revisions"  # how often a widget was made anew, by its key
ALL = ""
FIELD_WIDTH = 230  # pixels below which a grid of fields has one column less
TITLES = {
    "lr": "Learning rate",
    "min_lr": "Final learning rate",
    "base_lr": "Base learning rate",
    "norm_pixels": "Normalised pixels",
    "keep_every": "Epochs between kept encoders",
    "show_every": "Epochs between pictures",
    "beta1": "Beta 1",
    "beta2": "Beta 2",
    "std": "Pixel standard deviations",
    "mean": "Pixel means",
    "pool": "Pooling",
    "rotation_deg": "Rotation (degrees)",
    "rand_augment": "RandAugment operations",
    "crop_scale_min": "Smallest crop",
    "crop_ratio_max": "Largest crop ratio",
    "flip": "Flip probability",
    "erasing": "Erasing probability",
    "checkpoint_every_s": "Seconds between checkpoints",
    "eval_every": "Steps between evaluations",
    "num_patients": "Number of patients",
    "unreadable": "Unreadable images",
    "hold_out": "Images held out for test",
    "folds": "Number of folds",
    "fold": "Fold that is tested",
    "window": "DICOM window",
    "frame": "DICOM frame",
    "drop_path": "Stochastic depth",
    "head_init_std": "Spread of the new head",
    "clip_norm": "Gradient norm limit",
    "max_val_images": "Most val images",
    "lr_ratio": "Learning rate ratio",
    "bank_lr_factor": "Learning rate of the bank, as a share",
    "init_rank": "First rank",
    "warmup_share": "Steps before ranks go, as a share",
    "final_share": "Steps after ranks went, as a share",
    "every": "Steps between changes of ranks",
    "num_prompts": "Number of prompts",
    "num_vectors": "Number of vectors",
    "num_frequencies": "Number of frequencies",
    "places_seed": "Seed of the places",
    "mask_seed": "Seed of the mask",
    "top_k": "Vectors mixed",
    "init_scale": "Scale at the start",
    "patient_pattern": "Patient in the file names",
    "label_form": "What label columns hold",
    "separator": "Between findings of a cell",
    "uncertain": "-1 in a label column",
    "blank": "Empty cell of a label",
    "ordered": "Grades, the mildest first",
    "tag": "Attribute with the class",
    "data.name": "Which set",
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Setting:
    """One field of a dataclass of settings, as a widget needs it.

    Attributes:
        path: the setting as the command line writes it, `section.key`.
        help: its explanation.
        type: bool, int, float, str or tuple.
        is_optional: None is allowed and means "chosen automatically".
        default: what an absent value stands for.
        choices: the values allowed, or empty.
        suggestions: values to offer where any text is allowed.
        titles: words for people, by choice.
    """

    name: str
    path: str
    help: str
    type: Any
    is_optional: bool
    default: Any
    choices: tuple[Any, ...]
    suggestions: tuple[str, ...] = ()
    titles: dict[str, str] = dataclasses.field(default_factory=dict)

    @property
    def title(self) -> str:
        """The name for people."""
        return TITLES.get(self.path) or TITLES.get(self.name) or self.name.replace("_", " ").capitalize()


def list_settings(part: type[Any], *, section: str) -> list[Setting]:
    """The fields of a dataclass of settings; tables inside it (knobs, options) are left out."""
    hints = typing.get_type_hints(part)
    settings = []
    for item in dataclasses.fields(part):
        kinds = [kind for kind in typing.get_args(hints[item.name]) if kind is not type(None)]
        is_optional = type(None) in typing.get_args(hints[item.name])
        kind = kinds[0] if is_optional else hints[item.name]
        kind = typing.get_origin(kind) or kind
        if kind is dict:
            continue
        settings.append(
            Setting(
                name=item.name,
                path=f"{section}.{item.name}",
                help=item.metadata.get("help", ""),
                type=kind,
                is_optional=is_optional,
                default=item.default,
                choices=tuple(item.metadata.get("choices") or ()),
                suggestions=tuple(item.metadata.get("suggestions") or ()),
                titles=item.metadata["titles"]() if "titles" in item.metadata else {},
            )
        )
    return settings


def bind(
    table: dict[str, Any], name: str, *, key: str, after: Callable[[], None] | None = None, shown: Any = None
) -> dict[str, Any]:
    """The arguments that tie a widget to `table[name]`; its first value is given to the widget as its default.

    Args:
        table: lives in the session, not in the widget.
        key: of the widget.
        after: called when a change has been written.
        shown: what the widget shows when it is drawn for the first time, where a change soon after must not be undone
            by the tick of a live part.
    """
    own_key = _find_own_key(key)
    st.session_state.setdefault(SHOWN_KEY, {})[own_key] = st.session_state.get(own_key, shown)
    return {"key": own_key, "on_change": _write, "args": (table, name, key, own_key, after)}


def renew_widgets(*keys: str) -> None:
    """Call after changing a bound table by other means: these widgets are made anew and show what it holds now.

    Values that are put into the session for a widget are lost when the browser draws two runs of the page as one.

    Args:
        keys: as given to `bind`; none for all bound widgets.
    """
    revisions = st.session_state.setdefault(REVISIONS_KEY, {})
    for key in keys or (ALL,):
        revisions[key] = revisions.get(key, 0) + 1


def _find_own_key(key: str) -> str:
    """The key of a widget with the number of times that it was made anew."""
    revisions = st.session_state.get(REVISIONS_KEY, {})
    revision = revisions.get(ALL, 0) + revisions.get(key, 0)
    return f"{key}-{revision}" if revision else key


def _write(table: dict[str, Any], name: str, key: str, own_key: str, after: Callable[[], None] | None) -> None:
    value = st.session_state[own_key]
    shown, before = st.session_state[SHOWN_KEY].get(own_key), st.session_state.setdefault(BEFORE_KEY, {})
    is_gone = own_key != _find_own_key(key)
    if is_part_renewed() and (is_gone or (own_key in before and value == before[own_key])):
        return  # the tick of a live part that left the browser before the last change arrived: nobody chose this
    if own_key in before and value is not None and table.get(name) == value:
        return  # the browser brings again what such a tick had covered; what was shown before stays what it was
    before[own_key] = shown
    if value in (None, "", AUTOMATIC):
        table.pop(name, None)
    else:
        table[name] = value
    if after is not None:
        after()


def draw_settings(
    settings: Iterable[Setting],
    table: dict[str, Any],
    *,
    key: str,
    automatic: dict[str, Any] | None = None,
    after: Callable[[str], None] | None = None,
) -> None:
    """A grid with one widget for each setting.

    Args:
        table: name of the setting -> value, changed by the widgets.
        key: beginning of the widgets' keys.
        automatic: by name, what an empty setting will become, as far as that is known.
        after: called with the setting's name when a change has been written.
    """
    with st.grid(3, min_column_width=FIELD_WIDTH, vertical_alignment="bottom"):
        for item in settings:
            draw_setting(
                item,
                table,
                key=f"{key}_{item.name}",
                automatic=(automatic or {}).get(item.name),
                after=functools.partial(after, item.name) if after is not None else None,
            )


def draw_setting(
    item: Setting,
    table: dict[str, Any],
    *,
    key: str,
    automatic: Any = None,
    after: Callable[[], None] | None = None,
) -> None:
    """The widget that fits a setting's type; where None is allowed, an empty text stands for it."""
    value = table.get(item.name, item.default)
    hint = AUTOMATIC if automatic is None else f"{AUTOMATIC}: {write_value(automatic)}"
    shared = {"help": f"{item.help} `{item.path}`", **bind(table, item.name, key=key, after=after)}
    if item.choices:
        options = [*([AUTOMATIC] if item.is_optional else []), *item.choices]
        options += [] if value is None or value in options else [value]
        index = options.index(AUTOMATIC if value is None else value)
        shared["help"] += f" Now {hint}." if value is None else ""
        st.selectbox(
            item.title, options, index=index, format_func=lambda choice: item.titles.get(choice, choice), **shared
        )
    elif item.suggestions:
        options = [*item.suggestions, *([] if value is None or value in item.suggestions else [value])]
        index = None if value is None else options.index(value)
        st.selectbox(item.title, options, index=index, accept_new_options=True, placeholder=hint, **shared)
    elif item.type is bool:
        st.toggle(item.title, value=value, **shared)
    elif item.type in (int, float) and not item.is_optional:
        is_whole = item.type is int
        step = 1 if is_whole else _find_step(item.default)
        st.number_input(item.title, value=item.type(value), step=step, format="%d" if is_whole else "%g", **shared)
    else:
        text = "" if value is None else write_value(value)
        st.text_input(item.title, value=text, placeholder=hint if item.is_optional else None, **shared)


def write_value(value: Any) -> str:
    """A setting's value as people type it: 0.001; 0.5, 0.5, 0.5."""
    if isinstance(value, list | tuple):
        return ", ".join(write_value(item) for item in value)
    return f"{value:g}" if isinstance(value, float) else str(value)


def _find_step(value: float) -> float:
    """One unit in the first digit of a number: 0.01 for 0.05; 0.01 for nothing."""
    return 10.0 ** math.floor(math.log10(abs(value))) if value else 0.01
