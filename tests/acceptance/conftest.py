"""A real browser (Debian's chromium and chromium-driver), and undisturbed runs as a reference for interrupted ones."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service

from tests.acceptance.looking import axe_core
from tests.acceptance.running import PATIENCE, begin
from tests.conftest import make_store

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--window-size=1366,900",
)


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[webdriver.Chrome]:
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if chromium is None or driver is None:
        pytest.fail("needs a browser: apt-get install chromium chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for flag in (*FLAGS, f"--user-data-dir={tmp_path / 'profile'}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    chrome = webdriver.Chrome(options=options, service=Service(driver))
    yield chrome
    chrome.quit()


@pytest.fixture(scope="session")
def axe(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The source of axe-core, a collection of rules of accessibility."""
    return axe_core(tmp_path_factory.mktemp("axe"))


@pytest.fixture(scope="session")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with stores and two undisturbed runs: one of one process, one of two."""
    folder = tmp_path_factory.mktemp("preemption")
    make_store(folder / "data" / "bal_train.h5", clips=900, classes=20, dim=64)
    make_store(folder / "data" / "eval.h5", clips=300, classes=20, dim=64, seed=1)
    for trainer in ("cpu", "ddp_cpu"):
        assert begin(folder, trainer, f"undisturbed-{trainer}").wait(PATIENCE) == 0
    return folder
