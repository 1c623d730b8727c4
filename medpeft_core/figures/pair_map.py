"""A map of labels that occur together in the images of a data set, as a Vega-Lite spec."""

from collections.abc import Sequence

from medpeft_core.figures.data_charts import (
    DARK_CELL,
    DARK_FROM,
    LABEL_LIMIT,
    LIGHT_CELL,
    MIN_CELL_WIDTH,
    Row,
    Spec,
    frame_chart,
)
from medpeft_core.figures.styles import GREY

CELL_HEIGHT, COLUMN_NAMES_HEIGHT = 26, 110


def build_pair_map(rows: Sequence[Row]) -> Spec:
    """A map of labels that occur together: how many percent of the images with the label of the row have the other.

    Args:
        rows: as `datasets.counts.count_pairs` gives them; the diagonal is left empty.
    """
    labels = list(dict.fromkeys(row["label"] for row in rows))
    shown = [
        {**row, "percent": round(100 * row["share"])}
        for row in rows
        if row["label"] != row["other"] and row["share"] is not None
    ]
    names: Spec = {"type": "nominal", "sort": labels, "scale": {"domain": labels}}
    return {
        **frame_chart(shown, height=len(labels) * CELL_HEIGHT + COLUMN_NAMES_HEIGHT),
        "encoding": {
            "y": {**names, "field": "label", "title": None, "axis": {"labelLimit": LABEL_LIMIT, "grid": False}},
            "x": {
                **names, "field": "other", "title": None,
                "axis": {
                    "orient": "top", "labelAngle": -50, "labelLimit": LABEL_LIMIT, "labelOverlap": False,
                    "grid": False,
                },
            },
            "tooltip": [
                {"field": "label", "title": "of the images with"},
                {"field": "other", "title": "have as well"},
                {"field": "share", "title": "share", "format": ".1%"},
                {"field": "num_images", "title": "images with both", "format": ","},
            ],
        },
        "layer": [
            {
                "mark": {"type": "rect", "stroke": GREY, "strokeWidth": 0.3},
                "encoding": {
                    "color": {
                        "field": "share", "type": "quantitative", "legend": None,
                        "scale": {"domain": [0, 1], "range": [LIGHT_CELL, DARK_CELL]},
                    }
                },
            },
            {
                "mark": {
                    "type": "text", "fontSize": 11,
                    "opacity": {"expr": f"width / {len(labels)} >= {MIN_CELL_WIDTH} ? 1 : 0"},
                },
                "encoding": {
                    "text": {"field": "percent"},
                    "color": {
                        "condition": {"test": f"datum.share >= {DARK_FROM}", "value": "#ffffff"}, "value": "#102a3a",
                    },
                },
            },
        ],
    }  # fmt: skip
