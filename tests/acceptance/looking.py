"""Looks at a page as people do: on a wide and on a narrow screen, in light and in dark, and with axe-core's rules."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from selenium import webdriver

WIDTHS = (1440, 400)
SCHEMES = ("light", "dark")
SCREENSHOTS = Path(__file__).parents[2] / "build" / "screenshots"
AXE = "axe-core@4.14.1"


def axe_core(folder: Path) -> str:
    """Return the source of axe-core, which npm fetches."""
    npm = shutil.which("npm")
    if npm is None:
        pytest.fail("needs npm: apt-get install npm")
    subprocess.run([npm, "install", "--silent", "--prefix", str(folder), AXE], check=True, timeout=300)
    return (folder / "node_modules" / "axe-core" / "axe.min.js").read_text(encoding="utf-8")


def screens(browser: webdriver.Chrome) -> Iterator[tuple[int, str]]:
    """Set the browser to each kind of screen in turn, and yield it."""
    for width in WIDTHS:
        for scheme in SCHEMES:
            features = [{"name": "prefers-color-scheme", "value": scheme}]
            browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
            resize(browser, width, 900)
            yield width, scheme


def resize(browser: webdriver.Chrome, width: int, height: int) -> None:
    size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)


def check_page(browser: webdriver.Chrome, axe: str, name: str, load: Callable[[], None]) -> None:
    """Load a page on each screen; it must not scroll sideways or break a rule of axe-core, and is kept as a picture.

    Args:
        browser: the browser.
        axe: source of axe-core.
        name: of the pictures.
        load: loads the page and waits for it.
    """
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    for width, scheme in screens(browser):
        load()
        wide = "return document.documentElement.scrollWidth - document.documentElement.clientWidth"
        assert browser.execute_script(wide) == 0, f"{name} scrolls sideways at {width} px"
        assert serious(browser, axe) == [], f"{name} at {width} px, {scheme}"
        height = browser.execute_script("return document.documentElement.scrollHeight")
        resize(browser, width, min(height, 6000))
        time.sleep(0.5)  # plots follow the size of the window
        picture = SCREENSHOTS / f"{name}-{width}-{scheme}.png"
        assert browser.save_screenshot(str(picture))
        assert picture.stat().st_size > 20_000


def serious(browser: webdriver.Chrome, axe: str) -> list[str]:
    """Return the serious findings of axe-core."""
    browser.execute_script(axe)
    found: dict[str, Any] = browser.execute_async_script("axe.run().then(arguments[arguments.length - 1])")
    return [
        f"{one['id']}: {one['help']}: {one['nodes'][0]['html'][:200]} {one['nodes'][0]['failureSummary'][:300]}"
        for one in found["violations"]
        if one["impact"] in ("serious", "critical")
    ]


def check_quiet(browser: webdriver.Chrome, *allowed: str) -> None:
    """Check that there is nothing on the console, and that only addresses that start so were asked for."""
    assert browser.get_log("browser") == []
    sent = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    urls = [m["params"]["request"]["url"] for m in sent if m["method"] == "Network.requestWillBeSent"]
    assert urls
    # chrome: is the start page of the browser, which the page cannot request.
    assert [url for url in urls if not url.startswith((*allowed, "data:", "chrome:"))] == []
