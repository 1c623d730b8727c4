"""A synthetic patient in front of the detector: measures, projection and room of each lung, made once per picture."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from medpeft_core.datasets.phantom_anatomy import Body, build_body, cage
from medpeft_core.datasets.phantom_patients import PICTURE_STREAM, PatientPlan, PicturePlan
from medpeft_core.datasets.phantom_projection import Projection


@dataclass(frozen=True)
class Scene:
    """Everything about one picture that bones, vessels and findings need to know."""

    patient: PatientPlan
    picture: PicturePlan
    body: Body
    projection: Projection

    @cached_property
    def grid(self) -> tuple[np.ndarray, np.ndarray]:
        """x and y in cm of every pixel in the middle of the chest: two (H, W) float32 arrays."""
        return self.projection.grid()

    @cached_property
    def rooms(self) -> dict[int, np.ndarray]:
        """Side to the (H, W) thickness in cm that the lung of that side would fill alone."""
        return {side: cage(self.body, self.projection, side) for side in (-1, 1)}

    @cached_property
    def room(self) -> np.ndarray:
        """(H, W) thickness in cm of both lungs."""
        return self.rooms[-1] + self.rooms[1]


def build_scene(patient: PatientPlan, number: int, *, size: int) -> Scene:
    """Picture `number` of a patient, `size` pixels wide and high."""
    picture = patient.pictures[number]
    body = build_body(patient, picture)
    rng = patient.stream(PICTURE_STREAM, number, 1)
    is_ap = picture.view == "AP"
    spread = 1.6 if is_ap else 1.0  # a portable picture is positioned less well
    projection = Projection(
        size=size,
        field=(40.0 if is_ap else 37.0) * body.half_width / 13.2 * rng.normal(1.0, 0.035),
        centre=(spread * rng.normal(0, 0.6), 0.5 * body.height + rng.normal(0.6, 0.7 * spread)),
        roll=float(np.radians(spread * rng.normal(0, 1.3))),
        yaw=spread * rng.normal(0, 0.035),
        tilt=spread * rng.normal(0, 0.04),
        is_ap=is_ap,
    )
    return Scene(patient, picture, body, projection)
