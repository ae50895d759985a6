"""The documentation builds without a warning, its commands compose and its Python runs."""

from __future__ import annotations

import ast
import json
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override

import audiobag
from audiobag.cli.folders import name_folders
from tests.composing import composed, trained
from tests.conftest import load_script, make_store
from tests.export.fabricate import make_run

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
_BLOCK = re.compile(r'^```(\w+)(?: title="([^"]+)")?\n(.*?)^```$', re.DOTALL | re.MULTILINE)


def blocks(page: Path) -> list[tuple[str, str, str]]:
    """Return language, title and text of each block of code."""
    return _BLOCK.findall(page.read_text(encoding="utf-8"))


def commands(page: Path) -> Iterator[list[str]]:
    for language, _, text in blocks(page):
        if language == "bash":
            for line in text.replace("\\\n", " ").splitlines():
                words = shlex.split(line, comments=True)
                if words and words[0].startswith("audiobag-"):
                    yield words


FEW_STEPS = '"trainer.max_steps=2", "trainer.log_every_n_steps=1", "embedding.width=8"'
COMMANDS = [(page.stem, words) for page in PAGES for words in commands(page)]


@pytest.fixture
def theirs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The files of the package in own-pooling.md."""
    for _, title, text in blocks(ROOT / "docs" / "own-pooling.md"):
        if title:
            (tmp_path / title).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / title).write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    for name in [n for n in sys.modules if n.split(".")[0] == "theirs"]:
        del sys.modules[name]


def single(argument: str) -> str:
    """Return an override with the first of its values in a sweep."""
    override: Override = OverridesParser.create().parse_override(argument)
    if override.is_interval_sweep():
        return f"{override.key_or_group}={override.value().start}"  # type: ignore[union-attr]
    if override.is_sweep_override():
        return f"{override.key_or_group}={next(override.sweep_string_iterator())}"
    return argument


def test_every_command_is_in_the_docs() -> None:
    roots = {p.stem for p in (ROOT / "conf").glob("*.yaml")}
    assert {words[0].removeprefix("audiobag-") for _, words in COMMANDS} >= roots
    assert len(COMMANDS) > 40


@pytest.mark.parametrize(("page", "words"), COMMANDS, ids=lambda x: x if isinstance(x, str) else " ".join(x))
def test_each_command_composes_as_it_is_typed(page: str, words: list[str], theirs: Path) -> None:
    command, arguments = words[0].removeprefix("audiobag-"), words[1:]
    if not (ROOT / "conf" / f"{command}.yaml").is_file():
        pytest.skip(f"audiobag-{command} has no configuration")
    multirun = {"-m", "--wandb-sweep"} & {*arguments} or any(a.startswith("sweep=") for a in arguments)
    arguments = [a for a in arguments if a not in ("-m", "--cfg", "job", "--wandb-sweep", ">", "search.yaml")]
    if command in ("report", "explore"):
        arguments = name_folders(arguments)
    if command == "listen":
        arguments = name_folders(arguments, "source")
    overrides = [single(a) if multirun else a for a in arguments]
    # Hydra refuses unknown options and keys. A process of its own would know its output folder.
    paths = [f"paths.run={theirs}"] if command in ("train", "evaluate") else []
    assert composed(command, *overrides, *paths)


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.stem)
def test_python_on_the_pages_names_what_there_is(page: Path) -> None:
    for language, _, text in blocks(page):
        if language == "python":
            for node in ast.walk(ast.parse(text)):
                if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "audiobag":
                    assert hasattr(audiobag, node.attr), f"{page.name}: audiobag.{node.attr}"


@pytest.mark.parametrize("page", ["README.md", "docs/tutorial.md", "docs/howto/python.md", "docs/own-embeddings.md"])
def test_python_on_the_pages_runs(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All blocks of a page in turn, with a small model and stores where the page expects them, and few steps."""
    checkpoint, store = make_run(tmp_path / "run")
    make_store(tmp_path / "data" / "bal_train.h5", classes=store.classes)
    for folder in ("exports/tutorial", "exports/attention", "exported"):
        (tmp_path / folder).mkdir(parents=True)
        audiobag.load(checkpoint).write(tmp_path / folder)
    for name in ("data/synthetic/small", "data/audioset"):
        shutil.copytree(tmp_path / "data", tmp_path / name, ignore=shutil.ignore_patterns("synthetic", "audioset"))
    monkeypatch.chdir(tmp_path)
    names = {
        "frames": np.zeros((2, 4, store.dim), np.uint8),
        "lengths": [4, 2],
        "probability": torch.rand(len(store), store.classes),
    }
    python = [text for language, title, text in blocks(ROOT / page) if language == "python" and not title]
    assert python
    for text in python:
        exec(compile(text.replace('"trainer.max_steps=60"', FEW_STEPS), page, "exec"), names)
    if page == "docs/own-embeddings.md":  # whose commands read what its Python writes
        assert {path.name for path in tmp_path.glob("*.npz")} == {"bal_train.npz", "eval.npz"}


