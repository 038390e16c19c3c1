"""`xlret evaluate`: how good an encoder is within, across and over all languages."""

from pathlib import Path
from typing import Annotated

from cyclopts import App

from xlret.commands.frame import Flat, new_app
from xlret.config import settings_from
from xlret.evaluation.benchmarks import BENCHMARKS
from xlret.evaluation.settings import EvaluateSettings
from xlret.evaluation.system_names import named_systems

EPILOGUE = f"""\
examples:
  xlret evaluate --encoder runs/NAME/model --benchmark xquad-r \\
      --data ../shared/data/xquad-r --out runs/NAME/xquad-r
  xlret evaluate --encoder runs/NAME/model --corpus corpora/mine/dev --held-out sw
  xlret evaluate --encoder intfloat/multilingual-e5-small \\
      --query-prompt "query: " --passage-prompt "passage: " \\
      --benchmark tatoeba --data ../shared/data/tatoeba --languages de sw

  xlret evaluate --encoder start=intfloat/multilingual-e5-small ours=runs/NAME/model \\
      --benchmark xquad-r --data ../shared/data/xquad-r --out tables/xquad-r

  xlret evaluate --encoder runs/NAME/model --benchmark custom --data my/collection \\
      --split test --lang en

and, besides:
  --measure nDCG@20 "AP(rel=2)@100" R@100 RR@10
      more measures, by their names in ir_measures, of the pooled ranking
  --balance calibrated
      what the server's balance of languages does to the ranking
  --switch-queries ../shared/data/lexicons/muse --switch-languages de es
      the queries with half of their words in other languages, always the same
  --baseline bm25 (without --encoder: alone; with it: fused by reciprocal ranks)
      what words alone find; --run FILE does the same with any TREC run;
      with --reranker its --rerank-depth best passages are read anew
  --vectors kept (then: xlret index build INDEX --vectors STORE; --index INDEX)
      keeps what was encoded: for large pools, and for the next evaluation
  --translate-test ../shared/data/lexicons/muse
      all texts word by word into English first
  --out new --compare old/evaluation.json
      paired tests, corrected for their number

Several encoders share what is read and tokenised; each has its directory in --out,
which ends in comparison.md, .csv, .tex and .html, as xlret compare writes them.

benchmarks: {", ".join(f"{benchmark.name} ({benchmark.title})" for benchmark in BENCHMARKS.values())}

custom is your own test collection with judgements, in the layout of BEIR
(corpus.jsonl, queries.jsonl, qrels/SPLIT.tsv), MS MARCO (collection.tsv,
queries.SPLIT.tsv, qrels.SPLIT.tsv), TREC (topics*, qrels*, docs*), LAReQA (LANG.json
with sentences, in any languages: parallel questions over one pool) or one SQuAD
file. All passages are searched, judged or not; grades are the gains of nDCG,
and relevant is a grade of 1 or more, as in trec_eval. What is left out is
counted.

what the table shows, mAP over exact rankings of all passages:
  Mo   queries of a language over passages of the same language, mean over
       languages
  Cr   over passages of one other language, mean over all ordered pairs
  Mul  over all passages of all languages at once, the answers in every
       language relevant, mean over query languages
  rank distance
       last minus first rank of the translations of an answer in that pool;
       small: no language is preferred

  macro, micro mean
       over query languages; over all queries, as trec_eval has it; below each
       the ends of its 95 % interval (bootstrap over questions)
  languages in the pooled ranking
       same@10, cross@10: recall of relevant passages in the query's language,
       and in others; Comp@10: share of queries with every version of the
       answer within ten; Max@R: the worst rank of a version (log: 0 best, 1
       worst); TLR: share of the query's language among the first ten over its
       share of the pool; LPR: how often the query's language wins among
       equally relevant passages (.5 is fair); L-nDCG: nDCG that wants it
       first; pool, relevant: how far the languages of the first ten are from
       those of the pool and of the relevant passages (0 the same, 1 none in
       common). --pool mono, cross or pooled makes other sets of the same data

  PEER the chance of such ranks of relevant passages if no language is
       preferred (Yang et al. 2024; not where each language has one, which gives
       all rankings the same number); MRC how alike the rankings of a question
       in two languages are; 1 is fair

--balance quota or calibrated prints the pooled numbers before and after, with
own@10, the share of the first ten hits in the query's language, and dist@10,
how far their languages are from the corpus' (0 no preference, 1 one alone).
All other numbers and files are then of the balanced ranking. Calibrated from
the passages alone (no query, no relevance), or --calibration FILE.

--reranker DIR reads the --rerank-depth best passages of each query together
with it and orders them anew. All numbers and files are then of the new
ranking; within one language only what stood that high among all passages
changes its position.

Some benchmarks are no rankings of a judged pool: bucc mines translations by the
margin of cosines, its threshold tuned on dev (F1); xor-retrieve looks for answers
in the first 2,000 and 5,000 tokens of what is retrieved (R@2kt, R@5kt);
mmarco-rerank ranks, by an encoder or a reranker alone, what BM25 has found.

what --out gets: evaluation.json (all numbers, settings, fingerprints, versions,
time), evaluation.md, .csv (every mean with its interval) and .tex, report.html
(with the matrix as a heat map), queries.csv (what --compare reads),
rankings.jsonl (some queries with what was found), qrels.trec and run.trec (the
best --run-depth passages of each query, for trec_eval).
"""
app: App = new_app("evaluate", "Measure an encoder within, across and over all languages.", EPILOGUE)


@app.default
def evaluate(
    *,
    encoder: tuple[str, ...] = (),
    settings: Annotated[EvaluateSettings | None, Flat] = None,
    out: Path | None = None,
    replace: bool = False,
    compare: Path | None = None,
) -> int:
    """Encodes, searches, prints the tables, writes what --out asks for.

    Args:
        encoder: a directory saved by xlret or sentence-transformers, or a hub name; none for a baseline, run or their
            reranker. Several are compared: each may have NAME= before it
        out: directory to write to
        replace: replace an evaluation that is there already
        compare: evaluation.json of another encoder on the same set, to test the difference to
    """
    settings = settings or settings_from(EvaluateSettings, {})
    if len(encoder) > 1:
        from xlret.evaluation.several import evaluate_encoders

        evaluate_encoders(named_systems(encoder), settings, out, replace=replace, compare_with=compare)
    else:
        from xlret.evaluation.run import evaluate_encoder

        evaluate_encoder(next(iter(encoder), None), settings, out, replace=replace, compare_with=compare)
    return 0
