"""What every method must keep on every architecture: refused with a reason, or exact in all that follows."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import safetensors.torch
import torch
from tiny_models import ARCHITECTURES
from trials import build, build_bare, compute_logits, find_misfit, run_trial

from medpeft_core.errors import MethodError
from medpeft_core.methods import METHODS

TESTS = Path(__file__).parent
# What each method may train beside the head and fresh norms, by the names of parameters; ".*" is everything.
OWN = {
    "full": r".*",
    "linear": r"(?!)",
    "bitfit": r".*bias",
    "bias": r".*bias",
    "layernorm": r".*norm\d?\.(weight|bias)|.*downsample\.0\.(weight|bias)|.*stem\.1\.(weight|bias)",
    "batchnorm": r".*(bn\d|norm\d|norm|downsample\.\d|conv1\.\d)\.(weight|bias)",
    "norm": r".*(bn\d|norm\d|norm|downsample\.\d|stem\.1|conv1\.\d)\.(weight|bias)",
    "attention": r".*\.attn\..*|pos_embed",
    "bias_norm_attention": r".*\.attn\..*|pos_embed|.*bias|.*norm\d?\.weight",
    "ln_tuning": r".*\.ln_tuning_layers\..*",
    "ssf": r".*\.(scale|shift|gamma|beta)",
    "adaptformer": r"blocks\..*mlp\..*|layers\..*mlp\..*",
    "tsa": r".*\.(adapter|alpha)(\.weight)?",
    "vpt_shallow": r"prompts\..*",
    "vpt_deep": r"prompts\..*",
    "conv_adapter": r".*\.(down|up)\.(weight|bias)|.*\.alpha",
    "lora": r".*\.lora_[AB]\..*",
    "rslora": r".*\.lora_[AB]\..*",
    "dora": r".*\.lora_([AB]|magnitude_vector)\..*",
    "pissa": r".*\.lora_[AB]\..*",
    "lora_plus": r".*\.lora_[AB]\..*",
    "adalora": r".*\.lora_[ABE]\..*",
    "loha": r".*\.hada_.*",
    "lokr": r".*\.lokr_.*",
    "ia3": r".*\.ia3_l\..*",
    "oft": r".*\.oft_R\..*",
    "boft": r".*\.boft_[Rs]\..*",
    "hra": r".*\.hra_u\..*",
    "vera": r".*\.vera_lambda_[bd]\..*",
    "fourierft": r".*\.fourierft_spectrum\..*",
    "c3a": r".*\.c3a_kernel\..*",
    "miss": r".*\.miss_block\..*",
    "randlora": r".*\.randlora_(lambda|gamma)\..*",
    "shira": r".*\.shira_weight\..*",
    "vblora": r".*\.vblora_.*",
    "road": r".*\.road_(theta|alpha)\..*",
}
SAME = 1e-5  # merged and unmerged, of the largest logit


class Contract:
    """The tests; a subclass is given the pairs of `fitting`."""

    def test_method_changes_only_what_it_declares(self, method: str, architecture: str) -> None:
        trial = run_trial(method, architecture)
        statistics = {"running_mean", "running_var", "num_batches_tracked"}
        changed = {name for name in trial.changed if name.rsplit(".", 1)[-1] not in statistics}
        assert changed == trial.declared

    def test_method_declares_its_own_parameters_and_no_others(self, method: str, architecture: str) -> None:
        """`trainable` decides what is saved and updated; here it is told from outside what it may hold."""
        bare = build_bare(ARCHITECTURES[architecture])
        shared = tuple(f"{name}." for name in (bare.head, *bare.fresh))
        own = {name for name in run_trial(method, architecture).declared if not name.startswith(shared)}
        assert {name for name in own if not re.fullmatch(OWN[method], name)} == set()
        assert bool(own) == (method != "linear")

    def test_method_gives_each_parameter_a_gradient(self, method: str, architecture: str) -> None:
        assert not run_trial(method, architecture).without_gradient

    def test_method_starts_at_the_base_where_it_promises_so(self, method: str, architecture: str) -> None:
        trial = run_trial(method, architecture)
        distance = (trial.start - trial.base).abs().max().item()
        if METHODS[method].starts_at_base:
            assert distance <= SAME
        else:
            assert distance > 0, "it may promise to start at the base"

    def test_method_loss_falls(self, method: str, architecture: str) -> None:
        losses = run_trial(method, architecture).losses
        assert all(loss == loss for loss in losses)
        assert min(losses[-3:]) < losses[0] - 0.005

    def test_method_runs_in_mixed_precision(self, method: str, architecture: str) -> None:
        """Fast Fourier transforms, sparse matrices and solvers know no bfloat16."""
        trial = run_trial(method, architecture)
        assert abs(trial.half - trial.losses[-1]) < 0.5

    def test_method_merged_logits_agree(self, method: str, architecture: str) -> None:
        trial = run_trial(method, architecture)
        if trial.merged is None:
            assert not METHODS[method].is_mergeable
            with pytest.raises(MethodError, match="cannot be merged"):
                build(method, ARCHITECTURES[architecture]).adapted.merge()
            return
        largest = max(1.0, trial.end.abs().max().item())
        assert (trial.merged - trial.end).abs().max().item() <= SAME * largest

    def test_method_keeps_no_pickle(self, method: str, architecture: str) -> None:
        names = {path.suffix for path in run_trial(method, architecture).folder.iterdir()}
        assert names <= {".safetensors", ".json"}


def fitting(architectures: tuple[str, ...]) -> list[tuple[str, str]]:
    """The pairs that fit."""
    return [(name, item) for item in architectures for name in METHODS.names() if find_misfit(name, item) is None]


def refused(architectures: tuple[str, ...]) -> list[tuple[str, str]]:
    """The pairs that do not."""
    return [(name, item) for item in architectures for name in METHODS.names() if find_misfit(name, item)]


def check_refusal(method: str, architecture: str) -> None:
    """A method that does not fit says why, and changes nothing."""
    bare = build_bare(ARCHITECTURES[architecture])
    with pytest.raises(MethodError) as caught:
        build(method, ARCHITECTURES[architecture])
    reason = find_misfit(method, architecture)
    assert str(caught.value) == (
        f"The method {method!r} does not fit {bare.name!r}: {reason}. Choose another method or backbone."
    )


def check_fresh_process(architectures: tuple[str, ...], folder: Path) -> None:
    """One new process builds every pair from another seed, loads what was saved, and gives the same logits."""
    pairs = fitting(architectures)
    jobs = [[method, item, str(run_trial(method, item).folder)] for method, item in pairs]
    (folder / "jobs.json").write_text(json.dumps(jobs))
    result = subprocess.run(
        [sys.executable, str(TESTS / "load_adapters.py"), str(folder)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(TESTS.parents[1]), str(TESTS)])},
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    found = safetensors.torch.load_file(folder / "logits.safetensors")
    wrong = [
        f"{method} on {item}" for method, item in pairs
        if not torch.equal(found[f"{method} on {item}"], run_trial(method, item).end)
    ]  # fmt: skip
    assert not wrong
    assert len(found) == len(pairs)


def load_into_fresh(method: str, architecture: str, folder: Path) -> torch.Tensor:
    """Logits of a model built from another seed after loading what another one had saved."""
    fresh = build(method, ARCHITECTURES[architecture], seed=2)
    fresh.adapted.load(folder)
    return compute_logits(fresh.adapted.network)
