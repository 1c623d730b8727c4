"""Pictures of the second lesson: an image whose marker is painted over at a click, and where the heat map lies."""

from typing import Any

import streamlit as st

from medpeft_core.lessons.shortcut_stored import Outcome
from pages.widgets.lesson_shortcut_state import KEY
from pages.widgets.picture_blend import decode, draw_outlines, encode_jpeg, enlarge_small
from pages.widgets.picture_viewer import Outline, Picture, draw_viewer
from pages.widgets.wording import SYNTHETIC

VERSIONS = {"original": "As it is", "masked": "Marker hidden", "control": "Control"}
NOTES = {
    "original": "The marker is framed.",
    "masked": "The marker is painted over with what surrounds it.",
    "control": "The marker is still there; a patch of its size is painted over at the mirrored place.",
}
MARK_NAME = "side marker"
FRAME_GAP = 3  # pixels of the image between the marker and the frame around it


def draw_example(outcome: Outcome) -> None:
    """Choice of an image; left what the model says of its versions, right the heat map."""
    finding, examples = outcome.result["finding"], outcome.masked.about["examples"]
    if not examples:
        st.info("No test image has the marker, so there is none to show.", icon=":material/image_not_supported:")
        return
    names = _name_examples(examples, finding)
    number = st.segmented_control(
        "Test image with the marker",
        list(range(len(examples))),
        format_func=names.__getitem__,
        default=0,
        required=True,
        key=f"{KEY}_example",
        persist_state="session",
        help="The most ordinary ones: painting over the marker changes their answers by about the median of their "
        "kind.",
    )
    example = examples[number]
    left, right = st.columns(2, gap="medium")
    with left:
        _draw_versions(outcome, example, finding)
    with right:
        _draw_map(outcome, example, finding)


def _name_examples(examples: list[dict[str, Any]], finding: str) -> list[str]:
    counts: dict[int, int] = {}
    names = []
    for example in examples:
        target = example["target"]
        counts[target] = counts.get(target, 0) + 1
        names.append(f"{finding if target else f'No {finding}'} {counts[target]}")
    return names


def _draw_versions(outcome: Outcome, example: dict[str, Any], finding: str) -> None:
    """The image with or without its marker, and the probability beside that of the image as it is."""
    st.markdown("**Hide the marker** and see what the model says")
    version = st.segmented_control(
        "Version of the image",
        list(VERSIONS),
        format_func=VERSIONS.__getitem__,
        default="original",
        required=True,
        key=f"{KEY}_version",
        persist_state="session",
        label_visibility="collapsed",
    )
    probs = example["probs"]
    truth = f"{finding} is {'present' if example['target'] else 'absent'}"
    content = outcome.masked.picture(example, version)
    if content is None:
        _draw_gone()
    else:
        shown = enlarge_small(decode(content))
        if version == "original":
            shown = draw_outlines(shown, _list_outlines(outcome, example))
        what = {"original": "the marker outlined", "masked": "the marker painted over"}.get(
            version, "a patch of the same size painted over on the other side"
        )
        st.image(encode_jpeg(shown), width="stretch", alt=f"Synthetic test image {example['image']}, {what}. {truth}.")
    change = probs[version] - probs["original"]
    note = "as it is"
    if version != "original":
        note = f"{change:+.2f}".replace("-", "−") + f" from {probs['original']:.2f}, as it is"
    st.metric(
        f"Predicted probability of {finding}",
        f"{probs[version]:.2f}",
        delta=note,
        delta_color="off",
        delta_arrow="off",
        help=f"{truth} in this image.",
    )
    st.caption(f"{NOTES[version]} Truth: {truth}. {SYNTHETIC}")


def _draw_map(outcome: Outcome, example: dict[str, Any], finding: str) -> None:
    """The heat map over the image as it is."""
    st.markdown(f"**Where the heat map lies**, Grad-CAM for {finding}")
    image, cam = (outcome.masked.picture(example, kind) for kind in ("original", "cam"))
    if image is None:
        _draw_gone()
        return
    picture = Picture(
        image=image,
        cam=cam,
        reason=None if cam is not None else "The map of this image is flat: no place raises the score.",
        label=finding,
        alt=f"Synthetic test image {example['image']} with its marker.",
        outlines=_list_outlines(outcome, example),
        download_name=f"lesson-shortcut-{example['image'].rpartition('/')[2].partition('.')[0]}",
        notice=SYNTHETIC,
        description=f"Grad-CAM for {finding} on {example['image']}, lesson on a shortcut.",
    )
    draw_viewer(picture, key=f"{KEY}_map")


def _list_outlines(outcome: Outcome, example: dict[str, Any]) -> tuple[Outline, ...]:
    """A frame around the marker, which its strokes would hide if they were outlined themselves."""
    content = outcome.masked.picture(example, "mark")
    bounds = None if content is None else decode(content).convert("L").getbbox()
    if content is None or bounds is None:
        return ()
    width, height = decode(content).size
    left, top = max(bounds[0] - FRAME_GAP, 0), max(bounds[1] - FRAME_GAP, 0)
    right, low = min(bounds[2] + FRAME_GAP, width), min(bounds[3] + FRAME_GAP, height)
    box = left / width, top / height, (right - left) / width, (low - top) / height
    return (Outline(name=MARK_NAME, kind="box", geometry=box),)


def _draw_gone() -> None:
    st.info("This picture was cleared away. Open the page again, and it is drawn anew.", icon=":material/refresh:")
