"""Exit codes and sentences, in process; the commands themselves are run in test_end_to_end.py."""

from __future__ import annotations

import shlex
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from hydra.core.config_store import ConfigStore
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.plugins import Plugins
from hydra.errors import InstantiationException, OverrideParseException
from omegaconf import OmegaConf

from audiobag.cli import command
from audiobag.cli.command import Invocation
from audiobag.cli.messages import component_error, message, with_key
from audiobag.runs import OtherConfigurationError
from audiobag.training.interruption import Stopped
from audiobag.utils.errors import ExitCode, InputError, Interrupted
from audiobag.utils.files import locked
from audiobag.utils.values import check_whole

OPTIONS = {
    "checkpoint": "a",
    "runs": None,
    "format": "onnx",
    "out": "b",
    "store": None,
    "replicates": 1,
    "half": False,
    "with_encoder": False,
    "allow": [],
}
EXPORT = OmegaConf.create(OPTIONS)


def wrapped(cause: Exception) -> InstantiationException:
    """What Hydra makes of an exception in a constructor."""
    error = InstantiationException("Error in call to target 'x'")
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (InputError("no store at x"), ExitCode.USER, "audiobag: no store at x\n"),
        (wrapped(InputError("no store at x")), ExitCode.USER, "audiobag: no store at x\n"),
        (wrapped(TypeError("bad")), ExitCode.USER, "audiobag: Error in call to target 'x'\n"),
        (OtherConfigurationError("x holds another"), ExitCode.USER, "or choose another folder: hydra.run.dir=...\n"),
        (ValueError("ours too"), ExitCode.CRASH, "ValueError: ours too"),
        (Interrupted(), ExitCode.INTERRUPTED, "hydra.run.dir=here"),
        (Interrupted("the same command continues"), ExitCode.INTERRUPTED, "interrupted; the same command continues\n"),
        (Stopped(), ExitCode.INTERRUPTED, "audiobag: interrupted; give the same command again\n"),
        (RuntimeError("ours"), ExitCode.CRASH, "RuntimeError: ours"),
    ],
)
def test_each_error_has_its_exit_code(
    error: BaseException,
    code: ExitCode,
    said: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def run(_: Invocation[Any]) -> None:
        raise error

    monkeypatch.setattr(command, "run_directory", lambda: "here")
    with pytest.raises(SystemExit) as end:
        command.guarded("export", run, EXPORT)
    assert end.value.code == code
    shown = capsys.readouterr().err
    assert said in shown
    assert ("Traceback" in shown) == (code is ExitCode.CRASH)


def test_the_traceback_of_a_refusal_is_shown_on_request(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(_: Invocation[Any]) -> None:
        raise InputError("no store at x")

    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    with pytest.raises(SystemExit) as end:
        command.guarded("export", run, EXPORT)
    assert end.value.code == ExitCode.USER
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("config", "said"),
    [
        (
            {"checkpoint": "???"},
            "audiobag: checkpoint has no value and needs one: add checkpoint=...; --help says what",
        ),
        ({"store": "${nope}"}, "audiobag: store: Interpolation key 'nope' not found\n"),
        (
            {"replicates": "many"},
            "audiobag: replicates: Value 'many' of type 'str' could not be converted to Integer\n",
        ),
        ({"nope": {"b": 1}}, "audiobag: nope.b is not a key that anything reads: --help lists the keys\n"),
        ({"chekpoint": "x"}, "audiobag: chekpoint is not a key that anything reads: did you mean checkpoint?\n"),
    ],
)
def test_unusable_values_exit_with_2(config: dict[str, Any], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        command.guarded("export", lambda _: None, OmegaConf.create({**OPTIONS, **config}))
    assert end.value.code == ExitCode.USER
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["pooling=nope"], "Could not find 'pooling/nope'"),
        (["nope=3"], "nope is not a key that anything reads"),
        (["seed=x"], "seed: Value 'x' of type 'str' could not be converted to Integer"),
        (["select=first"], "select: Invalid value 'first', expected one of [last, best]"),
        (["scheduler=cosine"], "scheduler is now lr_scheduler"),
        (["-m", "pooling=average,nope"], "Could not find 'pooling/nope': pooling has additive "),
        (
            ["-m", "embedding.depht=1,2"],
            "embedding.depht is not a key that anything reads (+embedding.depht=... adds an argument that is not"
            " listed): did you mean embedding.depth?",
        ),
        (["data.root=daten/ä"], """quotes, 'data.root="daten/ä"'\n"""),
        (["data.root=a(b)"], """Unknown function 'a' Available: bool"""),
        (["data.root=a(b)"], """quotes, 'data.root="a(b)"'\n"""),
        (["data.root=a=b"], """quotes, 'data.root="a=b"'\n"""),
        (["tags=[ä]"], """quotes, 'tags="[ä]"'\n"""),
        (["-m", "data.root=ä,b"], """quotes, 'data.root="ä,b"'\n"""),
        (["data.root=it's"], r"""quotes, 'data.root='"'"'it\'"'"'s'"'"''"""),
        (["data.root=~/x"], 'so write data.root="$HOME/x"\n'),
        (["ä=3"], "ä is not a key that anything reads"),
        (["embedding.width=${oc.decode:${oc.env:W}}"], """quotes, 'embedding.width="${oc.decode:${oc.env:W}}"'\n"""),
        (["optimizer.wd=1"], "reads (+optimizer.wd=... adds an argument that is not listed): optimizer has lr"),
        (["embeding.width=1"], "embeding is not a key that anything reads: did you mean embedding?\n"),
        (["batch_size=1"], "batch_size is not a key that anything reads: did you mean data.batch_size?\n"),
        (["+paths.x=1"], "paths.x is not a key that anything reads: paths has data, run\n"),
        (["paths.output=x"], "paths.output is not a key that anything reads: paths has data, run\n"),
        (["schedule.frist=1"], "schedule.frist is not a key that anything reads: did you mean schedule.first?\n"),
        (["callbacks.x=1"], "callbacks.x is not a key that anything reads: callbacks has score, checkpoints, "),
        (["augment.mixup.alpha=1"], "augment.mixup needs augment=mixup: add it, or augment=[...,mixup] beside others"),
        (["callbacks.averaging.first=1"], "callbacks.averaging needs callbacks=averaging: add it, or"),
        (["lr_scheduler.warmup=1"], "lr_scheduler.warmup needs another choice of lr_scheduler, which has no argu"),
        (["sweep=recipe", "lr_scheduler.warmup=1"], "options have it, write 'lr_scheduler.warmup=choice(1)'\n"),
        (["-m", "pooling=max,top_k", "pooling.measure.k=2"], "options have it, write 'pooling.measure.k=choice(2)'\n"),
        (["-m", "hydra.sweeper.params.x=1"], "needs a value of hydra.sweeper.params, which is null: set it as a"),
        (["-m", "hydra.launcher.wait=false", "seed=0,1"], "has jobs, devices_per_job, fail_fast, dry_run\n"),
        (["-m", "+hydra.launcher.job=1"], "hydra.launcher.job is not a key that anything reads: did you mean"),
        (["+optimizer.eps=inf"], "audiobag: optimizer.eps must be finite, got inf: null stands for no limit"),
        (["+optimizer.betas=[0.9,nan]"], "audiobag: optimizer.betas must be finite, got nan: null"),
        (["-m", "+optimizer.eps=1,inf"], "audiobag: optimizer.eps must be finite, got inf: null"),
        (["pooling=max,average"], "pooling=max,average has several values: add -m for one job each\n"),
        (["augment=mixup,frame_dropout"], "write augment=[mixup,frame_dropout] for a list, or add -m for one job each"),
        (["hydra.run.dir="], "hydra.run.dir= has no value and needs a folder, such as hydra.run.dir=outputs/mine"),
        (["augment=[mixup,nope]"], "audiobag: Could not find 'augment/nope': --help lists the options\n"),
        (["pooling=[max,average]"], "expected one: pooling=max,average with -m runs a job with each\n"),
        (["tags=a"], "tags must be a list: write tags=[value] or tags=[value1,value2]\n"),
        (["--seed=3"], "--seed=3 is not a flag: options have no dashes, so write seed=3\n"),
        (["--embedding.width", "3"], "--embedding.width is not a flag: options have no dashes, so write embedding.w"),
        (["foo"], "foo is not an option: expected key=value; --help lists the keys"),
        (["logger=null"], "audiobag: logger=null; expected an option of that group"),
        (["-m", "+hydra/launcher=pool,null"], "leave hydra/launcher= out"),
    ],
)
def test_options_that_hydra_refuses_exit_with_2(
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
    ("option", "arguments", "said"),
    [
        ("sweeper/optuna", ["sweep=search_attention"], "hydra/sweeper=optuna needs hydra-optuna-sweeper"),
        ("launcher/ray", ["-m", "hydra/launcher=ray_shared", "seed=0,1"], "pip install 'audiobag[ray]'"),
        (
            "launcher/submitit_slurm",
            ["-m", "hydra/launcher=submitit_slurm", "seed=0,1"],
            "or use hydra/launcher=slurm_",
        ),
    ],
)
def test_an_extra_that_is_missing_is_named(
    option: str,
    arguments: list[str],
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    from audiobag.cli.train import main

    Plugins.instance()
    group, name = option.split("/")
    options = dict(ConfigStore.instance().repo["hydra"][group])
    options.pop(f"{name}.yaml", None)
    monkeypatch.setitem(ConfigStore.instance().repo["hydra"], group, options)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["audiobag-train", *arguments])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == ExitCode.USER
    shown = capfd.readouterr().err
    assert said in shown
    assert len(shown.splitlines()) == 1


