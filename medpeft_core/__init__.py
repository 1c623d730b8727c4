"""MedPEFT Lab's core: parameter-efficient fine-tuning of vision backbones on medical images, without a user interface."""

__version__ = "0.1.0"
