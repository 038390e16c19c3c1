import itertools
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xlret.config import settings_from
from xlret.errors import UserError
from xlret.keys import generator
from xlret.lexicon.files import Entry
from xlret.lexicon.lexicon import Lexicon
from xlret.switch.settings import SwitchSettings
from xlret.switch.switcher import Switcher
from xlret.switch.units import sentence_starts
from xlret.switch.vocabulary import Vocabulary


def _entries(pairs: str) -> list[Entry]:
    """Entries from "word=translation word=translation:score ..."; an underscore stands for a space."""
    found = []
    for pair in pairs.split():
        word, _, text = pair.replace("_", " ").partition("=")
        text, _, score = text.partition(":")
        found.append(Entry(word, text, float(score or 1)))
    return found


LEXICON = Lexicon.from_entries(
    {
        ("en", "de"): _entries(
            "the=die dog=hund dog=köter cat=katze house=haus street=straße berlin=berlin germany=deutschland new=neu"
        ),
        ("en", "tr"): _entries("the=bu dog=it light=ışık ink=iç house=ev new=yeni"),
        ("en", "zh"): _entries("i=我 love=爱 beijing=北京 dog=狗 the=这"),
        ("en", "th"): _entries("i=ฉัน love=รัก dog=หมา"),
        ("zh", "en"): _entries("我=I 爱=love 北京=Beijing"),
        ("zh", "ja"): _entries("爱=愛 北京=ペキン"),
        ("fr", "de"): _entries("eau=wasser l'=der homme=mensch"),
        ("hi", "en"): _entries("हिन्दी=Hindi भाषा=language"),
    }
)
TITLES = Lexicon.from_entries(
    {
        ("en", "de"): _entries(
            "new_york=new_york new_york_city=stadt_new_york york=york_(de) city=stadt united_states=vereinigte_staaten"
        ),
        ("en", "es"): _entries("new_york=nueva_york city=ciudad united_states=estados_unidos guinea-bissau=guinea-bisáu"),
    }
)


def switcher(lexicon: Lexicon = LEXICON, **values: Any) -> Switcher:
    return Switcher(lexicon, settings_from(SwitchSettings, {"policy": "ml", "lexicons": [Path("x")], "p": 1.0, **values}))


def switched(text: str, lang: str = "en", *, key: int = 0, **values: Any) -> str:
    return switcher(**values).switch(text, lang, (key,)).text


@pytest.mark.parametrize(
    ("text", "starts"),
    [
        ('"The dog." The cat', [0, 0, 2, 2]),
        ("(The dog!) The cat", [0, 0, 2, 2]),
        ("„The dog.“ The (cat?)\nthe", [0, 0, 2, 2, 4]),
        ("The 'dog' and (the) cat", [0, 0, 0, 0, 0]),
    ],
)
def test_a_sentence_ends_behind_the_quotes_and_brackets_that_it_closes(text: str, starts: list[int]) -> None:
    units = Vocabulary(LEXICON.tables["en"], ["de"], "first").units(text)
    assert sentence_starts(units) == starts


def test_bl_takes_one_language_a_text_and_all_languages_over_texts() -> None:
    bl = switcher(policy="bl", languages=["de", "tr", "zh"], choice="first")
    found = Counter(bl.switch("the dog", "en", (row,)).text for row in range(3000))
    assert set(found) == {"die hund", "bu it", "这狗"}
    assert all(abs(count / 3000 - 1 / 3) < 0.04 for count in found.values())


def test_ml_draws_a_language_a_word_and_no_second_one() -> None:
    ml = switcher(languages=["de", "tr"], choice="first")
    found = Counter(ml.switch("the cat", "en", (row,)).text for row in range(4000))
    assert set(found) == {"die katze", "bu katze", "die cat", "bu cat"}  # Turkish has no cat: the word stays
    assert all(abs(count / 4000 - 1 / 4) < 0.03 for count in found.values())


