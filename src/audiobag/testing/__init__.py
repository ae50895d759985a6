"""Test suites for components: subclass a suite in a test module, name the component, and pytest does the rest.

Importing this package needs pytest, which audiobag itself does not.

Examples:
    >>> from audiobag.pooling import Max
    >>> class TestMax(PoolingSuite):
    ...     measure = Max
"""

import pytest

# A failed assertion shows its values.
pytest.register_assert_rewrite(
    *(f"{__name__}.{kind}" for kind in ("augment", "embedding", "loss", "metric", "pooling", "sampler"))
)

from audiobag.testing.augment import AugmentSuite  # noqa: E402
from audiobag.testing.embedding import EmbeddingSuite  # noqa: E402
from audiobag.testing.loss import LossSuite  # noqa: E402
from audiobag.testing.metric import MetricSuite  # noqa: E402
from audiobag.testing.pooling import PoolingSuite  # noqa: E402
from audiobag.testing.sampler import SamplerSuite  # noqa: E402

__all__ = ["AugmentSuite", "EmbeddingSuite", "LossSuite", "MetricSuite", "PoolingSuite", "SamplerSuite"]
