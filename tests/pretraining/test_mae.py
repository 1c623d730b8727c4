"""The masked autoencoder against a slow reference that shares no line with it: loops over images and patches."""

import math

import numpy as np
import pytest
import torch
from timm.models.vision_transformer import VisionTransformer
from torch import nn

from medpeft_core.pretraining.mae import (
    MaskedAutoencoder,
    compute_sincos_positions,
    count_visible,
    draw_masking,
    init_encoder,
)

SIZE, PATCH, WIDTH = 24, 6, 32


def build(*, norm_pixels: bool = True, **options: object) -> MaskedAutoencoder:
    """A tiny autoencoder whose every weight, biases and norms included, is random."""
    torch.manual_seed(1)
    settings = {"img_size": SIZE, "patch_size": PATCH, "embed_dim": WIDTH, "depth": 2, "num_heads": 2, **options}
    encoder = VisionTransformer(num_classes=0, global_pool="", **settings)  # type: ignore[arg-type]
    init_encoder(encoder)
    model = MaskedAutoencoder(
        encoder, mask_ratio=0.75, norm_pixels=norm_pixels, decoder_width=16, decoder_depth=2, decoder_heads=2
    )
    for parameter in model.parameters():
        if parameter.requires_grad and parameter.ndim == 1:
            nn.init.normal_(parameter, mean=float(parameter.detach().mean()), std=0.1)
    return model.double()


