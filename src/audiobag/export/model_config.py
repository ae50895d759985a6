"""What an export folder holds besides the weights: config.json and class_names.json."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from audiobag.data.encoders import other_encoder, portable
from audiobag.data.store import DatasetInfo
from audiobag.runs.configuration import SCHEMA, upgraded
from audiobag.utils.errors import InputError
from audiobag.utils.files import write_json, write_text

FORMAT = 1
ENSEMBLE_FORMAT = 2
_FRAMES = {"dim": int, "scale": float | int, "offset": float | int}
_MODEL = {"embedding": dict, "pooling": dict, "training": dict}


@dataclass(frozen=True, slots=True)
class ModelConfig:
    """Everything needed to build a model and to read its predictions.

    Attributes:
        embedding: `_target_` and arguments, in plain containers.
        pooling: `_target_` and arguments, in plain containers.
        dim: D, the numbers of a frame.
        scale: x * scale + offset dequantises a frame.
        offset: see `scale`.
        class_names: K names, in the order of the model's outputs.
        training: for the record: `config`, the configuration of the training; its `schema` and `config_hash`; `step`.
        encoder: record of the encoder that made the frames, see `audiobag.sound.Encoder`; None if it is unknown.
        members: of an ensemble, whose own embedding, pooling and training are empty; none for a single model.
    """

    embedding: dict[str, Any]
    pooling: dict[str, Any]
    dim: int
    scale: float
    offset: float
    class_names: tuple[str, ...]
    training: dict[str, Any]
    members: tuple[ModelConfig, ...] = ()
    encoder: Mapping[str, Any] | None = None

    @classmethod
    def of_members(cls, members: Sequence[ModelConfig]) -> ModelConfig:
        """Return the configuration of an ensemble, whose members have the same frames and classes."""
        first = members[0]
        return cls({}, {}, first.dim, first.scale, first.offset, first.class_names, {}, tuple(members), first.encoder)

    @classmethod
    def of_checkpoint(cls, content: Mapping[str, Any]) -> ModelConfig:
        """Return the configuration of a checkpoint's model.

        Args:
            content: what `load_checkpoint` returned.
        """
        metadata = content["audiobag"]
        config = metadata["config"]
        record = {"config": config, "schema": SCHEMA, "config_hash": metadata["config_hash"]}
        return cls(
            embedding=config["embedding"],
            pooling=config["pooling"],
            dim=metadata["dim"],
            scale=metadata["scale"],
            offset=metadata["offset"],
            class_names=tuple(metadata["class_names"]),
            training={**record, "step": content["global_step"]},
            encoder=metadata.get("encoder"),
        )

    def check_frames(self, source: str | Path, dim: int, info: DatasetInfo) -> None:
        """Check that frames are like those that the model was trained on.

        Args:
            source: where they are from, for the message.
            dim: D.
            info: their dequantisation and encoder.

        Raises:
            ValueError: names the first difference.
        """
        if difference := other_encoder(self.encoder, info.encoder):
            raise InputError(
                f"source must have embeddings of the encoder that the model was trained on, got {source} of another"
                f" ({difference}): give recordings, which the model's own encoder reads"
            )
        for what, mine, theirs in (
            ("width", self.dim, dim),
            ("scale", self.scale, info.scale),
            ("offset", self.offset, info.offset),
        ):
            if mine != theirs:
                raise InputError(
                    f"the model takes frames of {what} {mine}, those of {source} have {theirs}: give clips like those"
                    " that it was trained on"
                )

    def write(self, folder: Path) -> None:
        """Write config.json and class_names.json."""
        frames = {name: getattr(self, name) for name in _FRAMES}
        if self.encoder is not None:
            frames["encoder"] = portable(self.encoder)
        models = [
            {"embedding": one.embedding, "pooling": one.pooling, "training": _portable(one.training)}
            for one in self.members or [self]
        ]
        if self.members:
            write_json(folder / "config.json", {"format": ENSEMBLE_FORMAT, **frames, "members": models})
        else:
            write_json(folder / "config.json", {"format": FORMAT, **frames, **models[0]})
        names = json.dumps(self.class_names, indent=0, ensure_ascii=False)
        write_text(folder / "class_names.json", names + "\n")

    @classmethod
    def read(cls, folder: Path) -> ModelConfig:
        """Read config.json and class_names.json of a folder, of this version of audiobag or an older one.

        Raises:
            ValueError: a file is missing, damaged, or was not written by audiobag.
        """
        try:
            names = json.loads((folder / "class_names.json").read_text(encoding="utf-8"))
            content = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError) as error:
            raise InputError(
                f"{folder} is neither an export folder nor a complete run ({error}): give one of these, or a"
                " checkpoint (.ckpt)"
            ) from error
        found = content.get("format") if isinstance(content, dict) else None
        if found not in (FORMAT, ENSEMBLE_FORMAT):
            raise InputError(
                f"{folder / 'config.json'} has format {found}, this version reads {FORMAT} and {ENSEMBLE_FORMAT}:"
                " export again"
            )
        if found == FORMAT:
            return cls._of_content(folder, content, names)
        members = content.get("members")
        if not isinstance(members, list) or not members or not all(isinstance(one, dict) for one in members):
            raise InputError(f"{folder} is damaged, its members is missing or has another type: export again")
        frames = {name: content.get(name) for name in (*_FRAMES, "encoder")}
        return cls.of_members([cls._of_content(folder, {**one, **frames}, names) for one in members])

    @classmethod
    def _of_content(cls, folder: Path, content: Mapping[str, Any], names: Any) -> ModelConfig:
        """Return the configuration of a single model, or of a member of an ensemble."""
        plain = {**_MODEL, **_FRAMES}
        wrong = [name for name, kind in plain.items() if not isinstance(content.get(name), kind)]
        encoder = content.get("encoder")
        if encoder is not None and not (isinstance(encoder, dict) and isinstance(encoder.get("name"), str)):
            wrong.append("encoder")
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            wrong.append("class_names")
        if wrong:
            raise InputError(f"{folder} is damaged, its {wrong[0]} is missing or has another type: export again")
        training = content["training"]
        schema = training.get("schema", 1)
        if not isinstance(training.get("config"), dict) or not isinstance(schema, int) or schema > SCHEMA:
            raise InputError(f"{folder / 'config.json'} has a training that this version cannot read: export again")
        model = upgraded({"embedding": content["embedding"], "pooling": content["pooling"]}, schema)
        return cls(
            **{name: content[name] for name in plain}
            | model
            | {"training": {**training, "config": upgraded(training["config"], schema), "schema": SCHEMA}},
            class_names=tuple(names),
            encoder=content.get("encoder"),
        )


def _portable(training: Mapping[str, Any]) -> dict[str, Any]:
    """Return the record of a training with the paths in its run's folder relative to it.

    An export goes to other people, who need not know the folders of the machine that trained it.
    """
    run = training["config"].get("paths", {}).get("run")
    if not isinstance(run, str):
        return dict(training)

    def relative(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: relative(one) for key, one in value.items()}
        if isinstance(value, list):
            return [relative(one) for one in value]
        if isinstance(value, str) and (value == run or value.startswith(f"{run}/")):
            return value[len(run) + 1 :] or "."
        return value

    return {**training, "config": relative(training["config"])}
