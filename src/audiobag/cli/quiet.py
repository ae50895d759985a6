"""Messages of libraries that tell the users of a command nothing."""

from __future__ import annotations

import logging
import warnings


def quiet_libraries() -> None:
    """Drop Lightning's information messages and warnings that no user can act on.

    Lightning gives its loggers handlers and levels of their own when it is imported, so this imports it first.
    """
    import lightning.pytorch  # noqa: F401

    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).handlers.clear()
        logging.getLogger(name).setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", "`isinstance\\(treespec, LeafSpec\\)`")  # lightning 2.6 with torch 2.13
    warnings.filterwarnings("ignore", r"The number of training batches \(\d+\) is smaller than the logging interval")
    warnings.filterwarnings("ignore", "The `srun` command is available")  # the login node of a cluster
