from pathlib import Path

import pytest

from xlret.errors import UserError
from xlret.lexicon.coverage import coverage, sizes
from xlret.lexicon.files import Entry
from xlret.lexicon.lexicon import Lexicon
from xlret.lexicon.transform import filtered, inverted, merged, pivoted


def _lexicon(**pairs: list[tuple[str, str, float]]) -> Lexicon:
    return Lexicon.from_entries({tuple(name.split("_")): [Entry(*pair) for pair in found] for name, found in pairs.items()})  # type: ignore[misc]


ONE = _lexicon(en_de=[("bank", "Bank", 0.5), ("bank", "Ufer", 0.5), ("shore", "Ufer", 1.0), ("dog", "Hund", 1.0)])
TWO = _lexicon(
    en_de=[("bank", "Bank", 0.75), ("cat", "Katze", 1.0)],
    en_fr=[("bank", "banque", 1.0), ("shore", "rive", 1.0), ("bank", "rive", 1.0)],
)


def _pairs(lexicon: Lexicon, source: str, target: str) -> list[tuple[str, str, float]]:
    """By word and then best first."""
    pairs = lexicon.tables[source].entries(target)
    return [(word, text, round(score, 6)) for word, text, score in sorted(pairs, key=lambda pair: pair.word)]


def test_merging_keeps_all_entries_and_the_best_scores() -> None:
    both = merged([ONE, TWO])
    assert _pairs(both, "en", "de") == [
        ("bank", "Bank", 0.75),
        ("bank", "Ufer", 0.5),
        ("cat", "Katze", 1.0),
        ("dog", "Hund", 1.0),
        ("shore", "Ufer", 1.0),
    ]
    assert _pairs(both, "en", "fr") == _pairs(TWO, "en", "fr")
    with pytest.raises(UserError, match="no entry"):
        merged([])


def test_inverting_twice_gives_the_folded_pairs_again() -> None:
    turned = inverted(ONE)
    assert _pairs(turned, "de", "en") == [
        ("bank", "bank", 0.5),
        ("hund", "dog", 1.0),
        ("ufer", "shore", 1.0),
        ("ufer", "bank", 0.5),
    ]
    assert {(a, b.lower(), s) for a, b, s in _pairs(ONE, "en", "de")} == set(_pairs(inverted(turned), "en", "de"))


@pytest.mark.parametrize("saved", [False, True])
def test_inverting_keeps_the_order_of_the_list_where_scores_are_equal(saved: bool, tmp_path: Path) -> None:
    by_frequency = "house=haus river=fluss film=film home=haus flow=fluss haus=haus movie=film zoo=zoo"
    pairs = [pair.split("=") for pair in by_frequency.split()]
    lexicon = _lexicon(
        en_de=[(word, text, 1.0) for word, text in pairs],
        en_ar=[("zoo", "x", 1.0), ("movie", "x", 1.0), ("flow", "x", 1.0)],  # another list's order is nothing to German
    )
    if saved:
        filtered(merged([lexicon]), top=5).save(tmp_path / "lexicon")
        lexicon = Lexicon.load([tmp_path / "lexicon"]).only(["de"])
    turned = inverted(lexicon)
    for word, right in (("haus", "house home haus"), ("fluss", "river flow"), ("film", "film movie"), ("zoo", "zoo")):
        assert turned.translations(word, "de", "en").texts == tuple(right.split())
    assert [word for word, *_ in inverted(turned).tables["en"].entries("de")][:4] == ["house", "home", "haus", "river"]


def test_pivoting_takes_the_commonest_pivot_word_first_where_shares_are_equal() -> None:
    lexicon = _lexicon(
        en_de=[("river", "Fluss", 1.0), ("flow", "Fluss", 1.0)], en_fr=[("flow", "flux", 1), ("river", "fleuve", 1)]
    )
    assert pivoted(lexicon, [("de", "fr")]).translations("Fluss", "de", "fr").texts == ("fleuve", "flux")


