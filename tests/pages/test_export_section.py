"""Take it elsewhere, and bringing runs in: what Monitor shows of exports and imports in each state."""

import hashlib
import zipfile
from io import BytesIO

import pytest
from data_visits import wait_for_job
from monitor_visits import click, list_links, read_texts
from stored_jobs import make_job

from medpeft_core.exports import EXPORTS
from medpeft_core.exports.files import EXPORT_FILE, exports_dir
from medpeft_core.exports.write import export_to_home
from medpeft_core.methods import METHODS
from medpeft_core.paths import write_json
from medpeft_core.worker.jobs import JobStore
from pages.widgets.export_result import MAX_DOWNLOAD_BYTES, read_zip
from pages.widgets.export_section import FORMAT_KEY, sort_formats


@pytest.fixture
def started(monkeypatch):
    """What was asked of the jobs; none is started."""
    found = []
    monkeypatch.setattr(JobStore, "start", lambda self, kind, title, *, options: found.append((kind, title, options)))
    return found


@pytest.fixture
def finished(home, make_run):
    return make_run(home, epochs_done=2)


def write_export(home, run, format, files, **about):
    """An export as `export_run` leaves it."""
    folder = exports_dir(home) / run.run_id / format
    folder.mkdir(parents=True)
    listed = []
    for name, content in files.items():
        (folder / name).write_bytes(content)
        listed.append({"name": name, "num_bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()})
    total = sum(item["num_bytes"] for item in listed)
    whole = {
        "run_id": run.run_id,
        "format": format,
        "files": listed,
        "num_bytes": total,
        "max_difference": None,
        "notes": [],
        "created_at": 2e9,
        **about,
    }
    write_json(folder / EXPORT_FILE, whole)
    return folder


def choose(app, name):
    app.radio(key=FORMAT_KEY).set_value(name).run()
    assert not app.exception, app.exception[0].message
    return app


@pytest.mark.parametrize("method", METHODS.names())
def test_every_method_has_formats_and_a_reason_for_the_others(method):
    fitting, misfits = sort_formats(method)
    assert len(fitting) + len(misfits) == len(EXPORTS.names())
    assert {"onnx", "card", "archive"} <= {spec.name for spec in fitting}
    assert all(reason for _, reason in misfits)


def test_finished_run_offers_what_fits_and_says_what_does_not(monitor, finished):
    app = monitor(finished.run_id)
    text = read_texts(app)
    assert "Take it elsewhere" in text
    assert set(app.radio(key=FORMAT_KEY).options) == {"PEFT adapter", "Merged model", "ONNX", "Model card", "Whole run"}
    assert "**Trained weights** does not fit this run" in text


def test_run_at_work_is_not_exported(monitor, home, make_run):
    run = make_run(home, status="running", epochs_done=1, epochs=4)
    assert "Take it elsewhere" not in read_texts(monitor(run.run_id))


def test_run_without_weights_can_leave_as_a_whole_only(monitor, home, make_run):
    run = make_run(home, status="failed", epochs_done=0, error="It broke.")
    app = monitor(run.run_id)
    assert app.radio(key=FORMAT_KEY).options == ["Whole run"]
    assert "nothing was trained and kept yet" in read_texts(app)


def test_format_is_made_by_a_job_with_the_chosen_options(monitor, finished, started):
    app = choose(monitor(finished.run_id), "archive")
    app.checkbox(key="monitor_export_predictions").uncheck().run()
    click(app, "Make: Whole run")
    assert started == [
        (
            "export",
            f"Exporting {finished.run_id} as Whole run",
            {
                "run_id": finished.run_id,
                "format": "archive",
                "options": {"include_base": True, "include_checkpoint": False, "include_predictions": False},
            },
        )
    ]


def test_job_at_work_is_shown_once_at_its_run(monitor, home, finished):
    options = {"run_id": finished.run_id, "format": "onnx", "options": {}}
    make_job(home, "export", title="Exporting as ONNX", options=options, what="drawing the graph")
    app = monitor(finished.run_id)
    assert read_texts(app).count("**Exporting as ONNX**: Drawing the graph") == 1
    assert [item.label for item in app.button if item.label == "Stop"] == ["Stop"]


def test_job_of_another_run_is_shown_at_the_top(monitor, home, finished, make_run):
    other = make_run(home, epochs_done=2)
    options = {"run_id": other.run_id, "format": "onnx", "options": {}}
    make_job(home, "export", title="Exporting as ONNX", options=options)
    app = monitor(finished.run_id)
    assert "**At work in this lab**" in read_texts(app)


def test_job_that_failed_says_why(monitor, home, finished):
    options = {"run_id": finished.run_id, "format": "card", "options": {}}
    make_job(home, "export", title="Exporting", options=options, status="failed", error="The disk_is_full.")
    app = choose(monitor(finished.run_id), "card")
    assert "The disk\\_is\\_full" in app.error[0].value


def test_export_that_was_really_made_is_shown(monitor, home, finished):
    """The card of the run, which needs no model."""
    made = export_to_home(home=home, run_id=finished.run_id, format="card", progress=lambda *_: None)
    app = choose(monitor(finished.run_id), "card")
    text = read_texts(app)
    [item] = made["files"]
    assert f"`{item['name']}`" in text
    assert f"SHA-256 `{item['sha256'][:12]}…`" in text
    assert any(item["sha256"] in caption.help for caption in app.caption if caption.help)
    assert "not for clinical use" in text
    assert made["folder"] in [code.value for code in app.code]
    assert [button.proto.label for button in app.get("download_button")] == ["Download"]
    app.button(key="monitor_export_remove").click().run()
    app.button(key="monitor_export_removed").click().run()
    assert not (exports_dir(home) / finished.run_id / "card").exists()
    assert "Make: Model card" in [button.label for button in app.button]


def test_export_with_a_program_shows_it_and_how_exact_it_is(monitor, home, finished):
    files = {"load.py": b"print('opened')\n", "adapter_model.safetensors": b"12"}
    folder = write_export(home, finished, "peft", files, max_difference=4.7e-7, notes=["Mind <b>this</b> [x](y)."])
    app = choose(monitor(finished.run_id), "peft")
    text = read_texts(app)
    assert "differ from the lab's by at most 5e-07 on 8 images" in text
    assert "Mind \\<b\\>this" in text
    assert "print('opened')" in [code.value.strip() for code in app.code]
    assert [button.proto.label for button in app.get("download_button")] == ["Download as zip"]
    with zipfile.ZipFile(BytesIO(read_zip(folder))) as archive:
        assert archive.testzip() is None
        assert set(archive.namelist()) == {*files, EXPORT_FILE}
        assert archive.read("load.py") == files["load.py"]


def test_large_export_is_not_downloaded_through_the_page(monitor, home, finished):
    """Streamlit would hold all of it in the server's memory."""
    write_export(home, finished, "onnx", {"model.onnx": b"1"}, num_bytes=MAX_DOWNLOAD_BYTES + 1)
    app = choose(monitor(finished.run_id), "onnx")
    assert not app.get("download_button")
    assert "Too large for a download" in read_texts(app)


def test_hub_is_reached_only_after_consent(monitor, home, finished, started):
    write_export(home, finished, "peft", {"adapter_model.safetensors": b"12"})
    app = choose(monitor(finished.run_id), "peft")
    app.text_input(key="monitor_push_repo").set_value("me/mine").run()
    assert app.button(key="monitor_push_start").disabled
    consent = app.checkbox(key="monitor_push_sure_private")
    assert "adapter\\_model\\.safetensors" in consent.label
    consent.check().run()
    app.toggle(key="monitor_push_public").set_value(True).run()
    assert app.button(key="monitor_push_start").disabled  # another audience, another consent
    assert "everybody on the internet" in app.checkbox(key="monitor_push_sure_public").label
    app.toggle(key="monitor_push_public").set_value(False).run()
    app.checkbox(key="monitor_push_sure_private").check().run()
    click(app, "Send it")
    [(kind, _, options)] = started
    assert kind == "push_export"
    assert options == {"run_id": finished.run_id, "format": "peft", "repo_id": "me/mine", "private": True}


def test_job_that_sends_an_export_tells_what_keeps_it(monitor, home, finished, monkeypatch):
    """A real job; on this computer nobody has a token for the hub."""
    monkeypatch.setenv("HF_HOME", str(home / "nobody"))
    monkeypatch.delenv("HF_TOKEN", raising=False)
    write_export(home, finished, "peft", {"adapter_model.safetensors": b"12"}, created_at=0.0)
    options = {"run_id": finished.run_id, "format": "peft", "repo_id": "me/mine", "private": True}
    JobStore(home).start("push_export", "Sending it", options=options)
    assert wait_for_job(home).state().status == "failed"
    app = choose(monitor(finished.run_id), "peft")
    assert "There is no token for the hub" in app.error[0].value


def test_archive_is_never_public(monitor, home, finished):
    write_export(home, finished, "archive", {"run.zip": b"12"})
    app = choose(monitor(finished.run_id), "archive")
    assert app.toggle(key="monitor_push_public").disabled


def test_run_can_be_brought_into_an_empty_lab(monitor, started):
    app = monitor()
    app.button(key="monitor_import").click().run()
    click(app, "Bring it in")
    assert "Give the zip of a run first." in app.error[0].value
    app.text_input(key="monitor_import_path").set_value('"/data/run.zip"').run()
    click(app, "Bring it in")
    assert started == [("import_run", "Bringing a run in", {"path": "/data/run.zip"})]


def test_refused_import_says_why(monitor, home):
    make_job(home, "import_run", title="Bringing a run in", options={"path": "/x"}, status="failed", error="'../x' is.")
    app = monitor()
    assert "\\.\\./x" in app.error[0].value
    click(app, "Dismiss")
    assert not app.error


def test_import_leads_to_its_run(monitor, home, make_run, finished):
    other = make_run(home, epochs_done=2)
    make_job(
        home,
        "import_run",
        title="Bringing a run in",
        options={"path": "/x"},
        status="finished",
        run_ids=(finished.run_id,),
    )
    app = monitor(other.run_id)
    assert f"The run {finished.run_id} is here" in app.success[0].value
    assert list_links(app)["Open it"] == ("monitor", f"run={finished.run_id}")
