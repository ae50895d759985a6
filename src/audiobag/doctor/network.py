"""The network: whether W&B's server answers."""

from __future__ import annotations

import os
import urllib.error
import urllib.request
from typing import Final

from audiobag.doctor.finding import Finding, ok, skipped, warning

_SERVER: Final = "https://api.wandb.ai"
_SECONDS: Final = 15


def wandb_server() -> Finding:
    """Ask the W&B server that WANDB_BASE_URL names for an answer of any kind; nothing is sent."""
    mode = os.environ.get("WANDB_MODE", "online")
    if mode in ("offline", "dryrun", "disabled"):
        return skipped(f"WANDB_MODE={mode}")
    server = os.environ.get("WANDB_BASE_URL", _SERVER)
    try:
        with urllib.request.urlopen(server, timeout=_SECONDS):
            pass
    except urllib.error.HTTPError:  # an answer
        pass
    except (OSError, ValueError) as error:
        reason = " ".join(str(getattr(error, "reason", error)).split())[:150]
        return warning(f"{server} does not answer ({reason}): use logger=wandb_offline, and wandb sync elsewhere")
    return ok(f"{server} answers")
