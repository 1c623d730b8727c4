"""The soft tissue of a synthetic chest in centimetres: trunk, lungs, diaphragm, heart and great vessels.

The frame is that of `phantom_projection.py`. Every function gives thickness along the beam in cm on a grid of pixels.
Bones are in `phantom_bones.py`, lung vessels in `phantom_vessels.py`, disease in `phantom_findings.py`.
"""

from dataclasses import dataclass

import numpy as np

from medpeft_core.datasets.phantom_patients import ANATOMY_STREAM, PICTURE_STREAM, PatientPlan, PicturePlan
from medpeft_core.datasets.phantom_projection import Projection, ellipsoid, ramp

SIDES = (-1, 1)  # the patient's right, which is left in the picture, and left
HEART_DEPTH = 4.0  # z of the heart, cm
STEP = 0.05  # cm between the entries of an outline


@dataclass(frozen=True, kw_only=True)
class Body:
    """Measures of one patient at one breath, in cm.

    Attributes:
        half_width: of the inside of the rib cage at its widest.
        half_depth: of the same, front to back.
        height: from the top of the lungs to the top of the right diaphragm.
        inspiration: 0 shallow to 1 deep.
        fat: thickness of soft tissue around the ribs.
        heart_width: across the normal heart.
        mediastinum: half width of the upper mediastinum.
        knob: radius of the aortic arch.
        dome_gap: how much lower the left dome is.
        angle_depth: how far the costophrenic angles lie below the domes.
        breast: radius of a breast shadow, 0 for none.
        arm: x of the upper arms' axis.
        scapula: x of the inner edges of the shoulder blades.
        crowding: how strong the lung vessels are drawn, about 1.
    """

    half_width: float
    half_depth: float
    height: float
    inspiration: float
    fat: float
    heart_width: float
    mediastinum: float
    knob: float
    dome_gap: float
    angle_depth: float
    breast: float
    arm: float
    scapula: float
    crowding: float

    @property
    def apex(self) -> float:
        """Distance of the top of each lung from the midline."""
        return 0.37 * self.half_width

    def dome(self, side: int) -> float:
        """y of the top of the diaphragm on one side."""
        return self.height + (self.dome_gap if side > 0 else 0.0)


def build_body(patient: PatientPlan, picture: PicturePlan) -> Body:
    """The measures of a patient on one picture: anatomy stays, breath and position change."""
    rng = patient.stream(ANATOMY_STREAM)
    now = patient.stream(PICTURE_STREAM, picture.number)
    is_ap, is_female = picture.view == "AP", patient.sex == "F"
    tall = rng.normal(0.93 if is_female else 1.0, 0.05)
    wide = tall * rng.normal(1.0, 0.05)
    fat = float(np.clip(rng.gamma(4.0, 0.45), 0.6, 5.0))
    ratio = np.clip(rng.normal(0.435 + 0.0006 * (patient.age - 54) + 0.008 * (fat - 1.8), 0.026), 0.36, 0.52)
    knob = 1.5 + 0.012 * (patient.age - 40) + rng.normal(0, 0.15)
    breath = float(np.clip(now.normal(0.5 if is_ap else 0.78, 0.2), 0, 1))
    half_width = 13.2 * wide
    return Body(
        half_width=half_width,
        half_depth=8.6 * tall * rng.normal(1.0, 0.06),
        height=23.5 * tall * rng.normal(1.0, 0.04) * (0.80 + 0.20 * breath),
        inspiration=breath,
        fat=fat,
        heart_width=2 * half_width * ratio * (1.09 - 0.09 * breath),
        mediastinum=2.35 * wide * rng.normal(1.0, 0.08) * (1.12 if is_ap else 1.0),
        knob=float(np.clip(knob, 1.1, 2.5)),
        dome_gap=rng.normal(1.3, 0.6),
        angle_depth=(2.6 + 2.0 * breath) * rng.normal(1.0, 0.12),
        breast=max(0.0, rng.normal(5.6, 1.0) + 0.25 * fat) if is_female else 0.0,
        arm=half_width + 6.0 + fat + now.normal(0, 1.0) - (1.5 if is_ap else 0.0),
        scapula=now.normal(9.8, 1.0) if is_ap else now.normal(12.8, 1.0) * wide,
        crowding=now.normal(1.0, 0.12) * (1.25 - 0.25 * breath) * rng.normal(1.0, 0.12),
    )


