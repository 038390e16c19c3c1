#!/usr/bin/env bash
# A question on one GPU, without Ray, as far as the time goes: cluster/gpu.sh [RECIPE] [flags of `xlret sweep`].
# From any directory: relative paths, corpora and models start at the current one (or at XLRET_HOME). The same command on another
# day, from the same directory, goes on. All points are trained with the first seed, then with the second and so on, so that what is
# done is as whole as the time allows. Trials that have ended are added to RESULTS, a line each, whenever a start ends; those it
# has are not trained again, on whatever machine they were: with RESULTS alone another machine goes on.
# Or what the GPU makes of training: cluster/gpu.sh bench [flags of `python -m jobs.bench.gpu`], such as
#   cluster/gpu.sh bench --encoder models/multilingual-e5-small --corpora corpora/real/train
#   RECIPE      a sweep of xlret; by default questions/6-field
#   MINUTES     when it is interrupted, by default 12; the training under way goes on from its last checkpoint
#   SEEDS       by default "0 1 2"
#   BASE        the training in place of the recipe's own, by default questions/base-gpu (512 pairs, 1,000 steps); "": its own
#   RESULTS     by default docs/results/NAME.jsonl in the repository
#   PYTHON      by default .venv/bin/python of the repository, else python3
# Exit status: 0 when all is done or the time is up, 1 where trials failed, 2 after an error of the input.
set -euo pipefail
repository=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
python=${PYTHON:-$repository/.venv/bin/python}
[ -x "$python" ] || python=$(command -v python3)

if [ "${1-}" = bench ]; then
    shift
    export PYTHONPATH=$repository${PYTHONPATH:+:$PYTHONPATH}
    exec "$python" -m jobs.bench.gpu "$@"
fi
recipe=questions/6-field
if [ $# -gt 0 ] && [[ $1 != -* ]]; then
    recipe=$1
    shift
fi
name=$(basename "$recipe" .yaml)
base=${BASE-questions/base-gpu}
minutes=${MINUTES:-12}
[[ $minutes =~ ^[0-9]+$ ]] || { echo "error: MINUTES is $minutes; it is a whole number" >&2; exit 2; }
results=${RESULTS:-$repository/docs/results/$name.jsonl}
flags=(--in-process --results "$results" --set "out=runs/sweeps/$name-gpu")
[ -z "$base" ] || flags+=(--set "base=$base")

export PYTHONPATH=$repository${PYTHONPATH:+:$PYTHONPATH}
failed=0
seeds=
for seed in ${SEEDS:-0 1 2}; do
    seeds=${seeds:+$seeds,}$seed
    left=$((minutes * 60 - SECONDS))
    status=124
    if [ $left -gt 0 ]; then
        status=0
        # SIGINT, as Ctrl-C: what is done is kept and tabled.
        timeout --signal=INT --kill-after=120 "$left" "$python" -m jobs.sweep "$recipe" "${flags[@]}" --set "seeds=[$seeds]" "$@" || status=$?
    fi
    case $status in
        0) ;;
        1) failed=1 ;;
        124) echo "the time is up; the same command goes on"; break ;;
        *) exit "$status" ;;
    esac
done
[ ! -f "$results" ] || echo "the table again: xlret sweep $recipe --set seeds=[$seeds] --table $results"
exit $failed
