"""The second lesson as a learner goes through it: the stored answer by keyboard and mouse, and a run of one's own."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from lab_server import ROOT, Server, wait_for, wait_until_idle
from playwright.sync_api import Page, expect
from test_accessibility import SETTLED_MS, find_faults

from medpeft_core.runs.store import RunStore

RUN_S = 300  # many times what a quiet machine takes
SETTINGS = Path("medpeft_core") / "lessons" / "shortcut.py"
SMALL = (
    ("FRACTION, EPOCHS, BATCH = 0.25, 4, 16", "FRACTION, EPOCHS, BATCH = 1.0, 1, 16"),
    (
        "DataConfig(dataset=DATASET, fraction=FRACTION)",
        'DataConfig(dataset=DATASET, fraction=FRACTION, options={"num_patients": 60, "size": 64})',
    ),
)


def copy_small_lab(folder: Path) -> Path:
    """The lab with a lesson on 60 patients, so that everything is real but quick."""
    for name in ("medpeft_core", "pages", ".streamlit"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copyfile(ROOT / "app.py", folder / "app.py")
    (folder / "assets").symlink_to(ROOT / "assets", target_is_directory=True)
    text = (folder / SETTINGS).read_text(encoding="utf-8")
    for old, new in SMALL:
        assert old in text, "the lesson has other settings now: change this test"
        text = text.replace(old, new)
    (folder / SETTINGS).write_text(text, encoding="utf-8")
    return folder


@pytest.mark.slow
def test_stored_answer_opens_with_a_prediction(make_server: Callable[..., Server], page: Page) -> None:
    """A deep link on a fresh server; the answer is folded until the learner has chosen, then the marker is painted."""
    server = make_server()
    page.goto(f"{server.url}/lesson_shortcut")
    expect(page.get_by_role("heading", name="What did it learn?", exact=True)).to_be_visible()
    expect(page.get_by_text("Stored result", exact=True).first).to_be_visible()
    expect(page.get_by_text("folded away until")).to_be_visible()
    assert page.get_by_test_id("stVegaLiteChart").count() == 0

    page.get_by_text("About as well:").click()
    expect(page.get_by_text("It came out differently.")).to_be_visible()
    expect(page.get_by_label(re.compile("^AUROC of each finding"))).to_be_visible()
    before = read_probability(page)
    expect(page.get_by_role("img", name=re.compile("the marker outlined"))).to_be_visible()
    page.get_by_role("radio", name="Marker hidden").click()
    painted = page.get_by_role("img", name=re.compile("the marker painted over"))
    expect(painted).to_be_visible()
    painted.evaluate("image => image.decode()")  # visible is not yet loaded
    assert painted.evaluate("image => image.naturalWidth") >= 200
    assert read_probability(page) < before
    page.get_by_role("radio", name="Control").click()
    expect(page.get_by_role("img", name=re.compile("on the other side"))).to_be_visible()
    wait_until_idle(page)
    assert abs(read_probability(page) - before) < 0.1
    page.mouse.move(0, 0)  # colours while a pointer hovers are Streamlit's own
    page.wait_for_timeout(SETTLED_MS)
    assert find_faults(page) == [], "with the answer open"

    page.get_by_role("button", name="Train with a chest drain").click()
    expect(page.get_by_role("heading", name="Train", exact=True)).to_be_visible()
    expect(page.get_by_text(re.compile("data.shortcut=tube"))).to_be_visible()
    assert page.get_by_test_id("stException").count() == 0


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_own_run_from_the_start_to_the_answer(make_server: Callable[..., Server], page: Page, tmp_path: Path) -> None:
    """Draw, train, be asked again with the marker painted over: each step follows by itself, without a reload."""
    server = make_server(root=copy_small_lab(tmp_path / "lab"))
    page.goto(f"{server.url}/lesson_shortcut?result=own")
    page.get_by_text("Clearly worse, but").click()
    page.get_by_role("button", name="Train it yourself").click()
    wait_for(lambda: bool(server.store.list_runs()), timeout_s=RUN_S, what="the run is set up")
    [run] = server.store.list_runs()
    expect(page.get_by_role("link", name="Watch its curves on Monitor")).to_be_visible()
    wait_for(lambda: run.is_finished, timeout_s=RUN_S, what="the run ends")
    assert run.status == "finished", run.state().error
    expect(page.get_by_text("Trained here")).to_be_visible()
    expect(page.get_by_label(re.compile("^AUROC of each finding"))).to_be_visible(timeout=RUN_S * 1000)
    assert (tmp_path / "home" / "cache" / "masking" / run.run_id / "answers.parquet").is_file()
    assert page.get_by_text("Stored result", exact=True).count() == 1, "only the choice, no badge"

    page.get_by_role("link", name="See its heat maps").click()
    expect(page.get_by_role("heading", name="Explain", exact=True)).to_be_visible()
    assert run.run_id in page.url
    assert RunStore(tmp_path / "home").load(run.run_id).config().data.options["shortcut"] == "marker"
    assert page.get_by_test_id("stException").count() == 0


def read_probability(page: Page) -> float:
    """What the page says of the example as it is shown."""
    wait_until_idle(page)
    metric = page.get_by_test_id("stMetric").filter(has_text="Predicted probability of Effusion")
    return float(metric.get_by_test_id("stMetricValue").inner_text())
