"""Air ways and lung vessels of a synthetic chest: a tree that branches from each hilum, the same for life."""

import numpy as np

from medpeft_core.datasets.phantom_anatomy import SIDES, Body
from medpeft_core.datasets.phantom_patients import TREE_STREAM, PatientPlan
from medpeft_core.datasets.phantom_projection import Projection, ramp

GENERATIONS = 6
STEPS = 14  # points along a branch of a 224-pixel picture
WATER = 0.16  # attenuation of soft tissue per cm
CALIBRES = ((0.17, 9.0, 0.22), (0.085, 0.17, 0.12), (0.0, 0.085, 0.07))  # radius from, to and blur, cm


def vessels(patient: PatientPlan, body: Body, projection: Projection) -> np.ndarray:
    """(H, W) attenuation of the lung vessels, also where a lung has no room for them."""
    total = np.zeros((projection.size, projection.size), dtype=np.float32)
    points, radius = _tree(patient, body, projection.size)
    for least, most, blur in CALIBRES:
        chosen = (radius >= least) & (radius < most)
        if not chosen.any():
            continue
        line = points[chosen]
        length = np.linalg.norm(line[:, -1] - line[:, 0], axis=1) / line.shape[1]
        area = np.pi * radius[chosen] ** 2 * length  # cm³ of blood at each point
        total += projection.splat(line, (1.8 * body.crowding * WATER * area)[:, None], blur_cm=blur)
    return total


def _tree(patient: PatientPlan, body: Body, size: int) -> tuple[np.ndarray, np.ndarray]:
    """(N, S, 3) points along all branches of both lungs, and (N,) radii in cm."""
    rng = patient.stream(TREE_STREAM)
    lines, radii = [], []
    steps = max(6, STEPS * size // 224)
    for side in SIDES:
        start, heading, radius = _roots(rng, body, side)
        reach = 0.24 * body.half_width
        for generation in range(GENERATIONS):
            length = reach * 0.80**generation * rng.uniform(0.7, 1.3, len(radius))
            line, end = _grow(start, heading, length, bend=rng.normal(0, 0.25, len(radius)), steps=steps)
            lines.append(line)
            radii.append(radius)
            start, heading, radius = _fork(end, heading, radius, rng)
    return np.concatenate(lines), np.concatenate(radii)


def _roots(rng: np.random.Generator, body: Body, side: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Start (N, 3), direction in the picture's plane (N,) and radius (N,) of the first branches of one lung."""
    count = 11
    heading = np.radians(np.linspace(-80, 88, count) + rng.normal(0, 6, count))  # 0 is lateral, 90 is down
    x = body.mediastinum + 0.6 + rng.normal(0, 0.25, count)
    y = body.height * (0.42 if side < 0 else 0.38) + 1.1 * np.sin(heading) + rng.normal(0, 0.3, count)
    start = np.stack([side * x, y, rng.normal(0, 1.5, count)], axis=-1)
    lower = 1 + 0.35 * np.sin(heading)  # blood pools in the lower lobes of a standing patient
    return start, np.where(side > 0, heading, np.pi - heading), 0.34 * lower * rng.uniform(0.75, 1.15, count)


def _grow(
    start: np.ndarray, heading: np.ndarray, length: np.ndarray, *, bend: np.ndarray, steps: int
) -> tuple[np.ndarray, np.ndarray]:
    """Slightly bent branches: (N, steps, 3) points and (N, 3) ends."""
    along = np.linspace(0, 1, steps)[None, :]
    forward, sideways = length[:, None] * along, (length * bend)[:, None] * along**2
    cos, sin = np.cos(heading)[:, None], np.sin(heading)[:, None]
    move = np.stack([forward * cos - sideways * sin, forward * sin + sideways * cos, np.zeros_like(forward)], axis=-1)
    line = start[:, None, :] + move
    return line, line[:, -1]


def _fork(
    end: np.ndarray, heading: np.ndarray, radius: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Two branches at each end; Murray's law shares the calibre: r³ = r1³ + r2³."""
    share = rng.uniform(0.25, 0.75, len(radius))
    turn = rng.uniform(0.18, 0.62, (2, len(radius)))
    headings = np.concatenate([heading + turn[0], heading - turn[1]])
    radii = np.concatenate([radius * np.cbrt(share), radius * np.cbrt(1 - share)])
    starts = np.concatenate([end, end])
    starts[:, 2] += rng.normal(0, 0.8, len(starts))
    return starts, headings, 0.94 * radii


def air_ways(body: Body, projection: Projection) -> np.ndarray:
    """Thickness in cm of the air in windpipe and main bronchi, inside the mediastinum."""
    x, y = projection.grid()
    carina = 0.33 * body.height
    bend = 0.25 * ramp(y - 0.1 * body.height, 6.0)  # the aortic arch pushes the windpipe to the right
    pipe = np.sqrt(np.maximum(0.85**2 - (x + bend) ** 2, 0)) * ramp(np.float32(carina + 0.4) - y, 1.0)
    total = 2 * pipe
    for side, slope, length in ((-1, 1.5, 2.6), (1, 0.95, 3.6)):
        lateral = side * x + (0.25 if side < 0 else -0.2)
        away = (y - np.float32(carina) - slope * lateral) / np.sqrt(1 + slope**2)
        tube = np.sqrt(np.maximum(0.55**2 - away**2, 0)) * ramp(lateral, 0.6) * ramp(length - lateral, 1.2)
        total = np.maximum(total, 1.6 * tube)
    return total
