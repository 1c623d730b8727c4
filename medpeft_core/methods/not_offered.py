"""Methods of peft that the lab leaves out on purpose, each with the reason. Light."""

from medpeft_core.errors import MethodError

_LANGUAGE_MODEL = "it is made for language models: peft asks for a configuration that a vision model of timm lacks"
_PROMPT = f"{_LANGUAGE_MODEL}. Visual prompt tuning is its counterpart for images"

NOT_OFFERED = {
    "osf": "peft passes over convolutions without a word, so that the head alone is trained, and at its default it "
    "trains more than half as many parameters as a Linear layer has, which saves little",
    "poly": "it must be told for each image which of several tasks that belongs to, and a run here has one task",
    "xlora": f"{_LANGUAGE_MODEL}, and it mixes adapters that were trained before",
    "adaption_prompt": _LANGUAGE_MODEL,
    "prompt_tuning": _PROMPT,
    "multitask_prompt_tuning": _PROMPT,
    "prefix_tuning": _PROMPT,
    "p_tuning": _PROMPT,
    "cpt": _PROMPT,
    "cartridge": _LANGUAGE_MODEL,
    "shadow": "it works beside the decoder of a language model, and a vision backbone has none",
    "trainable_tokens": "it trains single rows of an embedding table, and a vision backbone has none: its positions "
    "are a parameter, no layer",
}


def check_offered(name: str) -> None:
    """Refuse a method that is left out on purpose.

    Raises:
        MethodError: says why.
    """
    reason = NOT_OFFERED.get(name.lower().replace("-", "_"))
    if reason is not None:
        raise MethodError(
            f"The method {name!r} of peft is not offered: {reason}. `python -m medpeft_core methods` lists those that "
            "are."
        )
