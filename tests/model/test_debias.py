"""The language component of vectors: float64 references by hand, what is refused, and what an encoder can carry."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from sentence_transformers import SentenceTransformer

from xlret.errors import CorruptError, UserError
from xlret.model.debias import estimate
from xlret.model.debias.component import METHODS, LanguageComponent, component_or_method
from xlret.model.debias.estimate import LanguageMeans, component_from, estimate_component, language_means
from xlret.model.debias.linear import with_projection
from xlret.model.encoder import Encoder
from xlret.model.projection import Projection

SIZES = {"ar": 400, "de": 60, "en": 900, "zh": 25}
DIMENSION = 12


def texts(seed: int = 0, sizes: dict[str, int] = SIZES, apart: float = 0.6) -> dict[str, np.ndarray]:
    """Unit vectors around another point in each language."""
    rng = np.random.default_rng(seed)
    common = rng.normal(size=DIMENSION)
    vectors = {}
    for lang, size in sizes.items():
        rows = common + apart * rng.normal(size=DIMENSION) + 0.7 * rng.normal(size=(size, DIMENSION))
        vectors[lang] = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    return vectors


def unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.sqrt((rows * rows).sum(axis=1))[:, None]


def means_by_hand(vectors: dict[str, np.ndarray]) -> np.ndarray:
    """The empirical Bayes means, one number after the other."""
    exact = {lang: vectors[lang].astype(np.float64) for lang in sorted(vectors)}
    raw = {lang: sum(rows) / len(rows) for lang, rows in exact.items()}
    total = sum(len(rows) for rows in exact.values())
    within = sum(float((x - raw[lang]) @ (x - raw[lang])) for lang, rows in exact.items() for x in rows) / (total - len(exact))
    average = sum(raw.values()) / len(raw)
    spread = sum(float((m - average) @ (m - average)) for m in raw.values()) / (len(raw) - 1)
    between = max(0.0, spread - within * sum(1 / len(rows) for rows in exact.values()) / len(exact))
    return np.array([average + between / (between + within / len(exact[lang])) * (raw[lang] - average) for lang in exact])


def test_means_are_those_by_hand() -> None:
    vectors = texts()
    means = language_means(vectors)
    np.testing.assert_allclose(means.means_LD, means_by_hand(vectors), rtol=0, atol=1e-12)
    assert (means.counts, means.too_few) == (SIZES, {})


def test_languages_that_are_not_apart_have_no_component() -> None:
    """What differs by chance alone is drawn together; what does not is kept."""
    means = language_means(texts(1, {"de": 30, "en": 30, "fr": 30}, apart=0.0)).means_LD
    raw = np.array([rows.mean(axis=0) for rows in texts(1, {"de": 30, "en": 30, "fr": 30}, apart=0.0).values()])
    assert np.ptp(means, axis=0).max() < 0.5 * np.ptp(raw, axis=0).max()
    identical = np.tile(np.float32([[1, 0]]), (20, 1))
    np.testing.assert_array_equal(language_means({"de": identical, "en": identical}).means_LD, [[1, 0], [1, 0]])


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("side", ["query", "passage"])
def test_each_method_is_its_formula(method: str, side: str) -> None:
    vectors = texts(2)
    means = means_by_hand(vectors)
    options = {"directions": 2} if method == "project" else {"alpha": 0.75}
    component = component_from(language_means(vectors), method, **options)
    for row, lang in enumerate(sorted(vectors)):
        x = vectors[lang].astype(np.float64)
        if method == "project":
            u = np.linalg.eigh(means.T @ means)[1][:, -2:].T  # another way to the same span
            expected = unit(x - x @ u.T @ u)
        elif method == "centre":
            expected = unit(x - 0.75 * means[row])
        elif method == "shift" or side == "passage":
            expected = unit(x - 0.75 * (means[row] - means.mean(axis=0)))
        else:
            expected = x
        removed = component.remove(vectors[lang], [lang] * len(x), side)
        assert removed.dtype == np.float32
        np.testing.assert_allclose(removed, expected, rtol=0, atol=2e-7)


def test_what_is_left_says_nothing_of_the_language() -> None:
    """After full centring or projection of all means, the languages' means agree; before they do not."""
    vectors = texts(3, {"ar": 500, "de": 500, "en": 500})

    def apart(parts: dict[str, np.ndarray]) -> float:
        return float(np.ptp([rows.mean(axis=0) for rows in parts.values()], axis=0).max())

    before = apart(vectors)
    for component in (
        estimate_component(vectors, "centre"),
        estimate_component(vectors, "shift"),
        component_from(language_means(vectors), "project", directions=3),
    ):
        after = {lang: component.remove(rows, [lang] * len(rows), "passage") for lang, rows in vectors.items()}
        assert apart(after) < 0.2 * before


