"""What the tests that look at the web page share: Debian's Chromium, settings, and how a question is typed."""

import shutil
from pathlib import Path

import pytest
from served import PATIENCE
from tied import QUESTIONS

from xlret.serve.settings import DeadlineSettings, ServeSettings

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright (extra: dev) drives the browser")
Browser, BrowserContext, Page, expect = sync_api.Browser, sync_api.BrowserContext, sync_api.Page, sync_api.expect

CHROMIUM = shutil.which("chromium") or next((one for one in ("/usr/bin/chromium",) if Path(one).exists()), None)
ARGUMENTS = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking --disable-component-update "
    "--disable-sync --disable-dev-shm-usage"
)
# The tests are about what is shown, on machines that may be slow: generous deadlines.
SETTINGS = ServeSettings(examples=tuple(QUESTIONS.values()), deadline=DeadlineSettings(timeout_ms=20_000))
expect.set_options(timeout=PATIENCE * 1000)


def ask(page: Page, server: str, question: str) -> None:
    """Types a question on the fresh page, into the box that has the focus."""
    page.goto(server)
    expect(page.locator(".welcome")).to_be_visible()
    expect(page.locator("#query")).to_be_focused()
    page.keyboard.type(question)
    page.keyboard.press("Enter")
    expect(page.locator("ol.hits")).to_be_visible()
