"""The data report as a Markdown document."""

from medpeft_core.datasets.report_text import write_markdown


def make_report(**changes):
    counts = {"num_images": 10, "num_positive": 3, "num_negative": 7, "prevalence": 0.3}
    report = {
        "dataset": "made",
        "title": "A <b>set</b>",
        "task": "multilabel",
        "is_synthetic": False,
        "num_images": 1400,
        "num_patients": 1200,
        "splits": {name: {"num_images": 10, "num_patients": 5} for name in ("train", "val", "test")},
        "labels": {"Pleural_Thickening": {name: dict(counts) for name in ("train", "val", "test")}},
        "age": {"num_known": 30, "min": 1, "median": 50, "mean": 49.5, "max": 90},
        "sex": {"F": 20, "not known": 10},
        "view": None,
        "findings": [
            {"severity": "warning", "text": "Val holds only 10 images.", "advice": "Repeat runs."},
            {"severity": "fine", "text": "No two images are identical.", "advice": ""},
        ],
    }
    return {**report, **changes}


def test_write_markdown_tells_findings_by_severity_with_what_to_do():
    text = write_markdown(make_report())
    assert "## To mind\n\n- Val holds only 10 images. Repeat runs.\n" in text
    assert "## Checked, nothing wrong\n\n- No two images are identical.\n" in text
    assert "## Problems" not in text
    assert "1,400 images, 1,200 patients" in text
    assert "not for clinical use" in text


def test_write_markdown_counts_labels_and_people():
    text = write_markdown(make_report())
    assert "| Pleural\\_Thickening | 3 of 10 (30.0%) | 3 of 10 (30.0%) | 3 of 10 (30.0%) |" in text
    assert "- age: 1 to 90 years, median 50, known of 30 images" in text
    assert "- sex: F 20, not known 10" in text
    assert "- view" not in text


def test_write_markdown_escapes_what_comes_from_files():
    assert "# Data report: A \\<b\\>set\\</b\\>" in write_markdown(make_report())


def test_write_markdown_says_synthetic_and_without_patients():
    text = write_markdown(make_report(is_synthetic=True, num_patients=None))
    assert "**Synthetic: made by a program, no real patients.**" in text
    assert "no patient ids" in text


def test_write_markdown_of_a_label_that_is_not_known():
    unknown = {"num_images": 0, "num_positive": 0, "num_negative": 0, "prevalence": None}
    text = write_markdown(make_report(labels={"Mass": {name: unknown for name in ("train", "val", "test")}}))
    assert "| Mass | 0 of 0 (n/a) |" in text


def test_write_markdown_calls_classes_classes_and_counts_other_groups():
    text = write_markdown(make_report(task="multiclass", groups={"skin_type": {"2": 1200, "6": 30}}))
    assert "1 classes (multiclass)" in text
    assert "## Images in each class\n\n| class |" in text
    assert "- skin type: 2 1,200, 6 30" in text
    assert "positive" not in text.lower()
