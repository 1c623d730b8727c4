"""The memory forecast against counts by hand and against what torch itself allocates in a training step."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.profiler import ProfilerActivity, profile
from toy_set import make_config, register_toy

from medpeft_core.config import RunConfig
from medpeft_core.resolve import resolve_config
from medpeft_core.training import memory
from medpeft_core.training.build import BuiltModel, build_model
from medpeft_core.training.device import autocast
from medpeft_core.training.loss import compute_loss
from medpeft_core.training.memory import LiveMemory, MemoryNeed, ModelNeeds, measure_needs
from medpeft_core.training.optim import build_optimizer

FLOAT = 4


@pytest.fixture(autouse=True)
def toy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    register_toy(monkeypatch, tmp_path / "toy")


NEEDS = ModelNeeds(
    weights=1000, buffers=10, trained=100, adapter=110, forward=((1, 50), (2, 70), (4, 110)), evaluation=20
)  # fmt: skip


def test_live_memory_of_an_mlp_worked_out_by_hand() -> None:
    network = nn.Sequential(nn.Linear(10, 20), nn.ReLU(), nn.Linear(20, 5))
    with LiveMemory(network) as live:
        logits = network(torch.zeros(4, 10))
    # input, first layer and ReLU at once; then ReLU keeps its own output only, and 4 x 5 logits come
    assert live.peak_bytes == (4 * 10 + 4 * 20 + 4 * 20) * FLOAT
    assert logits.requires_grad
    network.requires_grad_(False)
    with LiveMemory(network) as live:
        network(torch.zeros(4, 10))
    assert live.peak_bytes == (4 * 10 + 4 * 20 + 4 * 20) * FLOAT, "nothing is kept, but two layers live at once"


def test_live_memory_keeps_what_the_way_back_needs() -> None:
    layers = [nn.Conv2d(3, 8, 3, padding=1), nn.Sigmoid(), nn.Conv2d(8, 4, 3, padding=1), nn.Sigmoid()]
    sizes = [2 * channels * 8 * 8 * FLOAT for channels in (3, 8, 8, 4, 4)]
    network = nn.Sequential(*layers)
    with LiveMemory(network) as live:
        logits = network(torch.zeros(2, 3, 8, 8))
    # a sigmoid keeps its output and a convolution its input, so only the first convolution's own output is gone
    assert live.peak_bytes == max(sum(sizes) - sizes[1], sizes[0] + sizes[1] + sizes[2])
    del logits


def test_live_memory_counts_views_once_and_weights_never() -> None:
    weight = nn.Linear(100, 100)
    with LiveMemory(weight) as live:
        images = torch.zeros(6, 100)
        images.view(3, 200).t().unsqueeze(0)
        weight.weight.t()
    assert live.peak_bytes == 600 * FLOAT


def test_live_memory_forgets_what_is_gone() -> None:
    with LiveMemory(nn.Identity()) as live:
        for _ in range(50):
            torch.zeros(1000)
    assert live.peak_bytes == 1000 * FLOAT


CASES = {
    "lora_vit": ({"name": "test_vit"}, "lora", "fp32"),
    "full_vit": ({"name": "test_vit"}, "full", "fp32"),
    "lora_vit_bf16": ({"name": "test_vit"}, "lora", "bf16"),
    "full_resnet": ({"name": "test_resnet"}, "full", "fp32"),
    "linear_resnet": ({"name": "test_resnet"}, "linear", "fp32"),
    "lora_resnet_bf16": ({"name": "test_resnet"}, "lora", "bf16"),
}


def build(backbone: dict, method: str, *, image_size: int = 96) -> tuple[BuiltModel, RunConfig]:
    config = resolve_config(make_config(backbone={**backbone, "image_size": image_size}, method={"name": method}))
    return build_model(config, num_classes=2), config


def measure_step(built: BuiltModel, config: RunConfig, *, batch_size: int, precision: str) -> int:
    """Peak bytes that torch allocates in a second training step, weights and optimizer state left out."""
    network = built.adapted.network
    optimizer = build_optimizer(built.adapted, config.optim, device="cpu")
    built.adapted.set_train_mode()

    def step() -> None:
        with autocast("cpu", precision):
            logits = network(torch.zeros(batch_size, 3, built.backbone.image_size, built.backbone.image_size))
        loss = compute_loss(logits, torch.zeros(batch_size, 2), task="multilabel", class_weights=None)
        del logits
        loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    step()
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        step()
    live = peak = 0
    for event in profiler.profiler.kineto_results.events():  # in the order of time
        if event.name() == "[memory]":
            live += event.nbytes()
            peak = max(peak, live)
    return peak


@pytest.mark.parametrize("case", list(CASES))
@pytest.mark.parametrize("batch_size", [8, 48])
def test_measure_needs_bounds_what_a_step_allocates(case: str, batch_size: int) -> None:
    """48 images are beyond what is measured, so this proves the straight line as well."""
    backbone, method, precision = CASES[case]
    built, config = build(backbone, method)
    needs = measure_needs(built, precision=precision)
    real = measure_step(built, config, batch_size=batch_size, precision=precision)
    forward = needs.forward_bytes(batch_size)
    assert real <= 1.1 * (forward + needs.trained)
    assert forward <= 1.02 * real, "a step takes at least its forward pass"


def test_measure_needs_counts_every_tensor_of_the_model() -> None:
    built, _ = build({"name": "test_resnet"}, "lora")
    needs = measure_needs(built, precision="fp32")
    network = built.adapted.network
    assert needs.weights == sum(parameter.numel() for parameter in network.parameters()) * FLOAT
    assert needs.trained == built.adapted.num_trainable_params() * FLOAT
    assert needs.buffers > 0


def test_measure_needs_leaves_the_model_as_it_was() -> None:
    built, _ = build({"name": "test_resnet"}, "full")
    before = {name: tensor.clone() for name, tensor in built.adapted.network.state_dict().items()}
    measure_needs(built, precision="fp32")
    assert all(torch.equal(tensor, before[name]) for name, tensor in built.adapted.network.state_dict().items())
    assert not built.adapted.network.training


@pytest.mark.parametrize("method", ["lora", "full"])
def test_adapter_bytes_are_those_of_the_saved_files(method: str, tmp_path: Path) -> None:
    built, _ = build({"name": "test_resnet"}, method)
    needs = measure_needs(built, precision="fp32")
    folder = tmp_path / "adapter"
    folder.mkdir()
    built.adapted.save(folder)
    assert needs.adapter == sum(path.stat().st_size for path in folder.iterdir())


def test_adapter_bytes_of_a_large_model_are_counted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Writing a gigabyte for a figure beside a form would take seconds."""
    built, _ = build({"name": "test_resnet"}, "full")
    monkeypatch.setattr(memory, "MAX_WEIGHED_BYTES", 1000)
    monkeypatch.setattr(built.adapted, "save", lambda folder: pytest.fail("nothing is written"))
    counted = measure_needs(built, precision="fp32").adapter
    assert counted == sum(tensor.nbytes for tensor in built.adapted.network.state_dict().values())


