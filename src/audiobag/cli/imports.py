"""Imports that a command puts off until somebody needs them."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any


@contextmanager
def without_signal_processing() -> Iterator[None]:
    """Have `import scipy.signal` bring a stand-in, which becomes the real module with the first thing asked of it.

    torchmetrics, and so Lightning, imports it (a second, with scipy.stats) to see whether it has `hamming`.
    """
    name = "scipy.signal"
    if name in sys.modules:
        yield
        return
    sys.modules[name] = _Later(name)
    try:
        yield
    finally:
        if isinstance(sys.modules.get(name), _Later):
            del sys.modules[name]


class _Later(ModuleType):
    hamming = None

    def __getattr__(self, attribute: str) -> Any:
        if attribute.startswith("__") and attribute != "__path__":  # `inspect` asks every module for its file
            raise AttributeError(attribute)
        if isinstance(sys.modules.get(self.__name__), _Later):
            del sys.modules[self.__name__]
        return getattr(importlib.import_module(self.__name__), attribute)
