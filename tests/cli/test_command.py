"""Exit codes and sentences, in process; the commands themselves are run in test_end_to_end.py."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from hydra.errors import InstantiationException
from omegaconf import OmegaConf

from audiobag.cli import command
from audiobag.errors import ExitCode, Interrupted, UserError
from audiobag.files import locked


def wrapped(cause: Exception) -> InstantiationException:
    """What Hydra makes of an exception in a constructor."""
    error = InstantiationException("Error in call to target 'x'")
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (UserError("no store at x"), ExitCode.USER, "audiobag: no store at x\n"),
        (wrapped(UserError("no store at x")), ExitCode.USER, "audiobag: no store at x\n"),
        (wrapped(TypeError("bad")), ExitCode.USER, "audiobag: Error in call to target 'x'\n"),
        (Interrupted(), ExitCode.INTERRUPTED, "hydra.run.dir=here"),
        (RuntimeError("ours"), ExitCode.CRASH, "RuntimeError: ours"),
    ],
)
def test_whatever_goes_wrong_has_its_exit_code(
    error: BaseException,
    code: ExitCode,
    said: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def run(_: dict[str, Any]) -> None:
        raise error

    monkeypatch.setattr(command, "run_directory", lambda: "here")
    with pytest.raises(SystemExit) as end:
        command._guarded(run, OmegaConf.create({}))
    assert end.value.code == code
    shown = capsys.readouterr().err
    assert said in shown
    assert ("Traceback" in shown) == (code is ExitCode.CRASH)


def test_traceback_of_a_users_mistake_on_request(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(_: dict[str, Any]) -> None:
        raise UserError("no store at x")

    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    with pytest.raises(SystemExit) as end:
        command._guarded(run, OmegaConf.create({}))
    assert end.value.code == ExitCode.USER
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("config", "said"),
    [
        (
            {"checkpoint": "???"},
            "audiobag: checkpoint has no value and needs one: add checkpoint=...; --help says what",
        ),
        ({"a": {"b": "${nope}"}}, "audiobag: a.b: Interpolation key 'nope' not found\n"),
    ],
)
def test_values_that_do_not_resolve_are_the_users(
    config: dict[str, Any], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        command._guarded(lambda _: None, OmegaConf.create(config))
    assert end.value.code == ExitCode.USER
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["pooling=nope"], "Could not find 'pooling/nope'"),
        (["nope=3"], "Key 'nope' is not in struct"),
        (["-m", "pooling=average,nope"], "Could not find 'pooling/nope'"),
        (["-m", "embedding.depht=1,2"], "Key 'depht' is not in struct"),
        (["sweep=table2"], "give -m too"),
        (["logger=null"], "audiobag: logger=null; expected an option of that group"),
        (["-m", "+hydra/launcher=pool,null"], "leave hydra/launcher= out"),
    ],
)
def test_hydras_own_refusals_are_the_users_mistake(
    arguments: list[str], said: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    from audiobag.cli.train import main

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["audiobag-train", *arguments])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == ExitCode.USER
    assert said in capfd.readouterr().err
    assert not list(tmp_path.rglob("metrics.json"))


@pytest.mark.parametrize(
    ("command", "arguments", "said"),
    [
        ("prepare", ["source=3"], "source=3; expected a file or folder, or ./3 for one of that name"),
        ("prepare", ["source=synthetic", "out=3"], "out=3; expected a file or folder"),
        ("evaluate", ["checkpoint=3"], "checkpoint=3; expected a file or folder"),
        ("predict", ["checkpoint=a.ckpt", "source=3"], "source=3; expected a file or folder"),
        ("report", ["runs=3"], "runs=3; expected a file or folder"),
        ("report", ["runs=nowhere"], "no folder at nowhere:"),
        ("export", ["checkpoint=a.ckpt", "out=3"], "out=3; expected a file or folder"),
        ("explore", ["runs=nowhere", "port=x"], "port=x; expected a whole number of at least 0, 0 for any"),
        ("explore", ["runs=nowhere"], "no folder at nowhere:"),
    ],
)
def test_each_command_refuses_in_a_sentence_what_is_no_path(
    command: str,
    arguments: list[str],
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [f"audiobag-{command}", *arguments])
    with pytest.raises(SystemExit) as end:
        import_module(f"audiobag.cli.{command}").main()
    assert end.value.code == ExitCode.USER
    shown = capfd.readouterr().err
    assert f"audiobag: {said}" in shown
    assert "Traceback" not in shown


def test_help_teaches(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    from audiobag.cli.train import main

    monkeypatch.setattr(sys, "argv", ["audiobag-train", "--help"])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 0
    shown = capsys.readouterr().out
    for text in ("audiobag-train -m pooling=", "sampler: balanced, uniform, weighted", "75 interrupted"):
        assert text in shown


def test_a_run_directory_in_use_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    from audiobag.cli.train import main

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["audiobag-train", "hydra.run.dir=run"])
    with locked(tmp_path / "run" / ".lock", ""), pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == ExitCode.USER
    assert "another audiobag-train is at work in" in capfd.readouterr().err
