"""From a corpus to one with hard negatives, and a table of what was mined from which language for which."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from xlret.data.corpus import ParallelCorpus
from xlret.data.hard_negatives import Mined, write_hard_negatives
from xlret.errors import UserError
from xlret.files import sha256_of
from xlret.mine.candidates import (
    Query,
    Ranked,
    Ranker,
    Say,
    Score,
    bm25_ranker,
    encoder_ranker,
    reranked,
    scratch_beside,
    searched_languages,
)
from xlret.mine.choose import Candidate, MineCounts, asked_languages, chosen, passing
from xlret.mine.settings import MineJob

_GROUPS_AT_ONCE = 256


class MineResult(NamedTuple):
    """What a mining left."""

    out: Path
    groups: int
    """Groups that were asked for."""
    negatives_of_group: dict[int, int]
    """Number of negatives -> groups that have so many."""
    counts: MineCounts

    def table(self) -> list[tuple[str, str, int, int]]:
        """Query language, passage language, negatives kept, candidates dropped as likely answers; sorted by languages."""
        pairs = sorted({*self.counts.negatives, *self.counts.too_near})
        return [(*pair, self.counts.negatives[pair], self.counts.too_near[pair]) for pair in pairs]


def mine(job: MineJob, *, replace: bool = False, say: Say = print) -> MineResult:
    """Mines as `job` says.

    Each group is asked for in languages that are drawn for it. What ranks high and is of another cluster, in whatever language,
    is a candidate; what scores like an answer is dropped (`choose.passing`). The corpus gets groups as negatives, best
    first, with the scores of negatives and positive; in which language a negative is trained on, the training recipe says
    (`negative_language`).

    Args:
        job: what to mine, how.
        replace: whether `job.out` may be there already.
        say: told what is done.

    Cost: an encoding of all passages and one search for each query; with a reranker last_rank pairs for each query.

    Raises:
        UserError: the corpus, encoder or reranker cannot be used, languages that the corpus has not, or `out` exists.
    """
    corpus = ParallelCorpus.open(job.corpus)
    if job.out.exists() and not replace:
        raise UserError(f"{job.out} exists already; choose another out, or say --replace")
    query_languages = _known(job.query_languages, corpus.query_languages, "query_languages")
    passage_languages = _known(job.passage_languages, corpus.passage_languages, "passage_languages")
    if not any(searched_languages(lang, passage_languages, job) for lang in query_languages):
        raise UserError(
            f"draw {job.draw} leaves queries in {', '.join(query_languages)} no passages in {', '.join(passage_languages)}; "
            "choose another draw or other languages"
        )
    counts, sizes = MineCounts(), defaultdict[int, int](int)
    with scratch_beside(job.out) as scratch:
        if job.by == "encoder":
            ranker = encoder_ranker(corpus, passage_languages, job, Path(scratch), say)
        else:
            every_query = list(_queries(corpus, range(corpus.n_groups), query_languages, job))
            ranker = bm25_ranker(corpus, passage_languages, every_query, job)
        mined = _mined(corpus, query_languages, passage_languages, ranker, job, counts, sizes)
        write_hard_negatives(job.corpus, job.out, mined, made_by=_provenance(job), replace=replace)
    return MineResult(job.out, sum(sizes.values()), dict(sorted(sizes.items())), counts)


def _mined(
    corpus: ParallelCorpus,
    query_languages: Sequence[str],
    passage_languages: Sequence[str],
    ranker: Ranker,
    job: MineJob,
    counts: MineCounts,
    sizes: dict[int, int],
) -> Iterator[Mined]:
    clusters = dict(enumerate(corpus.clusters(np.arange(corpus.n_groups)).tolist()))
    score = _reranker_score(job)
    # As many more as the largest cluster has passages, which may stand before all candidates and have no rank.
    own_most = max(np.bincount(list(clusters.values()))) * len(passage_languages)
    depth = min(1000, job.last_rank + int(own_most))
    for start in range(0, corpus.n_groups, _GROUPS_AT_ONCE):
        queries = list(_queries(corpus, range(start, min(start + _GROUPS_AT_ONCE, corpus.n_groups)), query_languages, job))
        passed: dict[int, list[Candidate]] = defaultdict(list)
        positives: dict[int, float] = {}
        lang_of: dict[tuple[int, int], str] = {}
        for query, ranked in zip(queries, ranker(queries, depth) if queries else [], strict=True):
            if not ranked.positives:
                continue  # no passage of its own in these languages
            scored: Ranked = reranked(ranked, query, corpus, score) if score else ranked
            kept = passing(scored.candidates, query.lang, clusters[query.group], clusters, scored.positives, job, counts)
            for candidate in kept:
                lang_of.setdefault((query.group, candidate.group), query.lang)
            passed[query.group] += kept
            positives.setdefault(query.group, scored.positives.get(query.lang, max(scored.positives.values())))
        for group, candidates in passed.items():
            negatives = chosen(_best_of_each(candidates), group, job)
            sizes[len(negatives)] += 1
            for candidate in negatives:
                counts.negatives[lang_of[group, candidate.group], candidate.lang] += 1
            names, scores = [negative.group for negative in negatives], [negative.score for negative in negatives]
            yield Mined(group, names, scores, positives[group])


def _queries(corpus: ParallelCorpus, groups: range, languages: Sequence[str], job: MineJob) -> Iterator[Query]:
    has = {lang: corpus.side("query", lang).rank_of(np.array(groups)) >= 0 for lang in languages}
    for position, group in enumerate(groups):
        known = [lang for lang in languages if has[lang][position]]
        for lang in asked_languages(group, known, job):
            yield Query(group, lang, corpus.queries(lang, np.array([group]))[0])


def _best_of_each(candidates: Sequence[Candidate]) -> list[Candidate]:
    """Best first, each group once: several queries of a group may have found it."""
    best: dict[int, Candidate] = {}
    for candidate in sorted(candidates, key=lambda candidate: -candidate.score):
        best.setdefault(candidate.group, candidate)
    return list(best.values())


def _reranker_score(job: MineJob) -> Score | None:
    if job.reranker is None:
        return None
    from xlret.model.reranker import Reranker

    reranker = Reranker.load(job.reranker, device="cuda" if job.encode.gpu else "cpu")
    return lambda pairs: reranker.score(pairs, tokens_per_batch=job.tokens_per_batch)


def _known(asked: Sequence[str] | None, known: Sequence[str], key: str) -> tuple[str, ...]:
    if unknown := sorted(set(asked or ()) - set(known)):
        raise UserError(f"{key}: the corpus has no {', '.join(unknown)} there; it has {', '.join(known)}")
    return tuple(sorted(asked or known))


def _provenance(job: MineJob) -> str:
    """What mined, with checksums of its weights: after the next round of training the same path holds others."""
    told = job.model_dump(mode="json", exclude_defaults=True, exclude={"corpus", "out", "encode", "index"})
    for name, directory in (("encoder", job.encoder), ("reranker", job.reranker)):
        if directory is not None and name in told:
            told[f"{name}_sha256"] = "+".join(sha256_of(file)[:12] for file in _weights(directory))
    return "xlret mine " + ", ".join(f"{name}={value}" for name, value in sorted(told.items()))


def _weights(directory: Path) -> list[Path]:
    return sorted([*directory.glob("*.safetensors"), *directory.glob("onnx/*.onnx")])
