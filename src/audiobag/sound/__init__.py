"""From recordings to embeddings: encoders, sound files, their labels, and stores of them."""

from typing import TYPE_CHECKING

from audiobag.utils.lazy import lazy_names

if TYPE_CHECKING:
    from audiobag.sound.encoder import Encoder
    from audiobag.sound.frontend import LogMelSpectrogram
    from audiobag.sound.hugging_face import Transformers
    from audiobag.sound.logmel import LogMel
    from audiobag.sound.own import OwnModule
    from audiobag.sound.record import restore_encoder
    from audiobag.sound.run import Embedded, embed
    from audiobag.sound.source import Reading
    from audiobag.sound.vggish import VGGish

__all__ = [
    "Embedded",
    "Encoder",
    "LogMel",
    "LogMelSpectrogram",
    "OwnModule",
    "Reading",
    "Transformers",
    "VGGish",
    "embed",
    "restore_encoder",
]

# Finding out that a source is no sound needs neither torch nor an encoder, so each name is imported on first use.
__getattr__ = lazy_names(__name__)
