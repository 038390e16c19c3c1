"""The batch plan: which (query, passage) pairs make up the batch of any step, as a pure function of the step.

Regimes after Elmahdy, Lin and Ahmad (arXiv 2408.10536): monolingual batches of one language, cross-lingual batches of many
ordered pairs, and the hybrid of both. Nothing is carried from step to step, so resuming at step t, or with another number of
workers, needs t alone; yet every pool is walked without replacement, epoch after epoch.

The layers, each of which says in closed form how often its parts were used before: step -> kind (`Kinds`) -> language pair and
corpus (`draw`) -> group (`permute`).
"""

import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from math import nan
from operator import index
from typing import Any

import numpy as np

from xlret.batches.alpha import WINDOW, Alpha, Kinds
from xlret.batches.draw import Draws, PoolDraws, RowDraws
from xlret.batches.explain import Explanation, KindCount, PairCount
from xlret.batches.permute import LARGEST
from xlret.batches.settings import PlanSettings
from xlret.batches.usable import Kind, PlanCorpus, UsablePools, is_whole, plan_languages, usable_pools
from xlret.batches.walk import Batch, Pair
from xlret.errors import UserError
from xlret.keys import key_of
from xlret.shapes import IntArray

__all__ = ["BatchPlan", "Kind", "PlanCorpus", "StepPlan"]

_VERSION = 2  # of the way batches are drawn; part of the fingerprint


