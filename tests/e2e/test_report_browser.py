"""The report in a browser: nothing is fetched, complained of or cut off, and everybody can use it."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from glm2x.report import write_report
from report_folder import HEADINGS, HOSTILE, add_few_shot, write_folder, write_run

PHONE, LAPTOP = 390, 1280
A4 = 718  # CSS pixels between margins of 1 cm
Rows = dict[tuple[str, str | None], float]
AWKWARD: Rows = {
    # a name that would run and one without a place to break the line at
    **{("elastic-net", None): 0.8, (HOSTILE, None): 0.7, ("x" * 200, "personal"): 0.6},
}


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


@pytest.fixture(scope="module", params=["plain", "hostile", "few-shot", "baselines"])
def report(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp(request.param)
    rows: dict[str, Rows | None] = {"plain": None, "baselines": {("ridge", None): 1.0, ("lasso", None): 0.7}}
    write_folder(folder / "evaluation", rows=rows.get(request.param, AWKWARD))
    if request.param == "few-shot":
        add_few_shot(folder / "evaluation")
    return write_report(folder / "evaluation", runs=[write_run(folder / "run")])


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_report(write_folder(tmp_path_factory.mktemp("genes") / "evaluation"))


@contextmanager
def opened(browser: Any, report: Path, *, width: int = LAPTOP, **options: Any) -> Iterator[Any]:
    page = browser.new_page(viewport={"width": width, "height": 900}, **options)
    page.goto(report.as_uri(), wait_until="load")
    yield page
    page.close()


def outside(page: Any, width: int) -> list[str]:
    """Return what sticks out to the right, tables that scroll by themselves left out."""
    found: list[str] = page.evaluate(
        """width => [...document.querySelectorAll("main *, header *, footer *")]
            .filter(e => !e.closest("svg *"))
            .filter(e => {
                const scroll = e.parentElement.closest(".scroll");
                return !scroll || getComputedStyle(scroll).overflowX === "visible";
            })
            .filter(e => e.getBoundingClientRect().right > width + 0.5)
            .map(e => e.tagName + " " + e.textContent.slice(0, 40))""",
        width,
    )
    return found


@pytest.mark.parametrize("width", [LAPTOP, PHONE])
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
    assert outside(page, width) == []
    page.close()


@pytest.mark.parametrize(("width", "scheme"), [(LAPTOP, "light"), (LAPTOP, "dark"), (PHONE, "light")])
def test_axe_finds_nothing_serious(browser: Any, report: Path, width: int, scheme: str) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe is not installed")
    with opened(browser, report, width=width, color_scheme=scheme) as page:
        page.locator("details").evaluate_all("all => all.forEach(e => e.open = true)")
        found = axe.Axe().run(page).response["violations"]
    grave = [
        (v["id"], v["nodes"][0]["html"][:200], v["nodes"][0].get("failureSummary"))
        for v in found
        if v["impact"] in ("serious", "critical")
    ]
    assert grave == []


def test_in_print_nothing_is_cut_and_pages_are_few(browser: Any, report: Path) -> None:
    with opened(browser, report, width=A4) as page:
        page.emulate_media(media="print")
        assert page.evaluate("document.documentElement.scrollWidth") <= A4
        assert outside(page, A4) == []
        assert not page.locator(".filter").is_visible()
        # Chromium writes each page of a PDF as an object of its own, not compressed
        pages = len(re.findall(rb"/Type\s*/Page\b", page.pdf(format="A4")))
    assert 3 <= pages <= 14


def test_without_scripts_the_whole_table_is_there_and_no_control(browser: Any, plain: Path) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(plain.as_uri())
    assert page.locator("table.genes tbody tr:visible").count() == 20
    assert page.locator("button:visible, input:visible, select:visible, output:visible").count() == 0
    assert page.locator("svg[role=img]:visible").count() > 7
    context.close()


def heads(page: Any) -> list[str]:
    found: list[str] = page.locator("table.genes tbody tr:visible th").all_inner_texts()
    return found


def test_a_column_of_the_gene_table_sorts(browser: Any, report: Path) -> None:
    with opened(browser, report) as page:
        names = heads(page)
        titles = page.locator("table.genes thead th")
        titles.first.get_by_role("button").click()
        assert heads(page) == sorted(names)
        assert titles.first.get_attribute("aria-sort") == "ascending"
        titles.last.get_by_role("button").focus()
        page.keyboard.press("Enter")
        assert titles.last.get_attribute("aria-sort") == "descending"
        assert page.locator("table.genes thead th[aria-sort]").count() == 1
        rows = page.locator("table.genes tbody tr")
        values = rows.evaluate_all("all => all.map(r => r.lastElementChild.dataset.sort)")
        numbers = [float(v or "-9") for v in values]
        assert numbers == sorted(numbers, reverse=True)


def test_contigs_sort_as_numbers(browser: Any, plain: Path) -> None:
    with opened(browser, plain) as page:
        page.locator("table.genes thead th").nth(1).get_by_role("button").click()
        contigs = page.locator("table.genes tbody td.text").all_inner_texts()
    assert contigs == sorted(contigs, key=int)
    assert contigs != sorted(contigs)


def test_genes_are_filtered_by_words_of_name_and_contig(browser: Any, plain: Path) -> None:
    with opened(browser, plain) as page:
        field, count = page.get_by_role("searchbox", name="Gene or contig"), page.get_by_role("status")
        names = page.locator("table.genes tbody tr").evaluate_all(
            "all => all.map(r => [r.cells[0].innerText, r.cells[1].innerText])"
        )
        assert count.inner_text() == "20 genes"
        field.fill("ensg  18")
        wanted = [name for name, contig in names if "18" in name or "18" in contig]
        assert 0 < len([name for name in wanted if "18" not in name]) < len(wanted) < 20
        assert heads(page) == wanted
        assert count.inner_text() == f"{len(wanted)} of 20 genes"
        # every word must occur, and what is typed is no pattern
        field.fill("ensg nowhere")
        assert heads(page) == []
        assert count.inner_text() == "0 of 20 genes"
        field.fill(".*")
        assert heads(page) == []
        # Enter leaves the page where it is
        field.fill(wanted[0])
        page.keyboard.press("Enter")
        assert heads(page) == wanted[:1]


def test_genes_are_filtered_by_significance_and_null_in_a_row(browser: Any, plain: Path) -> None:
    with opened(browser, plain) as page:
        show, row = page.get_by_label("Show"), page.get_by_label("in row")
        assert row.is_disabled()
        for label in ("onehot reference-then-personal", "top-variant"):
            for kind in ("significant", "null"):
                show.select_option(kind)
                row.select_option(label=label)
                titles = page.locator("table.genes thead th").all_inner_texts()
                place = [title.removesuffix("\N{NO-BREAK SPACE}▾") for title in titles].index(label) + 1
                marked = page.locator(f"table.genes tbody td:nth-child({place}).{kind}").count()
                assert len(heads(page)) == marked
                assert page.get_by_role("status").inner_text() == f"{marked} of 20 genes"


def test_a_filtered_table_sorts_and_clears(browser: Any, plain: Path) -> None:
    with opened(browser, plain) as page:
        names = heads(page)
        clear = page.get_by_role("button", name="Clear")
        assert clear.is_disabled()
        page.get_by_label("Show").select_option("significant")
        some = heads(page)
        assert 1 < len(some) < 20
        page.get_by_role("columnheader", name="gene", exact=True).get_by_role("button").click()
        assert heads(page) == sorted(some)
        page.get_by_label("Gene or contig").fill(some[0])
        assert heads(page) == some[:1]
        clear.focus()
        page.keyboard.press("Enter")
        assert heads(page) == sorted(names)
        assert page.get_by_role("status").inner_text() == "20 genes"
        assert page.evaluate("document.activeElement.type") == "search"


def test_columns_keep_their_widths_while_rows_come_and_go(browser: Any, plain: Path) -> None:
    with opened(browser, plain) as page:

        def widths() -> list[int]:
            found: list[int] = page.locator("table.genes thead th").evaluate_all(
                "all => all.map(h => Math.round(h.getBoundingClientRect().width))"
            )
            return found

        before = widths()
        page.get_by_label("Gene or contig").fill("nowhere")
        assert widths() == before


def test_a_filter_can_be_set_by_keyboard_alone_and_is_announced(browser: Any, plain: Path) -> None:
    with opened(browser, plain) as page:
        field = page.get_by_label("Gene or contig")
        field.focus()
        page.keyboard.type("37")
        page.keyboard.press("Tab")
        page.keyboard.type("s")  # the first entry that starts so
        assert page.get_by_label("Show").input_value() == "significant"
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.dataset.part") == "column"
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.dataset.part") == "clear"
        assert page.locator("output[aria-live=polite]").inner_text().endswith(" of 20 genes")


def test_a_full_table_of_genes_is_filtered(browser: Any, tmp_path: Path) -> None:
    rows: Rows = {("ridge", None): 1.0, ("onehot", "personal"): 0.7}
    report = write_report(write_folder(tmp_path / "evaluation", rows=rows, genes=1400, people=9))
    with opened(browser, report) as page:
        assert page.get_by_role("status").inner_text() == "1,000 genes"
        name = heads(page)[700]
        page.get_by_label("Gene or contig").fill(name.lower())
        assert heads(page) == [name]
        assert page.get_by_role("status").inner_text() == "1 of 1,000 genes"


def test_a_link_to_data_leads_to_a_file_beside_the_page(browser: Any, plain: Path) -> None:
    with opened(browser, plain) as page:
        links = page.locator(".files a, footer a").evaluate_all("all => all.map(a => a.href)")
    assert len(links) > 20
    assert set(links) <= {path.as_uri() for path in (plain.parent / "report-data").iterdir()}
