"""A click through the page in a real headless Chromium, from disk and without a network.

MEDSTRESS_SCREENSHOTS names a folder for pictures of what was seen; with MEDSTRESS_REQUIRE_CHROMIUM=1 it is an error
that there is no Chromium, and the tests are not skipped.
"""

import os
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.page.conftest import HOSTILE, LEVELS, Study

REQUIRED = os.environ.get("MEDSTRESS_REQUIRE_CHROMIUM") == "1"
if REQUIRED:
    from playwright import sync_api
else:
    sync_api = pytest.importorskip("playwright.sync_api")
CHROMIUM = next(
    (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None
)
pytestmark = pytest.mark.skipif(CHROMIUM is None and not REQUIRED, reason="no Chromium on this machine")
VIEWS = ("overview", "claims", "tables", "cells", "curves", "figures", "provenance")
Keep = Callable[[str], None]


@pytest.fixture(scope="module")
def page(study: Study) -> Iterator[Any]:
    assert CHROMIUM, "MEDSTRESS_REQUIRE_CHROMIUM=1, and there is no Chromium"
    with sync_api.sync_playwright() as play:
        browser = play.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_context(viewport={"width": 1200, "height": 900}, offline=True).new_page()
        page.troubles = []
        page.on("pageerror", lambda error: page.troubles.append(str(error)))
        page.on("console", lambda message: page.troubles.append(message.text))
        page.on("request", lambda one: one.url.startswith(("file:", "data:")) or page.troubles.append(one.url))
        page.set_default_timeout(20_000)
        sync_api.expect.set_options(timeout=20_000)
        page.goto(study.index.as_uri())
        page.wait_for_selector("#overview[data-ready]")
        yield page
        browser.close()


@pytest.fixture(scope="module")
def keep(page: Any, tmp_path_factory: pytest.TempPathFactory) -> Keep:
    given = os.environ.get("MEDSTRESS_SCREENSHOTS")
    folder = Path(given) if given else tmp_path_factory.mktemp("screenshots")
    folder.mkdir(parents=True, exist_ok=True)
    return lambda name: page.screenshot(path=folder / f"{name}.png")


def go_to(page: Any, view: str) -> None:
    page.click(f"#tab-{view}")
    page.wait_for_selector(f"#{view}[data-ready]")


def test_it_opens_with_an_overview(page: Any, keep: Keep) -> None:
    keep("overview")
    cards = page.locator("#overview .card")
    assert cards.count() == 2
    assert "1 cell has no scores" in page.inner_text("#overview .warning")
    assert "3 runs (5 with seeds)" in page.inner_text("#summary")
    first = cards.first.inner_text()
    assert "Not compared, for cells are missing\nOther" in first
    assert re.search(r"Best clean IoU\n0\.875: Cutter; Other \(stand-in\) \(tie\)", first)
    assert "Of 1 published claim" in page.inner_text("#overview .intro")
    assert not re.search("[\u2021]", page.inner_text("main"))
    cards.first.get_by_role("button", name="Heat map").click()
    page.wait_for_selector("#cells[data-ready]")
    assert page.evaluate("document.activeElement.id") == "tab-cells"


def test_a_table_is_sorted_and_filtered(page: Any, keep: Keep) -> None:
    go_to(page, "tables")
    headings = page.locator("#table-place thead th")
    place = headings.all_inner_texts().index("drop") + 1
    drops = f"#table-place tbody tr td:nth-child({place})"
    kinds = page.locator("#table-filters label", has_text=re.compile("^Perturbation")).locator("select")
    heading = page.locator(f"#table-place thead th:nth-child({place})")
    assert "sort" in heading.locator("[aria-label]").first.get_attribute("aria-label")
    rising = sorted(page.locator(drops).all_inner_texts(), key=lambda text: float(text.split()[0]))
    assert len(rising) == 4
    heading.locator("[role=button]").press("Enter")
    sync_api.expect(page.locator(drops)).to_have_text(rising)
    assert heading.get_attribute("aria-sort") == "ascending"
    kinds.select_option("rotation")
    sync_api.expect(page.locator(drops)).to_have_count(2)
    keep("table")
    kinds.select_option("")


def pinned(page: Any) -> list[str]:
    """The headings that are still seen at the left when the table is scrolled to its end,."""
    left = """() => {
        const place = document.querySelector('#table-place');
        const boxes = [place, ...place.querySelectorAll('*')];
        const scrolled = boxes.filter((one) => getComputedStyle(one).overflowX !== 'visible');
        for (const one of scrolled) one.scrollLeft = 400;
        const { left, right } = place.getBoundingClientRect();
        const seen = [...place.querySelectorAll('thead th')].filter((one) => {
            const box = one.getBoundingClientRect();
            return box.left >= left && box.right <= right && getComputedStyle(one).position === 'sticky';
        });
        for (const one of scrolled) one.scrollLeft = 0;
        return seen.map((one) => one.innerText.trim());
    }"""
    return [text.split("\n")[0] for text in page.evaluate(left)]


def test_names_of_rows_stay_when_a_table_is_scrolled(page: Any, keep: Keep) -> None:
    page.set_viewport_size({"width": 700, "height": 900})
    assert pinned(page) == ["data set", "run"]
    assert (
        page.locator("#table-place tbody td.run").first.evaluate("one => getComputedStyle(one).whiteSpace") == "nowrap"
    )
    page.set_viewport_size({"width": 500, "height": 900})
    sync_api.expect(page.locator("#table-place thead th.stays")).to_have_count(1)
    assert pinned(page) == ["run"]
    keep("table_500")
    page.set_viewport_size({"width": 1200, "height": 900})
    sync_api.expect(page.locator("#table-place thead th.stays")).to_have_count(2)


def test_sentences_are_nothing_to_choose_from_and_names_are_titles(page: Any) -> None:
    page.select_option("#table-name", "claims")
    sync_api.expect(page.locator("#table-title")).to_contain_text("laims")
    cells = page.locator("#table-place tbody td")
    sync_api.expect(cells.get_by_text("Squares", exact=True)).to_have_count(1)
    sync_api.expect(cells.get_by_text("Cutter", exact=True)).to_have_count(1)
    assert page.locator("#table-filters label").count() == 0
    page.select_option("#table-name", "segmentation_perturbations")
    sync_api.expect(page.locator("#table-place tbody tr")).to_have_count(4)
    shown = [text.split("\n")[0] for text in page.locator("#table-filters label").all_inner_texts()]
    assert {"Perturbation", "Run"} <= set(shown)


def test_a_click_shows_the_images_behind_a_number(page: Any, keep: Keep) -> None:
    cell = page.locator("#table-place tbody tr", has_text="Cutter").first.locator("td").nth(4)
    cell.click()
    page.wait_for_selector("dialog[open] .sample")
    assert "Cutter on Squares" in page.inner_text("#details-title")
    first = page.locator("dialog .sample").first
    assert first.locator("img").count() == 3
    assert all(
        first.locator("img").evaluate_all(
            "all => all.map(one => one.complete && one.naturalWidth > 0 && one.alt !== '')"
        )
    )
    assert first.locator("svg path.truth").count() == first.locator("svg path.prediction").count() == 2
    page.select_option("#details-level", "1")
    sync_api.expect(page.locator("#details-title")).to_contain_text("level 1")
    page.click("dialog summary")
    assert "0123456789abcdef" in page.inner_text("dialog")
    keep("dialog")
    page.keyboard.press("Escape")
    assert page.locator("dialog[open]").count() == 0
    assert cell.evaluate("cell => cell === document.activeElement")


def test_the_focus_stays_in_the_dialog(page: Any) -> None:
    page.keyboard.press("Enter")
    page.wait_for_selector("dialog[open] .sample")
    seen = []
    for _ in range(12):
        seen.append(page.evaluate("document.activeElement.id || document.activeElement.tagName"))
        assert page.evaluate("document.activeElement.closest('dialog') !== null"), seen
        page.keyboard.press("Tab")
    assert {"details-close", "details-run", "details-perturbation", "details-level", "SUMMARY"} <= set(seen)
    page.focus("#details-close")
    page.keyboard.press("Shift+Tab")
    assert page.evaluate("document.activeElement.closest('dialog') !== null")
    page.focus("#details-close")
    page.keyboard.press("Enter")
    assert page.locator("dialog[open]").count() == 0
    assert page.evaluate("document.activeElement.tagName") == "TD"


def test_curves_and_cells_go_by_keys_alone(page: Any, keep: Keep) -> None:
    page.focus("#tab-tables")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    page.wait_for_selector("#curves[data-ready] #curve-chart svg")
    assert page.locator("#curve-chart svg[aria-label], #curve-chart [aria-label*='IoU']").count() >= 1
    outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid"
    ticked = page.locator("#curve-runs input:checked")
    assert ticked.count() == 2
    # A bar a run and level; rotation, at strengths of a table, is another curve.
    assert page.locator("#curve-chart .mark-rule.role-mark line").count() == 2 * len(LEVELS)
    lowest = page.locator("#curve-chart .role-axis-label text").all_text_contents()
    assert any(float(text.replace("\u2212", "-")) == 0 and "." in text for text in lowest)
    keep("curves")
    page.keyboard.press("ArrowLeft")
    page.wait_for_selector("#cells[data-ready] .heat")
    page.select_option("#cell-dataset", "ask")
    sync_api.expect(page.locator(".heat tbody th")).to_have_text(["Talker & co"])
    page.focus(".heat tbody td[tabindex='0']")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    page.wait_for_selector("dialog[open] .sample")
    assert "rotation" in page.inner_text("#details-title")
    assert HOSTILE.split("\u2028")[0] in page.locator("dialog .changed").first.text_content()
    keep("answers")
    page.keyboard.press("Escape")
    page.keyboard.press("Home")
    page.focus("#tab-cells")
    page.keyboard.press("Home")
    assert page.evaluate("document.activeElement.id") == "tab-overview"


def open_cell(page: Any, run: str, column: str) -> None:
    go_to(page, "cells")
    page.select_option("#cell-dataset", "seg")
    sync_api.expect(page.locator(".heat tbody tr")).to_have_count(2)
    names = page.locator(".heat thead tr:last-child th").all_inner_texts()
    row = page.locator(".heat tbody tr").filter(has=page.get_by_role("rowheader", name=run, exact=True))
    row.locator("td").nth(names.index(column) - 1).click()
    page.wait_for_selector("dialog[open] .sample")


def test_a_hole_says_how_to_fill_it(page: Any, keep: Keep) -> None:
    go_to(page, "cells")
    page.select_option("#cell-dataset", "seg")
    sync_api.expect(page.locator(".heat .hole")).to_have_count(1)
    keep("hole")
    assert "--forcerun predict" in page.inner_text("#cell-holes")
    open_cell(page, "Other", "rotation \u2020")
    assert "scores/other/seg.parquet --forcerun predict" in page.inner_text("dialog .warning")
    page.keyboard.press("Escape")


@pytest.mark.parametrize("attack", ["pgd", "fgsm"])
def test_adversarial_images_are_shown_where_they_are_kept(page: Any, keep: Keep, attack: str) -> None:
    open_cell(page, "Cutter", attack)
    assert "radius of 2 grey levels" in page.inner_text("#details-title")
    shown = page.locator("dialog .sample").first.locator("img")
    assert shown.count() == (3 if attack == "pgd" else 2)
    said = page.locator("dialog .warning").all_inner_texts()
    assert (said == []) == (attack == "pgd")
    assert attack == "pgd" or "keep_images: true" in said[0]
    keep(attack)
    page.keyboard.press("Escape")


def test_the_box_of_a_moved_prompt_is_drawn(page: Any, keep: Keep) -> None:
    open_cell(page, "Cutter", "prompt grown")
    assert page.locator("dialog .sample").first.locator("svg path.asked").count() == 2
    keep("prompt")
    page.keyboard.press("Escape")


def test_claims_and_figures(page: Any, keep: Keep) -> None:
    go_to(page, "claims")
    assert re.search(r"Rotation costs Cutter something\s+\S survives", page.inner_text("#claims .card"))
    keep("claims")
    go_to(page, "figures")
    image = page.locator("#figures img")
    sync_api.expect(image).to_have_js_property("complete", True)
    assert image.evaluate("one => one.naturalWidth") > 100
    assert image.get_attribute("alt").startswith("Severity curves. Score against severity level")
    keep("figures")


def test_provenance_lists_the_records(page: Any, keep: Keep) -> None:
    go_to(page, "provenance")
    text = page.inner_text("#provenance")
    assert "scores/cutter/seg.parquet" in text
    assert "ab" * 32 in text
    keep("provenance")


def test_every_control_and_picture_has_a_name(page: Any) -> None:
    nameless = """() => [...document.querySelectorAll('select, input, button, img, dialog, table')]
        .filter((one) => !(one.labels?.length || one.textContent.trim() || one.alt || one.ariaLabel))
        .map((one) => one.outerHTML.slice(0, 200))"""
    assert page.evaluate(nameless) == []


def test_on_paper_there_are_numbers_and_no_controls(page: Any) -> None:
    go_to(page, "tables")
    page.emulate_media(media="print")
    numbers = page.locator("#table-place table").is_visible()
    controls = any(page.locator(one).is_visible() for one in ("#tabs", "#table-name", "#table-place .dt-search"))
    page.emulate_media(media="screen")
    assert (numbers, controls) == (True, False)


def test_the_table_of_a_narrow_dialog_scrolls(page: Any, keep: Keep) -> None:
    page.set_viewport_size({"width": 360, "height": 900})
    open_cell(page, "Cutter", "rotation \u2020")
    keep("dialog_360")
    wide = page.locator("#details-body .wide").first
    heads = wide.locator("thead th").all_inner_texts()
    scrolled = wide.evaluate("one => { one.scrollLeft = 1000; return one.scrollLeft; }")
    fits = page.evaluate("find('details').scrollWidth <= find('details').clientWidth")
    page.keyboard.press("Escape")
    assert heads[0] == "Mean over the pairs that count"
    assert heads[-1] == "Clean, all samples"
    assert scrolled > 0
    assert fits


@pytest.mark.parametrize("width", [500, 1400])
def test_the_page_is_no_wider_than_the_window(page: Any, keep: Keep, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    for view in VIEWS:
        go_to(page, view)
        assert page.evaluate("document.documentElement.scrollWidth") <= width, view
        keep(f"{view}_{width}")


def test_nothing_was_wrong_and_nothing_asked_for(page: Any) -> None:
    assert page.evaluate("window.broken") is None
    assert page.troubles == []
