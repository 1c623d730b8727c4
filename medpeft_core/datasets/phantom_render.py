"""From a plan to a picture: attenuation along every beam, then the detector and the processing that films get.

The transmitted share of a beam is exp(-attenuation); films show the logarithm of it reversed: dense is bright.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from medpeft_core.datasets import phantom_anatomy as anatomy
from medpeft_core.datasets import phantom_findings as findings
from medpeft_core.datasets.phantom_bones import build_bones
from medpeft_core.datasets.phantom_patients import (
    CARDIOMEGALY,
    CONSOLIDATION,
    EFFUSION,
    FINDINGS,
    NODULE,
    NOISE_STREAM,
    PICTURE_STREAM,
    PNEUMOTHORAX,
    PatientPlan,
)
from medpeft_core.datasets.phantom_scene import Scene, build_scene
from medpeft_core.datasets.phantom_vessels import WATER, air_ways, vessels

LUNG_DENSITY = 0.27  # of water


@dataclass(frozen=True)
class Rendered:
    """One picture.

    Attributes:
        pixels: (H, W) uint8, dense is bright.
        mask: (H, W) uint8, bit k set where finding k of FINDINGS lies.
    """

    pixels: np.ndarray
    mask: np.ndarray

    def boxes(self) -> list[dict[str, object]]:
        """The smallest boxes around each finding, in pixels, as the manifest stores them; far parts have their own."""
        found: list[dict[str, object]] = []
        for position, name in enumerate(FINDINGS):
            found += [{"label": name, **box} for box in enclosing_boxes((self.mask >> position) & 1)]
        return found


def render_picture(
    patient: PatientPlan, number: int, *, size: int, severities: Mapping[str, float] | None = None
) -> Rendered:
    """Draw one picture of a planned patient.

    Args:
        patient: from `plan_patient`.
        number: which of the patient's pictures, from 0.
        size: side in pixels, 32 or more.
        severities: finding to severity from 0 (absent) to 1, in place of what the plan says; others stay as planned.
    """
    scene = build_scene(patient, number, size=size)
    attenuation, masks = compute_attenuation(scene, _replaced(scene, severities or {}))
    film = _detect(attenuation, scene)
    return Rendered(_window(film, film, scene), _pack(masks, size))


def render_pair(
    patient: PatientPlan, number: int, finding: str, *, size: int, severity: float | None = None
) -> tuple[Rendered, Rendered]:
    """Draw the same picture with a finding and without it: same anatomy, position, exposure, noise and grey scale.

    The two differ by the finding alone; outside its mask there is only what scatter and local contrast carry.

    Args:
        patient: from `plan_patient`.
        number: which of the patient's pictures, from 0.
        finding: one of FINDINGS.
        size: side in pixels, 32 or more.
        severity: above 0 to 1; None takes the planned one, or 0.5 where the patient does not have the finding.
    """
    scene = build_scene(patient, number, size=size)
    shown = severity or scene.picture.severities[FINDINGS.index(finding)] or 0.5
    ill, masks = compute_attenuation(scene, _replaced(scene, {finding: shown}))
    well, other_masks = compute_attenuation(scene, _replaced(scene, {finding: 0.0}))
    film, other_film = _detect(ill, scene), _detect(well, scene)
    first = Rendered(_window(film, film, scene), _pack(masks, size))
    return first, Rendered(_window(other_film, film, scene), _pack(other_masks, size))


def compute_attenuation(scene: Scene, severities: tuple[float, ...]) -> tuple[np.ndarray, dict[int, np.ndarray]]:
    """Attenuation along each beam (H, W), and the pixels (H, W) bool of each finding that is present."""
    body, projection, sites = scene.body, scene.projection, findings.draw_sites(scene.patient)
    masks: dict[int, np.ndarray] = {}
    organ = anatomy.heart(body, projection, widening=1 + findings.WIDENING * severities[CARDIOMEGALY])
    if severities[CARDIOMEGALY]:
        masks[CARDIOMEGALY] = organ > 2.0
    air = np.maximum(scene.room - np.maximum(organ, anatomy.great_vessels(body, projection)), 0)
    density = np.full_like(air, LUNG_DENSITY)
    markings = vessels(scene.patient, body, projection) * np.minimum(air * np.float32(0.2), 1)
    markings += WATER * _texture(scene) * air
    if severities[PNEUMOTHORAX]:
        free, line = findings.pneumothorax(sites, severities[PNEUMOTHORAX], scene)
        masks[PNEUMOTHORAX] = findings.at_least_one((free > 0.5 * free.max()) & (scene.room > 0.8), free * scene.room)
        density *= 1 - free
        markings = markings * (1 - free) + findings.PLEURA * line
    for position, draw in ((EFFUSION, findings.effusion), (CONSOLIDATION, findings.consolidation)):
        if severities[position]:
            lesion = draw(sites, severities[position], scene)
            masks[position] = lesion.mask
            air = air * (1 - lesion.filled)
            markings *= 1 - lesion.filled
    if severities[NODULE]:
        thick, masks[NODULE] = findings.nodules(sites, severities[NODULE], scene)
        markings += WATER * (findings.NODULE_DENSITY - 1) * np.minimum(thick, air)
        air = np.maximum(air - thick, 0)
    water = (
        anatomy.trunk(body, projection)
        - air * (1 - density)
        - air_ways(body, projection)
        - anatomy.stomach_gas(scene.patient, body, projection)
    )
    return WATER * np.maximum(water, 0) + markings + build_bones(scene.patient, body, projection), masks


def enclosing_boxes(covered: np.ndarray) -> list[dict[str, int]]:
    """The smallest boxes, as x, y, width, height, that hold all pixels of a (H, W) mask that are not 0.

    Pixels belong together when they lie in the same or in neighbouring cells of a grid of 28 x 28.
    """
    rows, columns = np.nonzero(covered)
    cell = max(1, len(covered) // 28)
    coarse = np.zeros((len(covered) // cell + 1, covered.shape[1] // cell + 1), dtype=bool)
    coarse[rows // cell, columns // cell] = True
    groups, count = ndimage.label(coarse, structure=np.ones((3, 3)))
    group_of_pixel = groups[rows // cell, columns // cell]
    boxes = []
    for group in range(1, count + 1):
        down, across = rows[group_of_pixel == group], columns[group_of_pixel == group]
        left, top = int(across.min()), int(down.min())
        boxes.append({"x": left, "y": top, "width": int(across.max()) - left + 1, "height": int(down.max()) - top + 1})
    return boxes


def _texture(scene: Scene) -> np.ndarray:
    """Fine irregularity of the lung's density, about 0 on average."""
    rng = scene.patient.stream(PICTURE_STREAM, scene.picture.number, 2)
    size = scene.projection.size
    fine = ndimage.gaussian_filter(
        rng.standard_normal((size, size), dtype=np.float32), 0.20 / scene.projection.pixel, truncate=3
    )
    return fine * np.float32(0.012 / max(fine.std(), 1e-6))


