"""One recording, heard by a model: what it hears when, as arrays, as a picture and as a page that plays it."""

from audiobag.listening.listened import Listened, listen

__all__ = ["Listened", "listen"]