def test_ml_sentence_takes_one_language_a_sentence() -> None:
    text = "The dog. The dog? the dog\nthe dog"
    ml = switcher(policy="ml-sentence", languages=["de", "tr"], choice="first")
    sentences = {"de": "die hund", "tr": "bu it"}
    found = Counter(ml.switch(text, "en", (row,)).text.lower() for row in range(3000))
    assert set(found) == {
        f"{sentences[a]}. {sentences[b]}? {sentences[c]}\n{sentences[d]}"
        for a, b, c, d in itertools.product(("de", "tr"), repeat=4)
    }
    assert all(abs(count / 3000 - 1 / 16) < 0.025 for count in found.values())


def test_wiki_takes_the_longest_title_on_word_boundaries() -> None:
    def wiki(text: str, languages: list[str]) -> str:
        return switched(text, lexicon=TITLES, policy="wiki", languages=languages, keep_english=0)

    assert wiki("In New York City, cityscape.", ["de"]) == "In Stadt New York, cityscape."
    assert wiki("new york, united  states; Guinea-Bissau", ["es"]) == "nueva york, estados unidos; Guinea-Bisáu"
    assert wiki("New York. City", ["es"]) == "Nueva York. Ciudad"


def test_a_title_or_word_that_the_drawn_language_lacks_does_not_hide_a_shorter_one() -> None:
    assert switched("New York City", lexicon=TITLES, policy="wiki", languages=["es"], keep_english=0) == "Nueva York Ciudad"
    only_french = _entries("new_york_city=ville_de_new_york dog's=du_chien")
    lexicon = Lexicon.from_entries({("en", "de"): _entries("new_york=neu-york york=jork dog=hund"), ("en", "fr"): only_french})
    for policy in ("wiki", "ml"):
        for lang, right in (("de", "the hund's bone"), ("fr", "the du chien bone")):
            assert switched("the dog's bone", lexicon=lexicon, policy=policy, languages=[lang], keep_english=0) == right
    for lang, right in (("de", "Neu-York City"), ("fr", "Ville De New York")):
        assert switched("New York City", lexicon=lexicon, policy="wiki", languages=[lang], keep_english=0) == right


def test_wiki_spans_count_their_words() -> None:
    found = switcher(TITLES, policy="wiki", languages=["de"], keep_english=0).switch("the United States and york", "en", (1,))
    assert [(found.text[span.start : span.stop], span.words, span.original) for span in found.spans] == [
        ("Vereinigte Staaten", 2, "United States"),
        ("york (de)", 1, "york"),
    ]
    assert (found.words, found.switched) == (5, 3)


def test_wiki_leaves_an_equal_share_in_english_as_the_paper_does() -> None:
    wiki = switcher(TITLES, policy="wiki", languages=["de", "es"])
    found = Counter(wiki.switch("united states", "en", (row,)).text for row in range(3000))
    assert set(found) == {"united states", "vereinigte staaten", "estados unidos"}
    assert all(abs(count / 3000 - 1 / 3) < 0.04 for count in found.values())


@pytest.mark.parametrize("p", [0.25, 0.5, 0.75])
def test_the_share_of_switched_words_is_p(p: float) -> None:
    ml = switcher(languages=["de"], p=p)
    found = [ml.switch("the dog the dog the dog the dog", "en", (row,)) for row in range(1000)]
    assert sum(one.switched for one in found) / sum(one.words for one in found) == pytest.approx(p, abs=0.02)


def test_a_range_of_p_gives_each_text_its_own() -> None:
    ml = switcher(languages=["de"], p=[0.2, 0.8])
    ratios = [ml.switch("dog " * 500, "en", (row,)).ratio for row in range(200)]
    assert min(ratios) < 0.3
    assert max(ratios) > 0.7
    assert sum(ratios) / 200 == pytest.approx(0.5, abs=0.05)


def test_keep_english_is_the_share_of_texts_that_stay() -> None:
    for policy in ("bl", "ml", "ml-sentence"):
        some = switcher(policy=policy, languages=["de"], keep_english=0.3)
        stayed = sum(some.switch("the dog", "en", (row,)).switched == 0 for row in range(2000))
        assert stayed / 2000 == pytest.approx(0.3, abs=0.04)
    assert switched("the dog", keep_english=1) == "the dog"


