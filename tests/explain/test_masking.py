"""A trained run on a tiny set with a shortcut, asked again with the mark painted over."""

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import safetensors.torch
import torch
from PIL import Image
from toy_set import create_run, make_config, train

from medpeft_core.datasets.prepare import PreparedData, prepare_dataset
from medpeft_core.errors import ExplainError, RunError
from medpeft_core.explain import masking
from medpeft_core.explain.answer import Explainer
from medpeft_core.explain.load import LoadedRun, load_run
from medpeft_core.explain.mark_maps import choose_examples, measure_maps
from medpeft_core.explain.marks import find_shortcut
from medpeft_core.explain.masked_files import Masked, find_masked, read_masked
from medpeft_core.explain.masking import Masker, check_maskable, mask_answers, tell_nobody
from medpeft_core.explain.patch import find_patch, paint
from medpeft_core.housekeeping.places import find_pictures
from medpeft_core.paths import get_home
from medpeft_core.runs.run import Run
from medpeft_core.runs.store import RunStore
from medpeft_core.training.known_data import KnownData

SIZE, FINDING = 64, "Effusion"


def make_lesson(**data: object):
    options = {"num_patients": 60, "size": SIZE}
    return make_config(
        data={"dataset": "phantom_shortcut", "cache_size": SIZE, "options": options, **data},
        backbone={"name": "test_vit", "image_size": 32},
        method={"name": "full"},
        train={"epochs": 1, "batch_size": 16},
    )


