"""Training and evaluation: the LightningModule, callbacks, devices, the cluster environment, interruption."""

from typing import TYPE_CHECKING

from audiobag.utils.lazy import lazy_names

if TYPE_CHECKING:
    from audiobag.training.ensemble import evaluate_ensemble
    from audiobag.training.evaluation import evaluate
    from audiobag.training.fitting import fit
    from audiobag.training.module import TaggingModule
    from audiobag.training.schedules import WarmupCosine

__all__ = ["TaggingModule", "WarmupCosine", "evaluate", "evaluate_ensemble", "fit"]

# The commands import `training.interruption` before anything that takes seconds to import.
__getattr__ = lazy_names(__name__)
