"""One archive that the tests of imports change, each in its own way."""

from pathlib import Path

import pytest
from archives import make_packable, pack_run, read_all

from medpeft_core.runs.run import Run


@pytest.fixture(scope="module")
def packed(tmp_path_factory) -> tuple[Run, Path]:
    """A finished run in a home of its own, and its archive with the checkpoint."""
    folder = tmp_path_factory.mktemp("packed")
    run = make_packable(folder / "first_home", meta={"notes": "line one", "tags": ["good"]})
    return run, pack_run(run, folder, include_checkpoint=True)


@pytest.fixture
def files(packed) -> dict[str, bytes]:
    return read_all(packed[1])