@dataclass(frozen=True, eq=False)
class StepPlan:
    """The rows of one step: row i pairs the query and the passage of group `group[i]` in the languages of row i."""

    step: int
    corpus: int
    """Which of the plan's corpora all rows come from."""
    kind: Kind
    query_lang: tuple[str, ...]  # [B]
    passage_lang: tuple[str, ...]  # [B]
    group: IntArray  # [B] ordinals in the corpus, no two equal

    def worker(self, rank: int, world: int) -> "StepPlan":
        """The rows of worker `rank` of `world`: [B * rank // world, B * (rank + 1) // world).

        Raises:
            UserError: no such worker, or more workers than rows.
        """
        rows = len(self.group)
        if not 1 <= world <= rows:
            raise UserError(
                f"{world} workers for a batch of {rows} rows; allowed is 1 to {rows}; raise plan.batch_size or take fewer"
            )
        if not 0 <= rank < world:
            raise UserError(f"worker rank is {rank}; allowed is 0 to {world - 1}")
        mine = slice(rows * rank // world, rows * (rank + 1) // world)
        return StepPlan(self.step, self.corpus, self.kind, self.query_lang[mine], self.passage_lang[mine], self.group[mine])


@dataclass(frozen=True)
class _Part:
    """All batches of one kind."""

    kind: Kind
    draws: Draws


class BatchPlan:
    """The batches of every step, over one or more corpora.

    A step draws its kind, then language pairs (weight: groups in all corpora, to the power `language_tau`), then the corpus
    among those that have them (weight: its groups of the pair, to the power `corpus_tau`), then groups. Building reads no text;
    cost and memory grow with the number of pools.

    Args:
        corpora: all of a batch's rows come from one of them.
        settings: see `PlanSettings`.

    Raises:
        UserError: no corpora, unknown languages, pools or corpora too small, or a kind of batch that no corpus can fill.
    """

    def __init__(self, corpora: Sequence[PlanCorpus], settings: PlanSettings) -> None:
        if not corpora:
            raise UserError("a batch plan needs at least one corpus; none was given")
        self.settings, self.batch_size = settings, settings.batch_size
        self._corpora = tuple(corpora)
        content = json.dumps([_VERSION, [corpus.fingerprint for corpus in corpora], _deciding(settings)], sort_keys=True)
        self.fingerprint = hashlib.blake2b(content.encode(), digest_size=16).hexdigest()
        self._languages = plan_languages(corpora, settings)
        self._dropped: list[str] = []
        self._alpha = Alpha({"mono": 1.0, "cross": 0.0, "mixed": 0.0}.get(settings.regime, settings.alpha))
        window, offset = (settings.alpha_block, 0.5) if settings.alpha_draw == "stratified" else (WINDOW, None)
        self._kinds = Kinds(self._alpha, key_of(settings.seed, "plan", "kinds") & ((1 << 64) - 1), window, offset)
        kinds: list[Kind] = ["mono"] if self._alpha.highest > 0 else []
        if self._alpha.lowest < 1:
            kinds.append("mixed" if settings.regime == "mixed" else "cross")
        self._parts = [self._part(kind) for kind in kinds]
        self._refuse_idle_corpora()

    @property
    def languages(self) -> frozenset[str]:
        """Those that the run trains on: `languages` of the settings, or of the corpora, without `exclude`."""
        return self._languages

    def step(self, t: int) -> StepPlan:
        """The global batch of step `t` (0 or more). Costs the same at any `t`: on average about 0.1 ms at 64 rows.

        Raises:
            UserError: `t` is negative, or so large that 64-bit numbers do not hold its rows.
        """
        t = index(t)
        kind, usable, batch = self._draw(t)
        rows = [usable.pairs[pair] for pair in batch.pairs.tolist()]
        query_lang, passage_lang = zip(*rows, strict=True)
        return StepPlan(t, usable.corpus, kind, query_lang, passage_lang, batch.groups.copy())

    def explain(self, steps: int, start: int = 0, *, walk: bool = True) -> Explanation:
        """Counts of `steps` steps from `start`, by kind, corpus and pair, beside what to expect. Costs as much as the steps.

        Args:
            steps: how many.
            start: the first.
            walk: False gives what to expect alone, at once: nothing is counted, so that counts are 0 and alpha NaN.

        Raises:
            UserError: `steps` is less than 1 or `start` is negative.
        """
        if steps < 1 or start < 0:
            raise UserError(f"explain needs steps of at least 1 and a start of at least 0, not {steps} and {start}")
        rows: Counter[tuple[Kind, int, Pair]] = Counter()
        kind_steps: Counter[tuple[Kind, int]] = Counter()
        replaced = 0
        for t in range(start, start + steps) if walk else ():
            kind, usable, batch = self._draw(t)
            kind_steps[kind, usable.corpus] += 1
            counts = np.bincount(batch.pairs, minlength=len(usable.pairs)).tolist()
            rows.update({(kind, usable.corpus, pair): count for pair, count in zip(usable.pairs, counts, strict=True) if count})
            replaced += batch.replaced
        mono_steps = self.mono_steps(start + steps) - self.mono_steps(start)
        kinds: list[KindCount] = []
        pairs: list[PairCount] = []
        for part in self._parts:
            expected_steps = mono_steps if part.kind == "mono" else steps - mono_steps
            for usable in part.draws.usable:
                name = str(self._corpora[usable.corpus].path)
                expected = expected_steps * float(usable.shares.sum())
                kinds.append(KindCount(part.kind, name, kind_steps[part.kind, usable.corpus], expected))
                for pair, pool, share in zip(usable.pairs, usable.pools, usable.shares.tolist(), strict=True):
                    expected_rows = expected_steps * self.batch_size * share
                    count = rows[part.kind, usable.corpus, pair]
                    pairs.append(PairCount(part.kind, name, *pair, len(pool), count, expected_rows))
        realised = sum(count for (kind, _), count in kind_steps.items() if kind == "mono") / steps
        return Explanation(
            start=start,
            steps=steps,
            batch_size=self.batch_size,
            alpha=realised if walk else nan,
            expected_alpha=mono_steps / steps,
            kinds=tuple(kinds),
            pairs=tuple(pairs),
            replaced=replaced,
            dropped=tuple(self._dropped),
        )

    def mono_steps(self, steps: int) -> float:
        """How many of the first `steps` steps are to be monolingual: the sum of alpha over them."""
        return float(self._alpha.sum(steps))

    def _draw(self, t: int) -> tuple[Kind, UsablePools, Batch]:
        """The kind of step `t`, the corpus' pools that it draws from, and the rows."""
        if not 0 <= t < LARGEST // self.batch_size:
            raise UserError(f"step is {t}; allowed is 0 to {LARGEST // self.batch_size - 1}")
        is_mono, before = self._kinds.at(t)
        part = self._parts[0 if is_mono else -1]
        position, batch = part.draws.batch(before)
        return part.kind, part.draws.usable[position], batch

    def _part(self, kind: Kind) -> _Part:
        usable, dropped = usable_pools(self._corpora, kind, self._languages, self.settings)
        self._dropped += dropped
        if not usable:
            raise UserError(self._nothing_for(kind))
        draws = PoolDraws if is_whole(kind, self.settings) else RowDraws
        return _Part(kind, draws(usable, self.batch_size, (self.settings.seed, "plan", kind)))

    def _leave_out(self, sentence: str, instead: str) -> None:
        if self.settings.small_pools == "error":
            raise UserError(f"{sentence}; {instead} or set plan.small_pools to drop")
        self._dropped.append(sentence)

    def _refuse_idle_corpora(self) -> None:
        """A corpus that no step draws from is a mistake, unless small things are to be dropped."""
        used = {usable.corpus for part in self._parts for usable in part.draws.usable}
        for number, corpus in enumerate(self._corpora):
            if number not in used:
                among = ", ".join(sorted(self._languages))
                sentence = f"corpus {corpus.path} has no pair for regime {self.settings.regime} among {among}"
                self._leave_out(sentence, "take it off the list")

    def _nothing_for(self, kind: Kind) -> str:
        needed = {
            "cross": "a query in one language and a passage in another",
            "mono": "a query and a passage in the same language",
            "mixed": "a query and a passage in the same language",
        }[kind]
        instead = {"cross": "mono or mixed", "mono": "cross", "mixed": "cross"}[kind]
        left_out = f" Left out: {'; '.join(self._dropped[:3])}." if self._dropped else ""
        return (
            f"plan.regime {self.settings.regime} needs {kind} batches, but no group of "
            f"{', '.join(str(corpus.path) for corpus in self._corpora)} has {needed} among "
            f"{', '.join(sorted(self._languages))}.{left_out} Use other languages or corpora, or plan.regime {instead}"
        )


def _deciding(settings: PlanSettings) -> dict[str, Any]:
    """What of the settings decides the batches. Plans from before there was a choice of alpha draws keep their fingerprints."""
    values = settings.model_dump(mode="json")
    if settings.alpha_draw == "bernoulli":
        del values["alpha_draw"], values["alpha_block"]
    return values
