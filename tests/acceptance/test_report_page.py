"""The report in a real browser: Debian's chromium and chromium-driver."""

from __future__ import annotations

import re
import wave
from pathlib import Path

import pytest
from selenium import webdriver
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

from audiobag.report import report
from tests.acceptance.looking import check_page, check_quiet
from tests.conftest import make_store
from tests.report.fabricate import Predicted, make_run

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

    plots = browser.find_elements(By.CSS_SELECTOR, ".plot")
    assert len(plots) == 6
    for plot in plots:  # they are drawn when they come into view
        browser.execute_script("arguments[0].scrollIntoView()", plot)
        WebDriverWait(browser, 20).until(lambda _, plot=plot: plot.find_elements(By.CSS_SELECTOR, ".main-svg"))
    button = browser.find_element(By.XPATH, "//h3[.='mAP over training']/following-sibling::div//button")
    lines = "return arguments[0].querySelectorAll('.scatterlayer .js-line').length"
    both = browser.execute_script(lines, plots[-1])
    button.send_keys(Keys.ENTER)
    assert button.get_attribute("aria-pressed") == "false"
    WebDriverWait(browser, 20).until(lambda _: browser.execute_script(lines, plots[-1]) < both)
    width = browser.execute_script("return document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert width == 0, "the page scrolls sideways"

    check_quiet(browser, page.as_uri())


def test_a_point_tells_its_class_and_its_gain(browser: webdriver.Chrome, page: Path) -> None:
    browser.get(page.as_uri())
    plot = browser.find_elements(By.CSS_SELECTOR, ".plot")[1]
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", plot)
    WebDriverWait(browser, 20).until(lambda _: plot.find_elements(By.CSS_SELECTOR, ".points path"))
    labels = []
    for point in plot.find_elements(By.CSS_SELECTOR, ".points path")[:6]:  # medians can be in front
        ActionChains(browser).move_to_element(point).perform()
        found = WebDriverWait(browser, 20).until(
            lambda _: plot.find_elements(By.CSS_SELECTOR, ".hoverlayer .hovertext")
        )
        labels.append(found[0].text.replace("\n", " "))
    assert any(re.search(r"class \d+.*eval clips.*gain", label) for label in labels)


def test_a_line_follows_the_sound(browser: webdriver.Chrome, page: Path, tmp_path: Path) -> None:
    recordings = tmp_path / "recordings"
    recordings.mkdir()
    for i in range(300):
        with wave.open(str(recordings / f"clip{i:06d}.wav"), "wb") as file:
            file.setparams((1, 2, 8000, 0, "NONE", ""))
            file.writeframes(bytes(16000 * 4))
    folder = page.parents[1] / "pooling=attention_softmax,seed=0" / "checkpoints"
    folder.mkdir()
    (folder / "step-00000010.ckpt").touch()
    address = f"{recordings.as_uri()}/{{video_id}}.wav"
    heard = report([page.parents[1]], tmp_path / "heard", replicates=0, load=lambda _: Predicted(12), audio_url=address)
    browser.get(heard.page.as_uri())
    audio = browser.find_element(By.CSS_SELECTOR, ".clip audio")
    assert audio.get_attribute("preload") == "none"
    wait = WebDriverWait(browser, 20)
    browser.execute_script("arguments[0].preload = 'metadata'", audio)  # as when it is played
    wait.until(lambda _: browser.execute_script("return arguments[0].readyState > 0", audio))
    browser.execute_script("arguments[0].currentTime = 2", audio)
    wait.until(lambda _: browser.find_elements(By.CSS_SELECTOR, ".clip .stage i"))
    (clip, *_) = browser.execute_script("return JSON.parse(document.querySelector('[data-clips]').dataset.clips)")
    left = browser.execute_script("return parseFloat(document.querySelector('.stage i').style.left)")
    assert left == pytest.approx(min(100 * 2 / clip["frames"], 100), abs=0.5)
    check_quiet(browser, heard.page.as_uri(), recordings.as_uri())


def test_the_page_is_right_on_every_screen(browser: webdriver.Chrome, page: Path, axe: str) -> None:
    def load() -> None:
        browser.get(page.as_uri())
        browser.execute_script("dispatchEvent(new Event('beforeprint'))")  # all pictures
        WebDriverWait(browser, 20).until(
            lambda _: len(browser.find_elements(By.CSS_SELECTOR, ".plot .user-select-none")) >= 6
        )

    check_page(browser, axe, "report", load)
    check_quiet(browser, page.as_uri())
    assert page.stat().st_size < 2_000_000, "1.2 MB of which are plotly.js"


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
        browser.execute_script("dispatchEvent(new Event('beforeprint'))")  # all pictures
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
