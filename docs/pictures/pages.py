"""Take the pictures of the pages in the documentation, with chromium and chromium-driver.

    audiobag-report SWEEP; audiobag-explore SWEEP &
    python docs/pictures/pages.py SWEEP/report/report.html http://127.0.0.1:8050/ docs/pictures

The sweep is `audiobag-train -m pooling=average,max,... data=balanced embedding.batch_norm=true embedding.width=300
optimizer.lr=0.003 trainer.max_steps=150`: eleven poolings, half a minute each, far from trained to the end.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from selenium import webdriver
from selenium.webdriver.chrome.service import Service

CLIP = "2441"
CLASS = "Siren"


def take(report: str, explore: str, out: Path) -> None:
    """Take each picture."""
    options = webdriver.ChromeOptions()
    for flag in ("--headless", "--no-sandbox", "--hide-scrollbars"):
        options.add_argument(flag)
    options.binary_location = "/usr/bin/chromium"
    browser = webdriver.Chrome(options=options, service=Service("/usr/bin/chromedriver"))
    pages = {
        "report": (Path(report).resolve().as_uri(), 1120, 900),
        "curves": (Path(report).resolve().as_uri(), 1120, 740),
        "explore": (f"{explore}?class={CLASS}&sort=AP", 1280, 900),
        "clip": (f"{explore}?class={CLASS}&clip={CLIP}", 1280, 400),
    }
    for name, (address, width, height) in pages.items():
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        browser.get(address)
        time.sleep(3)
        if name == "curves":  # a point of a curve tells its value
            browser.execute_script("document.querySelectorAll('.pictures h3')[2].scrollIntoView()")
            time.sleep(3)
            plot = "[...document.querySelectorAll('.plot')].find(plot => plot.ariaLabel.startsWith('Precision'))"
            browser.execute_script(f"Plotly.Fx.hover({plot}, [{{curveNumber: 16, pointNumber: 40}}], ['x3y3'])")
            time.sleep(0.5)
        if name == "clip":  # the clip alone
            browser.execute_script(
                "document.querySelector('header').remove(); document.getElementById('list').remove()"
            )
            browser.execute_script("document.querySelector('.columns').style.gridTemplateColumns = '1fr'")
            height = browser.execute_script("return document.documentElement.scrollHeight")
            browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {**size, "height": height})
            time.sleep(0.5)
        browser.save_screenshot(str(out / f"{name}.png"))
    browser.quit()


if __name__ == "__main__":
    take(sys.argv[1], sys.argv[2], Path(sys.argv[3]))