@pytest.fixture(scope="module")
def trained_home(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A home with one trained run, made once; and the name of the run."""
    folder = tmp_path_factory.mktemp("lesson_home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MEDPEFT_HOME", str(folder))
        return folder, train(make_lesson()).run_id


@pytest.fixture
def run(trained_home: tuple[Path, str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """The trained run, in the lab's home of this test."""
    monkeypatch.setenv("MEDPEFT_HOME", str(trained_home[0]))
    return RunStore(trained_home[0]).load(trained_home[1])


@pytest.fixture
def own_run(trained_home: tuple[Path, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """A copy that the test may change."""
    shutil.copytree(trained_home[0], tmp_path / "own")
    monkeypatch.setenv("MEDPEFT_HOME", str(tmp_path / "own"))
    return RunStore(tmp_path / "own").load(trained_home[1])


@pytest.fixture
def masker(run: Run) -> Masker:
    return make_masker()


def make_masker() -> Masker:
    store, known = RunStore(get_home()), KnownData()
    return Masker(store, known, Explainer(store, known).load)


def ask(masker: Masker, run: Run) -> Masked:
    return read_masked(Path(masker.mask(run.run_id, FINDING)["folder"]))


def test_mask_asks_about_every_image_and_paints_the_marked_ones(run: Run, masker: Masker) -> None:
    answers = ask(masker, run).answers
    prepared, loaded = prepare_dataset(run.config().data), load_run(run)
    table = prepared.manifest.table.set_index("image")
    for split in ("val", "test"):
        stored = pd.read_parquet(run.predictions_dir / f"{split}.parquet")
        part = answers[answers["split"] == split].reset_index(drop=True)
        assert part["image"].tolist() == stored["image"].tolist()
        assert (part[f"logit_{FINDING}"] == stored[f"logit_{FINDING}"]).all()
        assert (part["shortcut"] == table.loc[part["image"], "shortcut"].to_numpy()).all()
    plain = answers["shortcut"] == 0
    assert 0 < plain.mean() < 1
    for label in loaded.labels:
        for kind in ("masked", "control"):
            assert (answers.loc[plain, f"{kind}_{label}"] == answers.loc[plain, f"logit_{label}"]).all()
    check_logits(loaded, prepared, answers[~plain].iloc[0])


def check_logits(loaded: LoadedRun, prepared: PreparedData, row: pd.Series) -> None:
    """One image by hand, through the files and not through the cache."""
    pixels = np.asarray(Image.open(prepared.manifest.image_root / row["image"]).convert("L"))[None]
    painted = paint(pixels, find_patch(prepared.manifest, row["image"], (SIZE, SIZE)), row["image"])
    for kind, shown in {"logit": pixels, **painted}.items():
        images = loaded.transform.plain(torch.from_numpy(shown.copy())[None], torch.tensor([[SIZE, SIZE]]))
        with torch.inference_mode():
            logits = loaded.built.adapted.network(images)[0].numpy()
        wanted = [row[f"{kind}_{label}"] for label in loaded.labels]
        assert logits == pytest.approx(np.array(wanted), abs=1e-4)
    assert row[f"masked_{FINDING}"] != row[f"logit_{FINDING}"]


def test_paint_changes_the_mark_or_its_mirrored_place_only(run: Run) -> None:
    manifest = prepare_dataset(run.config().data).manifest
    name = str(manifest.table.loc[manifest.table["shortcut"] == 1, "image"].iloc[0])
    pixels = np.asarray(Image.open(manifest.image_root / name).convert("L"))[None]
    patch, mark = find_patch(manifest, name, (SIZE, SIZE)), find_shortcut(manifest, name, (SIZE, SIZE))
    assert mark is not None
    assert patch[mark].all()
    assert patch.sum() > mark.sum()
    painted = paint(pixels, patch, name)
    assert (painted["masked"][0] != pixels[0])[mark].mean() > 0.9, "the mark is gone"
    assert not (painted["masked"][0] != pixels[0])[~patch].any()
    assert not (painted["control"][0] != pixels[0])[~patch[:, ::-1]].any()
    assert (painted["control"][0] == pixels[0])[patch].all(), "in the control the mark stays"


def test_find_shortcut_is_bit_seven_of_marked_images(run: Run) -> None:
    manifest = prepare_dataset(run.config().data).manifest
    for value in (0, 1):
        row = manifest.table[manifest.table["shortcut"] == value].iloc[0]
        found = find_shortcut(manifest, row["image"], (SIZE, SIZE))
        if value == 0:
            assert found is None
        else:
            mask = np.asarray(Image.open(manifest.image_root / row["mask"]))
            assert found is not None
            assert (found == (mask >= 128)).all()
            assert found.any()


def test_explain_outlines_the_shortcut(run: Run) -> None:
    manifest = prepare_dataset(run.config().data).manifest
    explainer = Explainer(RunStore(get_home()), KnownData())
    for value in (0, 1):
        name = str(manifest.table.loc[manifest.table["shortcut"] == value, "image"].iloc[0])
        marks = [mark["label"] for mark in explainer.explain(run.run_id, name, FINDING)["marks"]]
        assert marks.count("Shortcut") == value


def test_mask_is_computed_once_until_the_weights_change(own_run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    run, masker = own_run, make_masker()
    folder = Path(masker.mask(run.run_id, FINDING)["folder"])
    assert folder == get_home() / "cache" / "masking" / run.run_id
    assert set(folder.iterdir()) <= set(find_pictures(get_home())), "cleaning finds them"
    with monkeypatch.context() as patch:
        patch.setattr(masking, "mask_answers", None)
        assert masker.mask(run.run_id, FINDING) == {"folder": str(folder)}
    next(folder.glob("*.webp")).unlink()  # somebody cleaned up
    assert find_masked(run) is None
    masker.mask(run.run_id, FINDING)
    assert find_masked(run) == folder
    weights = next(run.adapter_dir.glob("*.safetensors"))
    with safetensors.safe_open(weights, "pt") as file:
        tensors, metadata = {name: file.get_tensor(name) + 0.1 for name in file.keys()}, file.metadata()  # noqa: SIM118  (not a dict)
    safetensors.torch.save_file(tensors, weights, metadata)
    assert find_masked(run) is None


def test_examples_have_pictures_and_probabilities(run: Run, masker: Masker) -> None:
    masked = ask(masker, run)
    assert [item["target"] for item in masked.about["examples"]] == sorted(
        (item["target"] for item in masked.about["examples"]), reverse=True
    )
    rows = masked.answers.set_index("image")
    for example in masked.about["examples"]:
        row = rows.loc[example["image"]]
        assert (row["split"], row["shortcut"], row[f"target_{FINDING}"]) == ("test", 1, example["target"])
        assert example["probs"]["masked"] == pytest.approx(1 / (1 + np.exp(-row[f"masked_{FINDING}"])))
        for kind in ("original", "masked", "control", "mark"):
            assert masked.picture(example, kind)
    assert masked.picture({"files": {"original": "../../../config.json"}}, "original") is None


def test_choose_examples_takes_the_ordinary_ones() -> None:
    changes = [0.0, 1.0, 2.0, 3.0, 10.0]
    answers = pd.DataFrame(
        {
            "image": [f"{number}.png" for number in range(5)], "split": "test", "shortcut": 1,
            f"target_{FINDING}": 1.0, f"logit_{FINDING}": changes, f"masked_{FINDING}": 0.0,
        }
    )  # fmt: skip
    assert choose_examples(answers, FINDING) == ["2.png", "1.png"]


def test_maps_are_measured_on_the_first_marked_test_images(run: Run) -> None:
    manifest, loaded = prepare_dataset(run.config().data).manifest, load_run(run)
    told: list[tuple[str, int, int]] = []
    maps = measure_maps(loaded, manifest, FINDING, progress=lambda *what: told.append(what))
    test = manifest.table[(manifest.table["split"] == "test") & (manifest.table["shortcut"] == 1)]
    assert maps["num_asked"] == min(len(test), 30) == len(told)
    assert maps["num_flat"] + len(maps["images"]) == maps["num_asked"]
    assert {item["image"] for item in maps["images"]} <= set(test["image"])
    for item in maps["images"]:
        assert 0 <= item["share"] <= 1
        assert 0 < item["area"] < 0.2


def test_mask_refuses_what_has_no_mark_or_label(run: Run, masker: Masker) -> None:
    loaded, manifest = load_run(run), prepare_dataset(run.config().data).manifest
    plain = manifest.with_table(manifest.table.drop(columns="shortcut"))
    with pytest.raises(ExplainError, match="marks no shortcut .* Choose a run on phantom_shortcut"):
        check_maskable(plain, loaded, FINDING)
    with pytest.raises(ExplainError, match="no label 'Hernia'"):
        check_maskable(manifest, loaded, "Hernia")
    check_maskable(manifest, loaded, FINDING)
    with pytest.raises(RunError):
        masker.mask("20260101-0000-full-demo_vit-0000", FINDING)


def test_mask_refuses_a_run_that_was_not_evaluated(run: Run) -> None:
    untrained = create_run(make_lesson())
    with pytest.raises(RunError, match="cannot be read"):
        mask_answers(untrained, load_run(run), prepare_dataset(run.config().data), progress=tell_nobody)
