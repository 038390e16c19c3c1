"""An index that carries a language component: what it holds, what is added later, and how it is asked."""

from pathlib import Path

import encode_input
import numpy as np
import pytest
from index_building import quiet
from made_up import make_passages, make_store, make_vectors

from xlret.artifacts import open_table
from xlret.errors import CorruptError, UserError
from xlret.model.debias.component import DEBIAS, METHODS, DebiasMethod, LanguageComponent
from xlret.model.debias.estimate import estimate_component
from xlret.model.encoder import Encoder
from xlret.search.build import build_index
from xlret.search.debias import passage_vectors, read_component
from xlret.search.edit import append, compact, delete
from xlret.search.index import SearchIndex
from xlret.search.query import SearchOptions
from xlret.search.settings import IndexSettings
from xlret.search.text_index import TextIndex
from xlret.search.vectors.store import VectorStore, vectors_of, write_store

SETTINGS = IndexSettings(certificate_queries=10, threads=1)
ALL = SearchOptions(top_k=20)


def build(store: VectorStore, path: Path, debias: LanguageComponent | DebiasMethod | None, **settings: object) -> SearchIndex:
    return SearchIndex.open(build_index(store, path, SETTINGS.model_copy(update=settings), debias=debias, say=quiet))


def held(index: SearchIndex) -> dict[str, np.ndarray]:
    """Passage id -> its vector in the index."""
    return {
        id_: np.array(vector)
        for shard in index.shards
        for id_, vector in zip(shard.table.column("id").to_pylist(), shard.vectors[:], strict=True)
    }


def without(store: VectorStore, component: LanguageComponent) -> dict[str, np.ndarray]:
    """Passage id -> its vector, the language taken out by hand, as it is stored."""
    return {
        id_: row
        for part in store.parts()
        for id_, row in zip(
            part.column("id").to_pylist(),
            component.remove(np.array(vectors_of(part), np.float32), part.column("lang").to_pylist(), "passage").astype(
                vectors_of(part).dtype
            ),
            strict=True,
        )
    }


