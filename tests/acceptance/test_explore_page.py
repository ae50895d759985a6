"""audiobag-explore in a real browser."""

from __future__ import annotations

import threading
import wave
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

from audiobag.explore import Opened, open_runs
from audiobag.explore.app import load_models, make_app
from audiobag.explore.serve import serve
from audiobag.export import load
from tests.acceptance.looking import check_page, check_quiet
from tests.explore.fabricate import complete_run

pytestmark = pytest.mark.acceptance

POOLINGS = ("average", "attention_softmax", "max")


@contextmanager
def served(opened: Opened) -> Iterator[str]:
    """Yield the address of a page."""
    load_models(opened)
    found: list[str] = []
    up, stop = threading.Event(), threading.Event()

    def ready(at: str) -> None:
        found.append(at)
        up.set()

    server = threading.Thread(target=serve, args=(make_app(opened), "127.0.0.1", 0, ready, stop.is_set))
    server.start()
    try:
        assert up.wait(60)
        yield found[0]
    finally:
        stop.set()
        server.join(60)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("explore")
    return [complete_run(folder / pooling, pooling)[0].path for pooling in POOLINGS]


@pytest.fixture
def address(runs: list[Path], tmp_path: Path) -> Iterator[str]:
    """Address of the page of three runs, with strong labels of one clip."""
    events = tmp_path / "events.csv"
    rows = "".join(f"clip{i:06d},1.0,2.0,class 3\n" for i in range(40))
    events.write_text(f"video_id,start_seconds,end_seconds,label\n{rows}")
    with served(open_runs(runs, load, strong=events)) as found:
        yield found


def classes(browser: webdriver.Chrome) -> list[str]:
    script = "return Array.from(document.querySelectorAll('#classes tbody a'), a => a.textContent)"
    return list(browser.execute_script(script))


def heading(browser: webdriver.Chrome) -> str:
    script = "const [h] = document.querySelectorAll('#detail[aria-busy=false] h2'); return h ? h.textContent : ''"
    return str(browser.execute_script(script))


def test_the_page_works_in_a_browser(browser: webdriver.Chrome, address: str) -> None:
    wait = WebDriverWait(browser, 60)
    browser.set_window_size(1440, 900)
    browser.get(address)
    wait.until(lambda _: len(classes(browser)) == 5)
    wait.until(lambda _: browser.find_elements(By.CSS_SELECTOR, "#detail .points path"))

    browser.find_element(By.ID, "find").send_keys("CLASS 3")
    wait.until(lambda _: classes(browser) == ["class 3"])
    assert browser.find_element(By.ID, "shown").text == "1 of 5 classes."
    browser.find_element(By.LINK_TEXT, "class 3").click()
    wait.until(lambda _: heading(browser) == "class 3")
    cards = browser.find_elements(By.CSS_SELECTOR, ".clip")
    assert cards
    for card in cards:  # both runs have the same rows in the same order
        names = [
            [item.get_attribute("title") for item in of.find_elements(By.CSS_SELECTOR, "li span[title]")]
            for of in card.find_elements(By.CSS_SELECTOR, ".run")
        ]
        assert len(names) == 2
        assert names[0] == names[1]
    assert "class=class+3" in browser.current_url
    assert "find=CLASS+3" in browser.current_url

    flat = browser.find_elements(By.CSS_SELECTOR, ".clip .run:last-child .panel:nth-child(3) canvas")[0]
    pixels = "const c = arguments[0]; const d = c.getContext('2d').getImageData(0, 2, c.width, 1).data; return [...d]"
    row = browser.execute_script(pixels, flat)
    assert {tuple(row[i : i + 4]) for i in range(0, len(row), 4)}.__len__() == 1, "average pooling looks flat"

    browser.find_element(By.PARTIAL_LINK_TEXT, "Under all 3 runs").click()
    wait.until(lambda _: heading(browser).endswith("under 3 runs"))
    assert len(browser.find_elements(By.CSS_SELECTOR, ".run")) == 3
    link = browser.current_url
    browser.back()
    wait.until(lambda _: heading(browser) == "class 3")
    browser.get(link)  # a link restores the view
    wait.until(lambda _: heading(browser).endswith("under 3 runs"))
    assert browser.find_element(By.ID, "find").get_attribute("value") == "CLASS 3"
    assert classes(browser) == ["class 3"]
    check_quiet(browser, address)


def test_an_answer_takes_less_than_a_third_of_a_second(browser: webdriver.Chrome, address: str) -> None:
    wait = WebDriverWait(browser, 60)
    browser.get(f"{address}?class=class+1")
    wait.until(lambda _: heading(browser) == "class 1")
    script = """
        const done = arguments[arguments.length - 1], detail = document.getElementById("detail");
        const start = performance.now();
        new MutationObserver((_, observer) => {
          if (detail.getAttribute("aria-busy") === "true") return;
          observer.disconnect();
          requestAnimationFrame(() => done(performance.now() - start));
        }).observe(detail, { attributes: true });
        [...document.querySelectorAll("#classes tbody a")].find(a => a.textContent === arguments[0]).click();
    """
    taken = []
    for name in ("class 3", "class 4", "class 1", "class 0"):
        taken.append(browser.execute_async_script(script, name))
        assert heading(browser) == name
    assert sorted(taken)[1] < 300, f"{taken} ms"


