"""The language component that an index carries: settled when it is built, taken out of all that is put in and asked."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import cast

import numpy as np
import pyarrow as pa

from xlret.errors import CorruptError, UserError
from xlret.model.debias.component import DEBIAS, DebiasMethod, LanguageComponent
from xlret.model.debias.estimate import component_from, language_means
from xlret.search.manifest import IndexManifest
from xlret.search.vectors.store import Vectors, VectorStore, vectors_of
from xlret.shapes import FloatMatrix

FILE = "debias"
"""What the manifest calls it."""


def settled_component(
    debias: LanguageComponent | DebiasMethod,
    store: VectorStore,
    sample: Callable[[], Mapping[str, FloatMatrix]],
    say: Callable[[str], None],
) -> LanguageComponent:
    """The component that an index of these passages is to carry.

    Args:
        debias: one that was made before, or a method to estimate it by from the passages themselves.
        store: the passages.
        sample: gives vectors of some of them, by language.
        say: told what languages it knows.

    Raises:
        UserError: it was made with another encoder, or the passages are too few to estimate it.
    """
    files = store.encoder.get("sha256") or {}
    if isinstance(debias, LanguageComponent):
        debias.check_encoder(files)
        component = debias
    else:
        means = language_means(sample())
        component = component_from(means, debias, made_from="sampled passages of the index", encoder=files)
    if component.dimension != store.dimension:
        raise UserError(
            f"the language component has {component.dimension} numbers, the passages' vectors {store.dimension}; make it with "
            "the encoder that made them"
        )
    unknown = sorted(set(store.languages) - set(component.texts))
    say(
        f"debias {component.method}, from {component.made_from or 'texts'} in {len(component.texts)} languages"
        + (f"; {', '.join(unknown)} had no or too few texts and are treated as the average language" if unknown else "")
    )
    return component


def passage_vectors(component: LanguageComponent | None, part: pa.Table) -> Vectors:
    """The vectors of a part of a store as an index holds them, [N, D] of the store's type; without a component as they are."""
    vectors_ND = vectors_of(part)
    if component is None:
        return vectors_ND
    langs: Sequence[str] = part.column("lang").to_pylist()
    debiased_ND = component.remove(np.asarray(vectors_ND, np.float32), langs, "passage")
    return cast(Vectors, debiased_ND.astype(vectors_ND.dtype))


def read_component(version_dir: Path, manifest: IndexManifest) -> LanguageComponent | None:
    """The component that an index version carries; None where it has none.

    Raises:
        CorruptError: it is damaged, or of vectors of another length.
    """
    if FILE not in manifest.files:
        return None
    component = LanguageComponent.load(version_dir / DEBIAS)
    if component.dimension != manifest.dimension:
        raise CorruptError(f"{version_dir / DEBIAS} is of another encoder than the index's; make the index again")
    return component