def test_candidates_are_chosen_first_random_or_by_score() -> None:
    lexicon = Lexicon.from_entries({("en", "de"): _entries("dog=hund:0.6 dog=köter:0.3 dog=wauwau:0.1")})
    for choice, shares in (("first", (1, 0, 0)), ("random", (1 / 3, 1 / 3, 1 / 3)), ("score", (0.6, 0.3, 0.1))):
        one = switcher(lexicon, choice=choice)
        found = Counter(one.switch("dog", "en", (row,)).text for row in range(3000))
        for word, share in zip(("hund", "köter", "wauwau"), shares, strict=True):
            assert found[word] / 3000 == pytest.approx(share, abs=0.03)


def test_a_word_that_translates_to_itself_is_not_switched() -> None:
    found = switcher(languages=["de"]).switch("Berlin BERLIN berlin's", "en", (0,))
    assert (found.text, found.words, found.switched, found.spans) == ("Berlin BERLIN berlin's", 3, 0, ())


def test_case_is_carried_over() -> None:
    assert switched("House HOUSE house STREET Street", languages=["de"]) == "Haus HAUS haus STRASSE Straße"
    assert switched("Light INK Ink LIGHT", languages=["tr"]) == "Işık İÇ İç IŞIK"
    assert switched("The DOG iDog", languages=["zh"]) == "这狗 iDog"


def test_punctuation_numbers_urls_and_code_stay() -> None:
    text = (
        "(the-house), 3house house2 my_house house.dog https://dog.house/the?new=dog dog@house.com `the dog` {{the dog}} --dog"
    )
    assert switched(text, languages=["de"]) == "(die-haus)" + text.removeprefix("(the-house)")


def test_possessives_and_elided_articles_are_looked_through() -> None:
    assert switched("Germany's house’s don't", languages=["de"]) == "Deutschland's haus’s don't"
    assert switched("l'eau l’homme", "fr", languages=["de"]) == "l'wasser l’mensch"


def test_an_elided_article_stays_only_at_the_start_of_a_title() -> None:
    def wiki(text: str, **more: str) -> tuple[str, int]:
        entries = _entries("histoire=geschichte art=kunst histoire_naturelle=naturgeschichte " + " ".join(more.values()))
        lexicon = Lexicon.from_entries({("fr", "de"): entries})
        found = switcher(lexicon, policy="wiki", keep_english=0).switch(text, "fr", (0,))
        return found.text, found.switched

    assert wiki("histoire de l'art") == ("geschichte de l'kunst", 2)
    assert wiki("l’histoire naturelle") == ("l’naturgeschichte", 2)
    assert wiki("l’histoire de l’art", title="histoire_de_l'art=kunstgeschichte") == ("l’kunstgeschichte", 3)


def test_spaces_between_neighbours_of_a_language_without_spaces_go_away() -> None:
    assert switched("I love Beijing, dog!", languages=["zh"]) == "我爱北京, 狗!"
    assert switched("I love it", languages=["th"]) == "ฉันรัก it"
    assert switched("love\nlove  love", languages=["zh"]) == "爱\n爱  爱"


def test_texts_without_spaces_are_cut_by_their_words() -> None:
    pytest.importorskip("icu")
    assert switched("我爱北京天安门。", "zh", languages=["en"]) == "I love Beijing 天安门。"
    assert switched("2024我爱", "zh-TW", languages=["en"]) == "2024 I love"
    assert switched("我爱北京天安门。", "zh", languages=["ja"]) == "我愛ペキン天安门。"


def test_combining_scripts_are_cut_between_words_only() -> None:
    assert switched("हिन्दी भाषा।", "hi", languages=["en"]) == "Hindi language।"
    decomposed = Lexicon.from_entries({("fr", "de"): _entries("café=kaffee")})
    assert switched("Cafe\u0301 cafe\u0301s", "fr", lexicon=decomposed) == "Kaffee cafe\u0301s"


