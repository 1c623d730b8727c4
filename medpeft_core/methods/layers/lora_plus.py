"""LoRA with a rate of its own for B."""

from medpeft_core.methods.peft_adapted import PeftAdaptedModel


class LoraPlusAdapted(PeftAdaptedModel):
    """LoRA+ (Hayou et al. 2024): the rate of every B is `lr_ratio` times that of the rest.

    peft's own optimizer for it also speeds up the bias of the head, as a vector; here only B is meant, as in the paper.
    """

    lr_ratio: float = 1.0

    def lr_scales(self) -> dict[str, float]:
        return {name: self.lr_ratio for name in self.trainable() if ".lora_B." in name}
