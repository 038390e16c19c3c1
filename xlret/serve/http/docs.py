"""The API's description as one plain page, made from the OpenAPI description: no script, and nothing from elsewhere."""

from collections.abc import Mapping
from html import escape
from typing import Any

STYLE = """
body { font: 1rem/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color-scheme: light dark; }
table { border-collapse: collapse; width: 100%; margin: .5rem 0 1.5rem; }
th, td { text-align: left; vertical-align: top; padding: .3rem .6rem; border-bottom: 1px solid #8886; }
code { font-family: ui-monospace, monospace; }
h2 { margin-top: 2.5rem; }
"""
ERRORS = (
    "Errors are JSON (ErrorAnswer below). But what is not yet a request HAProxy, where it stands in front, answers itself with "
    "a short HTML page and closes the connection: a broken request line or header, two Content-Lengths, headers over 63 KB "
    "(400), headers that are not complete in time (408)."
)


def docs_page(openapi: Mapping[str, Any]) -> str:
    """HTML that lists every address with its request, answers and their fields."""
    parts = [
        "<!doctype html><html lang=en><head><meta charset=utf-8><meta name=viewport content='width=device-width'>"
        f"<title>{escape(openapi['info']['title'])}: API</title><link rel=stylesheet href=docs/style.css></head><body><main>",
        f"<h1>{escape(openapi['info']['title'])}: API</h1><p>{escape(openapi['info'].get('description', ''))}</p>",
        "<p>For programs: <a href=openapi.json><code>openapi.json</code></a>.</p>",
        f"<p>{escape(ERRORS)}</p>",
    ]
    for path, methods in openapi["paths"].items():
        for method, about in methods.items():
            parts.append(f"<h2 id='{escape(about['operationId'])}'><code>{method.upper()} {escape(path)}</code></h2>")
            parts.append(f"<p>{escape(about.get('description') or about.get('summary', ''))}</p>")
            if "requestBody" in about:
                schema = about["requestBody"]["content"]["application/json"]["schema"]
                parts.append(f"<p>Body: {_kind(schema)}</p>")
            rows = "".join(
                f"<tr><th><code>{escape(status)}</code></th><td>{escape(answer['description'])}</td><td>{_answer(answer)}</td></tr>"
                for status, answer in about["responses"].items()
            )
            parts.append(
                f"<table><thead><tr><th>Status</th><th>When</th><th>Body</th></tr></thead><tbody>{rows}</tbody></table>"
            )
    parts.append("<h2>Bodies</h2>")
    for name, schema in sorted(openapi.get("components", {}).get("schemas", {}).items()):
        parts.append(_schema(name, schema))
    return "".join([*parts, "</main></body></html>"])


def _schema(name: str, schema: Mapping[str, Any]) -> str:
    needed = set(schema.get("required", ()))
    rows = "".join(
        f"<tr><th><code>{escape(key)}</code>{' (needed)' if key in needed else ''}</th><td>{_kind(part)}</td>"
        f"<td>{escape(part.get('description', ''))}</td></tr>"
        for key, part in schema.get("properties", {}).items()
    )
    table = f"<table><thead><tr><th>Key</th><th>Type</th><th></th></tr></thead><tbody>{rows}</tbody></table>" if rows else ""
    return (
        f"<h3 id='schema-{escape(name)}'><code>{escape(name)}</code></h3><p>{escape(schema.get('description', ''))}</p>{table}"
    )


def _answer(answer: Mapping[str, Any]) -> str:
    content = answer.get("content", {})
    return "; ".join(_kind(part.get("schema", {})) for part in content.values())


def _kind(schema: Mapping[str, Any]) -> str:
    if "$ref" in schema:
        name = escape(str(schema["$ref"]).rsplit("/", 1)[-1])
        return f"<a href='#schema-{name}'><code>{name}</code></a>"
    for key in ("anyOf", "oneOf"):
        if key in schema:
            return " or ".join(_kind(part) for part in schema[key])
    if "enum" in schema or "const" in schema:
        return " or ".join(f"<code>{escape(str(part))}</code>" for part in schema.get("enum", [schema.get("const")]))
    if schema.get("type") == "array":
        return f"list of {_kind(schema.get('items', {}))}"
    limits = [
        f"{word} {schema[key]}"
        for key, word in (("minimum", "from"), ("maximum", "to"), ("minLength", "from"), ("maxLength", "up to"))
        if key in schema
    ]
    default = f", by default <code>{escape(str(schema['default']))}</code>" if "default" in schema else ""
    return escape(" ".join([str(schema.get("type", "anything")), *limits])) + default
