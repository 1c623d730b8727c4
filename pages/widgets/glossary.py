"""What the field's words mean, two plain sentences each: the help beside a figure, and the list in the sidebar."""

import dataclasses

import streamlit as st

from medpeft_core.methods import METHODS
from medpeft_core.metrics.spec import METRICS


def _read_help(method: str, knob: str) -> str:
    """The explanation that the method gives of its knob, so that it is written once."""
    found = next(item for item in dataclasses.fields(METHODS[method].knobs) if item.name == knob)
    return str(found.metadata["help"])


WORDS: dict[str, tuple[str, str]] = {
    "auroc": ("AUROC", METRICS["auroc"].explanation),
    "average_precision": ("Average precision", METRICS["auprc"].explanation),
    "macro_f1": ("Macro F1", METRICS["macro_f1"].explanation),
    "kappa": ("Quadratic kappa", METRICS["quadratic_kappa"].explanation),
    "confusion": (
        "Confusion matrix",
        "What was taken for what, where each image is of exactly one class: a row for each true class, a column for "
        "each answer. The answer is the likeliest class; right ones lie on the diagonal.",
    ),
    "interval": (
        "Interval",
        "The range in which the figure would probably lie if other patients had been tested, at 95 % confidence. "
        "A wide one means that the test set is too small to say more.",
    ),
    "threshold": (
        "Threshold",
        "From this probability on, the model's answer counts as a yes. "
        "It is chosen on the validation images, never on the test images, so that the test stays honest.",
    ),
    "prevalence": (
        "Prevalence, or base rate",
        "How common a finding is: the share of images that have it. "
        "A model that knows nothing should give about this probability to every image.",
    ),
    "splits": (
        "Train, val, test",
        "A model learns from the training images, is chosen by the validation images, and is judged once by the test "
        "images. All images of one patient are in one of the three, else it would be asked what it has seen.",
    ),
    "peft": (
        "Fine-tuning, PEFT",
        "Fine-tuning goes on training a model that has learned from other images. Parameter-efficient fine-tuning "
        "(PEFT) changes a small part of its weights, which is cheaper and can be better when labels are few.",
    ),
    "lora": (
        "LoRA",
        "The model's weights stay as they are, and beside some layers a small product of two thin matrices is learned. "
        "It can be added to the weights afterwards, so the model runs no slower.",
    ),
    "families": (
        "Selective, additive, reparameterised",
        "Selective methods train some of the model's own parameters, and additive ones train small new parts inside "
        "the frozen model. Reparameterised ones train a small change of chosen weights and can be merged into them.",
    ),
    "base": (
        "Base weights, SHA-256",
        "What a model has learned before it is fine-tuned; an adapter is worthless without the very base it was made "
        "for. Its SHA-256, a number made from every byte of the file, tells whether a file is that base.",
    ),
    "rank": ("LoRA rank", _read_help("lora", "rank")),
    "mae": (
        "Pre-training, masked autoencoding",
        "Most of each image is hidden, an encoder looks at the rest, and a small decoder rebuilds what is hidden; no "
        "labels are used. Afterwards the decoder is thrown away, and the encoder is fine-tuned with few labels.",
    ),
    "mae_loss": (
        "Loss of a pre-training",
        "How far the rebuilt patches are from the hidden ones, as a mean squared error; it never reaches 0, because "
        "noise and fine detail cannot be guessed. It does not say how good the encoder is for a diagnosis: for that, "
        "fine-tune it and look at the AUROC.",
    ),
    "grad_cam": (
        "Grad-CAM",
        "A heat map of the places that raised the model's score for one label, the brighter the more. "
        "It shows what had influence; it does not prove that the model saw the finding.",
    ),
}


def explain(word: str) -> str:
    """The two sentences about a word, for the help of a widget."""
    return WORDS[word][1]


def draw_glossary() -> None:
    """A button that opens the list."""
    with st.popover("What the words mean", icon=":material/menu_book:", type="tertiary", key="glossary"):
        for title, text in WORDS.values():
            st.markdown(f"**{title}.** {text}")