def same(vectors: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> None:
    assert vectors.keys() == expected.keys()
    for id_, row in vectors.items():
        np.testing.assert_array_equal(row, expected[id_])


@pytest.mark.parametrize("method", METHODS)
def test_an_index_holds_vectors_without_their_language(method: DebiasMethod, small_store: VectorStore, tmp_path: Path) -> None:
    index = build(small_store, tmp_path / "index", method)
    component = read_component(index.path, index.manifest)
    assert component is not None
    assert (component.method, set(component.texts)) == (method, set(small_store.languages))
    assert index.manifest.settings["debias"] == method
    expected = without(small_store, component)
    same(held(index), expected)
    queries = make_vectors(6, seed=3)
    asked = component.remove(queries, ["de", "sw", None, "xh", "fr", "en"], "query")
    hits = index.search(asked, ALL)
    matrix = np.array(list(expected.values()), np.float32)
    for row, vector in enumerate(asked):
        np.testing.assert_allclose(hits.scores[row], np.sort(matrix @ vector)[::-1][:20], rtol=0, atol=1e-6)
    several = build(small_store, tmp_path / "several", method, shards=3).search(asked, ALL)
    assert several.ids == hits.ids


def test_an_index_without_a_component_is_what_it_was(small_store: VectorStore, tmp_path: Path) -> None:
    index = build(small_store, tmp_path / "index", None)
    assert "debias" not in index.manifest.files
    assert "debias" not in index.manifest.settings
    assert not (index.path / DEBIAS).exists()
    assert read_component(index.path, index.manifest) is None
    stored = [(part.column("id").to_pylist(), vectors_of(part)) for part in small_store.parts()]
    same(held(index), {id_: row for ids, rows in stored for id_, row in zip(ids, rows, strict=True)})
    for part in small_store.parts():
        np.testing.assert_array_equal(passage_vectors(None, part), vectors_of(part))


def test_edits_keep_it_and_what_is_added_loses_its_language_too(small_store: VectorStore, tmp_path: Path) -> None:
    """With a language that the component does not know among what is added."""
    index = build(small_store, tmp_path / "index", "centre", shards=2)
    component = read_component(index.path, index.manifest)
    assert component is not None
    more = write_store(tmp_path / "more", make_passages(60, 5, ("fr", "tr"), "q"), make_vectors(60, seed=9))
    expected = without(small_store, component) | without(more, component)
    gone = [passage.id for passage in make_passages(700)[::5]]
    versions = [append(tmp_path / "index", more, say=quiet), delete(tmp_path / "index", gone, say=quiet)]
    versions += [compact(tmp_path / "index", shards=3, say=quiet)]
    assert len({index.path, *versions}) == 4
    for version in versions:
        edited = SearchIndex.open(version)
        assert (version / DEBIAS).read_bytes() == (index.path / DEBIAS).read_bytes()
        assert edited.manifest.settings["debias"] == "centre"
        vectors = held(edited)
        same(vectors, {id_: expected[id_] for id_ in vectors})
    assert len(vectors) == len(expected) - len(gone)


def test_queries_to_measure_with_lose_their_language_too(small_store: VectorStore, tmp_path: Path) -> None:
    queries = {"de": make_vectors(5, seed=1), "tr": make_vectors(5, seed=2)}
    version = build_index(small_store, tmp_path / "index", SETTINGS, queries=queries, debias="shift", say=quiet)
    index = SearchIndex.open(version)
    component = read_component(version, index.manifest)
    assert component is not None
    kept = np.array(vectors_of(open_table(version / "queries.arrow", "")), np.float32)
    wanted = [component.remove(rows, [lang] * 5, "query") for lang, rows in queries.items()]
    np.testing.assert_allclose(kept, np.concatenate(wanted), rtol=0, atol=1e-6)


def test_the_same_passages_make_the_same_version(small_store: VectorStore, tmp_path: Path) -> None:
    first, second = (build(small_store, tmp_path / name, "project") for name in ("a", "b"))
    assert first.manifest.version == second.manifest.version
    assert (first.path / DEBIAS).read_bytes() == (second.path / DEBIAS).read_bytes()


def test_what_the_index_does_not_know_is_said(small_store: VectorStore, tmp_path: Path) -> None:
    said: list[str] = []
    vectors = np.concatenate([np.array(vectors_of(part), np.float32) for part in small_store.parts()])
    component = estimate_component({"de": vectors[:100], "en": vectors[100:300]}, "shift", made_from="other texts")
    build_index(small_store, tmp_path / "index", SETTINGS, debias=component, say=said.append)
    assert any("from other texts in 2 languages; fr, sw, th had no or too few texts" in line for line in said)


def test_components_that_do_not_fit(small_store: VectorStore, tmp_path: Path) -> None:
    short = LanguageComponent(method="centre", offsets={"de": (0.5, 0.5)}, texts={})
    with pytest.raises(UserError, match="has 2 numbers, the passages' vectors 16"):
        build(small_store, tmp_path / "index", short)
    foreign = LanguageComponent(method="centre", offsets={"de": (0.5,) * 16}, texts={}, encoder={"config.json": "a"})
    made = write_store(
        tmp_path / "store", make_passages(30), make_vectors(30), encoder={"sha256": {"config.json": "b"}, "dimension": 16}
    )
    with pytest.raises(UserError, match="another encoder"):
        build(made, tmp_path / "index", foreign)
    with pytest.raises(UserError, match="at least two languages with 20 texts"):
        build(make_store(tmp_path / "few", 30), tmp_path / "index", "shift")
    assert not (tmp_path / "index" / "CURRENT").exists()


def test_a_damaged_component_is_found(small_store: VectorStore, tmp_path: Path) -> None:
    index = build(small_store, tmp_path / "index", "shift")
    path = index.path / DEBIAS
    path.chmod(0o644)
    path.write_bytes(path.read_bytes().replace(b"0.0", b"0.1", 1))
    with pytest.raises(CorruptError, match=DEBIAS):
        SearchIndex.open(index.path)
    LanguageComponent(method="centre", offsets={"de": (0.5, 0.5)}, texts={}).save(path)
    with pytest.raises(CorruptError, match="another encoder"):
        read_component(index.path, index.manifest)


def test_texts_are_asked_without_their_language(encoder: Path, tmp_path: Path) -> None:
    model = Encoder.load(encoder)
    passages = [
        passage._replace(text=f"{'und ' if passage.lang == 'de' else 'the '}" * 8 + passage.text)
        for passage in encode_input.some(120)
    ]
    index = TextIndex.build(model, passages, tmp_path / "index", SETTINGS, debias="centre")
    component = read_component(index.index.path, index.index.manifest)
    assert component is not None
    texts, langs = [passage.full_text for passage in passages], [passage.lang for passage in passages]
    matrix = component.remove(model.encode(texts, "passage").astype(np.float16).astype(np.float32), langs, "passage")
    lang = langs[0]
    answers = []
    for asked in (lang, None):
        vector = component.remove(model.encode(["bada kelo"], "query"), [asked], "query")[0]
        hits = index.search("bada kelo", 5, query_language=asked)
        answers.append([hit.score for hit in hits])
        np.testing.assert_allclose(answers[-1], np.sort(matrix @ vector)[::-1][:5], rtol=0, atol=2e-3)
    assert np.abs(np.subtract(*answers)).max() > 1e-3
    again = TextIndex.open(tmp_path / "index")
    assert [hit.score for hit in again.search("bada kelo", 5, query_language=lang)] == pytest.approx(answers[0], abs=1e-6)
    with pytest.raises(UserError, match="unknown language code"):
        index.search("bada kelo", query_language="klingon!")
