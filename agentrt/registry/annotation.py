"""An annotation becomes a validator and a JSON schema: pydantic's, under one configuration, kept for the next tool.

Imported when a tool is first looked at, as pydantic's schema machinery costs 20 ms.
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import pydantic
import pydantic_core
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaMode
from pydantic_core import core_schema

from agentrt.registry.attributes import attribute_docs
from agentrt.wire.json import dump

__all__ = ["CONFIG", "Typed", "can_be_said", "json_schemas", "typed"]

CONFIG = pydantic.ConfigDict(val_json_bytes="base64", ser_json_bytes="base64", allow_inf_nan=False)
"""Bytes come as base64, as JSON has no other way for them; NaN and infinity are no JSON. A model's own config wins."""

_MODE: JsonSchemaMode = "validation"
_KEPT = 512
_LIST: Any = list
_WITHOUT_NAN = frozenset({"int", "float", "str", "bool", "literal", "enum", "bytes", "datetime", "date", "uuid"})
_JSON = (str, int, bool, float, type(None))


class Typed:
    """What pydantic makes of one annotation.

    Args:
        annotation: Any type that pydantic knows; raises pydantic's own errors for others.
    """

    def __init__(self, annotation: Any) -> None:
        self.definitions: list[Any] = []
        if isinstance(annotation, type) and issubclass(annotation, pydantic.BaseModel):
            self.core: Any = self._without_definitions(pydantic.TypeAdapter(annotation).core_schema)
            return
        # Inside a list, as pydantic takes no config for a dataclass or a TypedDict by itself.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # that nobody protects a ReadOnly key is known
            whole = pydantic.TypeAdapter(_LIST[(annotation,)], config=CONFIG).core_schema
        self.core = self._without_definitions(whole).get("items_schema", core_schema.any_schema())

    def _without_definitions(self, schema: Any) -> Any:
        if schema["type"] != "definitions":
            return schema
        self.definitions = schema["definitions"]
        return schema["schema"]

    @property
    def has_default(self) -> bool:
        """Whether the annotation itself brings a default: ``Annotated[int, Field(default=1)]``."""
        return bool(self.core["type"] == "default")

    @property
    def refuses_nan(self) -> bool:
        """Whether its validator lets no NaN pass, whatever a model's own config says."""
        return self.core["type"] in _WITHOUT_NAN

    @functools.cached_property
    def whole(self) -> Any:
        """The core schema with all that it refers to."""
        return core_schema.definitions_schema(self.core, self.definitions) if self.definitions else self.core

    @functools.cached_property
    def schema(self) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
        """The JSON schema of the type by itself, as pydantic writes it, and the definitions that it refers to."""
        made, shared = json_schemas({"": self})
        return made[""], shared

    def dumped(self, value: Any) -> Any:
        """Give a value of the type as JSON has it; raises ValueError or TypeError where there is no such form."""
        config = core_schema.CoreConfig(ser_json_bytes="base64", ser_json_inf_nan="constants")
        return pydantic_core.SchemaSerializer(self.whole, config).to_python(value, mode="json", warnings=False)


@functools.lru_cache(maxsize=_KEPT)
def _kept(annotation: Any, order: str) -> Typed:
    del order
    return Typed(annotation)


def typed(annotation: Any) -> Typed:
    """Give what pydantic makes of an annotation; the last 512 are kept."""
    try:
        hash(annotation)
    except TypeError:
        return Typed(annotation)
    # A | B equals B | A, and Literal["a", "b"] the other way round, but they are not the same.
    return _kept(annotation, "" if isinstance(annotation, type) else repr(annotation))


def can_be_said(value: Any) -> bool:
    """Tell whether JSON has a value: no infinity, no half character."""
    try:
        dump(value)
    except ValueError:
        return False
    return True


def json_schemas(types: Mapping[str, Typed]) -> tuple[dict[str, dict[str, Any]], dict[str, dict[str, Any]]]:
    """Give the JSON schemas of several types by name, as pydantic writes them, and the definitions that they share.

    Raises:
        PydanticInvalidForJsonSchema: A type has no JSON schema.
    """
    inputs: list[tuple[str, JsonSchemaMode, Any]] = [(name, _MODE, kind.whole) for name, kind in types.items()]
    made, shared = _Generator(by_alias=True).generate_definitions(inputs)
    return {name: made[name, _MODE] for name in types}, {str(name): part for name, part in shared.items()}


