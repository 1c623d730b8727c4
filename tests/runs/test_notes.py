"""Tags, notes and owner: cleaned, checked, stored without touching what else is there."""

import errno

import pytest

from medpeft_core.config import RunConfig
from medpeft_core.errors import RunError
from medpeft_core.runs import RunStore
from medpeft_core.runs.notes import MAX_TAGS, change_tags, clean_tags, write_notes
from medpeft_core.runs.run import Run

CONFIG = RunConfig.from_dict({"method": {"name": "full"}, "backbone": {"name": "resnet18"}})


@pytest.fixture
def runs(tmp_path):
    store = RunStore(tmp_path)
    return [store.create(CONFIG, status="finished", provenance={}, device="cpu") for _ in range(2)]


def test_clean_tags_drops_blanks_and_repeats():
    assert clean_tags([" paper  A ", "paper A", "", "  ", "b"]) == ["paper A", "b"]


@pytest.mark.parametrize(
    ("tags", "message"),
    [
        (["x" * 41], "has 41 characters; at most 40 fit"),
        (["a,b"], "holds a comma"),
        ([str(number) for number in range(MAX_TAGS + 1)], "21 tags are too many"),
    ],
)
def test_clean_tags_refuses(tags, message):
    with pytest.raises(RunError, match=message):
        clean_tags(tags)


def test_change_tags_keeps_the_other_tags_of_each_run(runs):
    for run, tag in zip(runs, ("mine", "yours"), strict=True):
        run.save_meta({**run.meta(), "tags": [tag, "shared"], "notes": "kept", "later": 1})
    change_tags(runs, added=["new", "mine"], removed=["shared"])
    assert [run.meta()["tags"] for run in runs] == [["mine", "new"], ["yours", "new", "mine"]]
    assert runs[0].meta()["notes"] == "kept"
    assert runs[0].meta()["later"] == 1, "what another version wrote stays"


def test_write_notes_replaces_notes_and_owner_only(runs):
    change_tags(runs[:1], added=["a"], removed=[])
    write_notes(runs[0], notes="  line 1\nline 2\n", owner=" Ada  L. ")
    assert runs[0].meta() == {"tags": ["a"], "notes": "line 1\nline 2", "owner": "Ada L."}
    with pytest.raises(RunError, match="at most 10,000 fit"):
        write_notes(runs[0], notes="x" * 10_001, owner="")


def test_notes_that_do_not_fit_on_the_disk_say_so(runs, monkeypatch):
    def fail(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Run, "save_meta", fail)
    with pytest.raises(RunError, match="were not saved. The disk is full"):
        change_tags(runs, added=["a"], removed=[])
