"""The work of a training step and of an evaluation, on noise, for whoever wants to know how long it takes. Heavy."""

import itertools
from collections.abc import Callable

import torch

from medpeft_core.config import RunConfig
from medpeft_core.training.build import BuiltModel, build_cached_head, build_transform, place_model
from medpeft_core.training.device import autocast
from medpeft_core.training.loss import compute_loss
from medpeft_core.training.optim import build_optimizer

TRIAL_STEPS = 10_000  # of the run that a trial step belongs to: it lies at the beginning


def build_step(built: BuiltModel, config: RunConfig, *, device: str) -> Callable[[int], None]:
    """`step(n)` does what the training loop does with n images, on noise."""
    place_model(built, device=device)
    adapted = built.adapted
    predictor = build_cached_head(built) if config.train.cached_features else adapted.network
    optimizer = build_optimizer(adapted, config.optim, device=device)
    transform = build_transform(config, built.backbone, device=device)
    precision = config.train.precision
    scaler = torch.amp.GradScaler(torch.device(device).type) if precision == "fp16" else None
    generator = torch.Generator().manual_seed(0)
    adapted.begin(TRIAL_STEPS)
    taken = itertools.count()

    def step(num_images: int) -> None:
        adapted.set_train_mode()
        if config.train.cached_features:
            images = _draw_features(predictor, num_images, device)
        else:
            images = transform.varied(*_draw_pixels(num_images, config, device), generator)
        with autocast(device, precision):
            logits = predictor(images)
        loss = compute_loss(logits, torch.zeros_like(logits), task="multilabel", class_weights=None)
        penalty = adapted.compute_penalty()
        loss = loss if penalty is None else loss + penalty
        (scaler.scale(loss) if scaler is not None else loss).backward()
        if scaler is not None:
            scaler.unscale_(optimizer)
            scaler.step(optimizer)
            scaler.update()
        else:
            optimizer.step()
        adapted.after_step(next(taken), is_scaled=scaler is not None)
        optimizer.zero_grad(set_to_none=True)
        wait_for_device(device)

    return step


def build_forward(built: BuiltModel, config: RunConfig, *, device: str) -> Callable[[int], None]:
    """`predict(n)` does what an evaluation does with n images, on noise."""
    if not config.train.cached_features:
        return build_features(built, config, device=device)
    predictor = build_cached_head(built)

    def predict(num_images: int) -> None:
        predictor.eval()
        with torch.inference_mode():
            predictor(_draw_features(predictor, num_images, device))
        wait_for_device(device)

    return predict


def build_features(built: BuiltModel, config: RunConfig, *, device: str) -> Callable[[int], None]:
    """`predict(n)` takes n images of noise through the whole network, without gradients."""
    place_model(built, device=device)
    network = built.adapted.network
    transform = build_transform(config, built.backbone, device=device)

    def predict(num_images: int) -> None:
        network.eval()
        with torch.inference_mode():
            network(transform.plain(*_draw_pixels(num_images, config, device)))
        wait_for_device(device)

    return predict


def _draw_pixels(num_images: int, config: RunConfig, device: str) -> tuple[torch.Tensor, torch.Tensor]:
    side = config.data.cache_size
    pixels = torch.randint(0, 256, (num_images, 1, side, side), dtype=torch.uint8, device=device)
    return pixels, torch.tensor([[side, side]]).expand(num_images, 2)


def _draw_features(predictor: torch.nn.Module, num_images: int, device: str) -> torch.Tensor:
    head = predictor.get_submodule("head")
    assert isinstance(head, torch.nn.Linear)
    return torch.randn(num_images, head.in_features, device=device)


def wait_for_device(device: str) -> None:
    """Until everything that was given to a device is done."""
    if device.startswith("cuda"):
        torch.cuda.synchronize(device)
    elif device == "mps":
        torch.mps.synchronize()
