"""audiobag-explore in a real browser."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

from audiobag.explore import open_runs
from audiobag.explore.app import make_app
from audiobag.explore.serve import serve
from audiobag.export import load
from tests.explore.fabricate import complete_run

pytestmark = pytest.mark.acceptance


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    """Address of the page of two runs."""
    runs = [complete_run(tmp_path / pooling, pooling)[0].path for pooling in ("average", "attention_softmax")]
    application = make_app(open_runs(runs, load)).server
    found: list[str] = []
    up, stop = threading.Event(), threading.Event()

    def ready(at: str) -> None:
        found.append(at)
        up.set()

    server = threading.Thread(target=serve, args=(application, "127.0.0.1", 0, ready, stop.is_set))
    server.start()
    assert up.wait(60)
    yield found[0]
    stop.set()
    server.join(60)


def classes(browser: webdriver.Chrome) -> list[str]:
    script = "return Array.from(document.querySelectorAll('#rows a'), a => a.textContent)"
    return list(browser.execute_script(script))


def test_the_page_works_in_a_browser(browser: webdriver.Chrome, address: str, tmp_path: Path) -> None:
    wait = WebDriverWait(browser, 120)
    browser.get(address)
    wait.until(lambda _: len(classes(browser)) == 5)
    wait.until(lambda _: browser.find_elements(By.CSS_SELECTOR, "#detail img"))
    assert browser.save_screenshot(str(tmp_path / "overview.png"))

    browser.find_element(By.ID, "find").send_keys("CLASS 3")
    wait.until(lambda _: classes(browser) == ["class 3"])
    assert browser.find_element(By.ID, "shown").text == "1 of 5 classes"
    browser.find_element(By.LINK_TEXT, "class 3").click()
    wait.until(lambda _: browser.find_element(By.CSS_SELECTOR, "#detail h2").text == "class 3")
    assert browser.current_url == f"{address}?class=class%203"
    pictures = browser.find_elements(By.CSS_SELECTOR, "#detail img")
    assert len(pictures) == 3
    wait.until(lambda _: browser.execute_script("return arguments[0].naturalWidth", pictures[0]) > 1000)
    assert [cell.text for cell in browser.find_elements(By.CSS_SELECTOR, "#scores td")][-1] == "+0.0000"
    browser.set_window_size(1500, 1100)
    assert browser.save_screenshot(str(tmp_path / "class.png"))

    browser.back()
    wait.until(lambda _: browser.find_element(By.CSS_SELECTOR, "#detail h2").text != "class 3")
    browser.get(f"{address}?class=class%201")  # a bookmark
    wait.until(lambda _: browser.find_elements(By.CSS_SELECTOR, "#detail h2"))
    assert browser.find_element(By.CSS_SELECTOR, "#detail h2").text == "class 1"
    width = browser.execute_script("return document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert width == 0, "the page scrolls sideways"

    assert browser.get_log("browser") == []
    sent = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    urls = [m["params"]["request"]["url"] for m in sent if m["method"] == "Network.requestWillBeSent"]
    assert urls
    assert any(url.startswith(address) for url in urls)
    # chrome: is the start page of the browser, which the page cannot request.
    assert [url for url in urls if not url.startswith((address, "data:", "chrome:"))] == []
