import pytest

from xlret.text.languages import language


@pytest.mark.parametrize(
    ("codes", "right"),
    [("tgl tl fil", "fil"), ("cmn zho zho-CN zh", "zh"), ("arb ara ar", "ar"), ("pes fas fa", "fa"), ("swh swa sw", "sw")],
)
def test_all_codes_of_a_language_become_one(codes: str, right: str) -> None:
    assert {language(code) for code in codes.split()} == {right}
