"""Run as a program, without the lab: opens exports by their own `load.py` and writes the logits that they give.

Beside `jobs.json`, which names the folders, lies what they must be given: `images.safetensors` and `film.png`.
"""

import contextlib
import io
import json
import runpy
import sys
from pathlib import Path

import tiny_models  # noqa: F401  (timm learns their names; plain timm, as the rest)
import torch
from safetensors.torch import load_file, save_file

folder = Path(sys.argv[1])
jobs = json.loads((folder / "jobs.json").read_text())
images = load_file(folder / "images.safetensors")["images"]
logits, printed = {}, io.StringIO()
for name, export in jobs.items():
    program = runpy.run_path(f"{export}/load.py")
    with torch.inference_mode():
        logits[name] = program["build"]()(images).clone()
sys.argv = ["load.py", str(folder / "film.png")]
with contextlib.redirect_stdout(printed):
    runpy.run_path(f"{export}/load.py", run_name="__main__")  # the last one also as its users call it
(folder / "printed.txt").write_text(printed.getvalue())
save_file(logits, folder / "logits.safetensors")
lab = sorted(name for name in sys.modules if name.partition(".")[0] == "medpeft_core")
print(json.dumps(lab))
