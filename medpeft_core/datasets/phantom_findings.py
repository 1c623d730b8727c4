"""Disease in a synthetic chest: where it lies, what it does to the picture, and which pixels it covers.

Each finding has a place of its own that stays the same over the pictures of a patient, and a severity that changes. On
the severity scale 0.1 is barely visible and 1 is hard to miss.
"""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from medpeft_core.datasets.phantom_anatomy import SIDES, Body, diaphragm, look_up, lung_outline
from medpeft_core.datasets.phantom_patients import SITE_STREAM, PatientPlan
from medpeft_core.datasets.phantom_projection import ramp
from medpeft_core.datasets.phantom_scene import Scene

PLEURA = 0.12  # attenuation of the lung's edge beside free air
WIDENING = 0.30  # of the heart at severity 1
NODULE_RADII = (0.75, 1.6)  # cm, at severity 0 and 1
NODULE_DENSITY = 1.8  # of water: they hold calcium


@dataclass(frozen=True)
class Sites:
    """Where a patient's findings lie; positions are shares of the lung's width and height.

    Attributes:
        effusion_sides: shares of the fluid on the right and on the left.
        consolidation: side, across and down of the middle of the patch, and its aspect.
        nodules: (N, 4) side, across, down and size of each nodule.
        pneumothorax_side: -1 right, 1 left.
        patch_seed: seed of the patch's texture.
    """

    effusion_sides: tuple[float, float]
    consolidation: tuple[int, float, float, float]
    nodules: np.ndarray
    pneumothorax_side: int
    patch_seed: int


@dataclass(frozen=True)
class Lesion:
    """What a finding that fills the lung does to it.

    Attributes:
        filled: (H, W) share of the lung's air that is replaced by water, 0 to 1.
        mask: (H, W) bool, the pixels it covers.
    """

    filled: np.ndarray
    mask: np.ndarray


def draw_sites(patient: PatientPlan) -> Sites:
    """The places of all findings that this patient has or may get."""
    rng = patient.stream(SITE_STREAM)
    both = rng.random() < 0.3
    main = rng.choice(SIDES)
    shares = tuple(1.0 if side == main else 0.7 * both for side in SIDES)
    count = 1 + rng.choice(3, p=(0.5, 0.3, 0.2))
    nodules = np.stack(
        [
            rng.choice(SIDES, count),
            rng.uniform(0.38, 0.85, count),
            rng.uniform(0.2, 0.85, count),
            rng.uniform(0.85, 1.1, count),
        ],
        axis=-1,
    )
    patch = (int(rng.choice(SIDES)), rng.uniform(0.35, 0.7), rng.uniform(0.25, 0.9), rng.uniform(0.7, 1.5))
    return Sites((shares[0], shares[1]), patch, nodules, int(rng.choice(SIDES)), int(rng.integers(2**31)))


def effusion(sites: Sites, severity: float, scene: Scene) -> Lesion:
    """Fluid between lung and chest wall: a blunt costophrenic angle first, then a level that climbs at the wall.

    On an AP picture the patient lies half back, so part of the fluid spreads behind the lung as a veil.
    """
    body, (x, y) = scene.body, scene.grid
    rows, wall, _ = lung_outline(body)
    filled = np.zeros_like(x)
    for side, share in zip(SIDES, sites.effusion_sides, strict=True):
        amount = severity**1.2 * share  # a litre is needed before an upright film shows much
        if not amount:
            continue
        lateral = side * x
        gap = np.maximum(look_up(rows, wall, y) - lateral, 0)
        level = body.dome(side) + body.angle_depth - (0.45 + amount * (body.angle_depth + 4.5))
        climb = (0.9 + 2.3 * amount) * np.exp(-gap * np.float32(1 / 2.2))
        depth = y - np.float32(level) + climb
        share_here = ramp(depth - 0.5, 2.0 if scene.projection.is_ap else 1.1) * np.float32(
            0.80 if scene.projection.is_ap else 0.93
        )
        if scene.projection.is_ap:
            share_here = np.maximum(share_here, 0.28 * amount * ramp(depth + 5.0, 10.0))
        filled = np.maximum(filled, share_here * ramp(lateral, 0.5))
    return Lesion(filled, at_least_one((filled > 0.4) & (scene.room > 0.8), filled * scene.room))


