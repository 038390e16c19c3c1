"""Evaluates an encoder: `python -m jobs.evaluate --encoder DIR_OR_NAME --benchmark xquad-r --data DIR`."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from jobs.cli import run_job
from xlret.config import settings_from
from xlret.evaluation.benchmarks import BENCHMARKS
from xlret.evaluation.run import evaluate_encoder
from xlret.evaluation.settings import EvaluateSettings
from xlret.search.balance import BALANCES

EXAMPLE = f"""\
examples:
  python -m jobs.evaluate --encoder runs/NAME/model --benchmark xquad-r --data ../shared/data/xquad-r --out runs/NAME/xquad-r
  python -m jobs.evaluate --encoder runs/NAME/model --corpus corpora/mine/dev --held-out sw
  python -m jobs.evaluate --encoder intfloat/multilingual-e5-small --query-prompt "query: " --passage-prompt "passage: " \\
      --benchmark tatoeba --data ../shared/data/tatoeba --languages de sw
  python -m jobs.evaluate ... --balance calibrated      # what the server's balance of languages does to the ranking
  python -m jobs.evaluate ... --translate-test ../shared/data/lexicons/muse      # all texts word by word into English first
  python -m jobs.evaluate ... --out new --compare old/evaluation.json     # paired tests, corrected for their number

benchmarks: {", ".join(f"{one.name} ({one.title})" for one in BENCHMARKS.values())}

what the table shows, mAP over exact rankings of all passages:
  Mo    queries of a language over passages of the same language, mean over languages
  Cr    over passages of one other language, mean over all ordered pairs
  Mul   over all passages of all languages at once, the answers in every language relevant, mean over query languages
  rank distance  last minus first rank of the translations of an answer in that pool; small: no language is preferred

--balance quota or calibrated prints the pooled numbers before and after, with own@10, the share of the first ten hits in the
query's language, and dist@10, how far their languages are from the corpus' (0 no preference, 1 one alone). All other numbers
and files are then of the balanced ranking. Calibrated from the passages alone (no query, no relevance), or --calibration FILE.

--reranker DIR reads the --rerank-depth best passages of each query together with it and orders them anew. All numbers and files
are then of the new ranking; within one language only what stood that high among all passages changes its place.

what --out gets: evaluation.json (all numbers, settings, versions, time), report.html (with the matrix as a heat map),
queries.csv (what --compare reads), qrels.trec and run.trec (the best --run-depth passages of each query, for trec_eval).
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Encodes, searches, prints the tables, writes what --out asks for."""
    parser = argparse.ArgumentParser(
        prog="python -m jobs.evaluate",
        description="Evaluates an encoder within, across and over all languages, the way the papers do.",
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--encoder", required=True, help="a directory saved by xlret or sentence-transformers, or a hub name")
    add("--benchmark", help="name of a benchmark, see below")
    add("--data", help="directory with the benchmark's published files")
    add("--corpus", help="a prepared corpus instead of a benchmark")
    add("--groups", type=int, help="at most so many groups of the corpus")
    add("--languages", nargs="+", help="only these languages, as queries and passages")
    add("--held-out", nargs="+", help="languages that were held out of training, to be shown by themselves")
    add("--query-prompt", help="text before each query (default: as the encoder says)")
    add("--passage-prompt", help="text before each passage (default: as the encoder says)")
    add("--max-query-tokens", type=int, help="default: as the encoder says")
    add("--max-passage-tokens", type=int, help="default: as the encoder says")
    add("--precision", help="float32 (default) or bfloat16, faster on GPUs and recent processors")
    add("--tokens-per-batch", type=int, help="padded tokens encoded at once (default 8192)")
    add("--run-depth", type=int, help="passages of each query in run.trec (default 1000; 0: no run)")
    add("--balance", help=f"{', '.join(BALANCES)}: how languages are balanced, printed before and after (default none)")
    add("--calibration", metavar="CALIBRATION.json", help="of an index, instead of one from the set's passages")
    add("--reranker", metavar="DIR", help="order the best passages of each query anew, printed before and after")
    add("--rerank-depth", type=int, help="passages of each query to rerank (default 100)")
    add("--translate-test", metavar="LEXICON_DIR", help="translate all texts word by word into English first (a baseline)")
    add("--out", type=Path, help="directory to write to")
    add("--replace", action="store_true", help="replace an evaluation that is there already")
    add("--compare", type=Path, metavar="EVALUATION.json", help="test the difference to another evaluation of the same set")
    values = {key: value for key, value in vars(parser.parse_args(argv)).items() if value is not None}
    encoder, out, other = values.pop("encoder"), values.pop("out", None), values.pop("compare", None)
    replace = values.pop("replace")
    evaluate_encoder(encoder, settings_from(EvaluateSettings, values), out, replace=replace, compare_with=other)
    return 0


if __name__ == "__main__":
    run_job(main)
