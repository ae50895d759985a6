"""Every YAML of every group composes and instantiates; every experiment is the paper's."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import audiobag.conf
import pytest
import torch
from omegaconf import OmegaConf

from audiobag.cli.assemble import build, model_of
from audiobag.cli.options import options_of
from audiobag.cli.schema import TrainOptions
from audiobag.data.store import Store
from tests.composing import composed

CONF = Path(audiobag.conf.__file__).parent
GROUPS = sorted(p for p in CONF.iterdir() if p.is_dir() and p.name not in ("hydra", "encoder", "__pycache__"))
OPTIONS = [(str(p.parent.relative_to(CONF)), p.stem) for g in GROUPS for p in sorted(g.rglob("*.yaml"))]
ROOTS = sorted(p.stem for p in CONF.glob("*.yaml"))


def override(group: str, option: str) -> str:
    top, _, rest = group.partition("/")
    return f"{top}={rest}/{option}" if rest else f"{top}={option}"


@pytest.mark.parametrize(("group", "option"), OPTIONS, ids=lambda x: str(x))
def test_option_composes_and_instantiates(group: str, option: str, store: Store, tmp_path: Path) -> None:
    if (group, option) in [("data", "base"), ("experiment", "recipe")]:
        pytest.skip("shared by other options and not one itself")
    missing = {
        "own": ["data.root=mine"],
        "distillation": ["augment.distillation.teacher.paths=[mine]"],
        "label_enhancement": ["augment.label_enhancement.teacher.paths=[mine]"],
    }
    config = composed("train", override(group, option), f"paths.run={tmp_path}", *missing.get(option, []))
    options: TrainOptions = options_of("train", OmegaConf.create(config))
    model = model_of(options, store)
    optimizer = build("optimizer", options.optimizer)(model.parameters())
    assert not options.lr_scheduler or build("lr_scheduler", options.lr_scheduler)(optimizer)
    for part in ("data", "sampler", "loss"):
        assert build(part, config[part]) is not None
    for group_of_many in ("augment", "callbacks", "logger"):
        for name, one in config[group_of_many].items():
            assert one is None or build(f"{group_of_many}.{name}", one) is not None
    if config["trainer"]["accelerator"] == "cpu" or torch.cuda.is_available():
        assert build("trainer", config["trainer"], logger=False).max_steps == config["trainer"]["max_steps"]


@pytest.mark.parametrize("root", ROOTS)
def test_root_composes(root: str, tmp_path: Path) -> None:
    assert composed(root, *([f"paths.run={tmp_path}"] if root in ("train", "evaluate") else []))


PAPER = {
    "average_unbalanced": ("Uniform", "MLP", "Average", "ClipBCE"),
    "average": ("Balanced", "MLP", "Average", "ClipBCE"),
    "max": ("Balanced", "MLP", "Max", "ClipBCE"),
    "attention_relu": ("Balanced", "MLP", "ReLUAttention", "ClipBCE"),
    "attention_sigmoid": ("Balanced", "MLP", "SigmoidAttention", "ClipBCE"),
    "attention_softmax": ("Balanced", "MLP", "SoftmaxAttention", "ClipBCE"),
    "google_baseline": ("Balanced", "MLP", "Average", "FrameBCE"),
    "rnn_average": ("Balanced", "GRU", "Average", "ClipBCE"),
}


def test_all_eight_systems_have_an_experiment() -> None:
    assert {p.stem for p in (CONF / "experiment").glob("*.yaml")} - {"recipe", "regularised", "best"} == PAPER.keys()
    assert {p.stem for p in (CONF / "experiment" / "paper").glob("*.yaml")} == PAPER.keys()


@pytest.mark.parametrize("folder", ["", "paper/"])
@pytest.mark.parametrize("name", PAPER)
def test_experiment_is_the_papers_recipe(name: str, folder: str, tmp_path: Path) -> None:
    config = composed("train", f"experiment={folder}{name}", "data=full", f"paths.run={tmp_path}")
    targets = (config["sampler"], config["embedding"], config["pooling"]["measure"], config["loss"])
    assert tuple(t["_target_"].rsplit(".", 1)[1] for t in targets) == PAPER[name]
    assert config["data"]["batch_size"] == 500
    assert config["data"]["val_fraction"] == 0
    adam = {"_target_": "torch.optim.Adam", "_partial_": True, "lr": 0.001, "weight_decay": 0.0, "fused": True}
    assert config["optimizer"] == adam
    assert config["trainer"]["max_steps"] == 31_000
    averaging = config["callbacks"]["averaging"]
    window = range(averaging["first"], averaging["last"] + 1, averaging["every"])
    assert list(window) == list(range(20_000, 30_001, 1_000))
    if name != "rnn_average":
        assert [config["embedding"][k] for k in ("depth", "width", "dropout")] == [3, 500, 0.2]


def test_the_ladder_ends_with_the_best_recipe(tmp_path: Path) -> None:
    """Each step of the ladder changes something; the first is the paper's system, scored after its last step."""
    folder = CONF / "experiment" / "ladder"
    steps = sorted((p.stem for p in folder.glob("*.yaml")), key=lambda name: int(name.partition("_")[0]))
    names = ["attention_softmax", *(f"ladder/{step}" for step in steps), "best"]
    configs = [composed("train", f"experiment={name}", f"paths.run={tmp_path}") for name in names]
    assert {**configs[0], "callbacks": {**configs[0]["callbacks"], "averaging": None}} == configs[1]
    assert all(a != b for a, b in pairwise(configs[1:-1]))
    assert configs[-2] == configs[-1]


@pytest.mark.parametrize("pooling", sorted(p.stem for p in (CONF / "pooling").glob("*.yaml")))
def test_every_pooling_takes_the_prior_of_the_sweep(pooling: str, store: Store, tmp_path: Path) -> None:
    config = composed("train", "experiment=regularised", f"pooling={pooling}", f"paths.run={tmp_path}")
    assert config["pooling"]["prior"] == 0.0025
    assert model_of(options_of("train", OmegaConf.create(config)), store) is not None


def test_a_smaller_data_set_has_a_shorter_schedule(tmp_path: Path) -> None:
    config = composed("train", "experiment=max", "data=longtail", f"paths.run={tmp_path}")
    assert config["trainer"]["max_steps"] == config["callbacks"]["averaging"]["last"] == 1200


@pytest.mark.parametrize(("data", "steps"), [("synthetic", 300), ("balanced", 1200), ("full", 31_000), ("own", 1200)])
def test_the_steps_are_those_of_the_data_set_with_any_trainer(data: str, steps: int, tmp_path: Path) -> None:
    own = ["data.root=mine"] if data == "own" else []
    for trainer in ("cpu", "gpu", "ddp"):
        config = composed("train", f"data={data}", f"trainer={trainer}", f"paths.run={tmp_path}", *own)
        assert config["trainer"]["max_steps"] == steps


def test_a_data_set_without_a_schedule_has_the_default(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "theirs.yaml").write_text("defaults: [base]\nroot: x\ntrain: [a]\n")
    config = composed("train", f"hydra.searchpath=[file://{tmp_path}]", "data=theirs", f"paths.run={tmp_path}")
    assert config["trainer"]["max_steps"] == config["schedule"]["steps"] == 1200
