"""MedPEFT Lab's core: parameter-efficient fine-tuning on medical images, without a user interface."""

__version__ = "0.1.0"