def draw(batch: int = 2) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(2)
    images = torch.rand(batch, 3, SIZE, SIZE, generator=generator, dtype=torch.float64) * 4 - 2
    return images, torch.rand(batch, (SIZE // PATCH) ** 2, generator=generator)


def reference_loss(model: MaskedAutoencoder, images: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
    """He et al. 2022, sections 3 and 4.1, for one image and one patch after the other."""
    encoder, losses = model.encoder, []
    side = SIZE // PATCH
    weight, bias = encoder.patch_embed.proj.weight, encoder.patch_embed.proj.bias
    for image, values in zip(images, noise, strict=True):
        squares = [
            image[:, row * PATCH : (row + 1) * PATCH, column * PATCH : (column + 1) * PATCH]
            for row in range(side)
            for column in range(side)
        ]
        order = sorted(range(len(squares)), key=lambda place: float(values[place]))
        seen = sorted(order[: count_visible(len(squares), 0.75)])
        tokens = [encoder.cls_token[0, 0] + encoder.pos_embed[0, 0]] if encoder.cls_token is not None else []
        num_prefix = len(tokens)
        for place in seen:
            embedded = torch.stack([(kernel * squares[place]).sum() for kernel in weight]) + bias
            tokens.append(embedded + encoder.pos_embed[0, num_prefix + place])
        encoded = torch.stack(tokens).unsqueeze(0)
        for block in encoder.blocks:
            encoded = block(encoded)
        embedded = model.decoder_embed(encoder.norm(encoded))[0]
        canvas = [embedded[place] for place in range(num_prefix)]
        for place in range(len(squares)):
            token = embedded[num_prefix + seen.index(place)] if place in seen else model.mask_token[0, 0]
            canvas.append(token + torch.from_numpy(slow_position(16, place // side, place % side)))
        decoded = torch.stack(canvas).unsqueeze(0)
        for block in model.decoder_blocks:
            decoded = block(decoded)
        predicted = model.decoder_head(model.decoder_norm(decoded))[0, num_prefix:]
        for place, square in enumerate(squares):
            if place in seen:
                continue
            target = square.permute(1, 2, 0).reshape(-1)  # rows, columns, channels
            if model.norm_pixels:
                spread = math.sqrt(float(((target - target.mean()) ** 2).sum()) / (len(target) - 1) + 1e-6)
                target = (target - target.mean()) / spread
            losses.append(((predicted[place] - target) ** 2).mean())
    return torch.stack(losses).mean()


def slow_position(width: int, row: int, column: int) -> np.ndarray:
    """Sines and cosines of the column, then of the row, as in the paper's code."""
    table = []
    for place in (column, row):
        quarter = width // 4
        angles = [place / 10_000 ** (index / quarter) for index in range(quarter)]
        table += [math.sin(angle) for angle in angles] + [math.cos(angle) for angle in angles]
    return np.array(table)


@pytest.mark.parametrize("norm_pixels", [True, False])
@pytest.mark.parametrize("options", [{}, {"class_token": False}])
def test_loss_and_gradients_agree_with_a_slow_reference(norm_pixels: bool, options: dict[str, object]) -> None:
    model, (images, noise) = build(norm_pixels=norm_pixels, **options), draw()
    expected = reference_loss(model, images, noise)
    expected.backward()
    gradients = {name: parameter.grad for name, parameter in model.named_parameters()}
    model.zero_grad(set_to_none=True)
    loss = model(images, noise).loss
    loss.backward()
    assert float(loss.detach()) == pytest.approx(float(expected.detach()), rel=1e-6)
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            assert parameter.grad is not None, name
            wanted = gradients[name]
            assert wanted is not None, name
            torch.testing.assert_close(parameter.grad, wanted, rtol=1e-5, atol=1e-7, msg=name)


def test_gradient_reaches_every_weight_but_the_position_table() -> None:
    """The table of sines is fixed in the paper; everything else must learn."""
    model, (images, noise) = build(reg_tokens=2), draw()
    model(images, noise).loss.backward()
    silent = [name for name, parameter in model.named_parameters() if parameter.grad is None]
    assert silent == ["encoder.pos_embed"]
    assert all(float(p.grad.abs().max()) > 0 for p in model.parameters() if p.grad is not None)


def test_encoder_sees_only_the_visible_patches() -> None:
    """Hidden pixels must not leak: changing them changes the targets, never what is predicted."""
    model, (images, noise) = build(), draw()
    before = model(images, noise)
    patches = model.split(images).clone()
    index = before.masking.hidden.unsqueeze(-1).expand(-1, -1, patches.shape[-1])
    changed = model.join(patches.scatter(1, index, torch.randn(index.shape, dtype=torch.float64)))
    after = model(changed, noise)
    assert torch.equal(before.predicted, after.predicted)
    assert not torch.equal(after.loss, before.loss)


def test_masks_hide_the_wanted_share_and_come_back_in_order() -> None:
    noise = torch.rand(64, 50, generator=torch.Generator().manual_seed(3))
    masking = draw_masking(noise, count_visible(50, 0.75))
    assert masking.visible.shape == (64, 12)
    assert masking.hidden.shape == (64, 38)
    both = torch.cat((masking.visible, masking.hidden), dim=1)
    assert torch.equal(both.gather(1, masking.restore), torch.arange(50).expand(64, -1))
    assert bool((noise.gather(1, masking.visible).max(1).values <= noise.gather(1, masking.hidden).min(1).values).all())
    share = torch.bincount(masking.visible.flatten(), minlength=50) / 64
    assert float(share.min()) > 0.05
    assert float(share.max()) < 0.5


@pytest.mark.parametrize(
    ("patches", "ratio", "visible"), [(196, 0.75, 49), (144, 0.75, 36), (4, 0.999, 1), (4, 1e-9, 3)]
)
def test_at_least_one_patch_is_seen_and_one_hidden(patches: int, ratio: float, visible: int) -> None:
    assert count_visible(patches, ratio) == visible


def test_splitting_is_undone_by_joining() -> None:
    model, (images, _) = build(), draw()
    assert torch.equal(model.join(model.split(images)), images)
    first = model.split(images)[0, 1].reshape(PATCH, PATCH, 3)
    assert torch.equal(first.permute(2, 0, 1), images[0, :, :PATCH, PATCH : 2 * PATCH])


def test_positions_are_those_of_the_paper() -> None:
    table = compute_sincos_positions(16, (3, 5))[0].numpy()
    expected = np.stack([slow_position(16, row, column) for row in range(3) for column in range(5)])
    np.testing.assert_allclose(table, expected, atol=1e-6)
    model = build()
    inner = model.encoder.pos_embed[0].detach().numpy()
    assert not inner[0].any(), "the class token has no place"
    np.testing.assert_allclose(inner[1 + 6], slow_position(WIDTH, 1, 2), atol=1e-6)


@pytest.mark.parametrize("norm_pixels", [True, False])
def test_rebuilt_image_keeps_what_was_visible(norm_pixels: bool) -> None:
    model, (images, noise) = build(norm_pixels=norm_pixels), draw()
    with torch.no_grad():
        rebuilt, masking = model.rebuild(images, noise), draw_masking(noise, model.num_visible)
    before, after = model.split(images), model.split(rebuilt)
    for image in range(len(images)):
        assert torch.equal(after[image, masking.visible[image]], before[image, masking.visible[image]])
        assert not torch.allclose(after[image, masking.hidden[image]], before[image, masking.hidden[image]])


def test_encoding_all_patches_is_timm_own_forward_pass() -> None:
    """With nothing hidden the encoder must be the very model that is fine-tuned later."""
    model, (images, noise) = build(), draw()
    model.eval()
    everything = torch.arange(noise.shape[1]).expand(2, -1)
    torch.testing.assert_close(model.encode(images, everything), model.encoder.forward_features(images))
