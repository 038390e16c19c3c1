"""Which way of taking the language out of vectors is best for an encoder: tried on dev groups, never on a benchmark."""

from collections.abc import Sequence
from dataclasses import dataclass

from xlret.evaluation.evaluate import Evaluation, evaluate
from xlret.evaluation.sets import RetrievalSet
from xlret.model.debias.component import METHODS, DebiasMethod, LanguageComponent
from xlret.model.debias.estimate import LanguageMeans, component_from, estimate_component
from xlret.shapes import FloatMatrix

ALPHAS = (0.5, 0.75, 1.0)
DIRECTION_STEPS = (1, 2, 3, 4, 5, 6, 8, 11, 16, 22, 32, 48)


@dataclass(frozen=True)
class Trial:
    """One way, and what it gives on the dev groups."""

    name: str
    component: LanguageComponent | None
    """None: the vectors as they are."""
    evaluation: Evaluation

    @property
    def score(self) -> float:
        """What the choice goes by: the mean of Mo, Cr and Mul, so that no gain in the pool is paid for within a language."""
        return (self.evaluation.mo + self.evaluation.cr + self.evaluation.mul) / 3


def without_language(
    component: LanguageComponent | None, retrieval_set: RetrievalSet, queries_QD: FloatMatrix, passages_PD: FloatMatrix
) -> tuple[FloatMatrix, FloatMatrix]:
    """The vectors of a set's queries and passages without their language component; None takes nothing out."""
    if component is None:
        return queries_QD, passages_PD
    return (
        component.remove(queries_QD, retrieval_set.query_langs, "query"),
        component.remove(passages_PD, retrieval_set.passage_langs, "passage"),
    )


def component_of_set(retrieval_set: RetrievalSet, passages_PD: FloatMatrix, method: DebiasMethod) -> LanguageComponent:
    """A component of a set from its passages alone, as an index makes it: no query and no relevance is used.

    Raises:
        UserError: as `language_means`.
    """
    return estimate_component(
        retrieval_set.by_passage_language(passages_PD), method, made_from=f"passages of {retrieval_set.name}"
    )


def candidates(
    means: LanguageMeans, method: DebiasMethod | None = None, *, made_from: str = "", encoder: dict[str, str] | None = None
) -> dict[str, LanguageComponent]:
    """By name, every method with every alpha and number of directions that is tried.

    Args:
        means: of the languages.
        method: this one alone.
        made_from, encoder: as for `component_from`.

    >>> import numpy as np
    >>> list(candidates(LanguageMeans(np.eye(3), {"de": 20, "en": 20, "fr": 20}, {}), "project"))
    ['project, 1 direction', 'project, 2 directions', 'project, 3 directions']
    """
    tried: dict[str, LanguageComponent] = {}
    for name in METHODS if method is None else (method,):
        if name == "project":
            for directions in (step for step in DIRECTION_STEPS if step <= min(means.means_LD.shape)):
                tried[f"project, {directions} direction{'s' if directions > 1 else ''}"] = component_from(
                    means, name, directions=directions, made_from=made_from, encoder=encoder
                )
        else:
            for alpha in ALPHAS:
                tried[f"{name}, alpha {alpha:g}"] = component_from(
                    means, name, alpha=alpha, made_from=made_from, encoder=encoder
                )
    return tried


def trials(
    components: dict[str, LanguageComponent], dev_set: RetrievalSet, queries_QD: FloatMatrix, passages_PD: FloatMatrix
) -> list[Trial]:
    """Every component on the same dev vectors, and none, the best first; of equals the first that was given.

    Args:
        components: by name, such as `candidates` gives them.
        dev_set: held-out groups whose texts the components were not made from.
        queries_QD: vectors of its queries.
        passages_PD: vectors of its passages.

    Cost: one evaluation each: about a second for 2,000 queries and passages.
    """
    ways: Sequence[tuple[str, LanguageComponent | None]] = [("none", None), *components.items()]
    tried = [
        Trial(name, component, evaluate(dev_set, *without_language(component, dev_set, queries_QD, passages_PD)))
        for name, component in ways
    ]
    return sorted(tried, key=lambda trial: -trial.score)
