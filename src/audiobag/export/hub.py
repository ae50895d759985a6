"""huggingface_hub's mixin, or a stand-in that says how to install it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

from audiobag.utils.errors import InputError

if TYPE_CHECKING:
    from huggingface_hub import PyTorchModelHubMixin as HubMixin
else:
    try:
        from huggingface_hub import PyTorchModelHubMixin as HubMixin
    except ImportError:

        class HubMixin:
            """Refuses the mixin's methods, since the extra is not installed."""

            def _refuse(self: object = None, *_: Any, **__: Any) -> NoReturn:
                raise InputError("hubs need the extra [hub], which is not installed: pip install 'audiobag[hub]'")

            save_pretrained = push_to_hub = _refuse
            from_pretrained = classmethod(_refuse)


__all__ = ["HubMixin"]
