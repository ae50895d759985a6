"""The messages of `tensorflow.SequenceExample` without TensorFlow, built from descriptors at run time.

Field names and numbers are those of `tensorflow/core/example/{feature,example}.proto`. The messages have their own
descriptor pool, so they cannot conflict with another library's messages of the same names.
"""

from __future__ import annotations

from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

_Field = descriptor_pb2.FieldDescriptorProto
_SCALARS = {
    "bytes": _Field.TYPE_BYTES,
    "float": _Field.TYPE_FLOAT,
    "int64": _Field.TYPE_INT64,
    "string": _Field.TYPE_STRING,
}


def _add_message(
    types: Any, parent: str, name: str, fields: tuple[tuple[str, str], ...], *, oneof: str = ""
) -> descriptor_pb2.DescriptorProto:
    """Add a message with fields (name, type), numbered from 1; `*` before a type means repeated."""
    message: descriptor_pb2.DescriptorProto = types.add(name=name)
    if oneof:
        message.oneof_decl.add(name=oneof)
    for number, (field_name, kind) in enumerate(fields, start=1):
        field = message.field.add(name=field_name, number=number, label=_Field.LABEL_OPTIONAL)
        if kind.startswith("*"):
            field.label, kind = _Field.LABEL_REPEATED, kind[1:]
        if kind in _SCALARS:
            field.type = _SCALARS[kind]
        else:
            field.type, field.type_name = _Field.TYPE_MESSAGE, f".{parent}.{kind}"
        if oneof:
            field.oneof_index = 0
    return message


def _add_map(types: Any, package: str, name: str, field: str, value: str) -> None:
    """Add a message with the single field `map<string, value> field = 1`."""
    message = _add_message(types, package, name, ((field, f"*{name}.Entry"),))
    # protobuf requires this name for the entries of a map.
    entry_name = "".join(part.capitalize() for part in field.split("_")) + "Entry"
    message.field[0].type_name = f".{package}.{name}.{entry_name}"
    entry = _add_message(message.nested_type, package, entry_name, (("key", "string"), ("value", value)))
    entry.options.map_entry = True


def _build() -> dict[str, Any]:
    package = "audiobag.records"
    file = descriptor_pb2.FileDescriptorProto(name="audiobag/records.proto", package=package, syntax="proto3")
    types = file.message_type
    _add_message(types, package, "BytesList", (("value", "*bytes"),))
    _add_message(types, package, "FloatList", (("value", "*float"),))
    _add_message(types, package, "Int64List", (("value", "*int64"),))
    kinds = (("bytes_list", "BytesList"), ("float_list", "FloatList"), ("int64_list", "Int64List"))
    _add_message(types, package, "Feature", kinds, oneof="kind")
    _add_map(types, package, "Features", "feature", "Feature")
    _add_message(types, package, "FeatureList", (("feature", "*Feature"),))
    _add_map(types, package, "FeatureLists", "feature_list", "FeatureList")
    _add_message(types, package, "SequenceExample", (("context", "Features"), ("feature_lists", "FeatureLists")))
    _add_message(types, package, "Halves", (("context", "bytes"), ("feature_lists", "bytes")))
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    names = ("Features", "FeatureList", "FeatureLists", "SequenceExample", "Halves")
    return {name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{package}.{name}")) for name in names}


_CLASSES = _build()

Features: Any = _CLASSES["Features"]
FeatureList: Any = _CLASSES["FeatureList"]
FeatureLists: Any = _CLASSES["FeatureLists"]
SequenceExample: Any = _CLASSES["SequenceExample"]

Halves: Any = _CLASSES["Halves"]
"""A SequenceExample whose `context` and `feature_lists` are serialised bytes."""
