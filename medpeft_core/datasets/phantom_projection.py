"""How a synthetic patient falls onto the detector: positions in centimetres to pixels and back.

The patient's frame, in centimetres: x to the patient's left (right in the picture), y down from the top of the lungs,
z forward from the middle of the chest. What is nearer to the tube is enlarged more, so AP pictures have larger hearts.
"""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

DETECTOR_DISTANCE = 12.0  # cm from the middle of the chest


@dataclass(frozen=True, kw_only=True)
class Projection:
    """Where the tube and the detector stand, and how the patient is turned.

    Attributes:
        size: side of the square picture in pixels.
        field: side of the detector in cm.
        centre: x and y in cm of the point in the middle of the picture.
        roll: rotation in the picture's plane, radians.
        yaw: turn around the long axis, as a shift in x per cm of z.
        tilt: inclination of the tube, as a shift in y per cm of z.
        is_ap: the tube stands in front of the patient, near, the detector behind.
    """

    size: int
    field: float
    centre: tuple[float, float]
    roll: float
    yaw: float
    tilt: float
    is_ap: bool

    @property
    def pixel(self) -> float:
        """Side of a pixel on the detector, cm."""
        return self.field / self.size

    def magnification(self, z: np.ndarray | float) -> np.ndarray | float:
        """How much larger than life something at depth `z` is shown."""
        distance, detector = (115.0, -DETECTOR_DISTANCE) if self.is_ap else (180.0, DETECTOR_DISTANCE)
        return distance / (distance - np.abs(detector - z))

    def grid(self, z: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
        """x and y in cm of every pixel in the plane at depth `z`: two (H, W) float32 arrays."""
        steps = ((np.arange(self.size) + 0.5) * self.pixel - self.field / 2).astype(np.float32)
        across, down = steps[None, :], steps[:, None]
        scale = 1 / self.magnification(z)
        cos, sin = np.cos(self.roll) * scale, np.sin(self.roll) * scale
        x = np.float32(cos) * across + np.float32(sin) * down + np.float32(self.centre[0] - self.yaw * z)
        y = np.float32(cos) * down - np.float32(sin) * across + np.float32(self.centre[1] - self.tilt * z)
        return x, y

    def to_pixels(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Column and row, as floats with pixel centres at whole numbers, of (..., 3) points in cm."""
        x, y, z = points[..., 0], points[..., 1], points[..., 2]
        scale = self.magnification(z)
        across = scale * (x + self.yaw * z - self.centre[0])
        down = scale * (y + self.tilt * z - self.centre[1])
        cos, sin = np.cos(self.roll), np.sin(self.roll)
        column = (cos * across - sin * down) / self.pixel + self.size / 2 - 0.5
        row = (sin * across + cos * down) / self.pixel + self.size / 2 - 0.5
        return column, row

    def splat(self, points: np.ndarray, mass: np.ndarray, *, blur_cm: float) -> np.ndarray:
        """Attenuation of a cloud of points, as after a blur of `blur_cm`.

        Args:
            points: (..., 3) positions in cm, close enough to each other that the blur closes the gaps.
            mass: attenuation times area (cm²) that each point stands for; broadcast to the points.
            blur_cm: standard deviation of the blur on the detector.

        Returns:
            (H, W) float32 attenuation.
        """
        column, row = self.to_pixels(points)
        weight = np.broadcast_to(mass, column.shape) / self.pixel**2
        left, top = np.floor(column), np.floor(row)
        right_share, low_share = column - left, row - top
        width = self.size + 2  # one pixel of margin, so that whatever lies outside falls into it
        left = np.clip(left + 1, 0, self.size).astype(np.int64)
        top = np.clip(top + 1, 0, self.size).astype(np.int64)
        corner = top * width + left
        upper, lower = weight * (1 - low_share), weight * low_share
        total = np.zeros(width * width)
        for offset, part in (
            (0, upper * (1 - right_share)), (1, upper * right_share),
            (width, lower * (1 - right_share)), (width + 1, lower * right_share),
        ):  # fmt: skip
            total += np.bincount((corner + offset).ravel(), part.ravel(), minlength=width * width)
        inside = total.reshape(width, width)[1:-1, 1:-1].astype(np.float32)
        inside[[0, -1], :] = inside[:, [0, -1]] = 0  # clipped points gather at the rim
        return ndimage.gaussian_filter(inside, max(blur_cm / self.pixel, 0.4), truncate=3)


def ellipsoid(
    x: np.ndarray, y: np.ndarray, *, centre: tuple[float, float], axes: tuple[float, float], angle: float = 0.0
) -> np.ndarray:
    """Thickness through an ellipsoid, as a share of its largest, seen on the grid `x`, `y`: 1 in the middle, 0 outside.

    Args:
        x: (H, W) cm.
        y: (H, W) cm.
        centre: cm.
        axes: half axes in cm along the turned x and y.
        angle: radians, clockwise in the picture.
    """
    across, down = x - np.float32(centre[0]), y - np.float32(centre[1])
    if angle:
        cos, sin = np.float32(np.cos(angle)), np.float32(np.sin(angle))
        across, down = cos * across + sin * down, cos * down - sin * across
    radius = (across * np.float32(1 / axes[0])) ** 2 + (down * np.float32(1 / axes[1])) ** 2
    return np.sqrt(np.maximum(1 - radius, 0))


def ramp(distance: np.ndarray, width: float) -> np.ndarray:
    """0 below `-width / 2`, 1 above `width / 2`, smooth between; `distance` and `width` in the same unit."""
    share = np.clip(distance * np.float32(1 / width) + np.float32(0.5), 0, 1)
    return share * share * (3 - 2 * share)
