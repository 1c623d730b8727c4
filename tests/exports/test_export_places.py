"""Exports put in their place: over an earlier one, into an empty folder, and back when that fails."""

from pathlib import Path

import pytest
from archives import make_packable

from medpeft_core.exports.write import export_run
from medpeft_core.runs.run import Run


@pytest.fixture
def run(home: Path) -> Run:
    return make_packable(home)


@pytest.fixture
def windows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Renaming refuses a folder that is there, as on Windows, even an empty one."""
    replace = Path.replace

    def replace_no_folder(source: Path, target: Path) -> Path:
        if target.is_dir():
            raise PermissionError(5, "Access is denied", str(target))
        return replace(source, target)

    monkeypatch.setattr(Path, "replace", replace_no_folder)


@pytest.mark.usefixtures("windows")
def test_export_takes_the_place_of_an_earlier_one(run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "exports" / "archive"
    export_run(run, "archive", folder)
    (folder / "older.txt").write_text("of the first export")
    export_run(run, "archive", folder, may_replace=True)
    assert not (folder / "older.txt").exists()
    assert (folder / f"{run.run_id}.zip").is_file()
    assert list(folder.parent.iterdir()) == [folder]


@pytest.mark.usefixtures("windows")
def test_export_goes_into_an_empty_folder(run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "exports" / "archive"
    folder.mkdir(parents=True)
    export_run(run, "archive", folder)
    assert (folder / "export.json").is_file()
    assert list(folder.parent.iterdir()) == [folder]


def test_export_that_finds_no_place_leaves_the_earlier_one(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "exports" / "archive"
    export_run(run, "archive", folder)
    (folder / "older.txt").write_text("of the first export")
    replace = Path.replace

    def refuse_whole_exports(source: Path, target: Path) -> Path:
        if target == folder and not (source / "older.txt").exists():
            raise PermissionError(5, "Access is denied", str(target))
        return replace(source, target)

    monkeypatch.setattr(Path, "replace", refuse_whole_exports)
    with pytest.raises(PermissionError):
        export_run(run, "archive", folder, may_replace=True)
    assert (folder / "older.txt").is_file()
    assert list(folder.parent.iterdir()) == [folder]
