"""What the tests that look at the web page share: Debian's Chromium, and how a question is typed."""

import shutil
from pathlib import Path

import pytest
from served import PATIENCE

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright (extra: dev) drives the browser")
Browser, BrowserContext, Page, Route = sync_api.Browser, sync_api.BrowserContext, sync_api.Page, sync_api.Route
expect = sync_api.expect

CHROMIUM = shutil.which("chromium") or next((one for one in ("/usr/bin/chromium",) if Path(one).exists()), None)
ARGUMENTS = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking --disable-component-update "
    "--disable-sync --disable-dev-shm-usage"
)
expect.set_options(timeout=PATIENCE * 1000)


def ask(page: Page, server: str, question: str) -> None:
    """Types a question on the fresh page, into the box that has the focus."""
    page.goto(server)
    expect(page.locator(".welcome")).to_be_visible()
    expect(page.locator("#query")).to_be_focused()
    page.keyboard.type(question)
    page.keyboard.press("Enter")
    expect(page.locator("ol.hits")).to_be_visible()
