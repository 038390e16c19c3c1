import numpy as np
import pytest
from made_up import make_vectors

from xlret.errors import UserError
from xlret.search.factory import choose, describe, encoded, factory_of, lists_of, new_index, train
from xlret.search.partition import training_ranks


@pytest.mark.parametrize(
    ("text", "faiss_text", "kind", "lossless", "code_bytes"),
    [
        ("Flat", "Flat", "flat", True, 768),
        ("SQfp16", "SQfp16", "flat", True, 768),
        ("SQ8", "SQ8", "flat", False, 384),
        ("IVF4096,SQ8", "IVF4096,SQ8", "ivf", False, 392),
        ("IVF,SQ8", "IVF4096,SQ8", "ivf", False, 392),
        ("IVF65536,SQ4", "IVF65536_HNSW32,SQ4", "ivf", False, 200),
        ("IVF64_HNSW16,Flat", "IVF64_HNSW16,Flat", "ivf", True, 1544),
        ("HNSW32", "HNSW32,Flat", "hnsw", True, 1808),
        ("HNSW32,SQ8", "HNSW32,SQ8", "hnsw", False, 656),
        ("PQ48", "PQ48np", "flat", False, 48),
        ("PQ48x4", "PQ48x4np", "flat", False, 24),
        ("OPQ48_96,PQ48", "OPQ48_96,PQ48np", "flat", False, 48),
        ("OPQ10_100,PQ10", "OPQ10_100,PQ10np", "flat", False, 10),
        ("OPQ48,IVF4096,PQ48", "OPQ48,IVF4096,PQ48np", "ivf", False, 56),
    ],
)
def test_factories(text: str, faiss_text: str, kind: str, lossless: bool, code_bytes: int) -> None:
    one = factory_of(text, 1_000_000, 384, "float16")
    assert (one.text, one.kind, one.lossless, one.code_bytes) == (faiss_text, kind, lossless, code_bytes)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not allowed"),
        ("flat", "not allowed"),
        ("IVF4096", "not allowed"),
        ("IVF4096,SQ8,RFlat", "not allowed"),
        ("PQ48x4fs", "fast-scan"),
        ("IVF16,RaBitQ", "not allowed"),
        ("IDMap,Flat", "not allowed"),
        ("PQ7", "does not divide the dimension 384"),
        ("PQ0", "does not divide"),
        ("OPQ8_100,PQ8", "8 does not divide the dimension 100"),
        ("OPQ8_392,PQ8", "OPQ to 392 numbers; allowed are 1 to 384"),
        ("OPQ8_0,PQ8", "OPQ to 0 numbers"),
        ("OPQ48,PQ24", "of the same m"),
        ("HNSW32,PQ48", "HNSW does not go with PQ"),
        ("IVF2000000,SQ8", "2000000 lists for 1000000 passages"),
        ("IVF0,SQ8", "0 lists"),
        ("Flat;rm -rf", "not allowed"),
    ],
)
def test_factories_that_are_refused(text: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        factory_of(text, 1_000_000, 384, "float16")


def test_auto_chooses_by_size_and_says_why() -> None:
    names = [choose(count, 384, "float16")[0].text for count in (1, 100_000, 100_001, 1_000_000, 10_000_000, 100_000_000)]
    assert names == ["Flat", "Flat", "IVF1024,SQ8", "IVF4096,SQ8", "IVF16384_HNSW32,SQ8", "IVF32768_HNSW32,PQ96np"]
    chosen, why = choose(1_000_000, 384, "float16")
    assert "fastest" in why
    assert (
        describe(chosen, 1_000_000, 384, "float16")
        == "392 bytes a vector in memory (0.37 GiB in all), 768 mapped from the disk"
    )


@pytest.mark.parametrize("factory", ["IVF64,SQ8", "OPQ4,IVF64,PQ4x4", "IVF64_HNSW8,Flat", "SQ8"])
def test_a_code_does_not_depend_on_what_is_encoded_beside(factory: str) -> None:
    vectors = make_vectors(9000)
    index = new_index(factory_of(factory, len(vectors), 16, "float16"), 16, 0)
    train(index, vectors[:3000], 1)
    together = encoded(index, vectors, 1)
    apart = np.concatenate([encoded(index, vectors[start : start + 333], 1) for start in range(0, len(vectors), 333)])
    np.testing.assert_array_equal(together, apart)
    order = np.random.default_rng(0).permutation(len(vectors))
    np.testing.assert_array_equal(encoded(index, vectors[order], 2), together[order])
    if "IVF" in factory:
        assert set(lists_of(index, together).tolist()) <= set(range(64))


def test_the_training_sample_has_every_language() -> None:
    counts = {"de": 9000, "en": 900, "fr": 90, "sw": 3}
    ranks = training_ranks(counts, 1000, 0)
    assert {code: len(set(chosen.tolist())) for code, chosen in ranks.items()} == {"de": 900, "en": 90, "fr": 62, "sw": 3}
    assert all(0 <= chosen.min() <= chosen.max() < counts[code] for code, chosen in ranks.items())
    assert set(ranks["de"]) != set(training_ranks(counts, 1000, 1)["de"])
