"""The Settings page: sizes, cleaning with a question before it, this computer, versions, and the bug report."""

import os
import threading
import time

import pytest

from medpeft_core import __version__
from medpeft_core.errors import ComputeError
from medpeft_core.housekeeping.background import Background
from medpeft_core.runs.store import RunStore

TABS = ("Home folder", "This computer", "Look and versions", "Report a problem")
DAY_S = 86_400


def open_page(app, tab=None):
    app.run()
    if tab is not None:
        app.query_params["settings_tab"] = tab
    app.switch_page("pages/settings.py").run()
    assert not app.exception, app.exception[0].message
    return app


def read_words(app):
    kinds = ("markdown", "caption", "info", "warning", "error", "success", "code")
    return "\n".join(item.value for kind in kinds for item in app.main.get(kind))


def write_base(home, digit="a"):
    path = home / "weights" / f"{digit * 64}.safetensors"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(bytes(3 * 1024 * 1024))
    os.utime(path, (time.time() - DAY_S,) * 2)
    return path


def write_picture(home):
    path = home / "cache" / "explanations" / "run" / "a.png"
    path.parent.mkdir(parents=True)
    path.write_bytes(bytes(2048))
    os.utime(path, (time.time() - DAY_S,) * 2)
    return path


@pytest.fixture(autouse=True)
def examined(monkeypatch):
    """Stands in for the child process that loads torch; `facts` may be an error."""
    facts = {"torch": {"version": "2.99", "cuda_build": None, "gpus": [], "threads": 2}, "problems": [], "devices": []}
    found = {"facts": facts}

    def examine(home):
        if isinstance(found["facts"], Exception):
            raise found["facts"]
        return found["facts"]

    monkeypatch.setattr("pages.widgets.lab_settings_machine.examine", examine)
    return found


def test_settings_page_of_an_empty_lab_shows_where_things_will_be(app, home):
    open_page(app)
    words = read_words(app)
    assert str(home) in words
    assert "Never touched: finished and unfinished runs" in words
    assert [metric.label for metric in app.metric] == ["Home folder", "Files", "Free on this disk", "Size of the disk"]
    assert not [button.label for button in app.main.button if button.label.startswith("Remove") and not button.disabled]


def test_settings_page_shows_what_takes_how_much(app, home, make_run):
    make_run(home)
    write_base(home)
    open_page(app)
    table = app.dataframe[0].value.set_index("part")
    assert table.loc["Base weights", "bytes"] == 3 * 1024 * 1024
    assert table.loc["Base weights", "size"] == "3 MiB"
    assert table.loc["Runs", "files"] > 5
    assert table["bytes"].is_monotonic_decreasing


def test_settings_page_asks_before_it_removes(app, home):
    base = write_base(home)
    open_page(app)
    app.button(key="settings_bases").click().run()
    assert base.is_file()
    assert "This frees 3 MiB. Remove now?" in read_words(app)
    app.button(key="settings_bases_no").click().run()
    assert base.is_file()
    app.button(key="settings_bases").click().run()
    app.button(key="settings_bases_yes").click().run()
    assert not app.exception
    assert not base.exists()
    assert "Done: 3 MiB are free again." in read_words(app)


def test_settings_page_removes_pictures_and_says_how_much(app, home):
    picture = write_picture(home)
    open_page(app)
    app.button(key="settings_pictures").click().run()
    app.button(key="settings_pictures_yes").click().run()
    assert not picture.exists()
    assert "Done: 2 KiB are free again." in read_words(app)


def test_settings_page_removes_deleted_runs_for_good(app, home, make_run):
    run = make_run(home)
    RunStore(home).delete(run.run_id)
    open_page(app)
    app.button(key="settings_deleted").click().run()
    assert "1 deleted run can then not be brought back" in read_words(app)
    app.button(key="settings_deleted_yes").click().run()
    assert RunStore(home).list_deleted() == []
    assert "are free again" in read_words(app)


