"""What axe-core finds wrong with a page."""

from typing import Any

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

NOT_OURS = ['[data-testid="stSidebarNav"]']  # Streamlit lays the items of a section beside the list, not into it
BAD = ("serious", "critical")


def find_faults(page: Page) -> list[str]:
    """What axe-core calls serious, each with the first place where it was found."""
    report: dict[str, Any] = Axe().run(page, context={"exclude": [NOT_OURS]}).response
    return [
        f"{found['id']} ({len(found['nodes'])}): {found['help']}: {found['nodes'][0]['html'][:200]}"
        for found in report["violations"]
        if found["impact"] in BAD
    ]
