"""The run directory: its layout, reading and writing, checkpoints, provenance, the record of the configuration."""

from typing import TYPE_CHECKING

from audiobag.utils.lazy import lazy_names

if TYPE_CHECKING:
    from audiobag.runs.configuration import OtherConfigurationError, RunConfig, config_hash, hashed_config
    from audiobag.runs.directory import RunDirectory, resolve_checkpoint
    from audiobag.runs.per_class import ClassScores
    from audiobag.runs.teacher import SavedPredictions

__all__ = [
    "ClassScores",
    "OtherConfigurationError",
    "RunConfig",
    "RunDirectory",
    "SavedPredictions",
    "config_hash",
    "hashed_config",
    "resolve_checkpoint",
]

# The commands need no HDF5 to refuse an option.
__getattr__ = lazy_names(__name__)