def test_a_language_without_lexicon_comes_back_unchanged() -> None:
    found = switcher().switch("большая собака", "ru", (0,))
    assert (found.text, found.words, found.switched, found.ratio) == ("большая собака", 0, 0, 0.0)


def test_the_outcome_depends_on_the_key_and_nothing_else() -> None:
    text = "the dog and the cat in the new house " * 4
    one, other = switcher(p=0.5), switcher(p=0.5)
    for key in ((1, "a"), (2, "a"), (1, "b")):
        other.switch("warm the cache dog", "en", (9,))
        assert one.switch(text, "en", key) == other.switch(text, "en", key)
    assert len({one.switch(text, "en", (key,)).text for key in range(20)}) == 20


def test_threads_of_one_process_do_not_disturb_each_other() -> None:
    one, text = switcher(p=0.5), "the dog and the cat in the new house " * 20
    alone = [one.switch(text, "en", (row,)).text for row in range(200)]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda row: one.switch(text, "en", (row,)).text, range(200))) == alone


def test_draws_are_those_of_the_keyed_generator() -> None:
    text = "dog " * 200
    drawn = generator(5, "query").random(3 + 3 * 201)  # three for the text, then the first row decides which words go
    expected = ["hund" if draw < 0.4 else "dog" for draw in drawn[3:203]]
    assert switched(text, key=5, choice="first", languages=["de"], p=0.4) != text
    found = switcher(choice="first", languages=["de"], p=0.4).switch(text, "en", (5, "query"))
    assert found.text.split() == expected


def test_more_p_switches_the_same_words_and_more() -> None:
    text = "the dog the cat the house " * 5
    found = [
        {span.start for span in switcher(languages=["zh"], p=p).switch("dog, " * 50, "en", (3,)).spans} for p in (0.3, 1.0)
    ]
    assert len(found[1]) == 50
    low = switcher(p=0.3, languages=["de"], choice="first").switch(text, "en", (3,))
    high = switcher(p=0.6, languages=["de"], choice="first").switch(text, "en", (3,))
    changed = [
        {n for n, (a, b) in enumerate(zip(text.split(), one.text.split(), strict=True)) if a != b} for one in (low, high)
    ]
    assert changed[0] < changed[1]


def _pairs(one: Switcher, count: int, first_row: int = 0) -> list[tuple[str, str]]:
    texts, langs = ["the dog"] * count, ["en"] * count
    queries, passages = one.switch_pairs(texts, langs, texts, langs, (7, "switch", 3), first_row)
    return [(query.text, passage.text) for query, passage in zip(queries, passages, strict=True)]


def test_rows_do_not_depend_on_how_a_batch_is_shared_out() -> None:
    one = switcher(p=0.5, rows=0.5)
    whole = _pairs(one, 64)
    assert whole == _pairs(one, 24) + _pairs(one, 40, first_row=24)
    single = switcher(p=0.5)
    assert _pairs(single, 5)[4][1] == single.switch("the dog", "en", (7, "switch", 3, 4, "passage")).text


def test_query_and_passage_are_drawn_apart() -> None:
    pairs = _pairs(switcher(policy="bl", languages=["de", "tr"], choice="first"), 400)
    assert set(pairs) == {(a, b) for a in ("die hund", "bu it") for b in ("die hund", "bu it")}


def test_sides_rows_and_languages_of_sides() -> None:
    assert {query for query, _ in _pairs(switcher(side="passage", languages=["de"]), 20)} == {"the dog"}
    assert {passage for _, passage in _pairs(switcher(side="query", languages=["de"]), 20)} == {"the dog"}
    some = _pairs(switcher(rows=0.25, languages=["tr"]), 2000)
    assert set(some) == {("the dog", "the dog"), ("bu it", "bu it")}
    assert sum(query == "bu it" for query, _ in some) / 2000 == pytest.approx(0.25, abs=0.03)
    apart = switcher(languages=["tr", "zh"], query_languages=["tr"], passage_languages=["zh"])
    assert set(_pairs(apart, 20)) == {("bu it", "这狗")}


