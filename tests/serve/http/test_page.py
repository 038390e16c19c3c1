"""The web page in a real browser against a real server: a tiny release whose index answers across three languages."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from browsing import BrowserContext, Page, Route, ask, expect
from served import PATIENCE
from tied import HOSTILE, QUESTIONS, SETTINGS, serving

from xlret.serve.engine.gateway import Gateway
from xlret.serve.engine.local import LocalEncoder, LocalReranker, LocalShards, local_gateway
from xlret.serve.http.access import Keys

GERMAN = QUESTIONS["de"]


def ids(page: Page) -> list[str]:
    """The hits in their order, as `Title:language`; the id of those without a title."""
    names = page.locator("ol.hits article h3").all_text_contents()
    langs = page.locator("ol.hits article .badge .code").all_text_contents()
    return [name if name.endswith(f":{lang}") else f"{name}:{lang}" for name, lang in zip(names, langs, strict=True)]


def shown(page: Page, *wanted: str) -> None:
    """Waits until the hits are exactly these, in any order."""
    expect(page.locator("#results")).to_have_attribute("aria-busy", "false")
    expect(page.locator("ol.hits > li")).to_have_count(len(wanted))
    assert sorted(ids(page)) == sorted(wanted)


def test_a_question_in_one_language_finds_passages_in_others(page: Page, server: str) -> None:
    ask(page, server, GERMAN)
    assert sorted(ids(page)[:3]) == ["Honey:ar", "Honey:de", "Honey:en"]
    expect(page.locator("#summary")).to_contain_text("10 passages in 3 languages for a question in")
    expect(page.locator("#summary .badge")).to_have_text("deDeutsch")
    expect(page.locator("#summary")).to_contain_text("(detected)")
    expect(page.locator("#asked option").first).to_have_text("Detect: Deutsch")
    assert page.title() == f"{GERMAN} · xlret search"


def test_a_hit_shows_its_language_direction_marked_sentence_and_metadata(page: Page, server: str) -> None:
    ask(page, server, GERMAN)
    card = page.locator("article", has=page.locator("h3", has_text="Honey"), has_text="النحل")
    expect(card.locator(".badge")).to_have_text("arالعربية")
    assert card.locator(".badge").get_attribute("title") == "Arabic"
    for part in (card.locator("h3"), card.locator("p.text")):
        assert (part.get_attribute("lang"), part.get_attribute("dir")) == ("ar", "rtl")
    expect(card.locator("mark")).to_have_text("النحل يصنع العسل من الأزهار.")  # after an emoji: code points, not UTF-16
    expect(card.locator(".meta")).to_contain_text("topic nature")
    expect(card.locator(".scores")).to_have_text(re.compile(r"score 0\.\d{3}"))
    english = page.locator("article", has_text="Bees make honey")
    assert english.locator("p.text").get_attribute("dir") == "ltr"


@pytest.mark.parametrize("mark", ["\u0301", "\u0323"])
def test_stacked_marks_stay_in_their_card(page: Page, server: str, mark: str) -> None:
    """Sixty marks on a letter reach hundreds of pixels up or down: over the cards above and below, were they not clipped."""
    count = 1

    def answered(route: Route) -> None:
        answer = route.fetch().json()
        answer["took_ms"] = dict.fromkeys(answer["took_ms"], 1.0)
        second = answer["results"][0]["hits"][1]
        second["title"], second["highlight"] = f"Za{mark * count}lgo " * 8, None
        second["text"] = f"a{mark * count}b " * 200
        route.fulfill(json=answer)

    page.route("**/v1/search", answered)
    cards, shots = page.locator("ol.hits article"), {}
    for count in (1, 60):  # read by the function above
        page.goto(f"{server}?q={GERMAN}")
        expect(cards).to_have_count(10)
        cards.evaluate_all("cards => cards.forEach(card => { card.style.blockSize = '200px' })")  # else they move a little
        shots[count] = [cards.nth(number).screenshot() for number in range(3)]
    assert shots[60][1] != shots[1][1]  # the marks are there
    for number in (0, 2):
        assert shots[60][number] == shots[1][number], f"card {number} is written over"


def test_language_share_and_time_are_tables(page: Page, server: str) -> None:
    ask(page, server, GERMAN)
    rows = page.locator("table.share tbody tr").all()
    assert {row.locator(".code").inner_text() for row in rows} == {"ar", "de", "en"}
    assert sum(int(row.locator("td").first.inner_text().split()[0]) for row in rows) == 100
    widths = [row.locator(".fill").evaluate("bar => bar.getBoundingClientRect().width") for row in rows]
    assert min(widths) > 0
    assert widths == sorted(widths, reverse=True)
    stages = page.locator("table.took th").all_text_contents()
    assert stages[:3] == ["Encode", "Search", "Highlight"]
    assert stages[-2:] == ["In the server", "Round trip"]
    assert all(re.fullmatch(r"[\d.,]+ ms", one) for one in page.locator("table.took td").all_inner_texts())


def test_filters_stand_in_the_address_and_the_back_button_undoes_them(page: Page, context: BrowserContext, server: str) -> None:
    ask(page, server, GERMAN)
    before = ids(page)
    page.get_by_role("checkbox", name="العربية").check()
    shown(page, "Capital:ar", "Honey:ar", "Moon:ar", "bread:ar")
    page.locator("#field").select_option("year")
    page.locator("#compare").select_option(">=")
    page.locator("#value").fill("soon")
    page.get_by_role("button", name="Add").click()
    expect(page.locator("#field_problem")).to_have_text("year needs a whole number.")
    page.locator("#value").fill("2021")
    page.locator("#value").press("Enter")
    shown(page, "Honey:ar", "Moon:ar", "bread:ar")
    page.locator("article", has_text="النحل").get_by_role("button", name=re.compile("^topic nature")).click()
    shown(page, "Honey:ar")
    expect(page.locator("#filter_count")).to_have_text("3 in use")
    there = context.new_page()
    there.goto(page.url)  # what another person gets of the copied address
    shown(there, "Honey:ar")
    expect(there.locator("#chips li")).to_have_count(2)
    expect(there.get_by_role("checkbox", name="العربية")).to_be_checked()
    there.get_by_role("button", name="Remove topic = nature").click()
    shown(there, "Honey:ar", "Moon:ar", "bread:ar")
    page.go_back()
    shown(page, "Honey:ar", "Moon:ar", "bread:ar")
    page.go_back()
    page.go_back()
    expect(page.locator("ol.hits > li")).to_have_count(10)
    assert ids(page) == before
    assert page.locator("#query").input_value() == GERMAN
    page.go_back()
    expect(page.locator(".welcome")).to_be_visible()
    page.go_forward()
    expect(page.locator("ol.hits > li")).to_have_count(10)


def test_no_hits_offers_a_search_without_filters(page: Page, server: str) -> None:
    page.goto(f"{server}?q=Bees&f=year%3E%3D2050&in=de")
    expect(page.locator(".empty")).to_contain_text("No passage meets these filters.")
    page.get_by_role("button", name="Search without filters").click()
    expect(page.locator("ol.hits > li")).to_have_count(10)
    assert "in=" not in page.url


def test_choices_of_the_form_reach_the_server(page: Page, server: str) -> None:
    page.goto(f"{server}?q=Bees&k=3&balance=quota&lang=de")
    expect(page.locator("ol.hits > li")).to_have_count(3)
    expect(page.locator("#summary")).to_contain_text("(as you chose)")
    assert {one.rsplit(":", 1)[1] for one in ids(page)} == {"ar", "de", "en"}
    expect(page.get_by_role("radio", name="Quota")).to_be_checked()
    with page.expect_request("**/v1/search") as sent:
        page.get_by_role("radio", name="None").check()
    assert sent.value.post_data_json == {"query": "Bees", "top_k": 3, "balance": "none", "query_language": "de"}
    page.locator(".command summary").click()
    expect(page.locator(".command code")).to_contain_text("""-d '{"query":"Bees","top_k":3,"balance":"none",""")


