"""The bones of a synthetic chest: ribs as ribbons around the cage in space, collar bones, shoulder blades, spine.

Every function gives attenuation (no unit) on the pixels of a projection.
"""

import numpy as np
from PIL import Image, ImageDraw
from scipy import ndimage

from medpeft_core.datasets.phantom_anatomy import SIDES, STEP, Body, look_up, lung_outline
from medpeft_core.datasets.phantom_patients import ANATOMY_STREAM, PatientPlan
from medpeft_core.datasets.phantom_projection import Projection, ellipsoid, ramp

NUM_RIBS = 11
RIB_ATTENUATION = 0.25
ACROSS = 8  # samples over the width of a bone


def build_bones(patient: PatientPlan, body: Body, projection: Projection) -> np.ndarray:
    """Attenuation of all bones."""
    total = ribs(patient, body, projection) + collar_bones(patient, body, projection)
    return total + shoulder_blades(body, projection) + spine(patient, body, projection)


def ribs(patient: PatientPlan, body: Body, projection: Projection) -> np.ndarray:
    """Eleven pairs of ribs, from the spine around the side to their front ends."""
    rng = patient.stream(ANATOMY_STREAM, 1)
    spacing = 0.094 * body.height * rng.normal(1.0, 0.03) / (0.84 + 0.16 * body.inspiration)
    slope = rng.normal(1.0, 0.08) * (1.12 - 0.12 * body.inspiration)
    width = 1.25 * rng.normal(1.0, 0.08) * body.half_width / 13
    strength = RIB_ATTENUATION * rng.normal(1.0, 0.12) * (1.1 - 0.002 * patient.age)
    number = np.repeat(np.arange(NUM_RIBS), 2)
    side = np.tile(SIDES, NUM_RIBS)
    level = -0.9 + spacing * number + rng.normal(0, 0.1, len(number))
    centre = _rib_paths(body, number, level, slope=slope * rng.normal(1.0, 0.03, len(number)), steps=projection.size)
    points, mass = _ribbons(centre, width * np.where(number == 0, 0.85, 1.0))
    points[..., 0] *= side[:, None, None]
    return projection.splat(points, strength * mass, blur_cm=0.10)


def _rib_paths(body: Body, number: np.ndarray, level: np.ndarray, *, slope: np.ndarray, steps: int) -> np.ndarray:
    """(R, steps, 3) middle lines of ribs on the half where x is positive; `level` is the y at the spine."""
    rows, wall, _ = lung_outline(body)
    fall = slope * np.interp(number, [0, 1, 3, 6, 10], [3.4, 5.6, 8.2, 9.6, 9.0])
    end = np.radians(np.interp(number, [0, 1, 6, 8, 10], [150, 148, 138, 112, 84]))
    radius = 0.45 + np.interp(level + 0.5 * fall, rows, wall)
    deep = body.half_depth * np.interp(level + 0.5 * fall, [0, 12], [0.62, 1.0])
    angle = 0.12 + (end[:, None] - 0.12) * np.linspace(0, 1, steps)
    x = 1.4 + (radius[:, None] - 1.4) * np.sin(angle) ** 0.9
    y = level[:, None] + 0.5 * fall[:, None] * (1 - np.cos(angle)) - 0.5 * np.sin(2 * np.minimum(angle, np.pi / 2))
    return np.stack([x, y, -deep[:, None] * np.cos(angle)], axis=-1).astype(np.float32)


