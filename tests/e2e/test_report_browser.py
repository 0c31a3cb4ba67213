"""The report in a browser: nothing is fetched, nothing is complained of, nothing sticks out."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from glm2x.report import write_report
from report_folder import HEADINGS, HOSTILE, add_few_shot, write_folder, write_run


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("there is no chromium on the PATH")
    with sync_api.sync_playwright() as playwright:
        running = playwright.chromium.launch(
            executable_path=chromium, args=["--no-sandbox", "--disable-background-networking"]
        )
        yield running
        running.close()


@pytest.fixture(scope="module", params=["plain", "hostile", "few-shot"])
def report(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp(request.param)
    rows: dict[tuple[str, str | None], float] | None = None
    if request.param != "plain":
        # a name that would run and one without a place to break the line at
        rows = {("elastic-net", None): 0.8, (HOSTILE, None): 0.7, ("x" * 200, "personal"): 0.6}
    write_folder(folder / "evaluation", rows=rows)
    if request.param == "few-shot":
        add_few_shot(folder / "evaluation")
    return write_report(folder / "evaluation", runs=[write_run(folder / "run")])


@pytest.mark.parametrize("width", [1280, 400])
def test_the_page_stands_alone_and_fits(browser: Any, report: Path, width: int) -> None:
    page = browser.new_page(viewport={"width": width, "height": 900})
    requests: list[str] = []
    complaints: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("dialog", lambda dialog: (complaints.append(dialog.message), dialog.dismiss()))
    page.goto(report.as_uri(), wait_until="load")
    assert requests == [report.as_uri()]
    assert complaints == []
    headings = page.locator("h2").all_inner_texts()
    assert [h for h in headings if h != "Few-shot curve"] == HEADINGS
    assert ("Few-shot curve" in headings) == ("few-shot" in str(report))
    # every entry of the navigation leads to a section and every drawing has a name
    targets = page.locator("nav a").evaluate_all("links => links.map(a => a.getAttribute('href').slice(1))")
    assert targets == page.locator("section").evaluate_all("sections => sections.map(s => s.id)")
    assert page.locator("svg[role=img]:not([aria-label])").count() == 0
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    outside = page.evaluate(
        """width => [...document.querySelectorAll("p, li, dd, dt, h1, h2, h3, figure, pre, .scroll, svg")]
            .filter(e => !e.parentElement.closest(".scroll") && e.getBoundingClientRect().right > width)
            .map(e => e.tagName + " " + e.textContent.slice(0, 40))""",
        width,
    )
    assert outside == []
    page.close()


def test_a_column_of_the_gene_table_sorts(browser: Any, report: Path) -> None:
    page = browser.new_page()
    page.goto(report.as_uri())
    rows = page.locator("table.genes tbody tr")
    names = page.locator("table.genes tbody th").all_inner_texts()
    page.locator("table.genes thead button").first.click()
    assert page.locator("table.genes tbody th").all_inner_texts() == sorted(names)
    assert page.locator("table.genes thead th").first.get_attribute("aria-sort") == "ascending"
    page.locator("table.genes thead button").last.click()
    values = [
        float(v or "-9")
        for v in rows.evaluate_all("rows => rows.map(r => r.cells[r.cells.length - 1].dataset.sort)")
    ]
    assert values == sorted(values, reverse=True)
    page.close()