def test_keys_go_through_the_classes(browser: webdriver.Chrome, address: str) -> None:
    wait = WebDriverWait(browser, 60)
    browser.get(f"{address}?sort=name")
    wait.until(lambda _: classes(browser) == [f"class {k}" for k in range(5)])
    body = browser.find_element(By.TAG_NAME, "body")
    for keys, expected in (("j", "class 0"), ("j", "class 1"), ("k", "class 0")):
        body.send_keys(keys)
        wait.until(lambda _, expected=expected: heading(browser) == expected)
    body.send_keys("/")
    assert browser.switch_to.active_element.get_attribute("id") == "find"
    browser.switch_to.active_element.send_keys("4", Keys.ENTER)
    wait.until(lambda _: classes(browser) == ["class 4"])
    wait.until(lambda _: heading(browser) == "class 4")
    browser.switch_to.active_element.send_keys(Keys.ESCAPE)
    wait.until(lambda _: heading(browser).startswith("AP of "))
    wait.until(lambda _: len(classes(browser)) == 5)
    for direction in ("descending", "ascending"):
        browser.find_elements(By.CSS_SELECTOR, "#classes thead button")[2].click()
        head = browser.find_elements(By.CSS_SELECTOR, "#classes thead th")[2]
        assert head.get_attribute("aria-sort") == direction
        cells = browser.find_elements(By.CSS_SELECTOR, "#classes tbody td:nth-child(3)")
        values = [float(cell.text) for cell in cells if cell.text != "-"]
        assert values == sorted(values, reverse=direction == "descending")
        assert cells[-1].text == "-", "a class without AP comes last"


def test_a_point_leads_to_its_class(browser: webdriver.Chrome, address: str) -> None:
    wait = WebDriverWait(browser, 60)
    browser.get(f"{address}?run=1&against=0")
    wait.until(lambda _: browser.find_elements(By.CSS_SELECTOR, "#detail .points path"))
    place = browser.find_element(By.CSS_SELECTOR, "#detail .plot")
    browser.execute_script("arguments[0].emit('plotly_click', {points: [{customdata: 3}]})", place)
    wait.until(lambda _: heading(browser) == "class 3")


def test_the_page_is_right_on_every_screen(browser: webdriver.Chrome, address: str, axe: str) -> None:
    wait = WebDriverWait(browser, 60)
    views = {
        "explore": ("", lambda: browser.find_elements(By.CSS_SELECTOR, "#detail .points path")),
        "explore-class": ("?class=class+3", lambda: heading(browser) == "class 3"),
        "explore-clip": ("?class=class+3&clip=7", lambda: heading(browser).endswith("under 3 runs")),
    }
    for name, (query, there) in views.items():

        def load(query: str = query, there: object = there) -> None:
            browser.get(address + query)
            wait.until(lambda _: there())  # type: ignore[operator]

        check_page(browser, axe, name, load)
    check_quiet(browser, address)


def test_a_line_follows_the_sound(browser: webdriver.Chrome, runs: list[Path], tmp_path: Path) -> None:
    for i in range(40):
        with wave.open(str(tmp_path / f"clip{i:06d}.wav"), "wb") as file:
            file.setparams((1, 2, 8000, 0, "NONE", ""))
            file.writeframes(bytes(16000 * 4))
    with served(open_runs(runs[:1], load, audio_url=f"file://{tmp_path}/{{video_id}}.wav")) as address:
        browser.get(f"{address}?clip=7")
        wait = WebDriverWait(browser, 60)
        wait.until(lambda _: browser.find_elements(By.CSS_SELECTOR, "audio"))
        audio = browser.find_element(By.CSS_SELECTOR, "audio")
        browser.execute_script("arguments[0].preload = 'metadata'", audio)  # as when it is played
        wait.until(lambda _: browser.execute_script("return arguments[0].readyState > 0", audio))
        browser.execute_script("arguments[0].currentTime = 2", audio)
        wait.until(lambda _: browser.find_elements(By.CSS_SELECTOR, ".stage i"))
        frames = browser.execute_async_script(
            "fetch('api/clip/7').then(a => a.json()).then(c => arguments[arguments.length - 1](c.frames))"
        )
        left = browser.execute_script("return parseFloat(document.querySelector('.stage i').style.left)")
        assert left == pytest.approx(min(100 * 2 / frames, 100), abs=0.5)
        check_quiet(browser, address)