def trunk(body: Body, projection: Projection) -> np.ndarray:
    """Thickness of the whole body: neck, shoulders, chest, belly and upper arms."""
    x, y = projection.grid()
    chest = body.half_width + 1.5 + 1.1 * body.fat
    level = [-14, -8.5, -6.8, -5.0, -3.0, 0.0, 3.5, 8.0, 20.0, 40.0]
    half = [5.8, 6.2, 8.2, 14.0, 18.5, 20.5, 19.5, chest + 0.9, chest, chest + 0.3]
    depth = [6.2, 6.4, 6.6, 6.6, 7.4, 9.0, 10.0, 10.6, 11.0, 11.0]
    rows = np.arange(-14, 40, STEP)
    across = x * look_up(rows, 1 / np.interp(rows, level, half), y)
    deep = look_up(rows, np.interp(rows, level, depth) + 0.7 * body.fat, y)
    thick = 2 * deep * np.sqrt(np.maximum(1 - (across * across) ** 2, 0))
    for side in SIDES:
        lean = ellipsoid(x, y, centre=(side * body.arm, 9.0), axes=(4.2 + 0.4 * body.fat, 14.0), angle=-side * 0.18)
        thick = np.maximum(thick, (9.0 + body.fat) * lean)
    if body.breast:
        thick += breasts(body, projection)
    return thick


def breasts(body: Body, projection: Projection) -> np.ndarray:
    """Thickness of both breasts, densest at the lower rim."""
    x, y = projection.grid(10.0)
    total = np.zeros_like(x)
    low = 0.70 * body.height + 0.3 * body.breast
    for side in SIDES:
        round_part = ellipsoid(
            x, y, centre=(side * 0.60 * body.half_width, low), axes=(1.15 * body.breast, body.breast), angle=side * 0.25
        )
        weight = 0.25 + 0.75 * ramp(y - np.float32(low), 1.6 * body.breast)
        total += 0.62 * body.breast * round_part * weight
    return total


