"""One encoding in a process of its own, for jobs/bench/encoding.py to watch.

Run as `python -m jobs.bench.encoding_run ours|theirs|many ENCODER TEXTS_OR_COUNT [OUT]`.
"""

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from jobs.bench.encoding import PART, THREADS
from xlret.keys import generator
from xlret.search.passages import Passage, read_passages
from xlret.search.settings import EncodeSettings
from xlret.search.vectors.encode import encode_passages

_BLOCK = 8192


def ours(encoder: Path, texts: Path, out: Path) -> None:
    """Bulk encoding of a file."""
    encode_passages(read_passages([texts]), encoder, out, EncodeSettings(passages_per_part=PART, encoders=THREADS, threads=1))


def theirs(encoder: Path, texts: Path) -> None:
    """sentence-transformers on the same texts; prints passages/s by the clock and by the processor, the encoder loaded."""
    import torch
    from sentence_transformers import SentenceTransformer

    torch.set_num_threads(THREADS)
    model = SentenceTransformer(str(encoder), device="cpu")
    passages = [passage.full_text for passage in read_passages([texts])]
    model.encode(passages[:64], prompt_name="document")
    wall, cpu = time.perf_counter(), time.process_time()
    model.encode(passages, prompt_name="document", show_progress_bar=False)
    print(json.dumps([len(passages) / (time.perf_counter() - wall), len(passages) / (time.process_time() - cpu)]))


def many(encoder: Path, count: int, out: Path) -> None:
    """Bulk encoding of short passages that are made up on the way."""
    encode_passages(_short(count), encoder, out)


def _short(count: int) -> Iterator[Passage]:
    words = [
        a + b for a in ("ba", "do", "ki", "mu", "re", "so", "tu", "la") for b in ("ba", "do", "ki", "mu", "re", "so", "tu")
    ]
    for start in range(0, count, _BLOCK):
        draws = generator(0, "short", start).integers(len(words), size=(min(_BLOCK, count - start), 8)).tolist()
        for number, draw in enumerate(draws, start):
            yield Passage(f"{number}", "en", None, " ".join([words[rank] for rank in draw]), {"number": number})


if __name__ == "__main__":
    if sys.argv[1] == "ours":
        ours(Path(sys.argv[2]), Path(sys.argv[3]), Path(sys.argv[4]))
    elif sys.argv[1] == "theirs":
        theirs(Path(sys.argv[2]), Path(sys.argv[3]))
    else:
        many(Path(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4]))
