"""Order, seeds, splits, devices and number formats: the small decisions that make a run repeatable."""

from pathlib import Path

import numpy as np
import pytest
import torch
from toy_set import IMAGE_SIZE, make_config, register_toy

from medpeft_core.backbones import base_models
from medpeft_core.config import DataConfig
from medpeft_core.datasets.prepare import prepare_dataset
from medpeft_core.errors import BackboneError, ConfigError, MedPeftError
from medpeft_core.training.build import build_bare_backbone
from medpeft_core.training.check import check_run
from medpeft_core.training.data import PixelSource, batch_seed, copy_to_device, epoch_order, split_data
from medpeft_core.training.device import autocast, has_fast_cpu_bf16, resolve_device, resolve_precision, use_device
from medpeft_core.training.parts import count_batches


def test_epoch_order_depends_on_seed_and_epoch_alone() -> None:
    orders = {(seed, epoch): epoch_order(50, seed=seed, epoch=epoch).tolist() for seed in (0, 1) for epoch in (1, 2)}
    assert all(sorted(order) == list(range(50)) for order in orders.values())
    assert len({tuple(order) for order in orders.values()}) == 4
    np.random.seed(5)
    torch.manual_seed(5)
    assert epoch_order(50, seed=0, epoch=1).tolist() == orders[0, 1]


def test_batch_seed_differs_everywhere_and_fits_torch() -> None:
    seeds = {batch_seed(seed, epoch, index) for seed in range(4) for epoch in range(1, 6) for index in range(20)}
    assert len(seeds) == 4 * 5 * 20
    assert all(0 <= seed < 2**63 for seed in seeds)
    torch.Generator().manual_seed(max(seeds))
    assert batch_seed(1, 2, 3) == batch_seed(1, 2, 3)


@pytest.mark.parametrize(
    ("num_images", "batch_size", "count"), [(40, 8, 5), (41, 8, 5), (42, 8, 6), (1, 8, 1), (3, 1, 3), (7, 8, 1)]
)
def test_count_batches_leaves_out_a_lone_last_image(num_images: int, batch_size: int, count: int) -> None:
    assert count_batches(num_images, batch_size) == count


def test_split_data_gives_each_split_its_rows(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    register_toy(monkeypatch, tmp_path / "toy")
    prepared = prepare_dataset(DataConfig(dataset="toy", cache_size=IMAGE_SIZE))
    splits = split_data(prepared, DataConfig(dataset="toy"))
    assert {name: len(data) for name, data in splits.items()} == {"train": 40, "val": 16, "test": 16}
    rows = np.concatenate([data.cache_rows for data in splits.values()])
    assert len(set(rows.tolist())) == 72
    patients = [set(data.manifest.patient_ids) for data in splits.values()]
    assert len(set.union(*patients)) == sum(len(each) for each in patients)
    for data in splits.values():
        assert torch.equal(data.targets, torch.tensor(data.manifest.targets()))
        chosen = data.select(np.array([3, 0]))
        assert chosen.manifest.table["image"].tolist() == data.manifest.table["image"].iloc[[3, 0]].tolist()
        assert torch.equal(chosen.targets, data.targets[[3, 0]])
    small = split_data(prepared, DataConfig(dataset="toy", fraction=0.25))
    assert 0 < len(small["train"]) < 40
    assert set(small["train"].cache_rows) <= set(splits["train"].cache_rows)
    assert len(small["val"]) == len(small["test"]) == 16


def test_pixel_source_pads_and_tells_sizes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    register_toy(monkeypatch, tmp_path / "toy")
    prepared = prepare_dataset(DataConfig(dataset="toy", cache_size=IMAGE_SIZE))
    source = PixelSource(prepared.cache, "cpu")
    pixels, sizes = source.batch(np.array([0, 1]))
    assert not source.is_resident
    assert pixels.shape == (2, 1, 32, 40)
    assert pixels.dtype == torch.uint8
    assert sizes.tolist() == [[32, 40], [32, 32]]
    assert not pixels[1, :, :, 32:].any()
    assert torch.equal(pixels[0], torch.from_numpy(np.array(prepared.cache.get(0))))


def test_resolve_device() -> None:
    assert resolve_device("cpu") == "cpu"
    assert resolve_device("auto") in ("cpu", "mps", "cuda:0")


def test_resolve_device_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert resolve_device("auto") == "cpu"
    with pytest.raises(ConfigError, match=r"'cuda:3', but no GPU is visible.*--device auto or cpu"):
        resolve_device("cuda:3")
    with pytest.raises(ConfigError, match="'mps', but this machine has no Apple GPU"):
        resolve_device("mps")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    assert (resolve_device("auto"), resolve_device("cuda")) == ("cuda:0", "cuda:0")
    with pytest.raises(ConfigError, match="one GPU is visible"):
        resolve_device("cuda:1")


def test_resolve_precision_goes_by_capability(monkeypatch: pytest.MonkeyPatch) -> None:
    for capabilities, expected in (
        ({"amx_bf16": True}, "bf16"),
        ({"avx512_bf16": True}, "bf16"),
        ({"avx2": True}, "fp32"),
    ):
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda given=capabilities: given)
        assert has_fast_cpu_bf16() == (expected == "bf16")
        assert resolve_precision("auto", "cpu") == expected
    assert resolve_precision("bf16", "cpu") == "bf16"
    assert resolve_precision("auto", "mps") == "fp32"
    with pytest.raises(ConfigError, match="'fp16', which CPUs compute slowly"):
        resolve_precision("fp16", "cpu")
    for has_bf16, expected in ((True, "bf16"), (False, "fp16")):
        monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda given=has_bf16, **_: given)
        assert resolve_precision("auto", "cuda:0") == expected