def lung_outline(body: Body, *, drop: float = 0.0, inset: float = 0.0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows (cm) and the outer and inner edge of a lung there, as distances from the midline.

    Args:
        body: the measures.
        drop: how far the top of the lung has sunk, as in a pneumothorax.
        inset: how far the outer edge stands off the chest wall.
    """
    rows = np.arange(-2, body.height + 12, STEP)
    full = np.clip((rows - drop) / (0.78 * body.height), 0, 1)
    apical = np.clip((rows - drop) / 5.0, 0, 1)
    outer = body.apex + (body.half_width - body.apex) * np.sqrt(1 - (1 - full) ** 2.3) - inset * np.sqrt(apical)
    waist = body.mediastinum * (
        1 - 0.62 * np.clip((rows / body.height - 0.35) / 0.3, 0, 1)
    )  # below it the heart is the border
    inner = body.apex - (body.apex - waist) * np.sqrt(1 - (1 - apical) ** 2)
    return rows, outer, inner


def diaphragm(body: Body, side: int) -> tuple[np.ndarray, np.ndarray]:
    """Distances from the midline (cm) and the y of the diaphragm there, on one side."""
    across = np.arange(-2, body.half_width + 4, STEP)
    top = 0.46 * body.half_width
    outside = np.clip((across - top) / (body.half_width - top), 0, 1.3)
    inside = np.clip((top - across) / top, 0, 1.3)
    return across, body.dome(side) + body.angle_depth * outside**2.3 + 0.2 * inside**2


def cage(body: Body, projection: Projection, side: int, **collapse: float) -> np.ndarray:
    """Thickness that one lung fills when nothing else does; `collapse` goes to `lung_outline`."""
    x, y = projection.grid()
    lateral = side * x
    rows, outer, inner = lung_outline(body, **collapse)
    _, wall, _ = lung_outline(body)
    depth = body.half_depth * np.sqrt(np.clip((rows + 0.2) / 12, 0, 1))
    across = lateral * look_up(rows, 1 / np.maximum(wall, 0.1), y)
    thick = 2 * look_up(rows, depth, y) * np.sqrt(np.maximum(1 - across * across, 0))
    thick *= ramp(look_up(rows, outer, y) - lateral, 0.25) * ramp(lateral - look_up(rows, inner, y) - 0.1, 2.0)
    distances, level = diaphragm(body, side)
    below = y - look_up(distances, level, lateral)
    recess = 0.20 * np.exp(-np.maximum(below, 0) * np.float32(1 / 1.6))  # lung behind the dome
    return thick * (ramp(-below, 0.3) * np.float32(0.8) + recess)


def heart(body: Body, projection: Projection, *, widening: float = 1.0) -> np.ndarray:
    """Thickness of the heart, `widening` times its normal width."""
    x, y = projection.grid(HEART_DEPTH)
    width = body.heart_width * widening
    tall = body.heart_width * (1 + 0.55 * (widening - 1))
    level = body.height + 0.4 * body.dome_gap - 0.27 * tall
    left, right = 0.67 * width, 0.33 * width
    ventricle = ellipsoid(x, y, centre=(left - 0.475 * width, level), axes=(0.53 * width, 0.36 * tall), angle=0.55)
    atrium = ellipsoid(
        x, y, centre=(0.26 * width - right, level - 0.04 * tall), axes=(0.26 * width, 0.40 * tall), angle=-0.1
    )
    base = ellipsoid(x, y, centre=(0.12 * width, level - 0.38 * tall), axes=(0.34 * width, 0.52 * tall), angle=-0.35)
    return np.maximum(np.maximum(12.5 * ventricle, 10.5 * atrium), 11.0 * base)


def great_vessels(body: Body, projection: Projection) -> np.ndarray:
    """Thickness of aorta, pulmonary trunk, caval veins and hilar vessels."""
    x, y = projection.grid()
    low, half = body.height, body.mediastinum
    arch = ellipsoid(
        x, y, centre=(half - 0.1 + 0.35 * (body.knob - 1.5), 0.21 * low), axes=(body.knob, body.knob * 1.1)
    )
    trunk_part = ellipsoid(x, y, centre=(half - 0.2, 0.345 * low), axes=(1.7, 2.3), angle=0.25)
    caval = ellipsoid(x, y, centre=(-half + 0.9, 0.24 * low), axes=(1.5, 5.5))
    ascending = ellipsoid(x, y, centre=(-half + 1.2, 0.36 * low), axes=(1.7 + 0.3 * body.knob, 4.2))
    descending = ellipsoid(x, y, centre=(half - 1.25 + 0.2 * body.knob, 0.62 * low), axes=(1.15, 0.42 * low))
    right_hilum = ellipsoid(x, y, centre=(-half - 1.1, 0.43 * low), axes=(1.0, 2.5), angle=0.35)
    left_hilum = ellipsoid(x, y, centre=(half + 1.2, 0.385 * low), axes=(1.1, 1.9), angle=-0.5)
    thick = np.maximum(np.maximum(6.0 * arch, 4.5 * trunk_part), np.maximum(4.0 * caval, 4.5 * ascending))
    return np.maximum(thick, 2.6 * descending) + 1.7 * body.crowding * np.maximum(right_hilum, left_hilum)


def stomach_gas(patient: PatientPlan, body: Body, projection: Projection) -> np.ndarray:
    """Thickness of the gas bubble under the left dome, which not everybody has."""
    rng = patient.stream(ANATOMY_STREAM, 4)
    wide, tall = rng.uniform(1.2, 3.2), rng.uniform(0.7, 1.7)
    if rng.random() < 0.35:
        return np.zeros((projection.size, projection.size), dtype=np.float32)
    x, y = projection.grid()
    top = body.dome(1) + 0.9
    bubble = ellipsoid(x, y, centre=(0.42 * body.half_width, top + tall), axes=(wide, tall), angle=rng.normal(0, 0.2))
    return 5.0 * bubble * ramp(np.float32(top + 1.4 * tall) - y, 0.4)


def look_up(places: np.ndarray, values: np.ndarray, where: np.ndarray) -> np.ndarray:
    """`values`, given at `places` STEP apart, at the nearest entry to each element of `where`; float32."""
    index = ((where - np.float32(places[0])) * np.float32(1 / STEP)).astype(np.int32)
    return values.astype(np.float32)[np.clip(index, 0, len(values) - 1)]