def test_settings_page_names_decoded_images_and_keeps_what_a_run_needs(app, home, make_run, monkeypatch):
    monkeypatch.setattr("medpeft_core.housekeeping.usage.compute_pixels_sha256", lambda folder: "b2" * 32)
    monkeypatch.setattr("medpeft_core.housekeeping.inventory.compute_pixels_sha256", lambda folder: "b2" * 32)
    folder = home / "cache" / "pixels" / ("0a" * 16)
    folder.mkdir(parents=True)
    (folder / "index.json").write_text('{"num_images": 1234, "cache_size": 256, "decode_s": 75}')
    run = make_run(home)
    open_page(app)
    (box,) = app.main.checkbox
    assert box.label.startswith("**Synthetic chest radiographs**: 1,234 images at 256 pixels")
    assert "1 run trained on it, decoded in 1 min 15 s" in read_words(app)
    assert app.button(key="settings_caches").disabled
    box.check().run()
    app.button(key="settings_caches").click().run()
    assert "Decoding them again takes about 1 min 15 s." in read_words(app)
    running = make_run(home, status="running", epochs_done=1)  # it began while the question was on the screen
    app.button(key="settings_caches_yes").click().run()
    assert folder.is_dir()
    words = read_words(app)
    assert "Nothing was removed." in words
    assert running.run_id in words.replace("\\", "")
    assert run.run_id not in words


def test_settings_page_shows_progress_while_a_big_home_is_measured(app, home, monkeypatch):
    """A home of a million files must not keep the page from opening."""
    gate = threading.Event()

    def measure(home, tell):
        tell("runs: 500 files")
        gate.wait(30)

    monkeypatch.setattr("pages.widgets.lab_settings_home.take_inventory", measure)
    open_page(app)
    gate.set()
    assert "Measuring the folder: runs: 500 files" in read_words(app)
    assert len(app.get("skeleton")) == 1


def test_settings_page_tells_that_a_damaged_run_keeps_all_bases(app, home, make_run):
    make_run(home).config_path.write_text("{")
    write_base(home)
    open_page(app)
    assert "nobody can say which base it stands on" in read_words(app)
    assert "settings_bases" not in [button.key for button in app.main.button]


def test_settings_page_shows_this_computer(app, home, examined):
    examined["facts"]["problems"] = ["Only 1.0 GB are free for /tmp/a_b."]
    open_page(app, TABS[1])
    deadline = time.monotonic() + 30
    while "torch 2" not in read_words(app) and time.monotonic() < deadline:
        app.run()
    words = read_words(app)
    assert "built without CUDA" in words
    assert "Only 1" in words
    assert app.dataframe[0].value["device"].tolist()[-1] == "cpu"
    assert "Another server" in words  # the fixture holds the lock of the supervisor


def test_settings_page_gives_the_command_when_torch_cannot_use_the_gpu(app, home, examined):
    examined["facts"]["devices"] = [{"name": "cuda:0"}]
    open_page(app, TABS[1])
    deadline = time.monotonic() + 30
    while "torch 2" not in read_words(app) and time.monotonic() < deadline:
        app.run()
    assert "pip install torch torchvision --index-url" in read_words(app)


def test_settings_page_shows_why_the_check_failed(app, home, examined):
    examined["facts"] = ComputeError("The check of this computer gave no answer.")
    open_page(app, TABS[1])
    deadline = time.monotonic() + 30
    while not app.main.error and time.monotonic() < deadline:
        app.run()
    assert "gave no answer" in app.main.error[0].value


def test_settings_page_shows_look_and_versions(app):
    open_page(app, TABS[2])
    table = app.dataframe[0].value.set_index("what")["version"]
    assert table["MedPEFT Lab"] == __version__
    assert table["torch"]
    assert "menu **⋮** at the top right" in read_words(app)


def test_settings_page_shows_the_whole_report_before_it_is_saved(app, home, make_run):
    meta = {"notes": "Mustermann", "owner": "zimmerberg", "tags": ["geheim"]}
    make_run(home, status="failed", epochs_done=1, error="No image 'Mustermann Erika.png'.", meta=meta)
    open_page(app, TABS[3])
    assert not app.get("download_button")
    app.button(key="settings_make_report").click().run()
    assert not app.exception
    shown = app.main.code[0].value
    assert "1 failed" in shown
    assert "RuntimeError: out of memory" in shown
    for private in ("Mustermann", "zimmerberg", "geheim", str(home)):
        assert private not in shown
    assert len(app.get("download_button")) == 1


def test_settings_page_measures_once_for_all_visitors(app, home, monkeypatch):
    asked = []
    ask = Background.ask
    monkeypatch.setattr(Background, "ask", lambda self, **options: (asked.append(1), ask(self, **options))[1])
    counts = []
    from medpeft_core.housekeeping.inventory import take_inventory

    monkeypatch.setattr(
        "pages.widgets.lab_settings_home.take_inventory",
        lambda home, tell: (counts.append(1), take_inventory(home, tell))[1],
    )
    open_page(app)
    app.run()
    app.run()
    assert len(asked) >= 3
    assert len(counts) == 1
