"""Who the synthetic patients are: age, sex, pictures and findings, planned from a seed without a single pixel.

The anatomy belongs to `phantom_anatomy.py`, the pixels to `phantom_render.py`.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

FINDINGS = ("Cardiomegaly", "Effusion", "Consolidation", "Nodule", "Pneumothorax")
CARDIOMEGALY, EFFUSION, CONSOLIDATION, NODULE, PNEUMOTHORAX = range(5)

PLAN_STREAM, ANATOMY_STREAM, SITE_STREAM, TREE_STREAM, PICTURE_STREAM, NOISE_STREAM, SHORTCUT_STREAM = range(7)

PICTURES_PROBS = (0.4, 0.35, 0.25)  # of one, two or three pictures of a patient
SEVERITY_SHAPES = ((1.3, 1.1, 1.3, 1.3, 1.1), (1.5, 2.3, 1.8, 1.5, 2.3))  # of beta distributions: many are subtle
LEAST_SEVERITY = 0.08  # below this a finding counts as healed
CHANGE_STD = (0.05, 0.16, 0.20, 0.08, 0.16)  # how much each finding changes from one picture to the next
NEW_PROBS = (0.0, 0.06, 0.06, 0.02, 0.04)  # of a finding that appears on a follow-up


@dataclass(frozen=True, kw_only=True)
class PicturePlan:
    """One radiograph of a patient.

    Attributes:
        number: 0, 1, 2 in the order of time.
        view: "PA" or "AP".
        severities: of each of FINDINGS, 0 where it is absent, else above 0 up to 1.
    """

    number: int
    view: str
    severities: tuple[float, ...]

    def has(self, finding: int) -> bool:
        """Whether the finding at this position of FINDINGS is there."""
        return self.severities[finding] > 0


@dataclass(frozen=True, kw_only=True)
class PatientPlan:
    """One synthetic patient; everything else about them follows from `seed` and `index`.

    Attributes:
        age: years.
        sex: "F" or "M".
    """

    seed: int
    index: int
    age: int
    sex: str
    pictures: tuple[PicturePlan, ...]

    @property
    def patient_id(self) -> str:
        """The patient as text, six digits."""
        return f"{self.index:06d}"

    def image_name(self, number: int) -> str:
        """Path of a picture inside the folder of the set; the mask has the same name in `masks`."""
        return f"images/{self.patient_id}_{number:03d}.png"

    def mark_stream(self, number: int) -> np.random.Generator:
        """Random numbers for the shortcut on a picture."""
        return self.stream(SHORTCUT_STREAM, number)

    def stream(self, *purpose: int) -> np.random.Generator:
        """Random numbers for one purpose, the same however many others were drawn and in whatever process."""
        return np.random.default_rng([self.seed, self.index, *purpose])


def plan_patient(seed: int, index: int) -> PatientPlan:
    """The plan of patient number `index` of the set made from `seed`."""
    rng = np.random.default_rng([seed, index, PLAN_STREAM])
    age = int(np.clip(rng.normal(54, 18), 18, 92))
    sex = "F" if rng.random() < 0.48 else "M"
    severities = _first_severities(rng, age)
    pictures = []
    for number in range(1 + rng.choice(len(PICTURES_PROBS), p=PICTURES_PROBS)):
        if number:
            severities = _changed(severities, rng)
        is_ill = np.any(severities[[EFFUSION, CONSOLIDATION, PNEUMOTHORAX]] > 0)
        view = "AP" if rng.random() < (0.42 if is_ill else 0.22) else "PA"
        pictures.append(PicturePlan(number=number, view=view, severities=tuple(float(value) for value in severities)))
    return PatientPlan(seed=seed, index=index, age=age, sex=sex, pictures=tuple(pictures))


def plan_table(seed: int, num_patients: int) -> pd.DataFrame:
    """One row per picture with what the manifest says of it, but split, boxes and mask; nothing is rendered.

    Returns:
        A table with the columns image, patient_id, age, sex, view, one 0/1 column per finding and `severity_<finding>`.
    """
    return pd.DataFrame([row for index in range(num_patients) for row in plan_rows(plan_patient(seed, index))])


def plan_rows(patient: PatientPlan) -> list[dict[str, object]]:
    """The rows of `plan_table` for one patient, in the order of the pictures."""
    rows = []
    for picture in patient.pictures:
        row: dict[str, object] = {"image": patient.image_name(picture.number), "patient_id": patient.patient_id}
        row |= {"age": patient.age, "sex": patient.sex, "view": picture.view}
        row |= {name: float(picture.has(position)) for position, name in enumerate(FINDINGS)}
        row |= {f"severity_{name}": picture.severities[position] for position, name in enumerate(FINDINGS)}
        rows.append(row)
    return rows


def _first_severities(rng: np.random.Generator, age: int) -> np.ndarray:
    """(5,) severities on the first picture; findings go together mildly, as heart failure and effusion do."""
    older = (age - 54) / 18
    present = np.zeros(len(FINDINGS), dtype=bool)
    draws = rng.random(len(FINDINGS))
    present[CARDIOMEGALY] = draws[CARDIOMEGALY] < np.clip(0.22 + 0.07 * older, 0.05, 0.5)
    present[EFFUSION] = draws[EFFUSION] < 0.18 + 0.22 * present[CARDIOMEGALY]
    present[CONSOLIDATION] = draws[CONSOLIDATION] < 0.19 + 0.10 * present[EFFUSION]
    present[NODULE] = draws[NODULE] < np.clip(0.20 + 0.05 * older, 0.08, 0.4)
    present[PNEUMOTHORAX] = draws[PNEUMOTHORAX] < np.clip(0.17 - 0.02 * older, 0.08, 0.25)
    return np.where(present, _draw_severities(rng), 0.0)


def _changed(severities: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The severities some time later: findings grow, shrink, heal and appear."""
    later = np.clip(severities + rng.normal(0, CHANGE_STD), 0, 1)
    later = np.where((severities > 0) & (later >= LEAST_SEVERITY), later, 0.0)
    is_new = (severities == 0) & (rng.random(len(FINDINGS)) < NEW_PROBS)
    return np.where(is_new, _draw_severities(rng), later)


def _draw_severities(rng: np.random.Generator) -> np.ndarray:
    return LEAST_SEVERITY + (1 - LEAST_SEVERITY) * rng.beta(*SEVERITY_SHAPES)