def test_a_language_without_text_gets_the_average_or_what_is_meant() -> None:
    vectors = {"de": texts(4)["de"], "pt-BR": texts(4)["ar"], "pt-PT": texts(4)["en"]}
    x = texts(5)["de"][:5]
    for method in ("centre", "shift"):
        component = estimate_component(vectors, method)
        offsets = {lang: np.array(offset) for lang, offset in component.offsets.items()}
        average = np.mean(list(offsets.values()), axis=0)
        for lang, offset in {
            "sw": average,
            None: average,
            "de-AT": offsets["de"],
            "pt": (offsets["pt-BR"] + offsets["pt-PT"]) / 2,
        }.items():
            removed = component.remove(x, [lang] * 5, "query")
            np.testing.assert_allclose(removed, unit(x - offset), rtol=0, atol=2e-7)
    np.testing.assert_allclose(estimate_component(vectors, "shift").remove(x, [None] * 5, "query"), x, rtol=0, atol=2e-7)


def test_a_language_of_a_few_texts_is_left_out_and_told() -> None:
    vectors = texts(6)
    means = language_means({**vectors, "sw": vectors["de"][: estimate.LEAST - 1]})
    assert means.too_few == {"sw": estimate.LEAST - 1}
    np.testing.assert_array_equal(means.means_LD, language_means(vectors).means_LD)


def test_a_vector_that_is_all_language_stays() -> None:
    component = LanguageComponent(method="centre", offsets={"de": (1.0, 0.0), "en": (0.0, 0.5)}, texts={})
    assert component.remove(np.float32([[1, 0], [0, 1]]), ["de", "en"], "query").tolist() == [[1, 0], [0, 1]]


def test_saved_is_read_alike_and_the_same_texts_make_the_same_bytes(tmp_path: Path) -> None:
    vectors = texts(7)
    for method in METHODS:
        component = estimate_component(vectors, method, made_from="made up", encoder={"config.json": "0" * 64})
        component.save(tmp_path / "a.json")
        estimate_component(dict(reversed(vectors.items())), method, made_from="made up", encoder=component.encoder).save(
            tmp_path / "b.json"
        )
        assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()
        again = LanguageComponent.load(tmp_path / "a.json")
        assert again == component
        np.testing.assert_array_equal(
            again.remove(vectors["de"], ["de"] * 60, "passage"), component.remove(vectors["de"], ["de"] * 60, "passage")
        )


@pytest.mark.parametrize(
    ("vectors", "message"),
    [
        ({"de": np.ones((20, 2)), "en": np.ones((20, 3))}, "one dimension"),
        ({"de": np.ones(20), "en": np.ones(20)}, "one dimension"),
        ({"de": np.ones((20, 2)), "en": np.full((20, 2), np.nan)}, "in en holds NaN"),
        ({"de": np.ones((20, 2)), "en": np.ones((19, 2))}, "de 20, en 19"),
        ({}, "there are none"),
    ],
)
def test_texts_that_do_not_do(vectors: dict[str, np.ndarray], message: str) -> None:
    with pytest.raises(UserError, match=message):
        language_means(vectors)


@pytest.mark.parametrize(
    ("method", "options", "message"),
    [
        ("center", {}, "unknown method 'center'"),
        ("centre", {"alpha": 0.0}, "alpha is 0.0"),
        ("shift", {"alpha": float("nan")}, "alpha is nan"),
        ("shift", {"directions": 2}, "directions belong to project"),
        ("project", {"alpha": 0.5}, "alpha changes nothing"),
        ("project", {"directions": 5}, "1 to 4"),
        ("project", {"directions": 0}, "1 to 4"),
    ],
)
def test_options_that_do_not_do(method: str, options: dict[str, float], message: str) -> None:
    with pytest.raises(UserError, match=message):
        component_from(language_means(texts()), method, **options)