@pytest.mark.skipif(shutil.which("curl") is None, reason="no curl on PATH")
def test_the_command_shown_runs(page: Page, server: str) -> None:
    page.goto(f'{server}?q=What\'s+"honey"%3F+$HOME+العسل&k=3')
    expect(page.locator("ol.hits > li")).to_have_count(3)
    page.locator(".command summary").click()
    command = page.locator(".command code").inner_text()
    printed = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=True, timeout=PATIENCE).stdout
    result = json.loads(printed)["results"][0]
    assert result["query"] == """What's "honey"? $HOME العسل"""
    assert [hit["language"] for hit in result["hits"]] == [one.rsplit(":", 1)[1] for one in ids(page)]


def test_texts_of_the_index_and_of_the_address_stay_texts(page: Page, server: str) -> None:
    page.goto(f"{server}?q=Salt+%3Cb%3E&k=20")
    card = page.locator("article", has=page.locator("h3", has_text="<img"))
    expect(card.locator("h3")).to_have_text(HOSTILE)
    expect(card.locator("p.text")).to_have_text(f"salt {HOSTILE} taste")
    expect(card.get_by_role("button", name=re.compile("^topic"))).to_contain_text(HOSTILE)
    page.goto(f"{server}?q={HOSTILE}&in={HOSTILE}&lang={HOSTILE}&f=topic%3D{HOSTILE}")
    expect(page.locator("#notices .problem")).to_be_visible()  # no such language
    assert page.locator("img, #results script, b").count() == 0
    assert page.title() == f"{HOSTILE} · xlret search"


