"""The web page for everyone: keyboard, screen readers, contrast, narrow and dark screens, less motion."""

from itertools import pairwise
from pathlib import Path

import pytest
from browsing import Browser, BrowserContext, Page, ask, expect
from tied import QUESTIONS

# What a screen reader is told: role, name, and whether it can be reached with Tab.
TREE = "Accessibility.getFullAXTree"
CONTROLS = {"button", "checkbox", "combobox", "link", "radio", "searchbox", "spinbutton", "textbox", "DisclosureTriangle"}

LOW_CONTRAST = (Path(__file__).parent / "contrast.js").read_text(encoding="utf-8")

FOCUSED = """() => { const e = document.activeElement, style = getComputedStyle(e), box = e.getBoundingClientRect();
    const ring = style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2;
    const inside = box.bottom > 0 && box.top < innerHeight && box.width > 0;
    return e === document.body ? null : {id: e.id || e.className || e.tagName, ring, inside} }"""


def tree(page: Page) -> list[tuple[str, str]]:
    """(role, name) of all that a screen reader meets, in its order."""
    nodes = page.context.new_cdp_session(page).send(TREE)["nodes"]
    kept = [one for one in nodes if not one.get("ignored")]
    return [(one["role"]["value"], one.get("name", {}).get("value", "").strip()) for one in kept]


def test_every_control_has_a_name_and_every_part_of_the_page_is_a_landmark(page: Page, server: str) -> None:
    ask(page, server, QUESTIONS["de"])
    page.locator(".command summary").click()
    nodes = tree(page)
    controls = [one for one in nodes if one[0] in CONTROLS]
    assert len(controls) > 30
    assert [one for one in controls if not one[1]] == []
    roles = {role for role, _ in nodes}
    assert {"banner", "search", "main", "contentinfo"} <= roles
    assert {"Results", "Filters", "About this answer"} <= {name for role, name in nodes if role in ("main", "region")}
    assert ("checkbox", "ar العربية") in [(role, " ".join(name.split())) for role, name in nodes]
    radio = page.get_by_role("radio", name="Quota")
    assert page.locator(f"#{radio.get_attribute('aria-describedby')}").inner_text().startswith("Each language")


def test_headings_are_in_order(page: Page, server: str) -> None:
    for address in (server, f"{server}?q=Bees"):
        page.goto(address)
        expect(page.locator(".welcome, ol.hits")).to_be_visible()
        levels = [int(one.evaluate("h => h.tagName[1]")) for one in page.locator("h1, h2, h3, h4, h5, h6").all()]
        assert levels[0] == 1
        assert levels.count(1) == 1
        assert all(after - before <= 1 for before, after in pairwise(levels))
        assert page.locator("html").get_attribute("lang") == "en"


def test_what_happens_is_announced(page: Page, server: str) -> None:
    ask(page, server, QUESTIONS["de"])
    summary = page.locator("#summary")
    assert (summary.get_attribute("role"), summary.get_attribute("aria-live")) == ("status", "polite")
    expect(page.locator("#query")).to_be_focused()  # the next question can be typed at once


def test_tab_goes_through_everything_in_reading_order_and_shows_where_it_is(page: Page, server: str) -> None:
    page.goto(f"{server}?q=Bees&k=2")
    expect(page.locator("ol.hits")).to_be_visible()
    page.keyboard.press("Shift+Tab")  # from the box, where the page begins, back to the top
    page.keyboard.press("Shift+Tab")
    seen: list[str] = []
    while len(seen) < 80 and (where := page.evaluate(FOCUSED)):
        assert where["ring"], where
        assert where["inside"], where
        seen.append(where["id"])
        page.keyboard.press("Tab")
    order = ["skip", "home", "query", "go", "asked", "top_k", "SUMMARY", "balance_none", "in_en", "field", "value", "add"]
    places = [seen.index(one) for one in order]
    assert places == sorted(places)
    assert len(seen) > len(order) + 4  # metadata of the hits and the command come after


def test_everything_works_without_a_mouse(page: Page, server: str) -> None:
    page.goto(server)
    expect(page.locator(".welcome")).to_be_visible()
    page.locator("#balance_none").focus()
    page.keyboard.press("ArrowDown")
    expect(page.get_by_role("radio", name="Quota")).to_be_checked()
    page.keyboard.press("/")
    expect(page.locator("#query")).to_be_focused()
    page.keyboard.type("Bees/honey")  # a slash in the box is a slash
    assert page.locator("#query").input_value() == "Bees/honey"
    page.keyboard.press("Enter")
    expect(page.locator("ol.hits")).to_be_visible()
    assert "balance=quota" in page.url
    page.locator("#in_ar").focus()
    page.keyboard.press("Space")
    expect(page.locator("ol.hits > li")).to_have_count(4)
    page.locator(".skip").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#results")).to_be_focused()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_contrast(browser: Browser, server: str, scheme: str) -> None:
    context = browser.new_context(color_scheme=scheme, viewport={"width": 1280, "height": 900})
    page = context.new_page()
    page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    for query in ("", "?q=Bees&in=de&f=year%3E%3D2000&k=3", "?q=Bees&in=xx", "?q=Bees&f=year%3E%3D3000"):
        page.goto(server + query)
        expect(page.locator(".welcome, ol.hits, .notice.problem:visible, .empty").first).to_be_visible()
        expect(page.locator("#columns:not(.busy)")).to_be_visible()
        assert page.evaluate(LOW_CONTRAST) == []
    page.locator("#notices").evaluate("box => { box.innerHTML = '<p class=\"notice partial\">x</p>' }")
    assert page.evaluate(LOW_CONTRAST) == []
    page.locator("#notices").evaluate("box => { box.lastChild.style.color = 'rgb(128 128 128 / 60%)' }")
    assert len(page.evaluate(LOW_CONTRAST)) == 1  # the measure itself finds what is too faint
    context.close()


@pytest.mark.parametrize("width", [320, 390, 800, 1180])
def test_no_width_needs_sideways_scrolling(browser: Browser, server: str, width: int) -> None:
    context = browser.new_context(viewport={"width": width, "height": 700})
    page = context.new_page()
    for query in ("", "?q=Salt+%3Cb%3E&k=20"):
        page.goto(server + query)
        expect(page.locator(".welcome, ol.hits")).to_be_visible()
        assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.locator("#filters").evaluate("one => one.open") == (width >= 800)
    first, box = page.locator("ol.hits > li").first.bounding_box(), page.locator("#query").bounding_box()
    assert first["width"] > width * (0.4 if width >= 800 else 0.85)
    assert box["y"] < 200
    context.close()


def test_less_motion_where_it_is_wished(context: BrowserContext, server: str) -> None:
    page = context.new_page()
    page.route("**/v1/search", lambda route: None)
    for wish, moves in (("no-preference", "breathe"), ("reduce", "none")):
        page.emulate_media(reduced_motion=wish)
        page.goto(f"{server}?q=Bees")
        expect(page.locator(".bones").first).to_be_visible()
        assert page.locator(".bones").first.evaluate("card => getComputedStyle(card).animationName") == moves
