"""Fixtures for tests of the whole service: a tiny release, a server with it in this process, and a browser."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from served import PATIENCE
from tied import SETTINGS, serving, tied_release

from xlret.serve.engine.local import local_gateway

if TYPE_CHECKING:  # only tests of the page need playwright
    from browsing import Browser, BrowserContext, Page


@pytest.fixture(scope="session")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A release that understands three languages; see tied.py."""
    return tied_release(tmp_path_factory.mktemp("tied"))


@pytest.fixture(scope="session")
def server(release: Path) -> Iterator[str]:
    """The address of a server with that release."""
    with serving(local_gateway(SETTINGS), release) as address:
        yield address


@pytest.fixture
def context(browser: "Browser") -> "Iterator[BrowserContext]":
    """A fresh profile with an ordinary window."""
    made = browser.new_context(viewport={"width": 1280, "height": 900}, locale="en-GB")
    made.set_default_timeout(PATIENCE * 1000)
    yield made
    made.close()


@pytest.fixture
def page(context: "BrowserContext") -> "Iterator[Page]":
    """A page that must not end with an error in its console, a blocked asset or a request to anybody else."""
    page = context.new_page()
    problems: list[str] = []
    hosts: set[str] = set()
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("console", lambda line: problems.append(line.text) if line.type in ("error", "warning") else None)
    page.on("request", lambda request: hosts.add(re.match(r"\w+:(//[^/:]*)?", request.url)[0]))
    yield page
    asked_for = "Failed to load resource"  # the browser's own line for a 4xx that a test provoked, and for being offline
    assert not [one for one in problems if not one.startswith(asked_for)]
    assert hosts <= {"http://127.0.0.1"}
