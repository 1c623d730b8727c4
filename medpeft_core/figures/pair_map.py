"""A map of labels that occur together in the images of a data set, as a Vega-Lite spec."""

from collections.abc import Sequence

from medpeft_core.figures.data_charts import Row, Spec, frame_chart
from medpeft_core.figures.share_map import colour_cells, place_cells, write_cells

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
    return {
        **frame_chart(shown, height=len(labels) * CELL_HEIGHT + COLUMN_NAMES_HEIGHT),
        "encoding": {
            **place_cells(labels, row=("label", None), column=("other", None)),
            "tooltip": [
                {"field": "label", "title": "of the images with"},
                {"field": "other", "title": "have as well"},
                {"field": "share", "title": "share", "format": ".1%"},
                {"field": "num_images", "title": "images with both", "format": ","},
            ],
        },
        "layer": [colour_cells(), write_cells("percent", len(labels), size=11)],
    }
