"""The options of each command, with their types: the schemas of the root configurations in `conf/`.

OmegaConf checks what is composed against them; a field without a default must have a value there. The values and what
they mean are in the YAML files. Components such as `embedding` are plain YAML with a `_target_`, whose constructor
checks its own arguments.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from hydra.core.config_store import ConfigStore
from omegaconf import OmegaConf, open_dict

Select = StrEnum("Select", "last best")  # which weights are scored
Graph = StrEnum("Graph", "auto always never")  # whether training steps are captured as a CUDA graph
OnError = StrEnum("OnError", "stop skip")  # what to do at a bad record
PredictionFormat = StrEnum("PredictionFormat", "h5 csv jsonl audacity")  # file formats of predictions
Times = StrEnum("Times", "video clip")  # where seconds are counted from
ExportFormat = StrEnum("ExportFormat", "safetensors onnx torch_export")  # formats of an export
Combine = StrEnum("Combine", "logit probability")  # how predictions of an ensemble are averaged
Channels = StrEnum("Channels", "mix each")  # what becomes of the channels of a recording
Precision = StrEnum("Precision", "fp32 bf16")  # bits in which an encoder computes
SoundSize = StrEnum("SoundSize", "tiny small")  # sizes of the synthetic sounds
Size = StrEnum("Size", "tiny small full")  # sizes of the synthetic data set


@dataclass(kw_only=True)
class Schedule:
    """Training steps of a data set, and the window of steps over which eval predictions are averaged."""

    steps: int = 1200
    first: int = 1000
    last: int = 1200
    every: int = 100


@dataclass(kw_only=True)
class Paths:
    """Folders that other keys refer to."""

    data: str
    run: str | None  # no folder yet with --cfg


@dataclass(kw_only=True)
class TrainOptions:
    """Options of audiobag-train, see conf/train.yaml."""

    seed: int
    select: Select
    threads: int | None
    compile: str | None
    graph: Graph
    ckpt_path: str | None
    init_from: str | None
    tags: list[str]
    data: dict[str, Any]
    schedule: Schedule = field(default_factory=Schedule)
    sampler: dict[str, Any]
    embedding: dict[str, Any]
    pooling: dict[str, Any]
    loss: dict[str, Any]
    augment: dict[str, Any] = field(default_factory=dict)
    optimizer: dict[str, Any]
    lr_scheduler: dict[str, Any]
    trainer: dict[str, Any]
    callbacks: dict[str, Any]
    logger: dict[str, Any]
    paths: Paths


@dataclass(kw_only=True)
class EvaluateOptions:
    """Options of audiobag-evaluate, see conf/evaluate.yaml."""

    checkpoint: Any
    runs: Any
    combine: Combine
    holdout: bool
    ontology: str | None
    strong: str | None
    psds: bool
    data: dict[str, Any] | None = None
    allow: Any
    threads: int | None
    trainer: dict[str, Any]
    seed: int
    sampler: dict[str, Any] | None
    paths: Paths


@dataclass(kw_only=True)
class PrepareOptions:
    """Options of audiobag-prepare, see conf/prepare.yaml."""

    source: str
    out: str | None
    on_error: OnError
    force: bool
    size: Size
    strong: str | None
    ontology: str | None


@dataclass(kw_only=True)
class EmbedOptions:
    """Options of audiobag-embed, see conf/embed.yaml."""

    source: Any
    out: str
    encoder: dict[str, Any]
    labels: Any
    split: str | None
    eval_fold: Any
    eval_fraction: float
    clip_seconds: float | None
    clip_hop_seconds: float | None
    channels: Channels
    pad_short: bool
    batch_size: int
    device: str | None
    precision: Precision
    size: SoundSize
    threads: int | None
    on_error: OnError
    force: bool


@dataclass(kw_only=True)
class PredictOptions:
    """Options of audiobag-predict, see conf/predict.yaml."""

    checkpoint: str
    source: str
    out: str | None
    format: PredictionFormat | None
    force: bool
    top_k: int | None
    frames: bool
    segments: bool
    threshold: float
    median: int
    picture: bool
    clips: Any
    class_name: str | None = None
    most_wrong: bool
    at_most: int
    times: Times
    audio_url: str | None
    batch_size: int
    threads: int | None
    on_error: OnError
    allow: Any
    encoder: dict[str, Any] | None = None
    clip_seconds: float | None
    channels: Channels
    pad_short: bool
    device: str | None
    precision: Precision


@dataclass(kw_only=True)
class ListenOptions:
    """Options of audiobag-listen, see conf/listen.yaml."""

    source: Any
    checkpoint: str
    out: str | None
    top_k: int
    threshold: float
    median: int
    browser: bool | None
    encoder: dict[str, Any] | None = None
    clip_seconds: float | None
    device: str | None
    precision: Precision
    threads: int | None
    allow: Any


@dataclass(kw_only=True)
class ReportOptions:
    """Options of audiobag-report, see conf/report.yaml."""

    runs: Any
    out: str | None
    baseline: str | None
    classes: Any
    replicates: int
    dashboard: str | None
    audio_url: str | None


@dataclass(kw_only=True)
class ExploreOptions:
    """Options of audiobag-explore, see conf/explore.yaml."""

    runs: Any
    host: str
    port: int
    audio_url: str | None
    strong: str | None
    allow: Any


@dataclass(kw_only=True)
class ExportOptions:
    """Options of audiobag-export, see conf/export.yaml."""

    checkpoint: Any
    runs: Any
    format: ExportFormat
    out: str
    store: str | None
    replicates: int
    half: bool
    with_encoder: bool
    allow: Any


@dataclass(kw_only=True)
class PoolOptions:
    """Options of the `pool` launcher, see conf/hydra/launcher/pool.yaml."""

    _target_: str
    jobs: int | str
    devices_per_job: int | None
    fail_fast: bool
    dry_run: bool


@dataclass(kw_only=True)
class SlurmOptions:
    """Options of the launchers for SLURM, see conf/hydra/launcher/slurm_gpu.yaml. Resources have submitit's names."""

    _target_: str
    wait: bool
    dry_run: bool
    submitit_folder: str
    name: str
    timeout_min: int
    nodes: int = 1
    tasks_per_node: int = 1
    gpus_per_node: int | None = None
    cpus_per_task: int | None = None
    mem_gb: float | None = None
    partition: str | None = None
    account: str | None = None
    qos: str | None = None
    constraint: str | None = None
    exclude: str | None = None
    comment: str | None = None
    gres: str | None = None
    gpus_per_task: int | None = None
    cpus_per_gpu: int | None = None
    mem_per_gpu: str | None = None
    mem_per_cpu: str | None = None
    array_parallelism: int = 256
    stderr_to_stdout: bool = False
    additional_parameters: dict[str, Any] = field(default_factory=dict)
    setup: list[str] = field(default_factory=list)


SCHEMAS = {
    "train": TrainOptions,
    "evaluate": EvaluateOptions,
    "prepare": PrepareOptions,
    "embed": EmbedOptions,
    "listen": ListenOptions,
    "predict": PredictOptions,
    "report": ReportOptions,
    "explore": ExploreOptions,
    "export": ExportOptions,
}
# Keys that are keywords of Python, and the attribute that stands for each.
KEYWORDS = {"class": "class_name"}


def register(name: str) -> None:
    """Store the schemas of a command and of the launchers in Hydra's ConfigStore, `train_schema` for conf/train.yaml.

    The schemas are open, so that a YAML file can define a key of its own for other keys to refer to; `options_of`
    refuses keys that nothing refers to.
    """
    node = OmegaConf.structured(SCHEMAS[name])
    with open_dict(node):
        for key, attribute in KEYWORDS.items():
            if attribute in node:
                node[key] = node.pop(attribute)
    OmegaConf.set_struct(node, False)
    store = ConfigStore.instance()
    store.store(f"{name}_schema", node, provider="audiobag")
    store.store("pool_schema", PoolOptions, group="hydra/launcher", provider="audiobag")
    store.store("slurm_schema", SlurmOptions, group="hydra/launcher", provider="audiobag")
