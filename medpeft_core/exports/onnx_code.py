"""`predict.py` beside an ONNX model; it goes out as source and may need nothing of the lab."""

import json
import sys
from pathlib import Path

import onnxruntime

from medpeft_core.exports.preprocessing import compute_probs, prepare_image


def predict() -> None:
    """Print the probability of each label for the image files that the program was given."""
    folder = Path(__file__).resolve().parent
    about = json.loads((folder / "labels.json").read_text())
    session = onnxruntime.InferenceSession(folder / "model.onnx", providers=["CPUExecutionProvider"])
    print(about["notice"])
    for path in sys.argv[1:]:
        image = prepare_image(path, **about["image"])  # (C, S, S)
        (logits,) = session.run(["logits"], {"images": image[None]})  # (1, K)
        print(path)
        for label, prob in zip(about["labels"], compute_probs(logits[0].astype(float), about["task"]), strict=True):
            print(f"  {prob:.6f}  {label}")