def test_words_held_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("xlret.switch.vocabulary._HELD", 10)
    one, text = switcher(languages=["de"], choice="first"), " ".join(f"dog w{'x' * n} the," for n in range(100))
    assert one.switch(text, "en", (0,)).text == text.replace("dog", "hund").replace("the", "die")
    assert one.switch(text, "en", (0,)) == switcher(languages=["de"], choice="first").switch(text, "en", (0,))


@pytest.mark.parametrize("text", ["", " \n", "?!… — «»", "😀👩‍👩‍👧🇩🇪", "\ud800", "12.5 % 2024", "\x00", "\u0301"])
def test_texts_without_words_come_back_unchanged(text: str) -> None:
    for lang in ("en", "zh", "hi"):
        found = switcher().switch(text, lang, (0,))
        assert (found.text, found.words, found.switched) == (text, found.words, 0)


def test_a_lone_surrogate_leaves_the_rest_to_be_switched() -> None:
    assert switched("\ud800 dog \udfff", languages=["de"], choice="first") == "\ud800 hund \udfff"


def test_ten_megabytes_of_text() -> None:
    text = f"the {'x' * 96} " * 100_000
    found = switcher(languages=["de"], p=0.5).switch(text, "en", (0,))
    assert found.words == 200_000
    assert 0.24 < found.ratio < 0.26
    one_word = "a" * 10_000_000
    assert switcher().switch(one_word, "en", (0,)).text == one_word


def test_settings_that_do_not_fit_are_user_errors() -> None:
    with pytest.raises(UserError, match="no lexicon into sw; it has de, en, ja, th, tr, zh"):
        switcher(languages=["sw"])
    with pytest.raises(UserError, match="policy none switches nothing"):
        Switcher(LEXICON, SwitchSettings())
    for values, says in (
        ({"p": 1.5}, r"p is 1\.5: allowed is 0 to 1"),
        ({"p": -0.1}, "allowed is 0 to 1"),
        ({"p": [0.8, 0.2]}, "allowed is 0 to 1, or a range"),
        ({"p": float("nan")}, "p"),
        ({"keep_english": 2}, "keep_english is 2"),
        ({"languages": ["de"], "query_languages": ["tr"]}, "query_languages has tr, which languages has not"),
        ({"languages": []}, "an empty list of languages"),
        ({"policy": "all"}, "policy"),
    ):
        with pytest.raises(UserError, match=says):
            settings_from(SwitchSettings, {"policy": "ml", "lexicons": ["x"], **values})


WORDS = st.sampled_from(
    ["the", "Dog", "dog", "CAT", "I", "love", "Beijing", "house's", "new", "city", "我", "爱", "北京", "हिन्दी"]
)
TEXTS = st.one_of(
    st.text(), st.lists(st.one_of(WORDS, st.text(max_size=3)), max_size=40).map(" ".join), st.lists(WORDS).map("".join)
)


@given(
    TEXTS,
    st.sampled_from(["en", "zh", "hi"]),
    st.sampled_from(["bl", "ml", "ml-sentence", "wiki"]),
    st.floats(0, 1),
    st.integers(),
)
def test_whatever_the_text_only_spans_change(text: str, lang: str, policy: str, p: float, key: int) -> None:
    one = switcher(policy=policy, p=p)
    found = one.switch(text, lang, (key,))
    assert found == one.switch(text, lang, (key,)) == switcher(policy=policy, p=p).switch(text, lang, (key,))
    assert found.restored() == text
    assert found.switched == sum(span.words for span in found.spans) <= found.words
    assert all(span.words == 1 for span in found.spans) or policy == "wiki"
    assert found.ratio == (found.switched / found.words if found.words else 0)
    assert all(0 <= a.start < a.stop <= b.start for a, b in itertools.pairwise(found.spans))
    assert bool(found.spans) == (found.text != text)


@given(TEXTS, st.sampled_from(["bl", "ml", "ml-sentence", "wiki"]), st.integers())
def test_p_zero_is_the_identity(text: str, policy: str, key: int) -> None:
    found = switcher(policy=policy, p=0.0).switch(text, "en", (key,))
    assert (found.text, found.switched, found.spans) == (text, 0, ())