@pytest.mark.parametrize(
    ("optim", "moments"), [({}, 2), ({"optimizer": "sgd"}, 1), ({"optimizer": "sgd", "momentum": 0.0}, 0)]
)
def test_optimizer_bytes_are_those_of_its_state(optim: dict, moments: int) -> None:
    built, _ = build({"name": "test_vit"}, "full", image_size=32)
    config = resolve_config(make_config(optim=optim))
    need = MemoryNeed(needs=measure_needs(built, precision="fp32"), config=config, fixed={})
    optimizer = build_optimizer(built.adapted, config.optim, device="cpu")
    built.adapted.network(torch.zeros(2, 3, 32, 32)).sum().backward()
    optimizer.step()
    states = [
        value for state in optimizer.state.values() for value in state.values() if isinstance(value, torch.Tensor)
    ]
    real = sum(tensor.nbytes for tensor in states if tensor.ndim)
    assert need.parts(1, 1)["optimizer"] == real == moments * need.needs.trained


def test_forward_bytes_are_read_off_a_line() -> None:
    assert [NEEDS.forward_bytes(batch) for batch in (1, 2, 3, 4, 5, 10)] == [50, 70, 90, 110, 130, 230]


def make_need(**sections: dict) -> MemoryNeed:
    sections = {"train": {"batch_size": 32, "accumulation": 2}, "evaluation": {"batch_size": 8}, **sections}
    return MemoryNeed(needs=NEEDS, config=resolve_config(make_config(**sections)), fixed={"libraries": 500})


def test_memory_parts_take_the_larger_of_training_and_evaluation() -> None:
    need = make_need()
    # weights, buffers, gradients, AdamW, libraries, and 110 + 28 * 20 for 32 images
    assert need.parts(32, 8) == {
        "weights": 1000, "buffers": 10, "gradients": 100, "optimizer": 200, "activations": 670, "libraries": 500,
    }  # fmt: skip
    assert need.parts(32, 64)["activations"] == 64 * 20
    assert need.total(32, 8) == 2480


def test_memory_warning_names_batches_that_fit() -> None:
    need = make_need()
    assert need.warn(2480) == []
    assert need.warn(None) == []
    (text,) = need.warn(2479)
    assert "train.batch_size 16 with train.accumulation 4 (the same effective batch)" in text
    assert "evaluation.batch_size" not in text
    assert need.total(16, 8) <= 2479
    (text,) = make_need(evaluation={"batch_size": 100}).warn(2000)
    assert "train.batch_size 8 with train.accumulation 8" in text
    assert "evaluation.batch_size 6:" in text
    assert need.total(8, 6) <= 2000 < need.total(8, 12)


def test_memory_warning_when_nothing_fits() -> None:
    (text,) = make_need().warn(1500)
    assert "Even single images take 0.0 GiB. Choose a smaller backbone or backbone.image_size." in text
    needs = replace(NEEDS, weights=5 * 10**9)
    config = resolve_config(make_config())
    (text,) = MemoryNeed(needs=needs, config=config, fixed={}).warn(2 * 10**9)
    assert text.startswith(
        "This run needs about 4.7 GiB of memory, but cpu has 1.9 GiB free. Even single images take 4.7"
    )
