"""The messages of `tensorflow.SequenceExample` without TensorFlow, built from descriptors at run time.

Field names and numbers are those of `tensorflow/core/example/{feature,example}.proto`. The messages have their own
descriptor pool, so they cannot conflict with another library's messages of the same names.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

_Field = descriptor_pb2.FieldDescriptorProto
_SCALARS = {
    "bytes": _Field.TYPE_BYTES,
    "float": _Field.TYPE_FLOAT,
    "int64": _Field.TYPE_INT64,
    "string": _Field.TYPE_STRING,
}
_PACKAGE = "audiobag.records"
# The types of the fields, which are numbered from 1. A * means repeated, a + means a map from texts. The fields of
# Feature are a oneof.
_MESSAGES = {
    "BytesList": {"value": "*bytes"},
    "FloatList": {"value": "*float"},
    "Int64List": {"value": "*int64"},
    "Feature": {"bytes_list": "BytesList", "float_list": "FloatList", "int64_list": "Int64List"},
    "Features": {"feature": "+Feature"},
    "FeatureList": {"feature": "*Feature"},
    "FeatureLists": {"feature_list": "+FeatureList"},
    "SequenceExample": {"context": "Features", "feature_lists": "FeatureLists"},
    "Halves": {"context": "bytes", "feature_lists": "bytes"},
}


def _add_message(types: Any, name: str, fields: Mapping[str, str]) -> descriptor_pb2.DescriptorProto:
    message: descriptor_pb2.DescriptorProto = types.add(name=name)
    if name == "Feature":
        message.oneof_decl.add(name="kind")
    for number, (field_name, kind) in enumerate(fields.items(), start=1):
        field = message.field.add(name=field_name, number=number, label=_Field.LABEL_OPTIONAL)
        if kind.startswith("+"):
            # protobuf requires this name for the entries of a map.
            entry = "".join(part.capitalize() for part in field_name.split("_")) + "Entry"
            added = _add_message(message.nested_type, entry, {"key": "string", "value": kind[1:]})
            added.options.map_entry = True
            kind = f"*{name}.{entry}"
        if kind.startswith("*"):
            field.label, kind = _Field.LABEL_REPEATED, kind[1:]
        if kind in _SCALARS:
            field.type = _SCALARS[kind]
        else:
            field.type, field.type_name = _Field.TYPE_MESSAGE, f".{_PACKAGE}.{kind}"
        if name == "Feature":
            field.oneof_index = 0
    return message


def _pool() -> Any:
    file = descriptor_pb2.FileDescriptorProto(name="audiobag/records.proto", package=_PACKAGE, syntax="proto3")
    for name, fields in _MESSAGES.items():
        _add_message(file.message_type, name, fields)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return pool


_POOL = _pool()


def _class(name: str) -> Any:
    return message_factory.GetMessageClass(_POOL.FindMessageTypeByName(f"{_PACKAGE}.{name}"))


Features = _class("Features")
FeatureList = _class("FeatureList")
FeatureLists = _class("FeatureLists")
SequenceExample = _class("SequenceExample")
Halves = _class("Halves")
"""A SequenceExample whose `context` and `feature_lists` are serialised bytes."""
