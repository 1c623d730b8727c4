"""How soon Explain shows an overlay, in a real browser, beside the plain grad-cam package on the same model and images.

python -m benchmarks.explain_latency [--home FOLDER] [--rounds 3] [--images 10]

Without --home two short runs (ResNet-18, ViT-Tiny with LoRA) are trained in a temporary folder. With it the finished
runs of that lab are used; its stored maps, which are a cache, are cleared. Needs Chromium.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
from playwright.sync_api import Browser, Page, sync_playwright

from benchmarks.app_latency import ROOT, run_command, serve, show

DATA = ["--dataset", "phantom", "--set", "data.num_patients=240"]
MODELS = (
    ["--backbone", "resnet18", "--method", "full", "--image-size", "224", "--epochs", "2"],
    ["--backbone", "vit_tiny_patch16_224", "--method", "lora", "--image-size", "224", "--epochs", "2"],
)
READING_MS = 1500  # how long somebody looks at a picture, at least
SEEN = """(number) => {
    const text = document.querySelector('[data-testid=stMain]')?.innerText ?? ''
    if (!text.includes(`Image ${number} of`)) return false
    const maps = [...document.querySelectorAll('[data-testid=stMain] img')].filter(i => i.alt.includes('heat map'))
    return text.includes('There is no map to show') || maps.some(i => i.complete && i.naturalWidth > 0)
}"""
PLAIN = """
import json, sys, time
began = time.perf_counter()
import torch, timm
from pytorch_grad_cam import GradCAM
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
from medpeft_core.runs.store import RunStore
from medpeft_core.reports.predictions import load_predictions
from medpeft_core.training.known_data import KnownData
from medpeft_core.explain.load import load_image, load_run
run = RunStore.open_default().load(sys.argv[1])
names = load_predictions(run).table["image"][: int(sys.argv[2])]
loaded, root = load_run(run), KnownData().get(run.config().data).manifest.image_root
images = [load_image(loaded, root / name) for name in names]
backbone, network = loaded.built.backbone, loaded.built.adapted.network
def reshape(tokens):
    patches = tokens[:, backbone.num_prefix_tokens:]
    side = round(patches.shape[1] ** 0.5)
    return patches.transpose(1, 2).reshape(len(tokens), -1, side, side)
plain, first = [], None
package = GradCAM(model=network, target_layers=[network.get_submodule(backbone.cam_layer)],
                  reshape_transform=reshape if backbone.kind == "vit" else None)
maps = []
for image in images:
    start = time.perf_counter()
    inputs = image.images.clone().requires_grad_(True)
    maps.append(package(input_tensor=inputs, targets=[ClassifierOutputTarget(0)])[0])
    plain.append(time.perf_counter() - start)
    first = first or time.perf_counter() - began
package.activations_and_grads.release()
from medpeft_core.explain.cam import build_reshape, explain_logit
own, worst = [], 0.0
for image, theirs in zip(images, maps):
    start = time.perf_counter()
    found = explain_logit(network, image.images, layer=backbone.cam_layer, index=0, reshape=build_reshape(loaded.built))
    cam = found.large
    own.append(time.perf_counter() - start)
    worst = max(worst, float(abs(cam - theirs).max()))
flat = sum(float(theirs.max()) == 0 for theirs in maps)
print(json.dumps({"first": first, "plain": plain, "own": own, "worst": worst, "flat": flat}))
"""


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--home", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--images", type=int, default=10)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        home = options.home or Path(folder) / "home"
        if options.home is None:
            for model in MODELS:
                run_command(home, "train", *DATA, *model)
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--headless", "--no-sandbox", "--disable-gpu"]
        )
        print(f"{psutil.cpu_count()} cores, {options.rounds} rounds, {options.images} images; seconds: median (max)")
        for run_id in list_finished(home):
            print(f"\n{run_id}")
            measure_run(home, run_id, browser, rounds=options.rounds, num_images=options.images)
        browser.close()


def measure_run(home: Path, run_id: str, browser: Browser, *, rounds: int, num_images: int) -> None:
    """First and next overlays of one run, and the package by itself."""
    first = []
    for _ in range(rounds):
        clear_maps(home)
        with open_explain(home, run_id, browser) as (_, seconds):
            first.append(seconds)
    show("fresh server, nothing stored", first)
    clear_maps(home)
    draw_first_maps(home, run_id)
    stored = []
    for _ in range(rounds):
        with open_explain(home, run_id, browser) as (_, seconds):
            stored.append(seconds)
    show("fresh server, as a run ends", stored)
    clear_maps(home)
    with open_explain(home, run_id, browser) as (page, _):
        show("next image, at once", turn_pages(page, range(2, num_images + 2), reading_ms=0))
        later = range(num_images + 2, 2 * num_images + 2)
        show("next image, after a look", turn_pages(page, later, reading_ms=READING_MS))
    found = run_plain(home, run_id, num_images)
    show("grad-cam alone: first map", [found["first"]])
    show("grad-cam alone: next maps", found["plain"][1:])
    show("the lab's map: next maps", found["own"][1:])
    print(f"{'':>28}largest difference {found['worst']:.1e}, {found['flat']} of {num_images} maps flat")


def turn_pages(page: Page, numbers: range, *, reading_ms: int) -> list[float]:
    """Seconds from the arrow key to the overlay of each next image."""
    taken = []
    for number in numbers:
        page.wait_for_timeout(reading_ms)
        began = time.perf_counter()
        page.keyboard.press("ArrowRight")
        page.wait_for_function(SEEN, arg=number, polling=20)
        taken.append(time.perf_counter() - began)
    return taken


@contextmanager
def open_explain(home: Path, run_id: str, browser: Browser) -> Iterator[tuple[Page, float]]:
    """A new server, a new visitor, and the seconds from opening the page to its overlay."""
    with serve(ROOT / "app.py", home) as url:
        page = browser.new_page()
        began = time.perf_counter()
        page.goto(f"{url}/explain?run={run_id}")
        page.wait_for_function(SEEN, arg=1, polling=20, timeout=120_000)
        yield page, time.perf_counter() - began
        page.close()


def list_finished(home: Path) -> list[str]:
    from medpeft_core.runs.store import RunStore

    return [run.run_id for run in RunStore(home).list_runs() if run.status == "finished"]


def clear_maps(home: Path) -> None:
    time.sleep(2)  # what the last server started may still be writing
    shutil.rmtree(home / "cache" / "explanations", ignore_errors=True)


def draw_first_maps(home: Path, run_id: str) -> None:
    """What the worker does at the end of a run."""
    code = (
        "import sys\nfrom medpeft_core.explain.first_maps import draw_first_maps\n"
        "from medpeft_core.runs.store import RunStore\n"
        "draw_first_maps(RunStore.open_default().load(sys.argv[1]), should_stop=lambda: False)\n"
    )
    run_python(home, code, run_id)


def run_plain(home: Path, run_id: str, num_images: int) -> dict:
    return json.loads(run_python(home, PLAIN, run_id, str(num_images)).splitlines()[-1])


def run_python(home: Path, code: str, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=ROOT,
        env={**os.environ, "MEDPEFT_HOME": str(home), "PYTHONPATH": str(ROOT)},
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    return done.stdout


if __name__ == "__main__":
    main()
