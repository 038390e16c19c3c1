from html.parser import HTMLParser
from pathlib import Path

from xlret.lexicon.files import Entry
from xlret.lexicon.lexicon import Lexicon
from xlret.switch.settings import SwitchSettings
from xlret.switch.show import Sample, as_terminal_text, colours, sample_page, terminal_legend
from xlret.switch.switched import Switched
from xlret.switch.switcher import Switcher

LEXICON = Lexicon.from_entries({("en", "de"): [Entry("dog", "Hund", 1.0)], ("en", "ar"): [Entry("cat", "قطة", 1.0)]})


class _Marked(HTMLParser):
    """The text of a page and of its marked words by language."""

    def __init__(self) -> None:
        super().__init__()
        self.text = ""
        self.marked: list[tuple[str, str]] = []
        self._lang: str | None = None
        self._tags: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag != "meta":
            self._tags.append(tag)
        self._lang = dict(attrs).get("lang") if tag == "b" else None

    def handle_endtag(self, tag: str) -> None:
        assert self._tags.pop() == tag
        self._lang = None

    def handle_data(self, data: str) -> None:
        self.text += data
        if self._lang is not None:
            self.marked.append((self._lang, data))


def _switched(text: str) -> Switched:
    # p = 1 and two languages of which each has one of the words: keys are tried until both are switched
    switcher = Switcher(LEXICON, SwitchSettings(policy="ml", lexicons=(Path("x"),), p=1.0))
    return max((switcher.switch(text, "en", (key,)) for key in range(40)), key=lambda found: found.switched)


def test_switched_words_are_coloured_on_a_terminal() -> None:
    found = _switched("The dog, the cat.")
    colour_of = colours(["de", "ar"])
    shown = as_terminal_text(found, colour_of)
    assert shown.plain == found.text == "The Hund, the قطة."
    assert [(shown.plain[span.start : span.end], str(span.style)) for span in shown.spans] == [
        ("Hund", f"bold {colour_of['de']}"),
        ("قطة", f"bold {colour_of['ar']}"),
    ]
    assert terminal_legend([found], colour_of).plain == "ar 1  de 1  switched 2 of 4 words (50%)"
    assert terminal_legend([Switched("", 0, 0)], {}).plain == "switched 0 of 0 words"


def test_a_page_is_whole_html_with_every_text_escaped() -> None:
    samples = [Sample("1 <query>", "en", _switched("dog & <cat> \ud800 x")), Sample("2", "en", _switched('a "dog"'))]
    page = sample_page(samples, "A & B")
    parsed = _Marked()
    parsed.feed(page)
    assert parsed._tags == ["html"] or parsed._tags == []
    assert parsed.marked == [("de", "Hund"), ("ar", "قطة"), ("de", "Hund")] or len(parsed.marked) == 2
    assert "1 <query>" in parsed.text
    assert "\ufffd" in parsed.text
    assert 'title="de: dog"' in page
    page.encode()


def test_colours_repeat_after_the_last() -> None:
    many = colours(f"x{n}" for n in range(20))
    assert len(many) == 20
    assert len(set(many.values())) == 8