def test_the_notebook_runs_and_shows_what_it_draws(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a small model, few steps, and stores where the notebook expects them."""
    for name, seed in (("bal_train", 0), ("eval", 1)):
        folder = tmp_path / "data" / "synthetic" / "small"
        folder.mkdir(parents=True, exist_ok=True)
        make_store(folder / f"{name}.h5", classes=5, seed=seed)
    monkeypatch.chdir(tmp_path)
    notebook = json.loads((ROOT / "docs" / "notebook.ipynb").read_text(encoding="utf-8"))
    kept = [cell["outputs"] for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert sum("image/png" in output.get("data", {}) for cell in kept for output in cell) == 2
    script = load_script(ROOT / "docs" / "notebook.py")
    script.execute(notebook, lambda code: code.replace('"trainer.max_steps=100"', FEW_STEPS))
    cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    printed = "".join("".join(output.get("text", [])) for cell in cells for output in cell["outputs"])
    assert re.search(r"mAP 0\.\d{4}, AUC 0\.\d{4}", printed)
    assert "file:///data/recordings/clip0000" in printed


def test_the_notebook_of_recordings_runs_from_the_sound_to_the_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With fewer recordings and few steps."""
    monkeypatch.chdir(tmp_path)
    notebook = json.loads((ROOT / "docs" / "notebook-recordings.ipynb").read_text(encoding="utf-8"))
    kept = [output for cell in notebook["cells"] for output in cell.get("outputs", [])]
    assert sum("image/png" in output.get("data", {}) for output in kept) == 1
    assert " 4.0 to  6.0 s  Siren  1.00\n" in [line for output in kept for line in output.get("text", [])]

    def smaller(code: str) -> str:
        return code.replace("RECORDINGS = 200", "RECORDINGS = 40").replace('"trainer.max_steps=100"', FEW_STEPS)

    load_script(ROOT / "docs" / "notebook.py").execute(notebook, smaller)
    made = [output for cell in notebook["cells"] for output in cell.get("outputs", [])]
    printed = "".join(line for output in made for line in output.get("text", []))
    assert "bal_train 30 clips, frames per clip: 8" in printed
    assert re.search(r"mAP 0\.\d{3}", printed)
    assert sum("image/png" in output.get("data", {}) for output in made) == 1


def test_the_page_of_the_configuration_has_the_comments_of_the_files() -> None:
    made = load_script(ROOT / "docs" / "configuration.py")
    keys = {
        key.name: key
        for key in made.keys("# A\n# b.\na: 1  # no\nhydra: {x: 1}\nc:\n  # D.\n  d: [1, 2]\n  _target_: x\n")
    }
    assert {name: (key.default, key.comment) for name, key in keys.items()} == {
        "a": ("1", "A b."),
        "c.d": ("[1, 2]", "D."),
    }
    commands, groups = "\n".join(made.commands()), "\n".join(made.groups())
    assert "| `port` | `8050` | 0 for any free port. |" in commands
    assert "| `augment=mixup` | `mixup.alpha=1.0` | Mixes each bag with another" in groups
    options = {p.relative_to(ROOT / "conf").with_suffix("").as_posix() for p in (ROOT / "conf").rglob("*/*.yaml")}
    listed = set(re.findall(r"^\| `([\w/]+)=([\w/.-]+)` \|", groups, re.MULTILINE))
    hidden = ("paths/", "hydra/job_logging/")
    assert {f"{group}/{name}" for group, name in listed} == {o for o in options if not o.startswith(hidden)}


def test_the_pooling_of_the_docs_trains_and_loads_from_the_users_own_package(theirs: Path, data: Path) -> None:
    search = ("hydra.searchpath=[pkg://theirs.conf]", "pooling=recent", "pooling.measure.half_life=1")
    run = trained(data, theirs / "run", *search)
    with pytest.raises(ValueError, match=r"theirs\.pooling\.Recent"):
        audiobag.load(run.path)
    tagger = audiobag.load(run.path, allow=["theirs"])
    dim = audiobag.open_store(data / "eval.h5").dim
    prediction = tagger.predict(np.zeros((2, 4, dim), np.uint8), [3, 1])
    expected = torch.tensor([[1 / 7, 2 / 7, 4 / 7, 0], [1, 0, 0, 0]])
    torch.testing.assert_close(prediction.measure, expected[..., None].expand_as(prediction.measure))


def test_site_builds_without_a_warning_and_loads_nothing_from_other_servers(tmp_path: Path) -> None:
    # Without --quiet, which hides warnings from --strict.
    build = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path)]
    done = subprocess.run(build, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    html = "".join(p.read_text(encoding="utf-8") for p in tmp_path.rglob("*.html"))
    for name in ("pooling.SoftmaxAttention", "load", "predict", "train", "open_store", "report.report"):
        assert f'id="audiobag.{name}"' in html, "the reference has public names"
    assert "<code>audio_url</code>" in html, "the tables of the configuration"
    assert "<math" in html
    assert 'class="arithmatex"' not in html, "a formula was not converted"
    assert not re.findall(r'<(?:script|img|iframe)[^>]+src="(?:https?:)?//[^"]+', html)
    assert not re.findall(r'<link[^>]+rel="(?:stylesheet|preconnect)"[^>]+href="(?:https?:)?//[^"]+', html)
