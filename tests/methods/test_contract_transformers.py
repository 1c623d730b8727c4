"""The contract of all methods on transformers."""

from pathlib import Path

import pytest
from contract import Contract, check_fresh_process, check_refusal, fitting, refused

ARCHITECTURES = ("ViT", "windowed ViT")


@pytest.mark.parametrize(("method", "architecture"), fitting(ARCHITECTURES))
class TestTransformers(Contract):
    pass


@pytest.mark.parametrize(("method", "architecture"), refused(ARCHITECTURES))
def test_method_that_does_not_fit_transformers_says_why(method: str, architecture: str) -> None:
    check_refusal(method, architecture)


def test_adapters_of_transformers_load_in_a_fresh_process(tmp_path: Path) -> None:
    check_fresh_process(ARCHITECTURES, tmp_path)