def consolidation(sites: Sites, severity: float, scene: Scene) -> Lesion:
    """A patch of lung filled with fluid: cloudy, soft-edged, with dark air ways in it when dense."""
    side, across, down, aspect = sites.consolidation
    body, (x, y) = scene.body, scene.grid
    centre = _place(body, side, across, down)
    reach = 1.5 + 2.6 * severity
    dx, dy = (
        (x - np.float32(centre[0])) / np.float32(reach * aspect),
        (y - np.float32(centre[1])) / np.float32(reach / aspect),
    )
    texture = _clouds(sites.patch_seed, dx, dy)
    field = np.exp(-0.5 * (dx * dx + dy * dy)) * (0.65 + 0.6 * texture)
    filled = ramp(field - 0.42, 0.75) * np.float32(0.08 + 0.52 * severity)
    hilum = np.array([side * body.mediastinum, 0.42 * body.height])
    toward = np.arctan2(centre[1] - hilum[1], centre[0] - hilum[0])
    bearing = np.arctan2(y - np.float32(hilum[1]), x - np.float32(hilum[0])) - np.float32(toward)
    tubes = np.exp(-((np.sin(bearing * 9) / 0.22) ** 2)) * np.float32(0.45 * severity)
    filled = filled * (1 - tubes)
    room = scene.rooms[side]
    filled = filled * ramp(room - 0.5, 1.0)
    return Lesion(filled, at_least_one((field > 0.42) & (room > 0.8), field * room))


def nodules(sites: Sites, severity: float, scene: Scene) -> tuple[np.ndarray, np.ndarray]:
    """One to three balls of soft tissue: their thickness in cm (H, W), and the pixels they cover."""
    thick = np.zeros((scene.projection.size, scene.projection.size), dtype=np.float32)
    body, (x, y) = scene.body, scene.grid
    for side, across, down, size in sites.nodules:
        radius = size * (NODULE_RADII[0] + (NODULE_RADII[1] - NODULE_RADII[0]) * severity)
        centre = _place(body, int(side), across, down)
        square = (x - np.float32(centre[0])) ** 2 + (y - np.float32(centre[1])) ** 2
        ball = 2 * np.sqrt(np.maximum(np.float32(radius**2) - square, 0))
        thick = np.maximum(thick, ball)
        if not ball.any():  # smaller than a pixel
            thick.flat[int(square.argmin())] = radius
    return thick, thick > 0


def pneumothorax(sites: Sites, severity: float, scene: Scene) -> tuple[np.ndarray, np.ndarray]:
    """Air between chest wall and lung, on top and at the side.

    Returns:
        Share of the lung's thickness that is free air (H, W), and the attenuation of the lung's edge (H, W).
    """
    side = sites.pneumothorax_side
    body, (x, y) = scene.body, scene.grid
    rows, outer, _ = lung_outline(body, drop=0.3 + 5.2 * severity, inset=0.1 + 2.7 * severity)
    edge = look_up(rows, outer, y) - side * x
    top = y - np.float32(0.3 + 5.2 * severity)
    inside = np.minimum(edge, top * 2)
    low = ramp(np.float32(body.height * (0.55 + 0.5 * severity)) - y, 6.0)
    is_side = ramp(side * x, 0.5)
    # free air lies in front and at the side: a beam crosses some of it and, behind it, lung
    free = ramp(-inside, 0.3) * low * is_side * np.float32(0.3 + 0.6 * severity)
    line = np.exp(-((inside / np.float32(0.09)) ** 2)) * low * is_side
    room = scene.rooms[side]
    return free * ramp(room, 0.6), line * ramp(room - 0.6, 0.8)


def _place(body: Body, side: int, across: float, down: float) -> tuple[float, float]:
    """x and y in cm of a point given as shares of the lung's width and height there."""
    distances, level = diaphragm(body, side)
    rows, outer, inner = lung_outline(body)
    y = down * body.height
    left, right = float(np.interp(y, rows, inner)), float(np.interp(y, rows, outer))
    lateral = left + across * (right - left)
    return side * lateral, min(y, float(np.interp(lateral, distances, level)) - 1.2)


def _clouds(seed: int, dx: np.ndarray, dy: np.ndarray) -> np.ndarray:
    """Smooth texture in about -1 to 1, fixed to the patch and not to the pixels."""
    rng = np.random.default_rng(seed)
    grid = ndimage.gaussian_filter(rng.standard_normal((64, 64)), 2.0, mode="wrap")
    grid = np.clip(grid / (2 * grid.std()), -1, 1).astype(np.float32)
    return ndimage.map_coordinates(grid, [(dy * 10 + 32), (dx * 10 + 32)], order=1, mode="grid-wrap")


def at_least_one(mask: np.ndarray, strength: np.ndarray) -> np.ndarray:
    """The mask, or its strongest pixel alone where the finding is smaller than a pixel."""
    if not mask.any():
        mask = mask.copy()
        mask.flat[int(strength.argmax())] = True
    return mask
