"""Training from Python with the options of audiobag-train, as a notebook does."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from hydra import compose, initialize_config_module
from hydra.core.hydra_config import HydraConfig
from omegaconf import open_dict

from audiobag.cli import schema
from audiobag.cli.messages import message, with_key
from audiobag.cli.options import options_of, record_of
from audiobag.cli.train import trained
from audiobag.metrics import TaggingScores
from audiobag.runs import ClassScores, OtherConfigurationError, RunDirectory
from audiobag.utils.configs import quoted, resolved
from audiobag.utils.errors import InputError

if TYPE_CHECKING:
    from audiobag.export import Tagger


@dataclass(frozen=True)
class TrainedRun:
    """A complete run.

    Attributes:
        path: folder of the run.
        metrics: content of metrics.json.
    """

    path: Path
    metrics: dict[str, Any] = field(repr=False)

    @property
    def scores(self) -> TaggingScores:
        """Scores of the eval set: `mAP`, `AUC`, `d_prime` and their values per class."""
        classes = self.per_class
        columns = (classes.average_precision, classes.auc, classes.positives)
        return TaggingScores(*(torch.from_numpy(column) for column in columns))

    @property
    def per_class(self) -> ClassScores:
        """Names, counts and scores of the classes."""
        return RunDirectory(self.path).read_per_class()

    @cached_property
    def tagger(self) -> Tagger:
        """The model, with the weights that were scored."""
        from audiobag.export import load

        return load(self.path)


def train(*overrides: str, data_root: str | Path | None = None, out: str | Path) -> TrainedRun:
    """Train and score one run, as the command `audiobag-train OVERRIDES` does.

    Args:
        *overrides: as on the command line: "pooling=max", "trainer.max_steps=60".
        data_root: folder of the stores; None for that of the chosen data set.
        out: folder of the run. A complete run there is not repeated, and an interrupted one continues.

    Returns:
        The run, with its `scores`, `per_class` and `tagger`.

    Raises:
        ValueError: an option cannot be used.

    Example:
        >>> run = audiobag.train("pooling=max", "trainer.max_steps=60", out="outputs/notebook")  # doctest: +SKIP
        >>> run.scores.mAP  # doctest: +SKIP
        0.21
    """
    folder = Path(out)
    given = [*([f"data.root={quoted(data_root)}"] if data_root is not None else []), *overrides]
    try:
        return TrainedRun(folder, _train(folder, given))
    except Exception as error:
        if isinstance(error, InputError) and not isinstance(error, OtherConfigurationError):
            raise
        if (sentence := message(error, {}, "choose another folder")) is None:
            raise
        raise InputError(sentence) from error


def _train(folder: Path, overrides: list[str]) -> dict[str, Any]:
    schema.register("train")
    with initialize_config_module("audiobag.conf", version_base="1.3"):
        config = compose("train", [*overrides, f"paths.run={quoted(folder)}"], return_hydra_config=True)
        HydraConfig.instance().set_config(config)
        with open_dict(config):
            del config["hydra"]
        plain = resolved(config)
        options, record = options_of("train", config, plain), record_of(config, plain, overrides)
    try:
        return trained(options, record, folder, "out")
    except OtherConfigurationError:
        raise
    except InputError as error:
        raise InputError(with_key(str(error), record.config)) from error
