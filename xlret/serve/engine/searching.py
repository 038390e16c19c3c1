"""One search request from its options to its answer: encode, search every shard, balance, read the texts, rerank, mark."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from xlret.search.balance import balanced_order, language_share
from xlret.search.merge import ShardHits
from xlret.search.passages import Passage
from xlret.search.query import SearchOptions
from xlret.serve.engine.detect import detect
from xlret.serve.engine.gateway import Gateway
from xlret.serve.engine.highlight import nearest_sentences
from xlret.serve.engine.hits import Missing, PassageRow, QueryHit, is_short, merged, reason, sigmoid
from xlret.serve.engine.info import direction
from xlret.serve.engine.live import Live, now
from xlret.serve.engine.options import check_size, code_of, search_options, time_limit_s
from xlret.serve.errors import ApiError
from xlret.serve.record import RequestRecord
from xlret.serve.schema.answers import (
    Highlight,
    LanguageShare,
    QueryLanguage,
    SearchAnswer,
    SearchHit,
    SearchResult,
    ShardCount,
    Took,
)
from xlret.serve.schema.requests import SearchRequest

_SEARCH_SHARE = 0.8
"""Of the time left after encoding, for the shards; the rest is for reading texts and writing the answer."""
_ALONG = 64
"""Passages come along with up to so many hits: one call to the shards instead of two. Of more, most may be of other groups."""
_RERANK_SHARE = 0.9
_HEAD_START_S = 0.002
"""The encoder has the questions by then; their languages, which take half a millisecond, are detected while it works."""
_HIGHLIGHTED = 10
"""Hits of a question whose nearest sentence is looked for."""


@dataclass
class _Question:
    """One query of the request on its way."""

    text: str
    language: QueryLanguage
    encoded_D: NDArray[np.float32]
    """As the encoder made it."""
    vector_D: NDArray[np.float32]
    """As the index is asked: without the language component, where the index carries one."""
    hits: list[QueryHit]
    rerank_scores: list[float] | None = None


class _Search:
    """The state of one request.

    Args:
        gateway, live: what to ask.
        request: what is asked for.
        record: of the request; its arrival starts the clock.
    """

    def __init__(self, gateway: Gateway, live: Live, request: SearchRequest, record: RequestRecord) -> None:
        self.gateway = gateway
        self.live = live
        self.request = request
        self.record = record
        self.missing = Missing()
        self.took = dict.fromkeys(("encode", "search", "rerank", "highlight"), 0.0)
        self.deadline = record.complete + time_limit_s(request.timeout_ms, gateway.settings)
        self.depth = max(request.top_k, gateway.settings.rerank_depth) if request.rerank else request.top_k
        self.needs_text = request.include_text or request.rerank
        self.options = search_options(request, live.info, gateway.settings.limits, self.depth)

    async def run(self) -> SearchAnswer:
        """All stages."""
        began = now()
        self.record.took_ms = {
            "read": 1000 * (self.record.complete - self.record.arrived),
            "parse": 1000 * (began - self.record.complete),
        }
        self.record.span("parse", self.record.complete)
        questions = await self._questions()
        self._tick("encode", began)
        began = now()
        passages: dict[PassageRow, Passage] = {}
        by_question = await self._search(questions, passages)
        gone = -1
        while True:
            self._check_shards()
            if len(self.missing.shards) != gone:
                gone = len(self.missing.shards)
                merging = now()
                for question, searches in zip(questions, by_question, strict=True):
                    question.hits = self._best(question, searches)
                self.record.span("merge", merging)
            wanted = {hit.passage_row for question in questions for hit in question.hits} - set(passages)
            if not self.needs_text or not wanted:
                break
            # A shard may go away between its hits and their texts: the hits of the others take their places.
            # Not until the very deadline: then there would be no time left to ask those others.
            until = now() + _SEARCH_SHARE * (self.deadline - now())
            reading = now()
            passages |= await self.live.passages(sorted(wanted), until, self.missing)
            self.record.span("passages", reading, passages=len(wanted))
        self._tick("search", began)
        if self.request.rerank:
            began = now()
            await self._rerank(questions, passages)
            self._tick("rerank", began)
        began = now()
        marks = await self._highlight(questions, passages)
        self._tick("highlight", began)
        return self._answer(questions, passages, marks)

    def _tick(self, stage: str, began: float) -> None:
        self.took[stage] = 1000 * (now() - began)
        self.record.span(stage, began)

    async def _questions(self) -> list[_Question]:
        texts = self.request.texts
        encoding = asyncio.ensure_future(self.live.encode(texts, "query", self.deadline))
        try:
            await asyncio.wait({encoding}, timeout=_HEAD_START_S)
            languages = self._languages()
            encoded_QD = await encoding
        finally:
            encoding.cancel()
        component, codes = self.live.info.component, [known.code for known in languages]
        vectors_QD = encoded_QD if component is None else component.remove(encoded_QD, codes, "query")
        return [_Question(*parts, []) for parts in zip(texts, languages, encoded_QD, vectors_QD, strict=True)]

    def _languages(self) -> list[QueryLanguage]:
        texts, info = self.request.texts, self.live.info
        if self.request.query_language is not None:
            given = code_of(self.request.query_language, "query_language")
            return [QueryLanguage(code=given, detected=False)] * len(texts)
        if self.gateway.settings.detect:
            return [QueryLanguage(code=detect(text, info.languages), detected=True) for text in texts]
        return [QueryLanguage(code=None, detected=False)] * len(texts)

    async def _search(
        self, questions: list[_Question], passages: dict[PassageRow, Passage]
    ) -> list[list[dict[int, ShardHits]]]:
        """Per question the hits by shard of each search that was made for it: one, or one for each language.

        Passages that come along with them go into `passages`.
        """
        parts = self._parts()
        vectors_QD = np.stack([question.vector_D for question in questions for _ in parts])
        started = now()
        until = started + _SEARCH_SHARE * (self.deadline - started)
        options = parts * len(questions)
        along = self.depth if self.needs_text and self.request.balance == "none" and self.depth <= _ALONG else 0
        span = self.record.span
        by_query = await self.live.search(vectors_QD, options, along, until, self.missing, passages, span)
        # An approximate search may overlook passages that it should have found: then all are looked at.
        short = [position for position, by_shard in enumerate(by_query) if is_short(by_shard, self.depth)]
        if short:
            again = [replace(options[position], exact=True) for position in short]
            better = await self.live.search(vectors_QD[short], again, along, until, self.missing, passages, span)
            for position, more in zip(short, better, strict=True):
                by_query[position] |= more
        return [by_query[first : first + len(parts)] for first in range(0, len(by_query), len(parts))]

    def _parts(self) -> list[SearchOptions]:
        """The searches that a question needs: balancing chooses from the best hits of each language."""
        if self.request.balance == "none":
            return [self.options]
        languages = self.options.languages or tuple(self.live.info.languages)
        return [replace(self.options, languages=(code,)) for code in languages] or [self.options]

    def _check_shards(self) -> None:
        missing, total = self.missing, self.live.info.shards
        if not missing.shards or (len(missing.shards) < total and self.request.allow_partial):
            return
        self.record.shards_ok, self.record.shards_failed = total - len(missing.shards), len(missing.shards)
        sentence = missing.sentence(total)
        if missing.late and len(missing.shards) == total:
            raise ApiError(504, f"{sentence}; allow more time with timeout_ms")
        raise ApiError(503, f"{sentence}; try again after Retry-After")

    def _best(self, question: _Question, by_search: list[dict[int, ShardHits]]) -> list[QueryHit]:
        gone = self.missing.shards
        lists = [
            merged({number: hits for number, hits in by_shard.items() if number not in gone}, self.depth)
            for by_shard in by_search
        ]
        if self.request.balance == "none":
            return lists[0]
        flat = [hit for hits in lists for hit in hits]
        order = balanced_order(
            self.request.balance,
            [hit.id for hit in flat],
            np.array([hit.score for hit in flat], np.float32),
            [hit.language for hit in flat],
            self.depth,
            calibration=self.live.info.calibration,
            query_vector_D=question.vector_D,
        )
        return [flat[position] for position in order]

    async def _rerank(self, questions: list[_Question], passages: dict[PassageRow, Passage]) -> None:
        pairs = [(question.text, passages[hit.passage_row].full_text) for question in questions for hit in question.hits]
        started = now()
        try:
            logits = await self.live.score(pairs, started + _RERANK_SHARE * (self.deadline - started)) if pairs else np.empty(0)
        except Exception as error:
            self.missing.reasons.append(f"the reranker {reason(error)}, so the hits are in the order of the search")
            return
        begin = 0
        for question in questions:
            own = logits[begin : begin + len(question.hits)].tolist()
            begin += len(question.hits)
            order = sorted(zip(own, question.hits, strict=True), key=lambda pair: (-pair[0], pair[1].id))
            question.hits = [hit for _, hit in order]
            question.rerank_scores = [sigmoid(logit) for logit, _ in order]

    async def _highlight(
        self, questions: list[_Question], passages: dict[PassageRow, Passage]
    ) -> dict[tuple[int, PassageRow], Highlight]:
        """The nearest sentence of the first hits, by question and passage; none when the server is busy or time is short."""
        gateway, request = self.gateway, self.request
        if not (request.highlight and request.include_text) or gateway.gate.requests > gateway.settings.load.highlight_below:
            return {}
        most = min(_HIGHLIGHTED, max(1, 2 * _HIGHLIGHTED // len(questions)), request.top_k)
        keys = [(number, hit.passage_row) for number, question in enumerate(questions) for hit in question.hits[:most]]
        texts = [passages[passage_row].text for _, passage_row in keys]
        until = min(self.deadline, now() + gateway.settings.deadline.highlight_ms / 1000)

        async def encode(pieces: Sequence[str]) -> NDArray[np.float32]:
            return await self.live.encode(pieces, "passage", until, lane="highlight")

        try:
            # The sentences of a passage are all in one language, and come as the encoder makes them.
            spans = await nearest_sentences([questions[number].encoded_D for number, _ in keys], texts, encode)
        except ApiError:
            return {}  # an extra: the hits themselves are whole
        return {key: Highlight(start=start, end=end) for key, (start, end) in zip(keys, spans, strict=True)}

    def _answer(
        self, questions: list[_Question], passages: dict[PassageRow, Passage], marks: dict[tuple[int, PassageRow], Highlight]
    ) -> SearchAnswer:
        info, record, failed = self.live.info, self.record, len(self.missing.shards)
        counts = {code: info.languages[code] for code in self.options.languages or info.languages}
        results = []
        for number, question in enumerate(questions):
            hits = question.hits[: self.request.top_k]
            share = language_share([hit.language for hit in hits], counts)
            results.append(
                SearchResult(
                    query=question.text,
                    query_language=question.language,
                    hits=[
                        self._hit(
                            rank,
                            hit,
                            passages.get(hit.passage_row),
                            marks.get((number, hit.passage_row)),
                            question.rerank_scores[rank] if question.rerank_scores is not None else None,
                        )
                        for rank, hit in enumerate(hits)
                    ],
                    language_share={
                        code: LanguageShare(hits=shares.hits, corpus=shares.corpus) for code, shares in share.items()
                    },
                )
            )
            record.corpus = {code: shares.corpus for code, shares in share.items()}
        took = {**self.took, "total": 1000 * (now() - record.arrived)}
        record.hits = dict(Counter(hit.language for result in results for hit in result.hits))
        record.took_ms |= took
        record.partial_reason = self.missing.sentence(info.shards)
        record.shards_ok, record.shards_failed = info.shards - failed, failed
        return SearchAnswer(
            results=results,
            took_ms=Took(**took),
            shards=ShardCount(total=info.shards, ok=info.shards - failed, failed=failed),
            partial=record.partial_reason is not None,
            partial_reason=record.partial_reason,
            release=info.name,
            request_id=record.request_id,
        )

    def _hit(
        self, position: int, hit: QueryHit, passage: Passage | None, mark: Highlight | None, rerank_score: float | None
    ) -> SearchHit:
        shown = passage if self.request.include_text else None
        return SearchHit(
            id=hit.id,
            rank=position + 1,
            score=hit.score,
            language=hit.language,
            direction=direction(hit.language),
            title=shown.title if shown else None,
            text=shown.text if shown else None,
            metadata=shown.metadata if shown else None,
            highlight=mark,
            rerank_score=rerank_score,
        )


async def search(gateway: Gateway, request: SearchRequest, record: RequestRecord) -> SearchAnswer:
    """The answer to a search on the release that is in service now, whatever is swapped in meanwhile.

    Raises:
        ApiError: 422 for what the index does not have, 429 for too much at a time, 503 when nothing answers or no release is
            loaded, 504 when nothing answers in time.
    """
    check_size(request, gateway.settings.limits)
    time_s = time_limit_s(request.timeout_ms, gateway.settings)
    with gateway.gate.enter(len(request.texts), record.source, time_s), gateway.live.pin() as live:
        record.release, record.texts = live.info.name, len(request.texts)
        if gateway.settings.log.queries:
            record.queries = request.texts
        return await _Search(gateway, live, request, record).run()
