"""LoRA with a rate of its own for A."""

from medpeft_core.methods.peft_adapted import PeftAdaptedModel


class LoraPlusAdapted(PeftAdaptedModel):
    """LoRA+ (Hayou et al. 2024): the rate of every B is `lr_ratio` times that of its A; the rest learns as B does."""

    lr_ratio: float = 1.0

    def lr_scales(self) -> dict[str, float]:
        return {name: 1 / self.lr_ratio for name in self.trainable() if ".lora_A." in name}
