"""A run as the writers of exports see it: its config, its model, and outputs to compare with. Heavy."""

from dataclasses import dataclass
from functools import cached_property

import torch

from medpeft_core.backbones.build import get_base_state
from medpeft_core.config import RunConfig
from medpeft_core.exports.spec import Outcome, RunContext
from medpeft_core.training.best import load_best
from medpeft_core.training.build import BuiltModel, build_bare_backbone, build_model

__all__ = ["ExportContext", "Outcome"]

NUM_PROBES = 8
PROBE_SEED = 0


@dataclass(frozen=True, kw_only=True)
class ExportContext(RunContext):
    """One fine-tuned run on its way out, with its best weights in `adapter/`.

    Attributes:
        config: complete.
        labels: in the order of the outputs.
        task: "multilabel" or "multiclass".
    """

    config: RunConfig
    labels: tuple[str, ...]
    task: str

    def build(self) -> BuiltModel:
        """The run's best model in eval mode on the CPU, in float32; a new one at each call, to be changed at will.

        Raises:
            MedPeftError: weights are gone, damaged or have changed.
        """
        built = build_model(self.config, num_classes=len(self.labels))
        load_best(built.adapted, self.run.adapter_dir)
        built.adapted.network.eval()
        return built

    def load_base_state(self) -> dict[str, torch.Tensor]:
        """All tensors of the base by timm's names, without the head.

        Raises:
            MedPeftError: they are gone or have changed.
        """
        return get_base_state(build_bare_backbone(self.config, num_classes=len(self.labels)))

    @cached_property
    def images(self) -> torch.Tensor:
        """(8, C, S, S): noise in the range of normalised images, the same at each time."""
        generator = torch.Generator().manual_seed(PROBE_SEED)
        size = self.config.backbone.image_size
        assert size is not None, "a run's config is complete"
        return torch.randn(NUM_PROBES, self.config.backbone.channels, size, size, generator=generator)

    @cached_property
    def logits(self) -> torch.Tensor:
        """(8, K) of `images`, by the model as the lab runs it."""
        with torch.inference_mode():
            return self.build().adapted.network(self.images).clone()
