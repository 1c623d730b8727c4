"""What own images may look like on disk, shown before the lab has seen any."""

import streamlit as st

CARD_WIDTH = 250  # pixels below which the cards take another line
LAYOUTS = (
    (
        ":material/folder_copy: A folder per class",
        "eyes/\n├─ healthy/\n│  ├─ 001.png\n│  └─ 002.png\n└─ glaucoma/\n   └─ 003.png",
        "The names of the folders are the classes.",
    ),
    (
        ":material/table: A table and images",
        "films/\n├─ labels.csv\n└─ images/\n   ├─ a1.png\n   ├─ a2.png\n   └─ a3.png",
        "CSV, Excel or Parquet; any names of columns, any separator.",
    ),
    (
        ":material/radiology: DICOM files",
        "study/\n├─ labels.csv\n├─ series1/\n│  └─ im0001.dcm\n└─ series2/\n   └─ im0001.dcm",
        "Patient ids become pseudonyms; the images stay on this computer.",
    ),
)


def draw_guide() -> None:
    """The three layouts as small trees."""
    st.markdown("**What works**")
    with st.grid(len(LAYOUTS), min_column_width=CARD_WIDTH):
        for title, tree, note in LAYOUTS:
            with st.container(border=True, height="stretch", gap="small"):
                st.markdown(f"**{title}**")
                st.code(tree, language=None)
                st.caption(note)
