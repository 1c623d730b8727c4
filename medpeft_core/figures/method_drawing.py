"""Where a method sits in a block, as a small drawing: frozen parts outlined, trained ones filled, added ones dashed.

The SVG holds words of this module only. Its colours are those of the page around it: `currentColor`, and the variables
of Streamlit's theme where they are known.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from html import escape

from medpeft_core.figures.block_marks import (
    CNN,
    CONV_MLP,
    MIXER,
    TRANSFORMER,
    BlockMarks,
    describe_marks,
    find_marks,
)
from medpeft_core.traits import Traits

WIDTH = 320
LEFT, COLUMN, MIDDLE, RESIDUAL = 64, 168, 148, 46  # pixels: the column of boxes, its middle, the way around a block
ROW, GAP = 22, 6
STYLE = """
.md-text { font: 12px var(--st-font, system-ui, sans-serif); fill: currentColor; }
.md-middle { text-anchor: middle; dominant-baseline: central; }
.md-end { text-anchor: end; }
.md-frame { fill: none; stroke: currentColor; stroke-opacity: 0.3; }
.md-frozen { fill: currentColor; fill-opacity: 0.07; stroke: currentColor; stroke-opacity: 0.5; }
.md-trained { fill: var(--st-primary-color, #0b7a75); stroke: var(--st-primary-color, #0b7a75); }
.md-on { fill: var(--st-background-color, #ffffff); font-weight: 600; }
.md-added { fill: none; stroke: var(--st-primary-color, #0b7a75); stroke-width: 2; stroke-dasharray: 4 2.5; }
.md-scale { fill: none; stroke: var(--st-primary-color, #0b7a75); stroke-width: 4; stroke-dasharray: 4 2.5; }
.md-flow { fill: none; stroke: currentColor; stroke-opacity: 0.6; stroke-width: 1.25; }
"""


@dataclass(frozen=True, kw_only=True)
class MethodDrawing:
    """A drawing and what it says.

    Attributes:
        svg: the whole SVG element.
        alt: the same in words.
    """

    svg: str
    alt: str


def draw_method(
    *, family: str, places: Iterable[str], kind: str, traits: Traits, targets: str | None = None
) -> MethodDrawing:
    """The drawing of a method in the block of a backbone; arguments as for `find_marks`."""
    marks = find_marks(family=family, places=places, kind=kind, traits=traits, targets=targets)
    sheet, alt = _Sheet(marks), describe_marks(marks)
    height = sheet.legend(_DRAW[marks.layout](sheet))
    return MethodDrawing(svg=sheet.finish(height, alt), alt=alt)


class _Sheet:
    """Collects the elements of one drawing."""

    def __init__(self, marks: BlockMarks) -> None:
        self.marks = marks
        self._items: list[str] = []

    def rect(self, x: float, y: float, width: float, height: float, look: str, *, corner: float = 4) -> None:
        self._items.append(
            f'<rect class="md-{look}" x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="{corner:g}"/>'
        )

    def text(self, x: float, y: float, words: str, look: str = "") -> None:
        self._items.append(f'<text class="md-text {look}" x="{x:g}" y="{y:g}">{escape(words)}</text>')

    def flow(self, path: str, look: str = "flow") -> None:
        self._items.append(f'<path class="md-{look}" d="{path}"/>')

    def box(self, x: float, y: float, width: float, words: str, look: str, *, height: float = ROW) -> None:
        """A box with its words in the middle."""
        self.rect(x, y, width, height, look)
        on = " md-on" if look == "trained" else ""
        self.text(x + width / 2, y + height / 2, words, f"md-middle{on}")

    def part(self, name: str, words: str, x: float, y: float, width: float, *, side: float = 22) -> None:
        """A part of the model with all that the method does to it.

        Args:
            width: of the box with what stands beside it.
            side: width of a change that stands beside it.
        """
        marks, has_adapter = self.marks, name == "convs" and self.marks.has_conv_adapters
        if has_adapter or name in marks.branched:
            own = width - side - GAP
            self.box(x + own + GAP, y, side, "adapter" if has_adapter else "Δ", "added")
            self.flow(f"M{x + own:g} {y + ROW / 2:g} h{GAP}")
            width = own
        look = "trained" if name in marks.trained else "frozen"
        self.box(x, y, width, words, look)
        if name in marks.biased:
            self.rect(x + width - 8, y, 8, ROW, "trained", corner=2)
        if name in marks.scaled:
            self.flow(f"M{x + 2:g} {y + ROW + 4:g} h{width - 4:g}", "scale")

    def plus(self, y: float) -> None:
        """Where what ran around a part is added to what ran through it."""
        self._items.append(f'<circle class="md-frozen" cx="{MIDDLE}" cy="{y:g}" r="8"/>')
        self.flow(f"M{MIDDLE - 4} {y:g} h8 M{MIDDLE} {y - 4:g} v8")

    def down(self, start: float, end: float) -> None:
        self.flow(f"M{MIDDLE} {start:g} V{end:g}")

    def around(self, start: float, end: float) -> None:
        """A residual connection."""
        self.flow(f"M{MIDDLE} {start:g} H{RESIDUAL + 8} Q{RESIDUAL} {start:g} {RESIDUAL} {start + 8:g} "
                  f"V{end - 8:g} Q{RESIDUAL} {end:g} {RESIDUAL + 8} {end:g} H{MIDDLE - 8}")  # fmt: skip

    def block(self, y: float, height: float) -> None:
        """The frame around what is repeated."""
        self.rect(26, y, 286, height, "frame", corner=10)
        self.text(306, y + 16, "each block", "md-end")

    def legend(self, y: float) -> float:
        """What the looks mean; returns where the drawing ends."""
        x = 6.0
        for look, words, width in (
            ("trained", "trained", 74),
            ("added", "added, trained", 114),
            ("frozen", "frozen", 0),
        ):
            self.rect(x, y, 14, 12, look, corner=2)
            self.text(x + 20, y + 10, words)
            x += width + 20
        return y + 18

    def finish(self, height: float, alt: str) -> str:
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:g}" role="img" '
            f'aria-label="{escape(alt)}"><style>{STYLE}</style>{"".join(self._items)}</svg>'
        )


def _draw_tokens(sheet: _Sheet, y: float, *, has_positions: bool) -> float:
    """From pixels to tokens; returns where the block begins."""
    sheet.part("patch_embed", "Patch embed", LEFT, y, 108 if has_positions else COLUMN)
    if has_positions:
        sheet.part("positions", "Positions", LEFT + 114, y, 66)
    sheet.down(y + ROW, y + 38)
    num_prompts, x, y = 3 if sheet.marks.has_prompts else 0, LEFT, y + 38
    for number in range(7 + num_prompts):
        is_prompt = 1 <= number <= num_prompts
        sheet.rect(x, y, 12, 12, "added" if is_prompt else "frozen", corner=2)
        x += 17
    sheet.text(x + 2, y + 10, "+ prompts" if num_prompts else "tokens")
    sheet.down(y + 12, y + 38)
    return y + 24


def _draw_transformer(sheet: _Sheet) -> float:
    y = _draw_tokens(sheet, 6, has_positions=True)
    sheet.block(y, 262)
    sheet.part("norms", "Norm", LEFT, y + 14, COLUMN)
    sheet.down(y + 14 + ROW, y + 48)
    group = y + 48
    sheet.rect(LEFT, group, COLUMN, 82, "frame")
    sheet.text(LEFT + 6, group + 14, "Attention")
    for number, name in enumerate("qkv"):
        sheet.part(name, name, LEFT + 5 + 54 * number, group + 20, 50)
    sheet.part("proj", "proj", LEFT + 5, group + 51, COLUMN - 10)
    sheet.down(group + 82, group + 90)
    sheet.plus(group + 98)
    sheet.around(y + 6, group + 98)
    return _draw_mlp(sheet, group + 106)


def _draw_mixer(sheet: _Sheet) -> float:
    y = _draw_tokens(sheet, 6, has_positions=False)
    sheet.block(y, 218)
    sheet.part("norms", "Norm", LEFT, y + 14, COLUMN)
    sheet.down(y + 14 + ROW, y + 48)
    sheet.part("mixing", "Mixing of tokens", LEFT, y + 48, COLUMN)
    sheet.down(y + 48 + ROW, y + 81)
    sheet.plus(y + 89)
    sheet.around(y + 6, y + 89)
    return _draw_mlp(sheet, y + 97)


def _draw_mlp(sheet: _Sheet, y: float) -> float:
    """Norm, MLP and head, from the end of the part before; returns where the drawing ends."""
    sheet.down(y, y + 14)
    sheet.part("norms", "Norm", LEFT, y + 14, COLUMN)
    sheet.down(y + 14 + ROW, y + 50)
    group = y + 50
    sheet.rect(LEFT, group, COLUMN, 38, "frame")
    sheet.text(LEFT + 6, group + 20, "MLP")
    for number, name in enumerate(("fc1", "fc2")):
        sheet.part(name, name, LEFT + 36 + 66 * number, group + 5, 62)
    sheet.down(group + 38, group + 46)
    sheet.plus(group + 54)
    sheet.around(y + 7, group + 54)
    if sheet.marks.has_mlp_adapter:
        sheet.flow(f"M{MIDDLE} {group - 7:g} H275 V{group:g} M275 {group + 38:g} V{group + 54:g} H{MIDDLE + 8}")
        sheet.box(244, group, 62, "adapter", "added", height=38)
    sheet.down(group + 62, group + 86)
    sheet.part("head", "Head", LEFT, group + 86, COLUMN)
    return group + 86 + ROW + 16


def _draw_cnn(sheet: _Sheet) -> float:
    rows = (("convs", "Convolution"), ("norms", "Norm"), ("convs", "Convolution"), ("norms", "Norm"))
    return _draw_column(sheet, rows)


def _draw_conv_mlp(sheet: _Sheet) -> float:
    rows = (("convs", "Depthwise conv"), ("norms", "Norm"), ("fc1", "fc1"), ("fc2", "fc2"))
    return _draw_column(sheet, rows)


def _draw_column(sheet: _Sheet, rows: Iterable[tuple[str, str]]) -> float:
    """A block whose parts follow each other, with one way around them; returns where the drawing ends."""
    sheet.part("patch_embed", "First convolution", LEFT, 6, COLUMN)
    sheet.down(6 + ROW, 60)
    sheet.block(42, 178)
    y = 60.0
    for name, words in rows:
        sheet.part(name, words, LEFT, y, COLUMN, side=58)
        sheet.down(y + ROW, y + 34)
        y += 34
    sheet.plus(y + 8)
    sheet.around(50, y + 8)
    sheet.down(y + 16, y + 38)
    sheet.part("head", "Head", LEFT, y + 38, COLUMN)
    return y + 38 + ROW + 16


_DRAW = {TRANSFORMER: _draw_transformer, MIXER: _draw_mixer, CNN: _draw_cnn, CONV_MLP: _draw_conv_mlp}