class _Generator(GenerateJsonSchema):
    """pydantic's generator, with fewer words, and with what attribute docstrings say."""

    ignored_warning_kinds = {"skipped-choice", "non-serializable-default"}  # noqa: RUF012 - pydantic's own attribute
    _base64 = True

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002 - pydantic's signature
        return False

    def bytes_schema(self, schema: core_schema.BytesSchema) -> dict[str, Any]:  # noqa: ARG002 - the same
        # Bounds of the bytes are not those of the text, which has four characters for three of them.
        return {"type": "string", "contentEncoding": "base64"} if self._base64 else {"type": "string"}

    def decimal_schema(self, schema: core_schema.DecimalSchema) -> dict[str, Any]:
        made = super().decimal_schema(schema)
        for branch in made.get("anyOf", ()):
            branch.pop("pattern", None)  # a look-ahead, which no provider's strict mode has
        return made

    def encode_default(self, dft: Any) -> Any:
        if not can_be_said(dft):
            raise pydantic_core.PydanticSerializationError("there is no JSON for it")  # it is left out then
        return dft if type(dft) in _JSON else super().encode_default(dft)

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> dict[str, Any]:
        made = super().default_schema(schema)
        if made.get("default", 0) is None:
            del made["default"]
        return made

    def enum_schema(self, schema: core_schema.EnumSchema) -> dict[str, Any]:
        made = super().enum_schema(schema)
        members: list[Any] = schema["members"]
        if not all(isinstance(member.value, str) for member in members):  # a number by itself says nothing
            said = ", ".join(f"{member.value} is {member.name}" for member in members)
            made["description"] = f"{made['description']} {said}." if made.get("description") else f"{said}."
        return made

    def named_tuple_schema(self, schema: Any) -> dict[str, Any]:
        made: dict[str, Any] = super().named_tuple_schema(schema)
        for field, item in zip(schema["fields"], made["prefixItems"], strict=True):
            item.setdefault("description", field["name"])
        return made

    def p_arguments_schema(  # pragma: no cover - a NamedTuple before pydantic 2.14
        self, arguments: list[Any], var_args_schema: Any
    ) -> dict[str, Any]:
        made = super().p_arguments_schema(arguments, var_args_schema)
        for argument, item in zip(arguments, made.get("prefixItems", ()), strict=False):
            item.setdefault("description", argument["name"])
        return made

    def model_schema(self, schema: core_schema.ModelSchema) -> dict[str, Any]:
        return self._of_class(super().model_schema, schema, schema["cls"].model_config)

    def dataclass_schema(self, schema: core_schema.DataclassSchema) -> dict[str, Any]:
        return self._of_class(super().dataclass_schema, schema, None)

    def typed_dict_schema(self, schema: core_schema.TypedDictSchema) -> dict[str, Any]:
        return self._of_class(super().typed_dict_schema, schema, None)

    def _of_class(
        self, make: Callable[[Any], dict[str, Any]], schema: Any, config: Mapping[str, Any] | None
    ) -> dict[str, Any]:
        """Make the schema of a class under its own config, and with what its attributes' docstrings say."""
        cls: type = schema["cls"]
        config = getattr(cls, "__pydantic_config__", None) if config is None else config
        outer = self._base64
        self._base64 = outer if config is None else config.get("val_json_bytes") == "base64"
        try:
            made = make(schema)
        finally:
            self._base64 = outer
        properties: dict[str, Any] = made.get("properties", {})
        for field in getattr(cls, "__dataclass_fields__", {}).values():
            if not field.init:
                properties.pop(field.name, None)  # pydantic lists it, and then refuses it
        if any("description" not in part for part in properties.values()):
            for name, text in attribute_docs(cls).items():
                if name in properties:
                    properties[name].setdefault("description", text)
        return made
