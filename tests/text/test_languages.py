import pytest

from xlret.errors import UserError
from xlret.text.languages import has_dotless_i, language, languages_meant, written_right_to_left, written_without_spaces


@pytest.mark.parametrize(
    ("codes", "right"),
    [
        ("tgl tl fil fil_Latn tgl_Latn", "fil"),
        ("cmn zho zho-CN zh cmn_Hans zho_Hans zh-Hans CMN_HANS", "zh"),
        ("zho_Hant zh-Hant cmn-Hant", "zh-Hant"),
        ("zh_TW zh-tw cmn_TW", "zh-TW"),
        ("arb ara ar arb_Arab", "ar"),
        ("pes fas fa pes_Arab", "fa"),
        ("swh swa sw swh_Latn", "sw"),
        ("eng en EN eng_Latn simple", "en"),
        ("en_US en-us eng-US", "en-US"),
        ("iw he heb heb_Hebr", "he"),
        ("in id ind_Latn", "id"),
        ("mo ro ron_Latn", "ro"),
        ("az-Latn azj_Latn aze az", "az"),
        ("sr_Latn srp-Latn", "sr-Latn"),
        ("kor_Hang ko kor", "ko"),
        ("jpn_Jpan ja", "ja"),
        ("nob nb nob_Latn", "nb"),
        ("npi_Deva ne", "ne"),
        ("uzn_Latn uz", "uz"),
        ("zsm_Latn ms", "ms"),
        ("kmr_Latn ku kur_Latn", "ku"),
        ("twi tw", "tw"),
        ("yue zh-yue yue_Hant", "yue"),
        ("zh-classical lzh", "lzh"),
        ("nds-nl", "nds-NL"),
        ("als sq", "sq"),
        ("tr-TR tur_TR", "tr-TR"),
    ],
)
def test_all_codes_of_a_language_become_one(codes: str, right: str) -> None:
    assert {language(code) for code in codes.split()} == {right}
    assert language(right) == right


@pytest.mark.parametrize("code", ["", "und", "unknown", "deutsch", "e", "日本語", "en@latin", "x y", "12"])
def test_what_is_no_language_is_said(code: str) -> None:
    with pytest.raises(UserError, match="unknown language code"):
        language(code)


@pytest.mark.parametrize("code", ["zh", "zh-TW", "zh-Hant-HK", "yue", "wuu", "ja", "th", "lo", "km", "my", "bo", "dz", "shn"])
def test_scripts_without_spaces(code: str) -> None:
    assert written_without_spaces(code)


@pytest.mark.parametrize("code", ["zh-Latn", "ja-Latn", "ko", "vi", "de", "ar", "hi", "th-Latn"])
def test_scripts_with_spaces(code: str) -> None:
    assert not written_without_spaces(code)


def test_direction_is_the_scripts() -> None:
    right = ["ar", "ar-EG", "he", "fa-AF", "ur", "ps", "sd", "ug", "yi", "dv", "ckb", "az-Arab", "ku-Arab", "pa-PK", "uz-Arab"]
    left = ["az", "ku", "pa", "sd-Deva", "en", "ms", "ar-Latn", "yi-Latn"]
    assert [code for code in right if not written_right_to_left(code)] == []
    assert [code for code in left if written_right_to_left(code)] == []


def test_the_dotted_i_goes_by_language_and_script() -> None:
    assert all(map(has_dotless_i, ("tr", "tr-TR", "az", "az-Latn-AZ", "crh-Latn", "gag")))
    assert not any(map(has_dotless_i, ("az-Cyrl", "az-Arab", "uz", "kk", "en", "tr-Arab")))


@pytest.mark.parametrize(
    ("wanted", "known", "meant"),
    [
        ("de", ("de", "de-AT"), ("de",)),
        ("de-DE", ("de", "en"), ("de",)),
        ("de-AT", ("de", "de-CH"), ("de",)),
        ("pt", ("pt-BR", "pt-PT", "es"), ("pt-BR", "pt-PT")),
        ("pt-PT", ("pt-BR",), ("pt-BR",)),
        ("en-GB", ("en-US", "de"), ("en-US",)),
        ("zh-TW", ("zh", "zh-Hant"), ("zh-Hant",)),
        ("zh-TW", ("zh",), ()),
        ("zh-CN", ("zh", "zh-Hant"), ("zh",)),
        ("no", ("nb", "da"), ("nb",)),
        ("nb", ("no",), ("no",)),
        ("sr-Latn", ("sr",), ()),
        ("hr", ("bs", "sr-Latn"), ()),
        ("fr", ("de",), ()),
    ],
)
def test_what_language_is_meant(wanted: str, known: tuple[str, ...], meant: tuple[str, ...]) -> None:
    assert languages_meant(wanted, known) == meant
