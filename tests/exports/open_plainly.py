"""Run as a program, without the lab: opens exports with timm and peft alone and writes the logits that they give.

Adapters go over a plain model by peft's own call where they need no other, merged models come by timm's own; the rest
by the `build` of their `load.py`. `jobs.json` names the folders.
"""

import json
import runpy
import sys
import warnings
from pathlib import Path

import timm
import tiny_models  # noqa: F401  (timm learns their names; plain timm, as the rest)
import torch
from peft import PeftModel
from safetensors.torch import load_file, save_file
from torch import nn


def open_adapter(export: Path) -> nn.Module:
    """What the documentation of peft says, line by line."""
    about = json.loads((export / "method.json").read_text())
    model = timm.create_model(about["architecture"], num_classes=len(about["labels"]), **about["arguments"])
    model.load_state_dict(load_file(export / "base.safetensors"), strict=False)
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*missing adapter keys.*")
        return PeftModel.from_pretrained(model, str(export))


def open_export(export: Path) -> nn.Module:
    if (export / "config.json").is_file():
        return timm.create_model(f"local-dir:{export}", pretrained=True)
    if "SplitQKV" in (export / "load.py").read_text():
        return runpy.run_path(str(export / "load.py"))["build"]()
    return open_adapter(export)


folder = Path(sys.argv[1])
images = load_file(folder / "images.safetensors")["images"]
logits = {}
for name, path in json.loads((folder / "jobs.json").read_text()).items():
    model = open_export(Path(path)).eval()
    with torch.inference_mode():
        logits[name] = model(images).clone()
save_file(logits, folder / "logits.safetensors")
print(json.dumps(sorted(name for name in sys.modules if name.partition(".")[0] == "medpeft_core")))