def test_autocast_takes_the_format() -> None:
    weight = torch.ones(4, 4)
    for precision, dtype in (("fp32", torch.float32), ("bf16", torch.bfloat16)):
        with autocast("cpu", precision):
            assert (weight @ weight).dtype == dtype


def test_check_run_completes_the_config(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, home: Path) -> None:
    register_toy(monkeypatch, tmp_path / "toy")
    config = make_config(data={"fraction": 0.5})
    checked = check_run(config, prepare_dataset(config.data))
    sha256 = checked.config.backbone.weights_sha256
    assert sha256
    assert (home / "weights" / f"{sha256}.safetensors").is_file()
    assert checked.config.backbone.pool == "token"
    assert checked.config.backbone.mean == (0.5, 0.5, 0.5)
    assert checked.config.optim.lr is not None
    assert checked.config.method.knobs["rank"] == 8
    assert sum(checked.positives["left"]) == checked.num_train_images == 20
    assert checked.num_train_patients == 10
    assert check_run(checked.config, prepare_dataset(config.data)).config == checked.config


@pytest.mark.parametrize(
    ("sections", "text"),
    [
        ({"backbone": {"name": "test_vitt"}}, "no backbone 'test_vitt'"),
        ({"backbone": {"image_size": 40}}, "multiple of 16"),
        ({"method": {"knobs": {"rank": 0}}}, "method.rank is 0"),
        ({"method": {"knobs": {"rank": 65}}}, "only 64 wide"),
        ({"train": {"precision": "fp16"}}, "fp16"),
    ],
)
def test_check_run_refuses_and_writes_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, home: Path, sections: dict, text: str
) -> None:
    register_toy(monkeypatch, tmp_path / "toy")
    prepared = prepare_dataset(make_config().data)
    with pytest.raises(MedPeftError, match=text):
        check_run(make_config(**sections), prepared)
    assert not (home / "weights").exists()
    assert not (home / "runs").exists()


def test_pretrained_base_that_changed_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A newer timm may bring other weights under the same name; the run would go on, on another base."""
    register_toy(monkeypatch, tmp_path / "toy")
    real, bias = base_models._create, 0.0

    def create_offline(name: str, options: dict) -> torch.nn.Module:
        model = real(name, {**options, "pretrained": False})
        model.cls_token.data.fill_(bias)
        return model

    monkeypatch.setattr(base_models, "_create", create_offline)
    monkeypatch.setattr(base_models, "check_hub_is_reachable", lambda *_: None)
    config = make_config(backbone={"weights": "pretrained"})
    config = check_run(config, prepare_dataset(config.data)).config
    build_bare_backbone(config, num_classes=2)
    bias = 1.0
    with pytest.raises(BackboneError, match=r"pre-trained weights of 'test_vit' are not those .*SHA-256 differs"):
        build_bare_backbone(config, num_classes=2)


def test_copy_to_device_copies_every_row() -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (7, 1, 4, 5), dtype=np.uint8)
    copied = copy_to_device(pixels, "cpu", rows_at_once=3)
    assert torch.equal(copied, torch.from_numpy(pixels))
    pixels[0] = 0
    assert copied[0].any()  # it is a copy


def test_use_device_refuses_a_gpu_that_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    use_device("cpu")
    with pytest.raises(ConfigError, match="no GPU is visible"):
        use_device("cuda:0")
