"""Take the documentation's pictures of the Dagster UI, with Debian's headless Chromium.

Run by ``make pictures`` while ``make dev`` is up. Playwright drives the installed browser; it never
downloads one.
"""

import sys
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

BASE = "http://127.0.0.1:3000"
TARGET = Path(__file__).parents[2] / "docs" / "pictures"
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PAGES = {
    "ui_lineage": "/asset-groups/",
    "ui_lane": "/locations/__repository__@pipeline/asset-groups/spx/lineage",
    "ui_levels": "/assets/SPX/exposure_levels?view=overview",
    "ui_surface": "/assets/SPX/vol_surface?view=overview",
    "ui_greeks": "/assets/SPX/greek_surface?view=overview",
    "ui_band": "/assets/SPX/level_band?view=overview",
    "ui_scores": "/assets/SPX/anomaly_scores?view=overview",
    "ui_partitions": "/assets/SPX/exposure_levels?view=partitions",
    "ui_checks": "/assets/SPX/chain_snapshots?view=checks",
    "ui_mart_checks": "/assets/marts/fct_exposure_levels?view=checks",
    "ui_automation": "/automation",
}
CLICKS = dict.fromkeys(
    ("ui_levels", "ui_surface", "ui_greeks", "ui_band", "ui_scores"), "text=Show Markdown"
)
"""What to click before the picture: the asset's own picture opens from its metadata."""

SETTLE_MS = 6_000


def shoot(page: Page, name: str, path: str, folder: Path) -> None:
    """Load one page, let it settle, and save it."""
    page.goto(BASE + path, wait_until="load")
    page.wait_for_timeout(SETTLE_MS)
    if name in CLICKS:
        page.locator(CLICKS[name]).first.click()
        page.wait_for_timeout(SETTLE_MS // 3)
    page.screenshot(path=folder / f"{name}.png")


def main() -> None:
    """Take the pictures named on the command line, or all of them."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else TARGET
    wanted = sys.argv[2:] or list(PAGES)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=FLAGS)
        page = browser.new_page(viewport={"width": 1500, "height": 950})
        for name in wanted:
            shoot(page, name, PAGES[name], folder)
        browser.close()


if __name__ == "__main__":
    main()
