"""xlret: zero-shot cross-lingual retrieval, trained on code-switched text and hybrid batches, on Ray.

The names of `__all__` are the front door (`xlret/api.py`). They come in when they are first used: `import xlret` alone loads
neither torch nor Ray.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from xlret.api import Corpus, Encoder, Index, Lexicon, Passage, Reranker, Switcher, evaluate, serve_local, train

__version__ = "0.1.0"
__all__ = [
    "Corpus",
    "Encoder",
    "Index",
    "Lexicon",
    "Passage",
    "Reranker",
    "Switcher",
    "evaluate",
    "serve_local",
    "train",
]


def __getattr__(name: str) -> Any:
    if name in __all__:
        return getattr(import_module("xlret.api"), name)
    raise AttributeError(f"module 'xlret' has no attribute {name!r}; it has {', '.join(__all__)}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
