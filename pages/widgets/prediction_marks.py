"""When the test predictions of a run changed last, as a key for what is computed from them."""

from medpeft_core.runs.run import Run


def mark_predictions(run: Run) -> tuple[int, int]:
    """Changes with the test predictions of a run; zeros where there are none, and whoever reads them says so."""
    try:
        stat = (run.predictions_dir / "test.parquet").stat()
    except FileNotFoundError:
        return 0, 0
    return stat.st_mtime_ns, stat.st_size
