"""The report in a real browser: Debian's chromium and chromium-driver."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from selenium import webdriver
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

from audiobag.report import report
from tests.acceptance.looking import check_page, check_quiet
from tests.conftest import make_store
from tests.report.fabricate import make_run

pytestmark = pytest.mark.acceptance


@pytest.fixture
def page(tmp_path: Path) -> Path:
    """A report of two systems with three seeds each, and of a broken folder, on a data set of twelve classes."""
    store = make_store(tmp_path / "data" / "eval.h5", clips=300, classes=12)
    make_store(tmp_path / "data" / "bal_train.h5", clips=300, classes=12, seed=1)
    for seed in range(3):
        for pooling, quality in (("average", 0.8), ("attention_softmax", 1.6)):
            curves = {0: {step: quality * step / 1000 for step in range(9, 100, 10)}}
            path = tmp_path / "sweep" / f"pooling={pooling},seed={seed}"
            make_run(path, store, seed, pooling, quality, curves=curves)
    (tmp_path / "sweep" / "broken").mkdir()
    (tmp_path / "sweep" / "broken" / "metrics.json").write_text("{")
    return report([tmp_path / "sweep"], replicates=20).page


def shown(browser: webdriver.Chrome, column: int) -> list[str]:
    """Return the visible cells of one column of the table of classes."""
    rows = browser.find_elements(By.CSS_SELECTOR, "#classes tbody tr")
    return [row.find_elements(By.CSS_SELECTOR, "th, td")[column].text for row in rows if row.is_displayed()]


def test_the_page_works_in_a_browser(browser: webdriver.Chrome, page: Path) -> None:
    browser.get(page.as_uri())
    assert len(shown(browser, 0)) == 12

    find = browser.find_element(By.ID, "find")
    find.send_keys("CLASS 7")
    assert shown(browser, 0) == ["class 7"]
    assert browser.find_element(By.ID, "shown").text == "1 of 12 classes"
    find.clear()
    find.send_keys(" ")
    assert len(shown(browser, 0)) == 12

    heads = browser.find_elements(By.CSS_SELECTOR, "#classes thead th")
    column = next(i for i, head in enumerate(heads) if head.text.startswith("attention_softmax"))
    button = heads[column].find_element(By.TAG_NAME, "button")
    for direction in ("descending", "ascending"):
        button.click()
        values = [float(text) for text in shown(browser, column)]
        assert heads[column].get_attribute("aria-sort") == direction
        assert values == sorted(values, reverse=direction == "descending")
        assert len(set(values)) > 5
    heads[0].find_element(By.TAG_NAME, "button").click()
    assert shown(browser, 0) == [f"class {k}" for k in range(12)]  # in numerical order
    assert heads[column].get_attribute("aria-sort") is None

    pictures = browser.find_elements(By.CSS_SELECTOR, ".pictures img")
    assert len(pictures) == 3
    assert all(browser.execute_script("return arguments[0].naturalWidth", picture) > 500 for picture in pictures)
    plots = browser.find_elements(By.CSS_SELECTOR, ".plot")
    assert len(plots) == 3
    assert all(plot.find_elements(By.CSS_SELECTOR, ".main-svg") for plot in plots)
    width = browser.execute_script("return document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert width == 0, "the page scrolls sideways"

    check_quiet(browser, page.as_uri())


def test_a_point_tells_its_class_and_its_gain(browser: webdriver.Chrome, page: Path) -> None:
    browser.get(page.as_uri())
    plot = browser.find_elements(By.CSS_SELECTOR, ".plot")[1]
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", plot)
    labels = []
    for point in plot.find_elements(By.CSS_SELECTOR, ".points path")[:6]:  # medians can be in front
        ActionChains(browser).move_to_element(point).perform()
        found = WebDriverWait(browser, 20).until(
            lambda _: plot.find_elements(By.CSS_SELECTOR, ".hoverlayer .hovertext")
        )
        labels.append(found[0].text.replace("\n", " "))
    assert any(re.search(r"class \d+.*eval clips.*gain", label) for label in labels)


def test_the_page_is_right_on_every_screen(browser: webdriver.Chrome, page: Path, axe: str) -> None:
    def load() -> None:
        browser.get(page.as_uri())
        WebDriverWait(browser, 20).until(lambda _: browser.find_elements(By.CSS_SELECTOR, ".plot .main-svg"))

    check_page(browser, axe, "report", load)
    check_quiet(browser, page.as_uri())
    assert page.stat().st_size < 2_500_000, "1.2 MB of which are plotly.js"


def test_the_page_of_a_search_is_right_on_every_screen(browser: webdriver.Chrome, tmp_path: Path, axe: str) -> None:
    store = make_store(tmp_path / "data" / "eval.h5", clips=60, classes=4)
    for n in range(12):
        options = {
            "embedding": {"width": (500, 1024)[n % 2], "dropout": n / 24},
            "optimizer": {"lr": 10 ** (-4 + n / 6)},
        }
        make_run(tmp_path / "search" / str(n), store, 0, quality=1 + n / 12, options=options)
    page = report([tmp_path / "search"], replicates=5).page

    def load() -> None:
        browser.get(page.as_uri())
        WebDriverWait(browser, 20).until(
            lambda _: browser.find_elements(By.CSS_SELECTOR, "#search ~ .pictures .main-svg")
        )

    check_page(browser, axe, "search", load)
    check_quiet(browser, page.as_uri())


def test_markup_in_names_is_shown_as_text(browser: webdriver.Chrome, tmp_path: Path) -> None:
    store = make_store(tmp_path / "data" / "eval.h5", clips=60, classes=3)
    name = "<img src=x onerror=alert(1)><script>document.title='owned'</script>"
    make_run(tmp_path / "s" / "a", store, experiment=name)
    browser.get(report([tmp_path / "s"], replicates=0).page.as_uri())
    assert browser.title.endswith("audiobag report")
    assert name in browser.find_element(By.TAG_NAME, "body").text
    assert browser.get_log("browser") == []
