import subprocess
import sys

import pytest

from xlret.errors import UserError
from xlret.tokens.unigram import SPECIAL, train_unigram

TEXTS = [
    "the capital of france is paris",
    "die hauptstadt von frankreich ist paris",
    "日本の首都は東京です",
    "Başkent: İSTANBUL değil",
] * 5
TEXTS += ["the capital of italy is rome", "die hauptstadt von italien ist rom", "イタリアの首都はローマです"] * 5


def test_special_ids_and_form() -> None:
    tokenizer = train_unigram(TEXTS, 200)
    assert [tokenizer.token_to_id(name) for name in SPECIAL] == [0, 1, 2, 3, 4]
    assert tokenizer.get_vocab_size() == len(tokenizer.get_vocab()) <= 200
    tokens = tokenizer.encode("The  CAPITAL of\u00a0Ｒome").tokens
    assert tokens[0] == "[CLS]"
    assert tokens[-1] == "[SEP]"
    assert "".join(tokens[1:-1]) == "▁the▁capital▁of▁rome"
    assert tokenizer.decode(tokenizer.encode("the capital").ids) == "the capital"


def test_frequent_words_are_one_piece_and_nothing_known_is_unknown() -> None:
    tokenizer = train_unigram(TEXTS, 200)
    unknown = tokenizer.token_to_id("[UNK]")
    assert {"▁capital", "▁hauptstadt", "▁paris"} <= set(tokenizer.get_vocab())
    assert all(unknown not in tokenizer.encode(text).ids for text in TEXTS)
    assert unknown in tokenizer.encode("ж").ids


def test_turkish_dotted_capital_is_a_plain_i() -> None:
    tokenizer = train_unigram(TEXTS, 200)
    assert tokenizer.encode("İstanbul").tokens == tokenizer.encode("istanbul").tokens


def test_at_most_half_are_characters() -> None:
    many = ["".join(chr(0x4E00 + (7 * row + place) % 900) for place in range(30)) for row in range(200)]
    tokenizer = train_unigram([*many, *TEXTS], 300)
    vocabulary = tokenizer.get_vocab()
    assert len(vocabulary) <= 300
    assert sum(len(piece) == 1 for piece in vocabulary) == 150


def test_no_texts() -> None:
    for texts in ([], ["", "  "]):
        with pytest.raises(UserError, match="there are none"):
            train_unigram(texts, 200)


def test_every_process_makes_the_same_vocabulary() -> None:
    script = "import sys; from xlret.tokens.unigram import train_unigram; print(train_unigram(eval(sys.argv[1]), 150).to_str())"
    outputs = []
    for seed, parallel in (("1", "false"), ("2", "true")):
        environment = {"PATH": "", "PYTHONPATH": ":".join(sys.path), "PYTHONHASHSEED": seed, "TOKENIZERS_PARALLELISM": parallel}
        command = [sys.executable, "-X", "utf8", "-c", script, repr(TEXTS)]
        outputs.append(subprocess.run(command, capture_output=True, check=True, env=environment, timeout=120).stdout)
    here = train_unigram(reversed(TEXTS), 150).to_str()  # the order of texts does not matter either
    assert outputs == [here.encode() + b"\n"] * 2
