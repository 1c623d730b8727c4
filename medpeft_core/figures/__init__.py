"""Stored results as figures: Vega-Lite specs with their data inside. Light.

No figure sets the colour of text or background: pages give both, light or dark, and `prepare_print` those for paper.
"""

from medpeft_core.figures.comparison import build_auroc_forest, build_param_scatter, build_time_scatter
from medpeft_core.figures.curves import (
    build_curve_overlay,
    build_learning_curves,
    build_loss_curve,
    build_lr_curve,
    build_speed_curve,
)
from medpeft_core.figures.printing import collect_rows, prepare_print
from medpeft_core.figures.rates import RateLine, build_precision_recall_chart, build_roc_chart

__all__ = [
    "RateLine",
    "build_auroc_forest",
    "build_curve_overlay",
    "build_learning_curves",
    "build_loss_curve",
    "build_lr_curve",
    "build_param_scatter",
    "build_precision_recall_chart",
    "build_roc_chart",
    "build_speed_curve",
    "build_time_scatter",
    "collect_rows",
    "prepare_print",
]