def _replaced(scene: Scene, severities: Mapping[str, float]) -> tuple[float, ...]:
    return tuple(
        severities.get(name, planned) for name, planned in zip(FINDINGS, scene.picture.severities, strict=True)
    )


def _pack(masks: dict[int, np.ndarray], size: int) -> np.ndarray:
    packed = np.zeros((size, size), dtype=np.uint8)
    for position, covered in masks.items():
        packed |= covered.astype(np.uint8) << position
    return packed


def _detect(attenuation: np.ndarray, scene: Scene) -> np.ndarray:
    """The film of a digital system, dense is high: blur, scatter, noise, logarithm, local contrast."""
    rng = scene.patient.stream(PICTURE_STREAM, scene.picture.number, 3)
    scale = scene.projection.size / 224
    signal = np.exp(-ndimage.gaussian_filter(attenuation, scale * rng.uniform(0.35, 0.9), truncate=3))
    scatter = rng.uniform(0.15, 0.5) * (1.4 if scene.projection.is_ap else 1.0)
    signal = signal + np.float32(scatter) * _wide_blur(signal, 22 * scale)
    grain = scene.patient.stream(NOISE_STREAM, scene.picture.number).standard_normal(signal.shape, dtype=np.float32)
    signal = np.maximum(signal + grain * np.sqrt(signal / np.float32(10 ** rng.uniform(3.9, 4.9))), 1e-5)
    film = -np.log(signal)
    return film + np.float32(rng.uniform(0.1, 0.45)) * (film - _wide_blur(film, 12 * scale))


def _window(film: np.ndarray, reference: np.ndarray, scene: Scene) -> np.ndarray:
    """The film as 8-bit grey, on a scale that fits `reference`."""
    rng = scene.patient.stream(PICTURE_STREAM, scene.picture.number, 4)
    edge = len(film) // 6  # the scale fits the chest, not the air beside it
    low, high = np.percentile(reference[edge:-edge:3, edge:-edge:3], (rng.uniform(0.2, 2), rng.uniform(97.5, 99.7)))
    low -= rng.uniform(0.12, 0.3) * (high - low)
    shown = np.clip((film - np.float32(low)) / np.float32(high - low), 0, 1) ** np.float32(rng.uniform(0.9, 1.3))
    shown = np.clip(np.float32(rng.uniform(0.0, 0.05)) + np.float32(rng.uniform(0.86, 1.0)) * shown, 0, 1)
    return np.round(shown * 255).astype(np.uint8)


def _wide_blur(values: np.ndarray, sigma: float) -> np.ndarray:
    """A Gaussian blur of many pixels, computed on a coarse grid."""
    step = max(1, int(sigma // 3))
    coarse = ndimage.gaussian_filter(values[step // 2 :: step, step // 2 :: step], sigma / step, truncate=3)
    place = (np.arange(len(values), dtype=np.float32) - step // 2) / step
    index = np.clip(place, 0, len(coarse) - 1.001)
    low = index.astype(np.int64)
    share = (index - low).astype(np.float32)
    rows = coarse[low] * (1 - share)[:, None] + coarse[low + 1] * share[:, None]
    return rows[:, low] * (1 - share) + rows[:, low + 1] * share
