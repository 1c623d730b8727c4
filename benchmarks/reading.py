"""How long the tables of the two largest sets take: reading, checking and splitting, each in a fresh process.

    python -m benchmarks.reading [--sets nih,chexpert] [--splits given,patient,stratified,folds] [--scikit]

Look-alikes in full size are made in a temporary folder (112,120 and 223,648 empty files as distributed; a minute or
two, and a GB of folders on most disks). "read" is the reader from the folder to the manifest, "check" the rules of a
manifest, patients in two splits and the fingerprint, "split" what `data.split` asks for. Peak memory is that of the
whole process, with its imports. `--scikit` splits the same images with scikit-learn's StratifiedGroupKFold into ten
folds, by the rarest label that an image has, and says how far labels are from 70/10/20 in both.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.large_tables import make_chexpert, make_nih
from medpeft_core.config import DataConfig
from medpeft_core.datasets import DATASETS
from medpeft_core.datasets.manifest import SPLITS, Manifest
from medpeft_core.datasets.progress import ignore_progress
from medpeft_core.datasets.split_policy import SHARES, apply_split
from medpeft_core.datasets.splits import apply_overlap_policy

MAKERS = {"nih": make_nih, "chexpert": make_chexpert}
ROW = "{:<10} {:<12} {:>9} {:>8} {:>8} {:>8} {:>9}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sets", default="nih,chexpert")
    parser.add_argument("--splits", default="given,patient,stratified,folds")
    parser.add_argument("--scikit", action="store_true")
    parser.add_argument("--child", nargs=3, metavar=("SET", "ROOT", "SPLIT"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        print(json.dumps(measure(*options.child)))
        return
    print(ROW.format("set", "split", "images", "read s", "check s", "split s", "peak MB"))
    with tempfile.TemporaryDirectory() as temporary:
        for name in options.sets.split(","):
            root = Path(temporary) / name
            MAKERS[name](root)
            for split in [*options.splits.split(","), *(["scikit"] if options.scikit else [])]:
                row = run_child(name, root, split)
                numbers = (f"{row['images']:,}", *(f"{row[key]:.1f}" for key in ("read_s", "check_s", "split_s")))
                print(ROW.format(name, split, *numbers, f"{row['peak_mb']:.0f}"), row.get("note", ""), flush=True)


def run_child(name: str, root: Path, split: str) -> dict:
    """One measurement in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.reading", "--child", name, str(root), split]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def measure(name: str, root: str, split: str) -> dict:
    """Seconds of each step, and the peak memory in MB."""
    spec, data = DATASETS[name], DataConfig(dataset=name, root=root, split=split if split != "scikit" else "stratified")
    began = time.perf_counter()
    manifest = spec.read(Path(root), spec.options(), split_seed=0, progress=ignore_progress)
    read_s, began = time.perf_counter() - began, time.perf_counter()
    manifest.check()
    apply_overlap_policy(manifest, "keep", seed=0)
    manifest.fingerprint()
    check_s, began = time.perf_counter() - began, time.perf_counter()
    if split == "scikit":
        parts = split_by_scikit(manifest)
    else:
        done = apply_split(manifest, data)
        parts = np.array([SPLITS.index(part) for part in done.table["split"]])
    split_s = time.perf_counter() - began
    result = {"images": len(manifest), "read_s": read_s, "check_s": check_s, "split_s": split_s}
    if split in ("patient", "stratified", "scikit"):
        result["note"] = f"labels off by {100 * find_worst(manifest, parts):.2f} % of their positives at most"
    return {**result, "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}


def find_worst(manifest: Manifest, parts: np.ndarray) -> float:
    """How far a split is from its share of a label's positives at most."""
    positive = manifest.targets() == 1
    counts = np.array([positive[parts == part].sum(axis=0) for part in range(3)]) / positive.sum(axis=0)
    return float(np.abs(counts - np.array(SHARES)[:, None]).max())


def split_by_scikit(manifest: Manifest) -> np.ndarray:
    """(N,) 0, 1 or 2: seven of ten folds are train, one is val and two are test."""
    from sklearn.model_selection import StratifiedGroupKFold

    positive = manifest.targets() == 1
    classes = np.full(len(manifest), positive.shape[1])
    for label in np.argsort(-positive.sum(axis=0)):  # the rarest last, so that it wins
        classes[positive[:, label]] = label
    parts = np.zeros(len(manifest), dtype=int)
    folds = StratifiedGroupKFold(10, shuffle=True, random_state=0)
    for number, (_, rows) in enumerate(folds.split(classes, classes, manifest.patient_ids)):
        parts[rows] = 0 if number > 2 else 1 if number == 0 else 2
    return parts


if __name__ == "__main__":
    main()
