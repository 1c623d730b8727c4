"""Stored results as figures: Vega-Lite specs for what grows while one looks, plotly for what stands still. Light.

No figure sets the colour of text or background: pages give both, light or dark.
"""

from medpeft_core.figures.comparison import build_auroc_forest, build_param_scatter
from medpeft_core.figures.curves import (
    build_curve_overlay,
    build_learning_curves,
    build_loss_curve,
    build_lr_curve,
    build_speed_curve,
)

__all__ = [
    "build_auroc_forest",
    "build_curve_overlay",
    "build_learning_curves",
    "build_loss_curve",
    "build_lr_curve",
    "build_param_scatter",
    "build_speed_curve",
]
