"""Reports as pages of HTML that stand alone: Jinja2 templates, which lie in the rooms that fill them, over one base."""

from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined


def render(template: str, **values: Any) -> str:
    """A template of this package with its values filled in, each escaped.

    Args:
        template: its path below `xlret/`, such as `evaluation/report.html`.
        values: what the template names; one that is missing is an error.

    Returns:
        HTML that can be written as UTF-8: a lone surrogate, as broken input files have it, becomes U+FFFD.

    >>> "<h1>a &amp; b</h1>" in render("base.html", title="a & b")
    True
    """
    written = _environment().get_template(template).render(**values)
    return written.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


@cache
def _environment() -> Environment:
    loader = FileSystemLoader(Path(__file__).parent)
    environment = Environment(
        loader=loader,
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["thousands"] = "{:,}".format
    environment.filters["share"] = "{:.1%}".format
    return environment
