"""Prepared data that are kept in memory for a while."""

from pathlib import Path

import pytest
from toy_set import IMAGE_SIZE, SPLIT_SIZES, make_config, register_toy

from medpeft_core.datasets.prepare import prepare_dataset
from medpeft_core.errors import DataError
from medpeft_core.training import known_data
from medpeft_core.training.known_data import KnownData


@pytest.fixture(autouse=True)
def toy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    register_toy(monkeypatch, tmp_path / "toy")
    return tmp_path / "toy"


def test_known_data_looks_again_after_a_while(monkeypatch: pytest.MonkeyPatch, toy: Path) -> None:
    known, data = KnownData(), make_config().data
    assert known.find(data) is None
    sentence = rf"'toy' is not prepared at {IMAGE_SIZE} pixels.*prepare toy --set data\.cache_size={IMAGE_SIZE}$"
    with pytest.raises(DataError, match=sentence):
        known.get(data)
    first = prepare_dataset(data)
    found = known.get(data)
    assert found.fingerprint == first.fingerprint
    assert known.get(make_config(data={"fraction": 0.5}).data) is found, "a fraction is a part of the same data"
    (toy / "train_00.png").write_bytes((toy / "train_01.png").read_bytes())
    assert known.get(data) is found
    monkeypatch.setattr(known_data, "KEEP_S", 0.0)
    assert known.find(data) is None, "a changed file must be decoded first"


def test_known_data_describes_each_fraction() -> None:
    known, config = KnownData(), make_config()
    prepare_dataset(config.data)
    whole = known.describe(config.data)
    half = known.describe(make_config(data={"fraction": 0.5}).data)
    assert whole is not None
    assert half is not None
    assert (whole.num_train_images, half.num_train_images) == (40, 20)
    assert whole.num_images == half.num_images == SPLIT_SIZES
