"""What an export folder says of its model besides the weights: config.json and class_names.json."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from audiobag.checkpoint import instead
from audiobag.errors import UserError
from audiobag.files import write_json, write_text

FORMAT = 1
_PLAIN = {"embedding": dict, "pooling": dict, "dim": int, "scale": float | int, "offset": float | int, "training": dict}


@dataclass(frozen=True, slots=True)
class Description:
    """All it takes to build a model and to read what it says.

    Attributes:
        embedding: `_target_` and arguments, in plain containers.
        pooling: the same.
        dim: D, the numbers of a frame.
        scale: x * scale + offset dequantises a frame.
        offset: see scale.
        class_names: K names, in the order of the model's outputs.
        training: the whole configuration of the training, its hash and the step, for the record.
    """

    embedding: dict[str, Any]
    pooling: dict[str, Any]
    dim: int
    scale: float
    offset: float
    class_names: tuple[str, ...]
    training: dict[str, Any]

    @classmethod
    def of_checkpoint(cls, content: Mapping[str, Any]) -> Description:
        """Return what a checkpoint says of its model."""
        known = content["audiobag"]
        config = known["config"]
        return cls(
            embedding=config["embedding"],
            pooling=config["pooling"],
            dim=known["dim"],
            scale=known["scale"],
            offset=known["offset"],
            class_names=tuple(known["class_names"]),
            training={"config": config, "config_hash": known["config_hash"], "step": content["global_step"]},
        )

    def write(self, folder: Path) -> None:
        """Write config.json and class_names.json."""
        content = {name: getattr(self, name) for name in _PLAIN}
        write_json(folder / "config.json", {"format": FORMAT, **content})
        names = json.dumps(self.class_names, indent=0, ensure_ascii=False)
        write_text(folder / "class_names.json", names + "\n")

    @classmethod
    def read(cls, folder: Path) -> Description:
        """Read them back.

        Raises:
            UserError: they are missing, or none of ours.
        """
        try:
            content = json.loads((folder / "config.json").read_text(encoding="utf-8"))
            names = json.loads((folder / "class_names.json").read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise UserError(
                f"{folder} is no export folder ({error}): make one with audiobag-export, or give a checkpoint like"
                f" {instead(folder)}"
            ) from error
        found = content.get("format") if isinstance(content, dict) else None
        if found != FORMAT:
            raise UserError(f"{folder / 'config.json'} has format {found}, this version reads {FORMAT}: export again")
        wrong = [name for name, kind in _PLAIN.items() if not isinstance(content.get(name), kind)]
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            wrong.append("class_names")
        if wrong:
            raise UserError(f"{folder} is damaged, its {wrong[0]} is missing or of another kind: export again")
        return cls(**{name: content[name] for name in _PLAIN}, class_names=tuple(names))
