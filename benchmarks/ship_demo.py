"""Put the encoder of a finished pre-training into assets/weights as the demo backbone, with its curve and its card.

    python -m benchmarks.ship_demo RUN [--results RESULTS.json]

RUN is a pre-training of `demo_vit`; RESULTS.json is what `benchmarks.demo_backbone --json` wrote about it. How well it
rebuilds is measured here on the val images of the default phantom set, which the pre-training never saw.
"""

import argparse
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from medpeft_core.backbones.demo import ASSETS, DEMO_BACKBONE
from medpeft_core.backbones.weights import read_encoder_card
from medpeft_core.config import DataConfig
from medpeft_core.datasets.prepare import prepare_dataset
from medpeft_core.pretrain_config import PretrainConfig
from medpeft_core.pretraining.build import build_autoencoder, build_pretrain_parts, take_train_split
from medpeft_core.pretraining.encoders import SavedEncoder, write_card
from medpeft_core.pretraining.files import list_encoders
from medpeft_core.pretraining.pictures import draw_noise, measure_rebuilding
from medpeft_core.runs.run import Run
from medpeft_core.runs.store import RunStore
from medpeft_core.training.checkpoint import load_checkpoint
from medpeft_core.training.data import PixelSource, split_data

NUM_UNSEEN = 200
NOISE_SEED = 11
USE_ELSEWHERE = """timm knows the name after `import medpeft_core.backbones.demo_model`. Without the lab it is
`timm.models.VisionTransformer(img_size=96, patch_size=8, embed_dim=192, depth=6, num_heads=3, num_classes=0,
global_pool="")`. The images were drawn by the lab itself, so the weights come under its own licence, Apache-2.0."""
CURVE = ("epoch", "step", "train_loss", "masked_error", "mean_fill_error")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run")
    parser.add_argument("--results", type=Path)
    parser.add_argument("--command", default="python -m benchmarks.demo_backbone", help="what made the results")
    options = parser.parse_args()
    run = RunStore.open_default().load(options.run)
    config, last = run.pretrain_config(), list_encoders(run)[-1]
    assert config.encoder.name == DEMO_BACKBONE
    assert last.epoch == config.train.epochs, "the pre-training is not finished"
    ASSETS.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(last.path, ASSETS / f"{DEMO_BACKBONE}.safetensors")
    write_curve(run, ASSETS / f"{DEMO_BACKBONE}.csv")
    masked_error, mean_fill_error = measure_unseen(run, config)
    rows = json.loads(options.results.read_text(encoding="utf-8")) if options.results else []
    if rows:
        shutil.copyfile(options.results, ASSETS / f"{DEMO_BACKBONE}.json")
    saved = SavedEncoder(file=f"{DEMO_BACKBONE}.safetensors", sha256=last.sha256, num_bytes=last.num_bytes)
    facts = read_encoder_card(last.path)
    card = write_card(config, saved, epoch=last.epoch, train_loss=last.train_loss, facts=facts)
    extra = [
        USE_ELSEWHERE,
        write_rebuilding(masked_error, mean_fill_error),
        write_results(rows, options.command),
        write_cost(run),
    ]
    text = card.rstrip("\n") + "\n\n" + "\n\n".join(part for part in extra if part) + "\n"
    (ASSETS / f"{DEMO_BACKBONE}.md").write_text(text, encoding="utf-8")
    print(text)


def write_curve(run: Run, path: Path) -> None:
    """The training loss of each epoch, and the error of rebuilding 64 training images where it was measured."""
    epochs = {event["epoch"]: event for event in run.history() if event["type"] == "epoch"}
    rebuilt = {event["epoch"]: event for event in run.history() if event["type"] == "rebuilt"}
    rows = [{**rebuilt.get(epoch, {}), **epochs.get(epoch, {})} for epoch in sorted({*epochs, *rebuilt})]
    pd.DataFrame(rows)[list(CURVE)].to_csv(path, index=False, float_format="%.6g")


def measure_unseen(run: Run, config: PretrainConfig) -> tuple[float, float]:
    """Errors of the model and of painting with the mean of the visible patches, on images that it never saw."""
    autoencoder, config = build_autoencoder(replace(config, train=replace(config.train, device="cpu")))
    seen = prepare_dataset(config.data)
    parts = build_pretrain_parts(
        config,
        autoencoder,
        train=take_train_split(seen, config),
        source=PixelSource(seen.cache, "cpu"),
        checkpoint_dir=run.checkpoint_dir,
        encoders_dir=run.encoders_dir,
        pictures_dir=run.pictures_dir,
    )
    load_checkpoint(run.checkpoint_dir, adapted=parts.adapted, optimizer=parts.optimizer, scaler=None, device="cpu")
    unseen = prepare_dataset(DataConfig(dataset="phantom"))
    val = split_data(unseen, DataConfig(dataset="phantom"))["val"]
    val = val.select(np.arange(min(NUM_UNSEEN, len(val))))
    pixels, sizes = PixelSource(unseen.cache, "cpu").batch(val.cache_rows)
    images = parts.transform.plain(pixels, sizes)
    with torch.no_grad():
        return measure_rebuilding(
            autoencoder, images, draw_noise(len(images), autoencoder.num_patches, seed=NOISE_SEED)
        )


def write_rebuilding(masked_error: float, mean_fill_error: float) -> str:
    return f"""## Rebuilding unseen phantoms

On {NUM_UNSEEN} val images of the default phantom set (another generator seed): mean squared error over hidden pixels
{masked_error:.3f}, against {mean_fill_error:.3f} of painting them with the mean of the visible patches
(ratio {masked_error / mean_fill_error:.2f})."""


def write_results(rows: list[dict[str, Any]], command: str) -> str:
    """The table of `benchmarks.demo_backbone`."""
    if not rows:
        return ""
    lines = [
        f"| {row['method']} | {row['label']} | {row['random']:.3f} | {row['pretrained']:.3f} "
        f"| {row['difference']:+.3f} ({row['low']:+.3f} to {row['high']:+.3f}) "
        f"| {row['num_seeds_better']} of {row['num_seeds']} |"
        for row in rows
    ]
    return "\n".join(
        [
            "## Against the same ViT from random weights",
            "",
            "Default phantom set, 10 % of the labels (about 280 images), linear probing and LoRA of rank 8 on q and v;",
            "their learning rates were chosen on val with another seed. Test AUROC, mean of the seeds; 95 % interval",
            "of the difference over seeds and patients, not corrected for looking twelve times. Made by",
            f"`{command}`.",
            "",
            "| method | finding | random | pre-trained | difference | seeds better |",
            "| --- | --- | --- | --- | --- | --- |",
            *lines,
            "",
            "No gain is shown where the interval covers 0: " + (", ".join(find_unshown(rows)) or "nowhere here") + ".",
        ]
    )


def find_unshown(rows: list[dict[str, Any]]) -> list[str]:
    return [f"{row['label']} ({row['method']})" for row in rows if row["low"] <= 0 <= row["high"]]


def write_cost(run: Run) -> str:
    training = (run.metrics() or {})["training"]
    return (
        f"Pre-trained in {training['wall_time_s'] / 60:.0f} minutes on {training['device_name']}, "
        f"{training['precision']} ({training['train_images']:,} images, {training['train_images_per_s']:,.0f} a "
        f"second). The loss of each epoch is in `{DEMO_BACKBONE}.csv`."
    )


if __name__ == "__main__":
    main()
