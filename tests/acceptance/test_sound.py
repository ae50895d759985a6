"""Recordings of other programs, a recording of an hour, and the page that plays one in a real browser."""

from __future__ import annotations

import resource
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

import audiobag
from audiobag.sound import LogMel, embed
from tests.composing import trained
from tests.sound.making import noise, tagger_of_tones, write

pytestmark = pytest.mark.acceptance


def test_the_page_plays_and_follows(browser: webdriver.Chrome, tmp_path: Path) -> None:
    run = tagger_of_tones(tmp_path)
    time = np.arange(20 * 16_000) / 16_000
    wave = noise(20, level=0.001) + (0.3 * np.sin(2 * np.pi * 250 * time) * (time >= 12) * (time < 15)).astype(
        np.float32
    )
    audiobag.load(run).listen(write(tmp_path / "x.wav", wave)).write_page(tmp_path / "x.html")
    browser.get((tmp_path / "x.html").as_uri())
    wait = WebDriverWait(browser, 60)
    wait.until(lambda _: browser.execute_script("return document.getElementById('sound').duration > 19"))
    button = browser.find_element(By.CSS_SELECTOR, "#heard button[aria-label='Play low from 0:12']")
    button.click()
    wait.until(lambda _: browser.execute_script("return document.getElementById('sound').currentTime > 12.3"))
    assert browser.find_element(By.CSS_SELECTOR, "#names div.on span").text == "low"
    left = browser.execute_script("return parseFloat(document.getElementById('head').style.left)")
    assert 60 < left < 75
    browser.find_element(By.CSS_SELECTOR, "input[value=p]").click()
    assert browser.save_screenshot(str(tmp_path / "page.png"))
    severe = [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"]
    assert severe == []


def peak(arguments: list[str], folder: Path) -> int:
    """Run audiobag-predict and return its peak of memory in kB."""
    code = "import resource, sys; from audiobag.cli.predict import main\ntry:\n    main()\nfinally:\n"
    code += "    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return int(done.stdout.split()[-1])


def test_an_hour_takes_the_memory_of_minutes_and_its_last_second_is_found(tmp_path: Path) -> None:
    run = tagger_of_tones(tmp_path)
    rate = 44_100
    tone = (0.3 * np.sin(2 * np.pi * 250 * np.arange(rate) / rate)).astype(np.float32)
    used = {}
    for minutes in (2, 60):
        with soundfile.SoundFile(tmp_path / f"{minutes}.wav", "w", rate, 2) as file:
            for number in range(minutes * 6):
                wave = noise(10, rate, seed=number, level=0.001)
                if number == minutes * 6 - 1:
                    wave[-rate:] += tone
                file.write(np.stack([wave, wave], 1))
        used[minutes] = peak(
            [f"checkpoint={run}", f"source={minutes}.wav", f"out={minutes}.csv", "segments=true"], tmp_path
        )
        last = (tmp_path / f"{minutes}.csv").read_text().splitlines()[-1].split(",")
        assert (last[1], float(last[3]), float(last[4])) == ("low", minutes * 60 - 1, minutes * 60)
    assert used[60] - used[2] < 100_000
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss < 2_000_000


@pytest.mark.skipif(not shutil.which("espeak-ng") or not shutil.which("sox"), reason="needs espeak-ng and sox")
def test_voices_and_noises_of_other_programs_are_told_apart(tmp_path: Path) -> None:
    for number in range(12):
        words = f"number {number} of the recordings, spoken by a machine"
        for folder in ("voice", "sox"):
            (tmp_path / "in" / folder).mkdir(parents=True, exist_ok=True)
        voice = ["espeak-ng", "-p", str(20 + 5 * number), "-w", str(tmp_path / "in" / "voice" / f"{number}.wav"), words]
        subprocess.run(voice, check=True)
        kind = ("pinknoise", "brownnoise", "whitenoise")[number % 3]
        made = ["sox", "-n", "-r", "22050", "-c", "2", str(tmp_path / "in" / "sox" / f"{number} ü.ogg")]
        subprocess.run([*made, "synth", "3", kind, "vol", "0.3"], check=True)
    done = embed(tmp_path / "in", tmp_path / "data", encoder=LogMel(), labels="folders", eval_fraction=0.4)
    assert done.summary.rejected == 0
    options = ("embedding.width=32", "trainer.max_steps=60", "data.batch_size=16", "optimizer.lr=0.01")
    run = trained(tmp_path / "data", tmp_path / "run", "data=own", *options)
    assert run.scores.mAP > 0.95