def test_the_policy_forbids_whatever_is_not_a_file_of_the_page(page: Page, server: str) -> None:
    response = page.goto(server)
    assert "default-src 'self'" in response.headers["content-security-policy"]
    html = response.text()
    assert not re.search(r"<style|\sstyle=|\son\w+=|<script(?![^>]*\ssrc=\"page/)", html)
    assert not re.search(r"https?:", html)


def test_address_holds_any_condition(page: Page, server: str) -> None:
    page.goto(server)
    first = {"field": "a=b>=c %", "compare": ">=", "value": "1=2"}
    second = {"field": "größe", "compare": "=", "value": ""}
    rest = {"languages": ["de", "zh-Hant"], "balance": "calibrated", "topK": 25, "rerank": True}
    state = {"query": "a&b=c ? % + «é» 🙂", "asked": "pt-BR", "conditions": [first, second], **rest}
    there_and_back = "async s => { const m = await import('/page/state.js'); return m.fromAddress(m.toAddress(s)) }"
    assert page.evaluate(there_and_back, state) == state


def test_conditions_become_one_filter(page: Page, server: str) -> None:
    page.goto(server)
    given = ["y >= 1", "y <= 5", "y >= 2", "t = a", "t = b", "t = a", "b = true", "z <= 1", "z = 3"]
    conditions = [dict(zip(("field", "compare", "value"), one.split(), strict=True)) for one in given]
    request = """async ([given, fields]) => { const m = await import('/page/state.js');
        return m.toRequest({languages: [], conditions: given.reduce(m.withCondition, [])}, fields).filter }"""
    found = page.evaluate(request, [conditions, {"y": "int", "t": "string", "b": "bool", "z": "float"}])
    assert found == {"y": {"lte": 5, "gte": 2}, "t": {"in": ["b", "a"]}, "b": True, "z": 3}


def test_examples_are_questions_to_click(page: Page, server: str) -> None:
    page.goto(server)
    page.get_by_role("button", name=QUESTIONS["ar"]).click()
    expect(page.locator("ol.hits")).to_be_visible()
    assert sorted(ids(page)[:3]) == ["Honey:ar", "Honey:de", "Honey:en"]
    assert page.locator("#query").evaluate("box => getComputedStyle(box).direction") == "rtl"


class _Broken(LocalShards):
    """Serves its shards until they are searched."""

    async def search(self, *arguments: object) -> dict:
        raise RuntimeError("this shard is broken")


