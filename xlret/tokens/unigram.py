"""A Unigram vocabulary learned from texts: the same texts give the same vocabulary, byte for byte.

The Unigram trainer of `tokenizers` 0.23 does not give that: its hash maps are seeded anew in every process, so that scores and
the order of pieces differ from run to run; and 8 MB of text take it over a minute. Here byte-pair merges propose pieces (that
trainer counts in integers and breaks ties by id), and Unigram scores come from counts of best segmentations: EM with the best
path in place of all paths (Kudo 2018, section 3.2).
"""

import json
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from operator import itemgetter

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

from xlret.errors import UserError

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
"""Ids 0 to 4."""
_PROPOSED = 1.6  # pieces proposed for each one kept
_ROUNDS = 2  # of counting before the choice
_LONGEST = 16  # characters of a piece

_Pieces = list[tuple[str, float]]


def train_unigram(texts: Iterable[str], size: int) -> Tokenizer:
    """A tokenizer with `size` pieces, fewer where the texts have no more: NFKC, lower case, words marked by a leading space.

    Lower case, since a small model has no vectors to spend on two forms of a word; Turkish dotted capital I becomes a plain i.
    Texts come out as [CLS] ... [SEP]. At most half of the vocabulary are single characters, the frequent ones first. Languages
    count by how much text of each is given. Cost: about 10 seconds for 8 MB of text with 240,000 distinct words.

    Raises:
        UserError: there is no text to learn from.
    """
    tokenizer = _empty()
    words: Counter[str] = Counter()
    for text in texts:
        plain = tokenizer.normalizer.normalize_str(text)
        words.update(word for word, _ in tokenizer.pre_tokenizer.pre_tokenize_str(plain))
    if not words:
        raise UserError("a fresh encoder needs texts to learn its vocabulary from, and there are none")
    characters = _characters(words, size // 2)
    pieces = _proposals(words, characters, round(size * _PROPOSED))
    for _ in range(_ROUNDS):
        pieces = _scored(_count(words, pieces), characters)
    kept = sorted(pieces, key=lambda scored: (scored[0] not in characters, -scored[1], scored[0]))[: size - len(SPECIAL)]
    pieces = _scored(_count(words, kept), characters)
    tokenizer.model = _model(sorted(pieces, key=lambda scored: (-scored[1], scored[0])))
    tokenizer.add_special_tokens(list(SPECIAL))
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[(name, SPECIAL.index(name)) for name in ("[CLS]", "[SEP]")],
    )
    tokenizer.decoder = decoders.Metaspace()
    return tokenizer


def _empty() -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.Sequence(
        [
            normalizers.NFKC(),
            normalizers.Lowercase(),
            normalizers.Replace("i\u0307", "i"),
            normalizers.Replace(Regex("[\u200b\u200e\u200f\ufeff\u00ad]"), ""),
            normalizers.Replace(Regex(r"\s+"), " "),
            normalizers.Strip(),
        ]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Punctuation("isolated"), pre_tokenizers.Metaspace()])
    return tokenizer


def _characters(words: Mapping[str, int], most: int) -> dict[str, int]:
    """The frequent characters and their counts."""
    counts: Counter[str] = Counter()
    for word, times in words.items():
        for character in word:
            counts[character] += times
    return dict(sorted(counts.items(), key=lambda counted: (-counted[1], counted[0]))[:most])


def _proposals(words: Mapping[str, int], characters: Mapping[str, int], size: int) -> _Pieces:
    """Characters, and pieces that byte-pair merging makes of them, the earlier merged the better scored."""
    merger = Tokenizer(models.BPE())
    merger.pre_tokenizer = pre_tokenizers.Split("\n", "removed")
    trainer = trainers.BpeTrainer(
        vocab_size=size, max_token_length=_LONGEST, limit_alphabet=len(characters), show_progress=False
    )
    ordered = sorted(words.items())
    merger.train_from_iterator(("\n".join([word] * min(times, 1000)) for word, times in ordered), trainer)
    ids = json.loads(merger.to_str())["model"]["vocab"]
    merged = [piece for piece, _ in sorted(ids.items(), key=itemgetter(1)) if len(piece) > 1]
    lowest = -math.log(len(merged) + 2)
    return [(piece, lowest) for piece in sorted(characters)] + [
        (piece, -math.log(rank + 2)) for rank, piece in enumerate(merged)
    ]


def _count(words: Mapping[str, int], pieces: _Pieces) -> dict[str, int]:
    """How often each piece occurs in the best segmentations of all words."""
    backend = Tokenizer(_model(pieces))
    counts = [0] * (len(SPECIAL) + len(pieces))
    ordered = sorted(words)
    for start in range(0, len(ordered), 10_000):
        part = ordered[start : start + 10_000]
        for word, encoding in zip(part, backend.encode_batch_fast(part), strict=True):
            times = words[word]
            for piece in encoding.ids:
                counts[piece] += times
    return {piece: n for (piece, _), n in zip(pieces, counts[len(SPECIAL) :], strict=True)}


def _scored(counts: Mapping[str, int], characters: Mapping[str, int]) -> _Pieces:
    """Pieces with their log frequencies; pieces that no segmentation uses go, characters stay."""
    total = sum(counts.values())
    return [(piece, round(math.log(max(n, 0.5) / total), 6)) for piece, n in counts.items() if n or piece in characters]


def _model(pieces: Sequence[tuple[str, float]]) -> models.Unigram:
    """The Unigram model of these pieces, after the special ones."""
    return models.Unigram([(name, 0.0) for name in SPECIAL] + list(pieces), unk_id=SPECIAL.index("[UNK]"), byte_fallback=False)
