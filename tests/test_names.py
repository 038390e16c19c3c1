"""Names say what the thing is: the empty ones that once stood in every room do not come back."""

import ast
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]

EMPTY = frozenset({"one", "ones", "found", "some", "something", "place", "places", "there", "thing", "things", "of"})
"""Refused as the name of a variable, parameter, attribute, function or class, with underscores before it or not."""
EMPTY_FUNCTIONS = frozenset({"keep", "do", "it", "handle", "process", "this", "that"})
"""Refused, besides, as the whole name of a function."""


def names(tree: ast.AST) -> Iterator[tuple[int, str, bool]]:
    """(line, name, whether of a function) of everything that the code binds."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.lineno, node.name, True
        elif isinstance(node, ast.ClassDef):
            yield node.lineno, node.name, False
        elif isinstance(node, ast.arg):
            yield node.lineno, node.arg, False
        elif isinstance(node, ast.Name | ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.lineno, node.id if isinstance(node, ast.Name) else node.attr, False


def empty_names(source: str) -> list[tuple[int, str]]:
    return [
        (line, name)
        for line, name, is_function in names(ast.parse(source))
        if (bare := name.strip("_").lower()) in EMPTY or (is_function and bare in EMPTY_FUNCTIONS)
    ]


def test_no_name_is_empty() -> None:
    offenders = [
        f"{path.relative_to(ROOT)}:{line}: {name}"
        for top in ("xlret", "jobs")
        for path in sorted((ROOT / top).rglob("*.py"))
        for line, name in empty_names(path.read_text(encoding="utf-8"))
    ]
    assert offenders == [], "say what the thing is instead: " + ", ".join(offenders)


def test_empty_names_are_seen() -> None:
    source = "def _one(place):\n    self.found = [some for some in place]\n\nclass Pool:\n    def of(self): ...\n"
    assert [name for _, name in empty_names(source)] == ["_one", "of", "place", "found", "some"]


def test_no_two_test_files_have_one_name() -> None:
    counts = Counter(path.name for path in (ROOT / "tests").rglob("test_*.py"))
    assert [name for name, count in counts.items() if count > 1] == [], "pytest collects one of them only"
