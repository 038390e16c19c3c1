"""Which of the prompts that an encoder's files name stands before queries, and which before passages."""

import warnings
from collections.abc import Mapping

from xlret.errors import UserError
from xlret.text.sides import Side

SIDE_NAMES: dict[Side, tuple[str, ...]] = {"query": ("query",), "passage": ("document", "passage", "corpus")}
"""Names that say whose prompt it is, the ones that sentence-transformers' `encode_query` and `encode_document` look for."""


def prompt_of_side(
    side: Side, prompts: Mapping[str, str], default_name: str | None = None, name: str | None = None, *, where: object = ""
) -> str:
    """The prompt of a side: the one called `name`; else the one that is called after the side; else the default one; else none.

    A warning tells of prompts that were there and not chosen, where none was.

    Args:
        side: query or passage.
        prompts: texts by name, as `config_sentence_transformers.json` has them.
        default_name: its `default_prompt_name`.
        name: the user's choice.
        where: the directory, to be named in errors.

    Raises:
        UserError: there is no prompt `name`; or the default prompt is by its name the other side's, so that it cannot be told
            whether it is meant for this side.

    >>> prompt_of_side("passage", {"query": "ask: ", "document": "tell: "})
    'tell: '
    >>> prompt_of_side("query", {"retrieval": "find: ", "sts": "compare: "}, "retrieval")
    'find: '
    """
    if name is not None:
        if name not in prompts:
            raise UserError(
                f"{side}_prompt_name is {name!r}; {where or 'the encoder'} has {', '.join(prompts) or 'no prompts'}"
            )
        return prompts[name]
    for own in SIDE_NAMES[side]:
        if own in prompts:
            return prompts[own]
    if default_name in {own for other, names in SIDE_NAMES.items() if other != side for own in names}:
        raise UserError(
            f"{where}/config_sentence_transformers.json: default_prompt_name is {default_name!r}, and there is no prompt of "
            f"{'queries' if side == 'query' else 'passages'}; say {side}_prompt (a text, may be empty) or {side}_prompt_name"
        )
    if default_name is not None:
        return prompts[default_name]
    known = {own for names in SIDE_NAMES.values() for own in names}
    if unused := [own for own, prompt in prompts.items() if prompt and own not in known]:
        warnings.warn(
            f"{where}: no prompt stands before {'queries' if side == 'query' else 'passages'}; there are {', '.join(unused)}, "
            f"to be chosen with {side}_prompt_name",
            stacklevel=2,
        )
    return ""
