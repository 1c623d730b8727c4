"""The contract of all methods on convolutional networks."""

from pathlib import Path

import pytest
from contract import Contract, check_fresh_process, check_refusal, fitting, refused

ARCHITECTURES = ("ResNet", "DenseNet", "ConvNeXt", "depthwise CNN")


@pytest.mark.parametrize(("method", "architecture"), fitting(ARCHITECTURES))
class TestCnns(Contract):
    pass


@pytest.mark.parametrize(("method", "architecture"), refused(ARCHITECTURES))
def test_method_that_does_not_fit_cnns_says_why(method: str, architecture: str) -> None:
    check_refusal(method, architecture)


def test_adapters_of_cnns_load_in_a_fresh_process(tmp_path: Path) -> None:
    check_fresh_process(ARCHITECTURES, tmp_path)
