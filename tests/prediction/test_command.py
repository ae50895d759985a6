"""audiobag-predict: options that contradict each other, and where files go by default."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from audiobag.cli.predict import main
from audiobag.data.store import Store
from tests.export.fabricate import make_run


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Store]:
    return make_run(tmp_path_factory.mktemp("command") / "run")


@pytest.fixture
def arguments(made: tuple[Path, Store], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Command line of audiobag-predict for a run and its eval set."""
    run = made[0].parent.parent
    given = ["audiobag-predict", f"checkpoint={run}", f"source={made[1].path}", f"hydra.run.dir={tmp_path}"]
    monkeypatch.setattr("sys.argv", given)
    return given


@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        (["picture=true", "format=csv"], "format has no effect with picture=true: omit it"),
        (["picture=true", "threshold=0.3"], "threshold has no effect with picture=true: omit it"),
        (
            ["picture=true", "clips=[a]", "at_most=2"],
            "at_most has no effect with clips, all of which are drawn: omit it",
        ),
        (["most_wrong=true"], "most_wrong has no effect without picture=true: omit it"),
        (["at_most=2"], "at_most has no effect without picture=true: omit it"),
        (["picture=true", "out=-"], "out must be a folder for pictures, got -"),
        (["class=Dog"], "class has no effect without picture=true: omit it"),
        (["top_k=3"], "top_k has no effect in format h5, which has all classes: omit it"),
        (["times=clip"], "times has no effect in format h5"),
        (["format=csv", "median=3"], "median has no effect without segments=true: omit it"),
        (["format=csv", "audio_url=file:///a"], "audio_url has no effect in format csv"),
        (["format=csv", "channels=each"], "channels has no effect on "),
        (["format=csv", "encoder=logmel"], "encoder has no effect on "),
        (["picture=true", "class=clas"], "class has 'clas', which is none of the 5 classes"),
        (["force=flase"], "force"),
        (["checkpoint=null"], "checkpoint"),
    ],
)
def test_options_that_cannot_be_combined_are_refused(
    arguments: list[str], overrides: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments += overrides
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 2
    assert capsys.readouterr().err.startswith(f"audiobag: {sentence}")


@pytest.mark.parametrize(
    ("overrides", "name"),
    [
        ([], "predictions.h5"),
        (["device=cpu"], "predictions.h5"),
        (["format=csv"], "predictions.csv"),
        (["picture=true", "at_most=1"], "pictures"),
    ],
)
def test_by_default_the_output_goes_to_the_folder_of_the_command(
    arguments: list[str], tmp_path: Path, overrides: list[str], name: str
) -> None:
    arguments += overrides
    main()
    assert (tmp_path / name).exists()


def test_the_standard_output_holds_nothing_but_json_lines(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    arguments += ["out=-", "top_k=1"]
    main()
    printed = capsys.readouterr()
    lines = [json.loads(line) for line in printed.out.splitlines()]
    assert len(lines) == 40
    assert all(len(line["classes"]) == 1 for line in lines)
    assert "Predictions: - (40 clips)" in printed.err