@pytest.mark.parametrize(
    ("command", "arguments", "said"),
    [
        ("prepare", ["source=3"], "there is no 3"),
        ("prepare", ["source=[a]"], "source must be one value, got the list ['a']"),
        ("evaluate", ["checkpoint=3"], "no checkpoint at 3"),
        ("evaluate", [], "checkpoint has no value and needs one"),
        (
            "evaluate",
            ["checkpoint=a", "data.root=b"],
            "data.root=b needs a choice of data, which is null: add data=...",
        ),
        ("predict", ["checkpoint=a.ckpt", "source=3"], "no checkpoint at a.ckpt"),
        ("predict", ["checkpoint=[a,b]", "source=c"], "checkpoint must be one value, got the list ['a', 'b']\n"),
        ("evaluate", ["checkpoint="], "checkpoint has no value and needs one"),
        ("export", ["."], ". is not an option: expected key=value; write checkpoint=.\n"),
        ("predict", ["checkpoint=a", "source=b", "top_k=x"], "top_k: Value 'x' of type 'str'"),
        ("predict", ["checkpoint=a", "source=b", "format=mp3"], "format: Invalid value 'mp3', expected one of"),
        ("report", ["runs=3"], "no folder at 3:"),
        ("report", ["runs=nowhere"], "no folder at nowhere:"),
        ("export", ["checkpoint=a.ckpt", "out=3"], "no checkpoint at a.ckpt"),
        ("explore", ["runs=nowhere", "port=x"], "port: Value 'x' of type 'str' could not be converted to Integer"),
        ("explore", ["runs=nowhere"], "no folder at nowhere:"),
        ("evaluate", ["checkpoint=a", "trainer.max_steps=5"], "trainer.max_steps has no effect on scoring: omit it"),
        ("evaluate", ["checkpoint=a", "trainer=gpu", "+trainer.max_time=5"], "trainer.max_time has no effect on"),
        ("evaluate", ["checkpoint=a", "data=balanced", "data.val_fraction=0"], "data.val_fraction has no effect on"),
        ("evaluate", ["checkpoint=a", "seed=1"], "seed has no effect on scoring"),
        ("evaluate", ["checkpoint=a", "combine=logit"], "combine has no effect on a single checkpoint"),
        ("evaluate", ["checkpoint=[a,b]", "holdout=true", "trainer=gpu"], "trainer has no effect on the predictions"),
        ("evaluate", ["checkpoint=[a,b]", "holdout=true", "data=balanced", "data.root=c"], "data has no effect on"),
        ("evaluate", ["checkpoint=a", "psds=false", "trainer.precision=bf16-mixed"], "no checkpoint"),
        ("export", ["checkpoint=[a,b]", "out=c", "replicates=5"], "replicates has no effect on an ensemble"),
        ("export", ["checkpoint=[a,b]", "out=c", "store=d"], "store has no effect on an ensemble without a graph"),
        ("prepare", ["source=a.npz", "size=tiny"], "size has no effect without source=synthetic"),
        ("prepare", ["source=a.npz", "ontology=b.json"], "ontology has no effect without strong"),
        ("embed", ["source=a.wav", "out=b", "size=tiny"], "size has no effect without source=synthetic-sounds"),
    ],
)
def test_each_command_refuses_unusable_options_in_a_sentence(
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


@pytest.mark.parametrize(
    ("config", "key"),
    [({"depth": 2, "wd": 1}, "pooling.wd"), ({"measure": {"wd": 1}}, "pooling.measure.wd"), ({}, "pooling.wd")],
)
def test_an_argument_that_a_component_does_not_take_is_named_with_its_key(config: dict[str, Any], key: str) -> None:
    error = wrapped(TypeError("Max.__init__() got an unexpected keyword argument 'wd'"))
    assert str(component_error("pooling", config, error)).startswith(f"{key} is not an argument of Max: ")


def test_the_arguments_in_a_sentence_are_named_by_the_keys_to_set() -> None:
    config = {"lr_scheduler": {"warmup": 100, "steps": "${trainer.max_steps}", "floor": 0}, "trainer": {"max_steps": 9}}
    said = with_key("warmup must be less than steps=9, got 100: floor=0 or other=3", config)
    assert said == (
        "lr_scheduler.warmup must be less than trainer.max_steps=9, got 100: lr_scheduler.floor=0 or other=3"
    )


@pytest.mark.parametrize(
    ("said", "begins"),
    [
        ("path must be a file, got data/ontology.json", "loss.path must"),
        ("path must be a file, got elsewhere", "path must"),
        ("paths have no prediction of 2 of 3 clips", "augment.distillation.teacher.paths have"),
        ("lengths[0] must be at least 2", "pooling.lengths[0] must"),
    ],
)
def test_of_several_keys_the_one_with_the_value_is_named(said: str, begins: str) -> None:
    config = {
        "loss": {"path": "${paths.data}/ontology.json"},
        "callbacks": {"heartbeat": {"path": "${paths.run}/progress.json"}},
        "augment": {"distillation": {"teacher": {"paths": "teachers"}}},
        "pooling": {"lengths": [1, 2]},
        "paths": {"data": "data", "run": "run"},
    }
    assert with_key(said, config).startswith(begins)


def test_the_argument_of_a_part_is_named_with_its_key() -> None:
    error = wrapped(InputError("k must be a whole number of at least 1, got 0"))
    assert str(component_error("pooling", {"measure": {"k": 0}}, error)).startswith("pooling.measure.k must be")
    assert str(component_error("pooling", {"a": {"k": 0}, "b": {"k": 0}}, error)).startswith("pooling.k must be")


@pytest.mark.parametrize("value", ["daten/ä", "~x", "a(b)", "a=b", "a b", "it's", 'say "x"', "a,b", "C:\\x\\"])
def test_the_hint_of_a_refused_text_is_read_as_that_text(value: str) -> None:
    error = OverrideParseException(f"data.root={value}", "mismatched input")
    hint = (message(error, {}, "") or "").rpartition("pairs of quotes, ")[2]
    (word,) = shlex.split(hint)
    (override,) = OverridesParser.create().parse_overrides([word])
    assert override.value() == value


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("${oc.env:WIDTH}", """'embedding.width="${oc.decode:${oc.env:WIDTH}}"'"""),
        ("${oc.env:WIDTH,16}", """'embedding.width="${oc.decode:${oc.env:WIDTH,16}}"'"""),
        ("${units}", """'units="${oc.decode:${oc.env:UNITS}}"'"""),
        ("16", ""),
    ],
)
def test_a_number_from_the_environment_is_explained(text: str, hint: str) -> None:
    config = {"embedding": {"width": text}, "units": "${oc.env:UNITS}"}
    with pytest.raises(InputError) as refused:
        check_whole("embedding.width", "16")
    said = message(refused.value, config, "")
    assert said is not None
    assert said.startswith("embedding.width must be a whole number of at least 1, got the text '16'")
    assert said.endswith(hint)
    assert ("oc.decode" in said) is bool(hint)
    if hint:  # can be typed as it is
        (override,) = OverridesParser.create().parse_overrides(shlex.split(hint))
        assert str(override.value()).startswith("${oc.decode:${oc.env:")


def test_help_teaches(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    from audiobag.cli.train import main

    monkeypatch.setattr(sys, "argv", ["audiobag-train", "--help"])
    main()
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
    assert "another audiobag-train is running in" in capfd.readouterr().err
