"""Tag sound from frozen embeddings: bags of frames, poolings as expectations, and fair experiments."""

from importlib.metadata import version

__version__ = version("audiobag")
