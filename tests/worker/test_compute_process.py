"""The compute process by itself: classes of errors that it may name, and real questions."""

from pathlib import Path
from typing import Any

import pytest

from medpeft_core.errors import ComputeError, DataError, MedPeftError, UnknownNameError
from medpeft_core.worker.compute import ComputeClient
from medpeft_core.worker.compute_process import answer_request

# A compute process with requests of its own and without torch, which talks where it should not.


def test_answer_request_names_the_nearest_class_that_everybody_knows() -> None:
    class OwnError(DataError):
        """Known to one module only."""

    def fail() -> dict[str, Any]:
        raise OwnError("It is damaged.")

    described = answer_request({"kind": "fail", "arguments": {}}, {"fail": fail})
    assert described == {"error": {"type": "DataError", "text": "It is damaged."}}


def test_real_process_answers_and_refuses(home: Path) -> None:
    """The whole way with torch: data that are not prepared are counted as far as possible, and never decoded."""
    client = ComputeClient(home)
    config = {
        "backbone": {"name": "resnet18", "image_size": 32},
        "method": {"name": "linear"},
        "train": {"device": "cpu"},
    }
    try:
        answer = client.request("check", timeout_s=300, config=config)
        assert answer["num_trainable_params"] == 512 * 5 + 5
        assert answer["is_prepared"] is False
        assert answer["num_images"] is None
        assert answer["config"]["train"]["precision"] in ("fp32", "bf16")
        found = client.request("traits", config={"backbone": config["backbone"]})
        assert (found["kind"], "batch_norm" in found["traits"], "attention" in found["traits"]) == ("cnn", True, False)
        with pytest.raises(UnknownNameError, match="Did you mean 'linear'"):
            client.request("check", config={**config, "method": {"name": "linar"}})
        for kind, arguments in (
            ("first_batch", {"config": config}),
            ("launch", {"configs": [config]}),
            ("explain", {"run_id": "none", "image": "a.png", "label": "b"}),
        ):
            with pytest.raises(MedPeftError, match="prepare|no runs yet") as caught:
                client.request(kind, **arguments)
            assert not isinstance(caught.value, ComputeError)
        assert {path.name for path in home.iterdir()} <= {
            "compute.log",
            "lab.sqlite",
            "lab.sqlite-shm",
            "lab.sqlite-wal",
        }
    finally:
        client.close()
