"""Run as a program: loads the adapters that `jobs.json` names and writes the logits that they give."""

import json
import sys
from pathlib import Path

import safetensors.torch
from contract import load_into_fresh

folder = Path(sys.argv[1])
jobs = json.loads((folder / "jobs.json").read_text())
logits = {f"{method} on {item}": load_into_fresh(method, item, Path(saved)) for method, item, saved in jobs}
safetensors.torch.save_file(logits, folder / "logits.safetensors")
