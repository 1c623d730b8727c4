"""Lanes of the CPU: how many there are, who gets which, and that they and the whole CPU exclude each other."""

import os

import pytest

from medpeft_core.config import MethodConfig, RunConfig, TrainConfig
from medpeft_core.runs import RunStore, lanes
from medpeft_core.runs.lanes import are_in_conflict, count_lanes, find_free_lane, find_queue
from medpeft_core.runs.liveness import process_identity

ME = process_identity(os.getpid())


def make_config(device: str, threads: int) -> RunConfig:
    return RunConfig(method=MethodConfig(name="full"), train=TrainConfig(device=device, cpu_threads=threads))


@pytest.mark.parametrize(("cores", "threads", "expected"), [(2, 1, 2), (2, 2, 1), (2, 4, 1), (7, 2, 3), (64, 1, 8)])
def test_lanes_are_as_many_as_fit_the_cores(monkeypatch, cores, threads, expected):
    monkeypatch.setattr(lanes, "count_cores", lambda: cores)
    assert count_lanes(threads) == expected


def test_runs_that_name_their_threads_wait_for_a_lane():
    configs = [make_config("cpu", 1), make_config("cpu", 0), make_config("cuda:0", 1)]
    assert [find_queue(config) for config in configs] == ["cpu:0", "cpu", "cuda:0"]


def test_waiting_run_gets_its_own_lane_or_another_free_one(monkeypatch):
    """Runs of unequal length were given lanes in turn, and the short ones left a lane idle beside a long queue."""
    monkeypatch.setattr(lanes, "count_cores", lambda: 2)
    assert find_free_lane("cpu:1", 1, []) == "cpu:1"
    assert find_free_lane("cpu:1", 1, ["cpu:1"]) == "cpu:0"
    assert find_free_lane("cpu:1", 1, ["cpu:1", "cpu:0"]) is None
    assert find_free_lane("cpu:1", 1, ["cpu"]) is None
    assert find_free_lane("cpu:5", 1, ["cpu:0"]) == "cpu:1", "it was queued where there are more cores"
    assert find_free_lane("cpu:5", 2, ["cpu:0"]) is None


def test_whole_cpu_and_its_lanes_exclude_each_other():
    assert are_in_conflict("cpu", "cpu")
    assert are_in_conflict("cpu", "cpu:1")
    assert are_in_conflict("cpu:1", "cpu")
    assert not are_in_conflict("cpu:0", "cpu:1")
    assert not are_in_conflict("cpu", "cuda:0")
    assert not are_in_conflict("cuda:0", "cuda:1")


def test_index_holds_lanes_or_the_whole_cpu(tmp_path):
    index = RunStore(tmp_path).index
    assert index.claim_device("cpu:0", "a", *ME)
    assert index.claim_device("cpu:1", "b", *ME)
    assert index.claim_device("cpu:0", "a", *ME), "the same claim again"
    assert not index.claim_device("cpu:0", "c", *ME)
    assert not index.claim_device("cpu", "c", *ME)
    assert index.device_holder("cpu").run_id == "a"
    index.release_run("a")
    assert not index.claim_device("cpu", "c", *ME), "another lane is held still"
    index.release_run("b")
    assert index.claim_device("cpu", "c", *ME)
    assert not index.claim_device("cpu:1", "b", *ME)
    assert index.device_holder("cpu:1").run_id == "c"