def test_an_incomplete_answer_says_so(page: Page, release: Path) -> None:
    shards = [LocalShards(SETTINGS, 0, 2), _Broken(SETTINGS, 1, 2)]
    with serving(Gateway(LocalEncoder(SETTINGS), shards, LocalReranker(SETTINGS), SETTINGS), release) as address:
        page.goto(f"{address}?q=Bees")
        notice = page.locator(".notice.partial")
        expect(notice).to_contain_text("This answer is incomplete. Some passages were not searched. 1 of 2 shards")
        assert page.locator("#notices").get_attribute("aria-live") == "polite"
        assert 0 < page.locator("ol.hits > li").count() < 10
        with page.expect_response("**/v1/search"):
            notice.get_by_role("button", name="Try again").click()


def test_a_key_is_asked_for_only_when_the_server_wants_one(page: Page, server: str, release: Path) -> None:
    page.goto(server)
    expect(page.locator("#key")).to_be_hidden()
    with serving(local_gateway(SETTINGS), release, Keys.from_texts(["right-key"])) as address:
        page.goto(f"{address}?q=Bees")
        expect(page.locator("#key")).to_be_focused()
        for key in ("wrong-key", "right-key"):
            page.locator("#key").fill(key)
            page.locator("#key").press("Enter")
            if key == "wrong-key":
                expect(page.locator(".notice.problem").last).to_contain_text("was not accepted")
                expect(page.locator("#key")).to_be_visible()
        expect(page.locator("ol.hits")).to_be_visible()
        expect(page.locator("#key")).to_be_hidden()
        page.reload()
        expect(page.locator("ol.hits")).to_be_visible()
        assert "right-key" not in page.url


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (429, '{"error": {"code": "overloaded", "message": "Full."}}', "many requests just now. Try again in 3 seconds."),
        (
            503,
            '{"error": {"code": "unavailable", "message": "No shard answers."}}',
            "not available now. No shard answers.",
        ),
        (504, '{"error": {"code": "timeout", "message": "Too slow."}}', "took longer than it may. Too slow."),
        (502, "<html>nginx</html>", "Something went wrong in the server."),
        (
            422,
            '{"error": {"code": "invalid_request", "message": "No field x.", "request_id": "r7"}}',
            "No field x. (Request r7)",
        ),
    ],
)
def test_refusals_are_sentences(page: Page, server: str, status: int, body: str, said: str) -> None:
    page.route("**/v1/search", lambda route: route.fulfill(status=status, body=body, headers={"retry-after": "3"}))
    page.goto(f"{server}?q=Bees")
    expect(page.locator("#notices .problem")).to_contain_text(said)
    again = page.locator("#notices").get_by_role("button", name="Try again")
    assert again.count() == (0 if status == 422 else 1)
    if status != 422:
        page.unroute("**/v1/search")
        again.click()
        expect(page.locator("ol.hits")).to_be_visible()


def test_a_server_out_of_reach_keeps_the_question(page: Page, context: BrowserContext, server: str) -> None:
    ask(page, server, GERMAN)
    context.set_offline(True)
    page.locator("#query").fill("Bees")
    page.keyboard.press("Enter")
    expect(page.locator("#notices")).to_contain_text("The server cannot be reached.")
    assert page.locator("#query").input_value() == "Bees"
    context.set_offline(False)
    page.get_by_role("button", name="Try again").click()
    expect(page.locator("ol.hits")).to_be_visible()


def test_the_last_question_wins(page: Page, server: str) -> None:
    held = []
    page.route("**/v1/search", lambda route: held.append(route) if "moon" in route.request.post_data else route.continue_())
    page.goto(f"{server}?q=moon")
    expect(page.locator(".bones").first).to_be_visible()
    expect(page.locator("#results")).to_have_attribute("aria-busy", "true")
    page.locator("#query").fill(GERMAN)
    page.keyboard.press("Enter")
    expect(page.locator("ol.hits")).to_be_visible()
    assert ids(page)[0].startswith("Honey")
    assert len(held) == 1  # and its answer is no longer waited for
