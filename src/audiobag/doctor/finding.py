"""Results of checks. A check that raises or hangs has failed."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from enum import Enum
from functools import partial
from typing import Any

Check = Callable[[], "Finding"]


class Verdict(Enum):
    """What a check says."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of a check.

    Attributes:
        verdict: what it says.
        detail: what was found, and what to do about it.
        name: name of the check.
    """

    verdict: Verdict
    detail: str
    name: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Return it in plain containers, for JSON."""
        return {**asdict(self), "verdict": self.verdict.value}


ok = partial(Finding, Verdict.OK)
warning = partial(Finding, Verdict.WARNING)
failed = partial(Finding, Verdict.FAILED)
skipped = partial(Finding, Verdict.SKIPPED)


def findings(checks: Iterable[tuple[str, Check]], seconds: float) -> Iterator[Finding]:
    """Run checks one after another and yield the result of each.

    A check that raises has failed, and so has one that hangs, for example on a file server that does not answer. The
    next one starts in any case.

    Args:
        checks: name and function of each.
        seconds: limit of a check.
    """
    for name, check in checks:
        found: list[Finding] = []
        thread = threading.Thread(target=_run, args=(check, found), daemon=True)
        thread.start()
        thread.join(seconds)
        one = found[0] if found else failed(f"no answer within {seconds:.0f} s")
        yield Finding(one.verdict, one.detail, name)


def _run(check: Check, found: list[Finding]) -> None:
    try:
        found.append(check())
    except Exception as error:  # whatever is wrong with the machine
        found.append(failed(" ".join(f"{type(error).__name__}: {error}".split())[:300]))
