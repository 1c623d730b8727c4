"""How fast a pixel cache of 2,000 films of 1024 px is built, beside plain Pillow, and what a kill in the middle costs.

    python -m benchmarks.cache_building [--images 2000] [--threads 2] [--rounds 5] [--dicom FILE ...]

First whole builds, each in a fresh process with its peak memory: plain Pillow decoding the same files in as many
threads and keeping nothing; the lab's cache without disturbance; the same killed in the middle, and the builder that
goes on from there. The bytes of both caches are compared. Then, interleaved, decoding in threads and in processes that
are warm already: ratio above 1 means that threads are faster. The films are made of 24 different smooth grey PNG files
with noise; `--dicom` adds files of your own to the second part.
"""

import argparse
import filecmp
import functools
import json
import multiprocessing
import os
import resource
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image

from medpeft_core.datasets.images import AS_STORED
from medpeft_core.datasets.pixel_decoding import load_image
from medpeft_core.datasets.pixel_journal import JOURNAL_FILE, unfinished_folder
from medpeft_core.datasets.pixels import build_pixel_cache

SIZE, NUM_DIFFERENT = 1024, 24
LOCK_IMAGES = 6
LATE_S = 0.008  # the interpreter hands its lock over after 5 ms, where a decoder lets it
ROW = "{:<34} {:>7} {:>8} {:>9} {:>9}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--dicom", nargs="*", type=Path, default=[])
    parser.add_argument("--child", nargs=2, metavar=("WORK", "FOLDER"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        print(json.dumps(work(options.child[0], Path(options.child[1]), options.threads)))
        return
    with tempfile.TemporaryDirectory() as temporary:
        home = Path(temporary)
        (home / "films").mkdir()
        make_films(home / "films", options.images)
        build_all(home, options.images, options.threads)
        compare_workers(sorted((home / "films").iterdir())[:100], "png, 1024 px", options)
        for path in options.dicom:
            compare_workers([path] * 20, path.name[-24:], options)


def make_films(folder: Path, count: int) -> None:
    """Grey films of about 0.7 MB; from the 25th on they are links to the first."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[0:SIZE, 0:SIZE]
    for number in range(count):
        path = folder / f"{number:05d}.png"
        if number >= NUM_DIFFERENT:
            os.link(folder / f"{number % NUM_DIFFERENT:05d}.png", path)
            continue
        smooth = 120 + 80 * np.sin(x / (90 + number)) * np.cos(y / 130)
        pixels = np.clip(smooth + rng.normal(0, 6, (SIZE, SIZE)), 0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(path)


def build_all(home: Path, num_images: int, num_threads: int) -> None:
    """The table of whole builds."""
    print(f"{num_images} films, {num_threads} threads, {os.cpu_count()} cores")
    print(ROW.format("", "decoded", "s", "images/s", "peak MB"))
    tell("plain Pillow, nothing written", run_child("plain", home, num_threads))
    tell("cache", run_child("whole", home, num_threads))
    killed = start_child("again", home, num_threads)
    journal = unfinished_folder(home / "pixels" / "again") / JOURNAL_FILE
    while not journal.exists() or journal.read_bytes().count(b"\n") < num_images // 2:
        assert killed.poll() is None, "the builder ended before it could be killed"
        time.sleep(0.05)
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    num_kept = journal.read_bytes().count(b"\n") - 1
    tell(f"cache, after a kill at {num_kept}", run_child("again", home, num_threads))
    names = ["pixels.u8", "images.parquet"]
    same, _, _ = filecmp.cmpfiles(home / "pixels" / "whole", home / "pixels" / "again", names, shallow=False)
    print("byte by byte the same:", same == names)


def tell(what: str, row: dict) -> None:
    speed = f"{row['decoded'] / row['seconds']:.1f}"
    print(ROW.format(what, row["decoded"], f"{row['seconds']:.1f}", speed, f"{row['peak_mb']:.0f}"), flush=True)


def start_child(name: str, home: Path, num_threads: int) -> subprocess.Popen:
    command = [sys.executable, "-m", "benchmarks.cache_building", "--threads", str(num_threads)]
    return subprocess.Popen([*command, "--child", name, str(home)], stdout=subprocess.PIPE, text=True)


def run_child(name: str, home: Path, num_threads: int) -> dict:
    """One measurement in a process of its own."""
    output, _ = start_child(name, home, num_threads).communicate()
    return json.loads(output)


def work(name: str, home: Path, num_threads: int) -> dict:
    """Decode or build, and tell how many images were decoded in how many seconds."""
    paths = sorted((home / "films").iterdir())
    first: list[int] = []

    def note(what: str, done: int, total: int) -> None:
        if what == "decoding images" and not first:
            first.append(done)

    began = time.perf_counter()
    if name == "plain":
        with ThreadPoolExecutor(num_threads) as pool:
            num_decoded = sum(pool.map(decode_plainly, paths))
    else:
        build_pixel_cache(paths, cache_size=SIZE, folder=home / "pixels" / name, progress=note, num_threads=num_threads)
        num_decoded = len(paths) - first[0]
    seconds = time.perf_counter() - began
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"decoded": num_decoded, "seconds": seconds, "peak_mb": peak_mb}


def decode_plainly(path: Path) -> int:
    with Image.open(path) as image:
        np.asarray(image)
    return 1


def compare_workers(paths: list[Path], what: str, options: argparse.Namespace) -> None:
    """Threads beside processes, in turns."""
    load = functools.partial(load_image, cache_size=SIZE, reading=AS_STORED)
    spawn = multiprocessing.get_context("spawn")  # as a worker that has loaded torch must start them
    times: dict[str, list[float]] = {"one thread": [], "threads": [], "processes": []}
    with (
        ThreadPoolExecutor(1) as one,
        ThreadPoolExecutor(options.threads) as threads,
        ProcessPoolExecutor(options.threads, mp_context=spawn) as processes,
    ):
        pools: dict[str, Executor] = {"one thread": one, "threads": threads, "processes": processes}
        for pool in pools.values():
            list(pool.map(load, paths[: 2 * options.threads]))
        for _ in range(options.rounds):
            for name, pool in pools.items():
                began = time.perf_counter()
                list(pool.map(load, paths))
                times[name].append(time.perf_counter() - began)
    ratios = [other / own for own, other in zip(times["threads"], times["processes"], strict=True)]
    speeds = ", ".join(f"{name} {len(paths) / statistics.median(values):.1f}" for name, values in times.items())
    held = measure_lock(paths[0])
    print(
        f"{what}: {speeds} images/s; ratio {statistics.median(ratios):.2f} ({min(ratios):.2f}..{max(ratios):.2f}); "
        f"others wait {held:.0%} of the time"
    )


def measure_lock(path: Path) -> float:
    """Share of the time that a thread which only wants to wake up every half millisecond cannot, while one decodes."""

    def decode() -> None:
        for _ in range(LOCK_IMAGES):
            load_image(path, SIZE, AS_STORED)

    worker = threading.Thread(target=decode)
    began = last = time.perf_counter()
    late = 0.0
    worker.start()
    while worker.is_alive():
        time.sleep(0.0005)
        now = time.perf_counter()
        late += now - last if now - last > LATE_S else 0.0
        last = now
    return late / (last - began)


if __name__ == "__main__":
    main()
