"""From a step of the plan to token ids: fetch texts, switch words, tokenise. A pure function of (inputs, step, rank, world)."""

from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xlret.batches.negative_languages import NegativeLanguage, negative_languages
from xlret.batches.pairs import AssembledPairs, draw_negatives
from xlret.batches.parallel import ParallelInputs, parallel_languages
from xlret.batches.plan import BatchPlan, StepPlan
from xlret.batches.settings import PlanSettings
from xlret.batches.weights import row_weights
from xlret.data.corpus import ParallelCorpus
from xlret.data.teacher import Teacher
from xlret.errors import DataError, UserError
from xlret.lexicon.remembered import remembered_lexicon
from xlret.shapes import IntArray
from xlret.switch.settings import SwitchSettings
from xlret.switch.switched import Switched
from xlret.switch.switcher import Key, Switcher
from xlret.text.sides import Side
from xlret.tokens.pairs import PairTokeniser
from xlret.tokens.ragged import Ragged
from xlret.tokens.texts import Tokeniser

KINDS = ("mono", "cross", "mixed")


@dataclass(frozen=True)
class Inputs:
    """All that decides what a step's batch holds. Small: processes share the files it names, not their contents."""

    corpora: tuple[Path, ...]
    plan: PlanSettings
    switch: SwitchSettings
    tokeniser: Path
    hard_negatives: int = 0
    negatives: int | None = None
    """For a reranker: negatives of each row from its batch. None: a retriever, which takes the whole batch as negatives."""
    parallel: ParallelInputs | None = None
    """Translations that come along, for losses that compare them."""
    pair_weights: tuple[tuple[str, float], ...] = ()
    """What the loss of a row is multiplied by, by its languages (`weights.row_weights`)."""
    negative_language: NegativeLanguage = "passage"
    """In which language a hard negative stands."""
    reranked: bool = False
    """Whether a teacher's scores of the hard negatives come along."""


def _no_texts() -> Ragged:
    return Ragged(np.empty(0, np.int32), np.empty(0, np.int32))


def _no_rows() -> IntArray:
    return np.empty(0, np.int64)


def _no_numbers() -> NDArray[np.float32]:
    return np.empty(0, np.float32)


@dataclass(frozen=True)
class Assembled:
    """One worker's share of one step: b queries, b positives and b x H hard negatives, as token ids.

    With objective `contrast` the switched copies of the queries come along.
    """

    step: int
    rank: int
    kind: str
    queries: Ragged  # [b], or [2b]: queries, then their copies
    passages: Ragged  # [b + b*H]: positives, then the negatives of row 0, row 1, ...
    clusters: IntArray  # [b]
    negative_clusters: IntArray  # [b*H]; -1 where a row has fewer negatives
    words: int  # words of the sides that may be switched
    switched: int
    parallel_queries: Ragged = field(default_factory=_no_texts)  # [b]: each query in another language; or none
    parallel_passages: Ragged = field(default_factory=_no_texts)  # [b]: the same of the positives
    parallel_query_known: IntArray = field(default_factory=_no_rows)  # [b]: 1 where the group has it, else the text is empty
    parallel_passage_known: IntArray = field(default_factory=_no_rows)
    teacher_queries: NDArray[np.float32] = field(default_factory=_no_numbers)  # [b*T]; zeros where the teacher read nothing
    teacher_passages: NDArray[np.float32] = field(default_factory=_no_numbers)
    teacher_scores: NDArray[np.float32] = field(default_factory=_no_numbers)  # [b*(1+H)]: positive, negatives; NaN: missing
    weights: NDArray[np.float32] = field(default_factory=_no_numbers)  # [b]; none: all are 1

    @property
    def texts(self) -> tuple[Ragged, ...]:
        """All that goes through the encoder."""
        return self.queries, self.passages, self.parallel_queries, self.parallel_passages

    @property
    def tokens(self) -> int:
        """Tokens without padding."""
        return sum(int(side.lengths.sum()) for side in self.texts)


