"""The options of each command, with their types: the schemas of the root configurations in `conf/`.

OmegaConf checks what is composed against them. The values and what they mean are in the YAML files. Components such as
`embedding` are plain YAML with a `_target_`, whose constructor checks its own arguments.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from hydra.core.config_store import ConfigStore
from omegaconf import MISSING, OmegaConf, open_dict

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


@dataclass
class Schedule:
    """Training steps of a data set, and the window of steps over which eval predictions are averaged."""

    steps: int = 1200
    first: int = 1000
    last: int = 1200
    every: int = 100


@dataclass
class Paths:
    """Folders that other keys refer to."""

    data: str = MISSING
    run: str | None = MISSING  # no folder yet with --cfg


@dataclass
class TrainOptions:
    """Options of audiobag-train, see conf/train.yaml."""

    seed: int = MISSING
    select: Select = MISSING
    threads: int | None = MISSING
    compile: str | None = MISSING
    graph: Graph = MISSING
    ckpt_path: str | None = MISSING
    init_from: str | None = MISSING
    tags: list[str] = MISSING
    data: dict[str, Any] = MISSING
    schedule: Schedule = field(default_factory=Schedule)
    sampler: dict[str, Any] = MISSING
    embedding: dict[str, Any] = MISSING
    pooling: dict[str, Any] = MISSING
    loss: dict[str, Any] = MISSING
    augment: dict[str, Any] = field(default_factory=dict)
    optimizer: dict[str, Any] = MISSING
    lr_scheduler: dict[str, Any] = MISSING
    trainer: dict[str, Any] = MISSING
    callbacks: dict[str, Any] = MISSING
    logger: dict[str, Any] = MISSING
    paths: Paths = MISSING


@dataclass
class EvaluateOptions:
    """Options of audiobag-evaluate, see conf/evaluate.yaml."""

    checkpoint: Any = MISSING
    runs: Any = MISSING
    combine: Combine = MISSING
    holdout: bool = MISSING
    ontology: str | None = MISSING
    strong: str | None = MISSING
    psds: bool = MISSING
    data: dict[str, Any] | None = None
    allow: Any = MISSING
    threads: int | None = MISSING
    trainer: dict[str, Any] = MISSING
    seed: int = MISSING
    sampler: dict[str, Any] | None = MISSING
    paths: Paths = MISSING


@dataclass
class PrepareOptions:
    """Options of audiobag-prepare, see conf/prepare.yaml."""

    source: str = MISSING
    out: str | None = MISSING
    on_error: OnError = MISSING
    force: bool = MISSING
    size: Size = MISSING
    strong: str | None = MISSING
    ontology: str | None = MISSING


@dataclass
class EmbedOptions:
    """Options of audiobag-embed, see conf/embed.yaml."""

    source: Any = MISSING
    out: str = MISSING
    encoder: dict[str, Any] = MISSING
    labels: Any = MISSING
    split: str | None = MISSING
    eval_fold: Any = MISSING
    eval_fraction: float = MISSING
    clip_seconds: float | None = MISSING
    clip_hop_seconds: float | None = MISSING
    channels: Channels = MISSING
    pad_short: bool = MISSING
    batch_size: int = MISSING
    device: str | None = MISSING
    precision: Precision = MISSING
    size: SoundSize = MISSING
    threads: int | None = MISSING
    on_error: OnError = MISSING
    force: bool = MISSING


@dataclass
class PredictOptions:
    """Options of audiobag-predict, see conf/predict.yaml."""

    checkpoint: str = MISSING
    source: str = MISSING
    out: str | None = MISSING
    format: PredictionFormat | None = MISSING
    force: bool = MISSING
    top_k: int | None = MISSING
    frames: bool = MISSING
    segments: bool = MISSING
    threshold: float = MISSING
    median: int = MISSING
    picture: bool = MISSING
    clips: Any = MISSING
    class_name: str | None = None
    most_wrong: bool = MISSING
    at_most: int = MISSING
    times: Times = MISSING
    audio_url: str | None = MISSING
    batch_size: int = MISSING
    threads: int | None = MISSING
    on_error: OnError = MISSING
    allow: Any = MISSING
    encoder: dict[str, Any] | None = None
    clip_seconds: float | None = MISSING
    channels: Channels = MISSING
    pad_short: bool = MISSING
    device: str | None = MISSING
    precision: Precision = MISSING


@dataclass
class ListenOptions:
    """Options of audiobag-listen, see conf/listen.yaml."""

    source: Any = MISSING
    checkpoint: str = MISSING
    out: str | None = MISSING
    top_k: int = MISSING
    threshold: float = MISSING
    median: int = MISSING
    browser: bool | None = MISSING
    encoder: dict[str, Any] | None = None
    clip_seconds: float | None = MISSING
    device: str | None = MISSING
    precision: Precision = MISSING
    threads: int | None = MISSING
    allow: Any = MISSING


@dataclass
class ReportOptions:
    """Options of audiobag-report, see conf/report.yaml."""

    runs: Any = MISSING
    out: str | None = MISSING
    baseline: str | None = MISSING
    classes: Any = MISSING
    replicates: int = MISSING
    dashboard: str | None = MISSING
    audio_url: str | None = MISSING


@dataclass
class ExploreOptions:
    """Options of audiobag-explore, see conf/explore.yaml."""

    runs: Any = MISSING
    host: str = MISSING
    port: int = MISSING
    audio_url: str | None = MISSING
    strong: str | None = MISSING
    allow: Any = MISSING


@dataclass
class ExportOptions:
    """Options of audiobag-export, see conf/export.yaml."""

    checkpoint: Any = MISSING
    runs: Any = MISSING
    format: ExportFormat = MISSING
    out: str = MISSING
    store: str | None = MISSING
    replicates: int = MISSING
    half: bool = MISSING
    with_encoder: bool = MISSING
    allow: Any = MISSING


@dataclass
class PoolOptions:
    """Options of the `pool` launcher, see conf/hydra/launcher/pool.yaml."""

    _target_: str = MISSING
    jobs: int | str = MISSING
    devices_per_job: int | None = MISSING
    fail_fast: bool = MISSING
    dry_run: bool = MISSING


@dataclass
class SlurmOptions:
    """Options of the launchers for SLURM, see conf/hydra/launcher/slurm_gpu.yaml. Resources have submitit's names."""

    _target_: str = MISSING
    wait: bool = MISSING
    dry_run: bool = MISSING
    submitit_folder: str = MISSING
    name: str = MISSING
    timeout_min: int = MISSING
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
