"""Commands that start runs: train and pretrain."""

from typing import Annotated, Any

import typer

from medpeft_core.cli.options import Json, Root, Settings, app, given
from medpeft_core.config import RunConfig
from medpeft_core.pretrain_config import PretrainConfig, pretrain_sections
from medpeft_core.resolve import apply_settings


@app.command()
def train(
    dataset: Annotated[str, typer.Option(help="Name of the data set.")],
    backbone: Annotated[
        str | None, typer.Option(help="A backbone of the list, or any timm name; by default the preset's.")
    ] = None,
    method: Annotated[str | None, typer.Option(help="Fine-tuning method; by default the preset's.")] = None,
    preset: Annotated[
        str | None, typer.Option(help="quick, balanced, thorough, or a cell of a paper; other options win over it.")
    ] = None,
    root: Root = None,
    weights: Annotated[str | None, typer.Option(help="random, demo, pretrained, or a weights file.")] = None,
    image_size: Annotated[int | None, typer.Option(help="Side of the model's input in pixels.")] = None,
    pool: Annotated[str | None, typer.Option(help="token or avg.")] = None,
    rank: Annotated[int | None, typer.Option(help="Rank of the method, where it has one.")] = None,
    alpha: Annotated[float | None, typer.Option(help="Scale of the method, where it has one.")] = None,
    targets: Annotated[str | None, typer.Option(help="Layers to adapt: q,v, qkv or all.")] = None,
    fraction: Annotated[float | None, typer.Option(help="Share of the training patients, above 0 to 1.")] = None,
    epochs: Annotated[int | None, typer.Option(help="Passes over the training images.")] = None,
    lr: Annotated[float | None, typer.Option(help="Peak learning rate.")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Images in one forward pass.")] = None,
    eval_every: Annotated[int | None, typer.Option(help="Steps between evaluations; 0 is after every epoch.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of everything random.")] = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu, cuda:0 or mps.")] = None,
    settings: Settings = None,
    queue: Annotated[bool, typer.Option("--queue", help="Only put the run into the queue.")] = False,
    as_json: Json = False,
) -> int:
    """Train a run in a worker process and show its progress. Ctrl-C stops it; `resume` goes on."""
    from medpeft_core.commands.preset_values import fill_from_preset
    from medpeft_core.commands.train import train as run_command

    values: dict[str, dict[str, Any]] = {
        "data": {"dataset": dataset, "root": root, "fraction": fraction},
        "backbone": {"name": backbone, "weights": weights, "image_size": image_size, "pool": pool},
        "method": {"name": method, "knobs": given({"rank": rank, "alpha": alpha, "targets": targets})},
        "optim": {"lr": lr},
        "train": {"epochs": epochs, "batch_size": batch_size, "eval_every": eval_every, "seed": seed, "device": device},
    }
    values = {section: given(fields) for section, fields in values.items()}
    values, notes = fill_from_preset(apply_settings(values, settings or []), preset)
    return run_command(RunConfig.from_dict(values), notes=notes, queue=queue, as_json=as_json)


@app.command()
def pretrain(
    dataset: Annotated[str, typer.Option(help="Name of the data set; its labels are not used.")],
    backbone: Annotated[str, typer.Option(help="A plain ViT of the list, or any plain timm ViT.")],
    root: Root = None,
    weights: Annotated[str | None, typer.Option(help="random, demo, pretrained, or a weights file.")] = None,
    image_size: Annotated[int | None, typer.Option(help="Side of the model's input in pixels.")] = None,
    mask_ratio: Annotated[float | None, typer.Option(help="Share of the patches that are hidden.")] = None,
    epochs: Annotated[int | None, typer.Option(help="Passes over the training images.")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Images in one forward pass.")] = None,
    base_lr: Annotated[float | None, typer.Option(help="Peak learning rate for 256 images an update.")] = None,
    keep_every: Annotated[int | None, typer.Option(help="Epochs between kept encoders; 0 is four in all.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of everything random.")] = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu, cuda:0 or mps.")] = None,
    settings: Settings = None,
    queue: Annotated[bool, typer.Option("--queue", help="Only put the run into the queue.")] = False,
    as_json: Json = False,
) -> int:
    """Pre-train a ViT on images without labels, by masked autoencoding. Ctrl-C stops it; `resume` goes on."""
    from medpeft_core.commands.pretrain import pretrain as run_command

    values: dict[str, dict[str, Any]] = {
        "data": {"dataset": dataset, "root": root},
        "encoder": {"name": backbone, "weights": weights, "image_size": image_size},
        "mae": {"mask_ratio": mask_ratio},
        "optim": {"base_lr": base_lr},
        "train": {
            "epochs": epochs,
            "batch_size": batch_size,
            "keep_every": keep_every,
            "seed": seed,
            "device": device,
        },
    }
    values = {section: given(fields) for section, fields in values.items()}
    config = PretrainConfig.from_dict(apply_settings(values, settings or [], sections=pretrain_sections()))
    return run_command(config, queue=queue, as_json=as_json)