def _ribbons(centre: np.ndarray, width: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Points over the surface of flat bones and the area (cm²) times thickness share that each stands for.

    Args:
        centre: (R, S, 3) middle lines.
        width: (R,) cm.

    Returns:
        (R, S, ACROSS, 3) points and (R, S, ACROSS) mass for an attenuation of 1; the edges are denser.
    """
    tangent = np.gradient(centre, axis=1)
    length = np.sqrt((tangent**2).sum(axis=-1, keepdims=True))
    outward = centre * np.array([1, 0, 1], dtype=np.float32)
    outward /= np.sqrt((outward**2).sum(axis=-1, keepdims=True))
    across = np.cross(outward, tangent)
    across /= np.sqrt((across**2).sum(axis=-1, keepdims=True))
    place = np.linspace(-1, 1, ACROSS, dtype=np.float32)
    bulge = (
        0.28 * np.sqrt(1 - 0.9 * place**2) * np.where(np.arange(ACROSS) % 2, np.float32(1), np.float32(-1))
    )  # front and back of the bone
    offset = 0.5 * width.astype(np.float32)[:, None, None] * across
    points = centre[:, :, None] + place[:, None] * offset[:, :, None] + bulge[:, None] * outward[:, :, None]
    ends = np.clip(np.arange(centre.shape[1])[::-1] / (0.06 * centre.shape[1]), 0, 1)  # cartilage is not seen
    thick = (0.62 + 0.75 * place**4) / ACROSS
    return points, (length[..., 0] * width[:, None] * ends)[..., None] * thick


def collar_bones(patient: PatientPlan, body: Body, projection: Projection) -> np.ndarray:
    """Both clavicles, S-shaped from the breastbone to the shoulder."""
    rng = patient.stream(ANATOMY_STREAM, 2)
    along = np.linspace(0, 1, projection.size)
    rise, low = rng.normal(3.4, 0.6), 4.0 + rng.normal(0, 0.4)
    points = []
    for side in SIDES:
        x = 1.5 + along * (0.95 * body.half_width + 2.0)
        y = low - rise * along**0.7 - 0.55 * np.sin(2 * np.pi * along) + rng.normal(0, 0.15)
        z = 7.0 - 7.0 * along - 1.5 * np.sin(np.pi * along)
        middle = np.stack([x, y, z], axis=-1)
        width = 1.15 + 0.75 * np.exp(-along / 0.09) + 0.5 * ramp(along - 0.85, 0.3)
        place = np.linspace(-1, 1, ACROSS)
        bone = np.repeat(middle[:, None, :], ACROSS, axis=1)
        bone[..., 1] += 0.5 * width[:, None] * place[None, :]
        bone[..., 0] *= side
        points.append(bone)
    step = (0.95 * body.half_width + 2.0) / projection.size
    mass = 0.36 * step * (width[:, None] / ACROSS) * (0.75 + 0.6 * np.linspace(-1, 1, ACROSS)[None, :] ** 4)
    return projection.splat(np.stack(points), mass, blur_cm=0.10)


def shoulder_blades(body: Body, projection: Projection) -> np.ndarray:
    """Scapulae as plates with a dense rim, heads of the upper arms, and shafts."""
    size = projection.size
    plates = Image.new("L", (size, size))
    rims = Image.new("L", (size, size))
    inner, joint = body.scapula, body.half_width + 3.6
    outline = np.array(
        [
            [inner + 1.0, 0.8],
            [inner, 3.5],
            [inner + 0.4, 9.0],
            [inner + 1.2, 12.5],
            [inner + 2.6, 11.8],
            [joint - 1.0, 4.5],
            [joint, 1.6],
            [joint - 2.5, 0.2],
        ]
    )
    crest = np.array([[inner + 0.2, 3.4], [joint - 2.5, 0.6], [joint + 1.2, -1.6]])
    for side in SIDES:
        corners = _on_picture(outline * [side, 1], projection)
        ImageDraw.Draw(plates).polygon(corners, fill=255)
        ImageDraw.Draw(rims).line([*corners, corners[0]], fill=255, width=max(1, size // 110))
        ImageDraw.Draw(rims).line(_on_picture(crest * [side, 1], projection), fill=200, width=max(1, size // 80))
    blur = 0.22 / projection.pixel
    flat = ndimage.gaussian_filter(np.asarray(plates, dtype=np.float32) / 255, 1.6 * blur, truncate=3)
    edge = ndimage.gaussian_filter(np.asarray(rims, dtype=np.float32) / 255, blur, truncate=3)
    total = 0.12 * flat + 0.16 * edge
    x, y = projection.grid(-2.0)
    for side in SIDES:
        total += 0.42 * ellipsoid(x, y, centre=(side * (body.half_width + 5.4), 1.0), axes=(2.5, 2.6))
        shaft = body.half_width + 6.0 + np.float32(0.12) * (y - 1)
        total += 0.30 * ramp(1.35 - np.abs(side * x - shaft), 0.5) * ramp(y - 1.5, 2.0)
    return total


def _on_picture(corners: np.ndarray, projection: Projection) -> list[tuple[float, float]]:
    points = np.concatenate([corners, np.full((len(corners), 1), -7.0)], axis=1)
    column, row = projection.to_pixels(points)
    return [(float(c), float(r)) for c, r in zip(column, row, strict=True)]


def spine(patient: PatientPlan, body: Body, projection: Projection) -> np.ndarray:
    """Vertebral bodies with their discs, pedicles and spinous processes."""
    rng = patient.stream(ANATOMY_STREAM, 3)
    x, y = projection.grid(-6.0)
    bend = rng.normal(0, 0.45)
    rows = np.arange(-16, 44, STEP)
    x = x - look_up(rows, bend * np.sin((rows - 4) / 9.0), y)
    spacing = 0.094 * body.height / (0.84 + 0.16 * body.inspiration)
    phase = (rows + 0.4) / spacing
    half = np.interp(rows, [-10, 0, 20, 36], [1.25, 1.5, 1.9, 2.3])
    place = (phase % 1) - 0.5  # 0 in the middle of a vertebra
    body_part = 1 - 0.35 * np.exp(-((np.abs(place) - 0.5) ** 2) / 0.006)
    waist = half * (1 - 0.10 * np.cos(np.pi * place) ** 2)
    column = ramp(look_up(rows, waist, y) - np.abs(x), 0.8) * look_up(rows, 0.13 * body_part, y)
    near = look_up(rows, ((place + 0.12) * spacing) ** 2, y)
    pedicle = np.exp(-(((np.abs(x) - look_up(rows, 0.72 * half, y)) * np.float32(2.6)) ** 2) - near * np.float32(2.2))
    tip = look_up(rows, ((place - 0.22) * spacing) ** 2, y)
    process = np.exp(-((x * np.float32(3.0)) ** 2) - tip * np.float32(1.6))
    return column + np.float32(0.16) * pedicle + np.float32(0.14) * process
