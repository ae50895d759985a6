"""huggingface_hub where it is installed, and elsewhere a word on how to get it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

from audiobag.errors import UserError

if TYPE_CHECKING:
    from huggingface_hub import PyTorchModelHubMixin as HubMixin
else:
    try:
        from huggingface_hub import PyTorchModelHubMixin as HubMixin
    except ImportError:

        class HubMixin:
            """Stands in for the mixin where the extra is not installed."""

            def _refuse(self: object = None, *_: Any, **__: Any) -> NoReturn:
                raise UserError("hubs need the extra [hub], which is not installed: pip install 'audiobag[hub]'")

            save_pretrained = push_to_hub = _refuse
            from_pretrained = classmethod(_refuse)


__all__ = ["HubMixin"]
