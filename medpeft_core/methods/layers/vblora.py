"""VB-LoRA with a rate of its own for the bank of vectors."""

from medpeft_core.methods.peft_adapted import PeftAdaptedModel


class VbLoraAdapted(PeftAdaptedModel):
    """The bank learns at `bank_lr_factor` times the rate of the choices, as its authors train it."""

    bank_lr_factor: float = 1.0

    def lr_scales(self) -> dict[str, float]:
        return {name: self.bank_lr_factor for name in self.trainable() if "vblora_vector_bank" in name}
