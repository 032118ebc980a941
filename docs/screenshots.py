"""Makes docs/images/page.png and docs/images/page_cell.png from the page of a finished study.

    python docs/screenshots.py [results/demo/index.html]

Needs Playwright and a Chromium on the path. Pictures are reduced to 256 colours, which keeps them near 100 kB.
"""

import shutil
import sys
from pathlib import Path

import PIL.Image
from playwright.sync_api import Page, sync_playwright

DOCS = Path(__file__).parent
IMAGES = DOCS / "images"
INDEX = DOCS.parent / "results" / "demo" / "index.html"
WIDTH, HEIGHT = 1400, 900
COLOURS = 256
SHOWN = {"dataset": "nuclei", "run": "Tiny SAM", "column": "gaussian blur"}


def heat_map(page: Page) -> None:
    """All runs on one data set under everything that it is put under."""
    page.click("#tab-cells")
    page.wait_for_selector("#cells[data-ready]")


def cell(page: Page) -> None:
    """The images behind one cell of the heat map."""
    heat_map(page)
    page.select_option("#cell-dataset", SHOWN["dataset"])
    names = page.locator(".heat thead tr:last-child th")
    names.filter(has_text=SHOWN["column"]).first.wait_for()
    page.wait_for_function("name => document.querySelector('#cell-title').textContent.includes(name)", arg="Nuclei")
    row = page.locator(".heat tbody tr").filter(has=page.get_by_role("rowheader", name=SHOWN["run"], exact=True))
    row.locator("td").nth(names.all_inner_texts().index(SHOWN["column"]) - 1).click()
    page.wait_for_selector("dialog[open] .sample img")


def save(page: Page, path: Path) -> None:
    """Write what is seen, with few colours."""
    page.mouse.move(0, 0)
    page.screenshot(path=path, animations="disabled")
    with PIL.Image.open(path) as shown:
        shown.convert("RGB").quantize(COLOURS, dither=PIL.Image.Dither.NONE).save(path, optimize=True)


def main(index: Path) -> None:
    """Open the page and write both pictures."""
    browser_path = shutil.which("chromium") or shutil.which("google-chrome")
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=browser_path, args=["--no-sandbox"])
        for name, show in (("page", heat_map), ("page_cell", cell)):
            page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT})
            page.goto(index.resolve().as_uri())
            show(page)
            save(page, IMAGES / f"{name}.png")
        browser.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else INDEX)
