"""The frame of the app: page table, guard, sidebar; every page on an empty and on a full lab; light imports."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

from medpeft_core.runs.states import STATUSES
from pages.widgets.frame import FRAME_KEY, build_pages

ROOT = Path(__file__).resolve().parent.parent.parent
PAGE_FILES = sorted((ROOT / "pages").glob("*.py"))
HEAVY = ("torch", "torchvision", "timm", "peft", "transformers", "sklearn", "pytorch_grad_cam", "kornia")
TIMEOUT_S = 120
VISIT = """
import sys
from streamlit.testing.v1 import AppTest

app = AppTest.from_file("app.py", default_timeout=60).run()
for name in {pages!r}:
    app.switch_page(f"pages/{{name}}.py").run()
    assert not app.exception, (name, [item.message for item in app.exception])
print([name for name in {heavy!r} if name in sys.modules])
"""


def read_sidebar(app):
    """All words of the sidebar."""
    words = [item.value for kind in ("markdown", "caption") for item in app.sidebar.get(kind)]
    return "\n".join(words + [item.proto.text for item in app.sidebar.get("progress")])


def test_frame_lists_every_page_file_under_its_own_name(monkeypatch):
    """Another address than the file's name would differ from the one that a fresh server finds by itself."""
    monkeypatch.setattr("pages.widgets.frame.st.Page", lambda path, **options: (path, options))
    listed = [page for pages in build_pages().values() for page in pages]
    assert {path: options["url_path"] for path, options in listed} == {
        f"pages/{path.stem}.py": path.stem for path in PAGE_FILES
    }
    assert [path for path, options in listed if options.get("default")] == ["pages/home.py"]


@pytest.mark.parametrize("path", PAGE_FILES, ids=lambda path: path.stem)
def test_frame_guard_is_the_first_thing_a_page_does(path):
    """On a fresh server a deep link runs the page's file alone; the guard restarts it through app.py."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert ast.get_docstring(tree)
    statements = [node for node in tree.body[1:] if not isinstance(node, ast.Import | ast.ImportFrom)]
    assert ast.unparse(statements[0]) == "ensure_frame()"


def test_frame_guard_restarts_a_page_that_was_opened_alone(app):
    app.run()
    app.session_state[FRAME_KEY] = False
    app.switch_page("pages/monitor.py").run()
    assert not app.exception
    assert app.session_state[FRAME_KEY] is True
    assert app.title[0].value == "Monitor"


@pytest.mark.parametrize("name", [path.stem for path in PAGE_FILES])
def test_frame_page_opens_on_an_empty_lab(app, name):
    app.run()
    app.switch_page(f"pages/{name}.py").run()
    assert not app.exception, app.exception[0].message
    assert app.title


@pytest.mark.parametrize("status", STATUSES)
def test_frame_pages_open_on_a_run_in_each_state(app, home, make_run, status):
    """One run in that state beside a finished one, addressed in the way that pages link to each other."""
    make_run(home, epochs_done=2)
    run = make_run(home, status=status, epochs_done=0 if status == "queued" else 2, error="It broke.")
    app.run()
    for path in PAGE_FILES:
        app.query_params["runs" if path.stem == "compare" else "run"] = run.run_id
        app.switch_page(f"pages/{path.stem}.py").run()
        assert not app.exception, (path.stem, app.exception[0].message)
        assert app.title, path.stem


def test_frame_pages_open_with_200_runs(app, home, make_runs):
    make_runs(home, 200)
    app.run()
    for path in PAGE_FILES:
        app.switch_page(f"pages/{path.stem}.py").run()
        assert not app.exception, (path.stem, app.exception[0].message)
        assert app.title, path.stem


def test_sidebar_says_that_nothing_is_running_and_what_the_lab_is_not_for(app):
    app.run()
    text = read_sidebar(app)
    assert "Nothing is running." in text
    assert "not for clinical use" in text
    assert "CPU" in text


def test_sidebar_shows_what_runs_and_what_waits(app, home, make_run):
    make_run(home, status="running", epochs_done=1, epochs=4)
    make_run(home, status="queued", epochs_done=0)
    make_run(home, status="queued", epochs_done=0)
    app.run()
    text = read_sidebar(app)
    assert "epoch 2 of 4" in text
    assert "2 in the queue" in text
    assert "Another server of this lab starts the queued runs." in text


def test_sidebar_says_what_keeps_queued_runs_from_starting(app, monkeypatch):
    """On a full disk runs stayed queued for ever, and no page said why."""
    monkeypatch.setattr("medpeft_core.worker.supervisor.Supervisor.problem", "The disk is full: a_b_c.")
    app.run()
    assert "The disk is full" in app.sidebar.warning[0].value


def test_app_imports_nothing_heavy(app, home, make_run):
    """Torch in the server's process would make each click 300 ms slower and the first visit six seconds longer."""
    make_run(home, epochs_done=2)
    make_run(home, status="failed", epochs_done=1, error="It broke.")
    pages = [path.stem for path in PAGE_FILES]
    done = subprocess.run(
        [sys.executable, "-c", VISIT.format(pages=pages, heavy=HEAVY)],
        cwd=ROOT,
        env={**os.environ, "MEDPEFT_HOME": str(home), "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"
