"""The OpenAPI document of /api, made from the table of operations and the types of what they ask and answer."""

from __future__ import annotations

from functools import cache
from typing import Any, Final

import msgspec

import odp_trio
from odp_trio.admin.api import API, Operation
from odp_trio.admin.api_types import Mistake, Nothing

_REF: Final = "#/components/schemas/{name}"
_REFUSALS: Final = {
    400: "It cannot be asked so.",
    401: "A token is needed, or it is wrong.",
    403: "Asked by a page of another site, or nothing can be changed: there is no token.",
    404: "There is no such thing.",
    503: "It cannot be answered now.",
}
_ALWAYS: Final = (401, 403)


@cache
def document() -> bytes:
    """Return the document, as JSON."""
    return msgspec.json.encode(describe())


def describe() -> dict[str, Any]:
    """Return the document."""
    types = [Mistake, *(operation.answer for operation in API), *(operation.asks for operation in API)]
    found, components = msgspec.json.schema_components(types, ref_template=_REF)
    schemas = dict(zip(map(id, types), found, strict=True))
    paths: dict[str, Any] = {}
    for operation in API:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _describe(operation, schemas, components)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "odp-trio",
            "version": odp_trio.__version__,
            "description": "What a proxy is doing, and operations on it. Reading needs the token, or that one asks "
            "from the same machine; changing anything needs the token.",
        },
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{"token": []}, {}],
    }


def _describe(operation: Operation, schemas: dict[int, Any], components: dict[str, Any]) -> dict[str, Any]:
    answers = {"200": _content("What is asked for.", schemas[id(operation.answer)])}
    asked = () if operation.asks is Nothing and operation.method == "GET" else (400,)
    for code in sorted({*operation.refusals, *asked, *_ALWAYS}):
        answers[str(code)] = _content(_REFUSALS[code], schemas[id(Mistake)])
    found: dict[str, Any] = {
        "operationId": f"{operation.method.lower()}_{operation.name}",
        "summary": operation.says,
        "responses": answers,
    }
    if operation.writes:
        found["security"] = [{"token": []}]
    if operation.method == "POST":
        content = {"application/json": {"schema": schemas[id(operation.asks)]}}
        found["requestBody"] = {"required": operation.asks is not Nothing, "content": content}
    elif operation.asks is not Nothing:
        schema = components[operation.asks.__name__]
        found["parameters"] = [
            {"name": name, "in": "query", "required": name in schema.get("required", ()), "schema": about}
            for name, about in schema["properties"].items()
        ]
    return found


def _content(text: str, schema: Any) -> dict[str, Any]:
    return {"description": text, "content": {"application/json": {"schema": schema}}}