def test_pivoting_shares_probability_over_pivot_words() -> None:
    found = pivoted(merged([ONE, TWO]), [("de", "fr")])
    # P(bank | ufer) = 0.5 / 1.5, P(shore | ufer) = 1 / 1.5; P(banque | bank) = P(rive | bank) = 1/2; P(rive | shore) = 1.
    assert _pairs(found, "de", "fr") == [
        ("bank", "banque", 0.5),
        ("bank", "rive", 0.5),
        ("ufer", "rive", pytest.approx(1 / 6 + 2 / 3, abs=1e-6)),
        ("ufer", "banque", pytest.approx(1 / 6, abs=1e-6)),
    ]
    assert _pairs(pivoted(merged([ONE, TWO]), [("de", "fr")], min_score=0.3), "de", "fr")[-1][1] == "rive"
    assert set(pivoted(merged([ONE, TWO])).tables) == {"de", "fr"}


def test_pivoting_through_what_is_not_there_is_a_user_error() -> None:
    with pytest.raises(UserError, match="into sw to pivot through; there is de"):
        pivoted(ONE, [("de", "sw")])
    with pytest.raises(UserError, match="source languages de, en"):
        pivoted(merged([ONE, inverted(ONE)]))


def test_filters() -> None:
    lexicon = _lexicon(
        en_th=[
            ("dog", "หมา", 0.9),
            ("dog", "สุนัขซึ่งเป็นสัตว์เลี้ยง", 0.8),
            ("dog", "ตูบ", 0.2),
            ("b52", "บี52", 1.0),
            ("Taxi", "taxi", 1.0),
        ]
    )

    def kept(**tests: object) -> set[str]:
        return {text for _, text, _ in filtered(lexicon, **tests).tables["en"].entries("th")}  # type: ignore[arg-type]

    everything = kept()
    assert len(everything) == 5
    assert everything - kept(min_score=0.5) == {"ตูบ"}
    assert everything - kept(top=1) == {"ตูบ", "สุนัขซึ่งเป็นสัตว์เลี้ยง"}
    assert everything - kept(drop_identical=True) == {"taxi"}
    assert everything - kept(drop_numbers=True) == {"บี52"}
    assert everything - kept(longest=3) == {"สุนัขซึ่งเป็นสัตว์เลี้ยง"}
    assert kept(top=1, min_score=0.85, drop_identical=True, drop_numbers=True) == {"หมา"}
    with pytest.raises(UserError, match="no entry"):
        kept(min_score=2.0)
    with pytest.raises(UserError, match="top is 0"):
        kept(top=0)


def test_sizes_count_words_pairs_and_identical_ones() -> None:
    de, fr = sizes(merged([ONE, TWO]))
    assert (de.source, de.target, de.words, de.pairs, de.identical, de.candidates_per_word) == ("en", "de", 4, 5, 1 / 5, 5 / 4)
    assert (fr.target, fr.words, fr.pairs, fr.identical) == ("fr", 2, 3, 0.0)


def test_coverage_by_type_and_token() -> None:
    texts = ["The bank, the BANK and the dog (42).", "A dog."]
    de, fr = coverage(merged([ONE, TWO]), texts, "en")
    assert (de.types, de.tokens, de.switchable) == (2 / 5, 4 / 9, 4 / 9)  # the bank and dog a; a bank has a shore too
    assert (fr.types, fr.tokens, fr.switchable) == (1 / 5, 2 / 9, 2 / 9)
    same = coverage(_lexicon(en_de=[("bank", "Bank", 1.0)]), texts, "en")[0]
    assert (same.tokens, same.switchable) == (2 / 9, 0.0)
    with pytest.raises(UserError, match="no lexicon from ru"):
        coverage(ONE, texts, "ru")
    with pytest.raises(UserError, match="no word"):
        coverage(ONE, ["42!"], "en")