def test_vectors_that_do_not_fit() -> None:
    component = estimate_component(texts(), "centre")
    for vectors, langs, message in (
        (np.ones((1, 3), np.float32), ["de"], "12 numbers"),
        (np.ones((2, DIMENSION), np.float32), ["de"], "1 languages for 2 vectors"),
        (np.full((1, DIMENSION), np.inf, np.float32), ["de"], "NaN or infinity"),
    ):
        with pytest.raises(UserError, match=message):
            component.remove(vectors, langs, "query")
    assert component.remove(np.empty((0, DIMENSION), np.float32), [], "query").shape == (0, DIMENSION)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"offsets": {"de": [1.0, "NaN"]}}, "offsets"),
        ({"offsets": {"de": [1.0], "en": [1.0, 2.0]}}, "one and the same length"),
        ({"offsets": {}}, "at least one"),
        ({"directions": [[1.0, 0.0]]}, "directions belong to project"),
        ({"method": "project", "offsets": {}, "directions": [[1.0, 0.0], [1.0, 0.0]]}, "orthonormal"),
        ({"format": 2}, "format"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_damaged_files(tmp_path: Path, change: dict[str, object], message: str) -> None:
    whole = {"format": 1, "method": "centre", "offsets": {"de": [1.0, 0.0]}, "texts": {"de": 20}}
    (tmp_path / "debias.json").write_text(json.dumps(whole))
    LanguageComponent.load(tmp_path / "debias.json")
    (tmp_path / "debias.json").write_text(json.dumps({**whole, **change}))
    with pytest.raises(CorruptError, match=message):
        LanguageComponent.load(tmp_path / "debias.json")
    with pytest.raises(UserError, match="cannot read"):
        LanguageComponent.load(tmp_path / "none.json")


def test_a_flag_names_a_method_or_a_file(tmp_path: Path) -> None:
    component = estimate_component(texts(), "shift")
    component.save(tmp_path / "mine.json")
    assert component_or_method("shift") == "shift"
    assert component_or_method(str(tmp_path / "mine.json")) == component
    with pytest.raises(UserError, match=r"'center' is neither .* centre, shift, shift-passages, project"):
        component_or_method("center")


def test_a_component_of_another_encoder_is_refused() -> None:
    component = LanguageComponent(method="centre", offsets={"de": (1.0,)}, texts={}, encoder={"model.safetensors": "a"})
    component.check_encoder({"model.safetensors": "a"})
    component.check_encoder({})
    with pytest.raises(UserError, match="another encoder"):
        component.check_encoder({"model.safetensors": "b"})


SENTENCES = ["bada kelo ?", "kelo miru bada tosa.", "x", "tosa " * 40]


def directions_for(model: Encoder) -> LanguageComponent:
    rows = np.random.default_rng(0).normal(size=(40, 2, model.dimension)).astype(np.float32) + np.float32([[0], [1]])
    return component_from(language_means({"de": rows[:, 0], "en": rows[:, 1]}), "project", directions=2)


@pytest.mark.parametrize("bias", [None, False, True])
def test_an_encoder_carries_directions_and_sentence_transformers_reads_them(
    encoder: Path, tmp_path: Path, bias: bool | None
) -> None:
    model = Encoder.load(encoder)
    if bias is not None:  # one that has a linear layer already
        with torch.random.fork_rng():
            torch.manual_seed(0)
            model.projection = Projection(model.dimension, model.dimension, bias=bias, activation="Identity").eval()
    component = directions_for(model)
    before = {side: model.encode(SENTENCES, side) for side in ("query", "passage")}
    with_projection(model, component).save(tmp_path / "projected")
    loaded, theirs = Encoder.load(tmp_path / "projected"), SentenceTransformer(str(tmp_path / "projected"), device="cpu")
    for side, other in (("query", theirs.encode_query), ("passage", theirs.encode_document)):
        expected = component.remove(before[side], [None] * len(SENTENCES), side)
        assert np.abs(expected - before[side]).max() > 0.01
        np.testing.assert_allclose(loaded.encode(SENTENCES, side), expected, rtol=0, atol=3e-6)
        np.testing.assert_allclose(other(SENTENCES), expected, rtol=0, atol=3e-6)
        np.testing.assert_array_equal(model.encode(SENTENCES, side), before[side])  # the first encoder is as it was
    with_projection(loaded, component).save(tmp_path / "twice")  # projecting again changes nothing
    np.testing.assert_allclose(
        Encoder.load(tmp_path / "twice").encode(SENTENCES, "query"), loaded.encode(SENTENCES, "query"), rtol=0, atol=3e-6
    )


def test_what_no_encoder_can_carry(encoder: Path) -> None:
    model = Encoder.load(encoder)
    component = directions_for(model)
    with pytest.raises(UserError, match="no linear map"):
        with_projection(model, LanguageComponent(method="centre", offsets={"de": (0.0,) * model.dimension}, texts={}))
    with pytest.raises(UserError, match="2 numbers"):
        with_projection(model, component_from(LanguageMeans(np.eye(2), {"de": 20, "en": 20}, {}), "project"))
    model.projection = Projection(model.dimension, model.dimension, activation="Tanh")
    with pytest.raises(UserError, match="dense layer with Tanh"):
        with_projection(model, component)