Batch = Assembled | AssembledPairs


class Assembler:
    """Makes batches from memory-mapped corpora. One a process: `assembler(inputs)` keeps the one that it made."""

    def __init__(self, inputs: Inputs) -> None:
        self._inputs = inputs
        self._corpora = [ParallelCorpus.open(path, verify=False) for path in inputs.corpora]
        for corpus in self._corpora if inputs.hard_negatives else ():  # of all: the first batch is of one of them
            if not corpus.has_hard_negatives:
                raise UserError(
                    f"hard_negatives is {inputs.hard_negatives}, but {corpus.path} holds none; mine them first or set it to 0"
                )
            if inputs.reranked:
                corpus.hard_negative_scores(np.arange(1), 1)
        self.plan = BatchPlan(self._corpora, inputs.plan)
        self._tokeniser: Tokeniser | None = None
        self._pair_tokeniser: PairTokeniser | None = None
        if inputs.negatives is None:
            self._tokeniser = Tokeniser.load(inputs.tokeniser)
        else:
            self._pair_tokeniser = PairTokeniser.load(inputs.tokeniser)
        self._teachers: list[Teacher] = []
        if inputs.parallel is not None:
            if inputs.parallel.pivot not in self.plan.languages:
                trained = ", ".join(sorted(self.plan.languages))
                raise UserError(f"loss.pivot is {inputs.parallel.pivot}, which is not trained on; choose one of {trained}")
            self._teachers = [
                Teacher(path, corpus) for path, corpus in zip(inputs.parallel.teachers, self._corpora, strict=False)
            ]
        self._switcher: Switcher | None = None
        if inputs.switch.policy != "none":
            lexicon = remembered_lexicon(inputs.switch.lexicons, inputs.switch.languages)
            only_queries = {"side": "query"} if inputs.switch.objective == "contrast" else {}
            self._switcher = Switcher(lexicon, inputs.switch.model_copy(update=only_queries))

    def __call__(self, step: int, rank: int, world: int) -> Batch:
        """The share of worker `rank` of `world` in step `step`: pairs where the inputs ask for negatives, else two sides.

        Raises:
            DataError: the batch cannot be made; names the step, the languages and the groups.
        """
        whole = self.plan.step(step)
        share = whole.worker(rank, world)
        first_row = self.plan.batch_size * rank // world
        try:
            if self._inputs.negatives is not None:
                return self._assemble_pairs(whole, share, rank, first_row)
            return self._assemble(share, rank, first_row)
        except UserError as error:
            raise DataError(f"step {step}: {error}") from error
        except Exception as error:
            corpus = self._corpora[share.corpus]
            pairs = sorted(set(zip(share.query_lang, share.passage_lang, strict=True)))
            groups = ", ".join(corpus.group_ids(share.group[:3]))
            raise DataError(
                f"step {step}, worker {rank}: cannot make the batch from {corpus.path}, languages {pairs[:4]}, "
                f"groups {groups}, ...: {type(error).__name__}: {error}"
            ) from error

    def may_switch(self, lang: str, side: Side) -> bool:
        """Whether words of that language are switched on that side at all."""
        return self._switcher is not None and self._switcher.may_switch(lang, side)

    def switched_texts(self, step: int) -> tuple[StepPlan, list[Switched], list[Switched]]:
        """The whole batch of a step, for a person: its plan, its queries and its passages after switching."""
        plan = self.plan.step(step)
        _, (queries, passages) = self._texts(plan, 0)
        return plan, queries, passages

    def _texts(self, share: StepPlan, first_row: int) -> tuple[list[str], tuple[list[Switched], list[Switched]]]:
        """The queries as they are, and both sides after switching."""
        corpus = self._corpora[share.corpus]
        queries = fetch_texts(corpus, "query", share.query_lang, share.group)
        passages = fetch_texts(corpus, "passage", share.passage_lang, share.group)
        if self._switcher is None:
            as_is = ([Switched(text, 0, 0) for text in side] for side in (queries, passages))
            return queries, (next(as_is), next(as_is))
        langs = share.query_lang, share.passage_lang
        return queries, self._switcher.switch_pairs(queries, langs[0], passages, langs[1], self._key(share), first_row)

    def _key(self, share: StepPlan) -> Key:
        """What switching in this step depends on."""
        return (self._inputs.plan.seed, "switch", share.step)

    def _assemble(self, share: StepPlan, rank: int, first_row: int) -> Assembled:
        corpus = self._corpora[share.corpus]
        clean, both = self._texts(share, first_row)
        queries, passages = ([text.text for text in side] for side in both)
        if self._inputs.switch.objective == "contrast":
            queries = clean + queries
        words, switched = _count(both)
        negatives, negative_clusters = self._hard_negatives(corpus, share, first_row)
        assert self._tokeniser is not None, "a retriever's batch"
        return Assembled(
            step=share.step,
            rank=rank,
            kind=share.kind,
            queries=Ragged(*self._tokeniser.ragged(queries, "query")),
            passages=Ragged(*self._tokeniser.ragged(passages + negatives, "passage")),
            clusters=corpus.clusters(share.group),
            negative_clusters=negative_clusters,
            words=words,
            switched=switched,
            **self._parallel(share, first_row),
            **self._beside(corpus, share),
        )

    def _beside(self, corpus: ParallelCorpus, share: StepPlan) -> dict[str, Any]:
        """The fields of a batch that hold a reranker's scores and the weights of rows."""
        fields = {}
        if self._inputs.reranked:
            fields["teacher_scores"] = corpus.hard_negative_scores(share.group, self._inputs.hard_negatives).reshape(-1)
        if self._inputs.pair_weights:
            weights = dict(self._inputs.pair_weights)
            fields["weights"] = row_weights(share.query_lang, share.passage_lang, weights)
        return fields

    def _parallel(self, share: StepPlan, first_row: int) -> dict[str, Any]:
        """The fields of a batch that hold translations and a teacher's vectors."""
        if self._inputs.parallel is None:
            return {}
        assert self._tokeniser is not None, "a retriever's batch"
        parallel, corpus = self._inputs.parallel, self._corpora[share.corpus]
        key, allowed = (self._inputs.plan.seed, share.step), sorted(self.plan.languages)
        fields: dict[str, Any] = {}
        for side in parallel.sides:
            langs, plural = (share.query_lang, "queries") if side == "query" else (share.passage_lang, "passages")
            others = parallel_languages(corpus, side, langs, share.group, allowed, parallel.pivot, key, first_row)
            texts = fetch_texts(corpus, side, others, share.group)
            fields[f"parallel_{plural}"] = Ragged(*self._tokeniser.ragged(texts, side))
            fields[f"parallel_{side}_known"] = np.array([bool(lang) for lang in others], dtype=np.int64)
            if self._teachers:
                fields[f"teacher_{plural}"] = self._teachers[share.corpus].vectors(side, share.group).reshape(-1)
        return fields

    def _assemble_pairs(self, whole: StepPlan, share: StepPlan, rank: int, first_row: int) -> AssembledPairs:
        """The pairs of a share. Negatives may be any row's, so that the texts of the whole batch are made on every worker."""
        assert self._pair_tokeniser is not None, "a reranker's batch"
        assert self._inputs.negatives is not None, "a reranker's batch"
        corpus, rows = self._corpora[whole.corpus], range(first_row, first_row + len(share.group))
        _, (queries, passages) = self._texts(whole, 0)
        hard, hard_clusters = self._hard_negatives(corpus, share, first_row)
        drawn = draw_negatives(whole, corpus.clusters(whole.group), rows, self._inputs.negatives, self._inputs.plan.seed)
        teacher_bC: NDArray[np.float32] | None = None
        if self._inputs.reranked:
            teacher_bC = corpus.hard_negative_scores(share.group, self._inputs.hard_negatives)
        pairs, labels, scores = [], [], []
        for position, row in enumerate(rows):
            first = position * self._inputs.hard_negatives
            mined = [number for number in range(self._inputs.hard_negatives) if hard_clusters[first + number] >= 0]
            sampled = [passages[other].text for other in drawn[position]]
            answers = [passages[row].text, *sampled, *(hard[first + number] for number in mined)]
            pairs += [(queries[row].text, answer) for answer in answers]
            labels += [1] + [0] * (len(answers) - 1)
            if teacher_bC is not None:
                of_mined = teacher_bC[position, 1:][mined].tolist()
                scores += [float(teacher_bC[position, 0]), *[np.nan] * len(sampled), *of_mined]
        ids = self._pair_tokeniser.ragged(pairs)
        mine = slice(rows.start, rows.stop)
        words, switched = _count((queries[mine], passages[mine]))
        return AssembledPairs(
            step=share.step,
            rank=rank,
            kind=share.kind,
            pairs=Ragged(ids.ids, ids.lengths),
            types=ids.types,
            labels=np.array(labels, dtype=np.int64),
            words=words,
            switched=switched,
            teacher_scores=np.array(scores, dtype=np.float32),
        )

    def _hard_negatives(self, corpus: ParallelCorpus, share: StepPlan, first_row: int) -> tuple[list[str], IntArray]:
        """Texts and clusters of b x H negatives, in the language of `negative_language`, switched as their row's passage.

        Absent ones are "" and -1.
        """
        count = self._inputs.hard_negatives
        if count == 0:
            return [], np.empty(0, np.int64)
        groups = corpus.hard_negatives(share.group, count).reshape(-1)
        languages = np.repeat(np.array(share.passage_lang, dtype=object), count)
        if self._inputs.negative_language != "passage":
            allowed, step_key = sorted(self.plan.languages), (self._inputs.plan.seed, share.step)
            way = self._inputs.negative_language
            languages = negative_languages(
                corpus, groups.reshape(-1, count), share.passage_lang, allowed, way, step_key, first_row
            )
        texts = [""] * len(groups)
        clusters = np.full(len(groups), -1, np.int64)
        for lang in sorted(set(languages.tolist())):
            rows = np.flatnonzero((languages == lang) & (groups >= 0))
            rows = rows[corpus.side("passage", lang).rank_of(groups[rows]) >= 0]
            for row, text in zip(rows, corpus.passages(lang, groups[rows]), strict=True):
                texts[row] = text
            clusters[rows] = corpus.clusters(groups[rows])
        if self._switcher is not None:
            for position in np.flatnonzero(clusters >= 0).tolist():
                of_row, number = divmod(position, count)
                key, lang = self._key(share), languages[position]
                switched = self._switcher.switch_negative(texts[position], lang, key, first_row + of_row, number)
                texts[position] = switched.text
        return texts, clusters


@lru_cache(maxsize=2)
def assembler(inputs: Inputs) -> Assembler:
    """This process's assembler for `inputs`, made at the first call."""
    return Assembler(inputs)


def fetch_texts(corpus: ParallelCorpus, side: str, languages: tuple[str, ...], groups: IntArray) -> list[str]:
    """The texts of one side, one language at a time, in the order of `groups`; "" where the language is ""."""
    fetch = corpus.queries if side == "query" else corpus.passages
    rows_of: dict[str, list[int]] = {lang: [] for lang in languages}
    for row, lang in enumerate(languages):
        rows_of[lang].append(row)
    rows_of.pop("", None)
    texts = [""] * len(languages)
    for lang, rows in rows_of.items():
        for row, text in zip(rows, fetch(lang, groups[rows]), strict=True):
            texts[row] = text
    return texts


def _count(sides: tuple[list[Switched], list[Switched]]) -> tuple[int, int]:
    texts = [text for side in sides for text in side]
    return sum(text.words for text in texts), sum(text.switched for text in texts)
