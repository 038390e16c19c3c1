#!/usr/bin/env bash
# Runs a command of xlret on the cluster of up.sh: cluster/local/submit.sh [--flags=VALUE of `ray job submit`] COMMAND [arguments].
# From any directory: relative paths start at the current one (or at XLRET_HOME). Prints what the command prints and ends with its
# exit status, 143 where it was stopped. `--no-wait` comes back at once; `submit.sh stop ID`, `logs ID`, `status ID` and `list` are
# those of `ray job`.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
[ -f "$state/environment" ] || fail "no cluster in $state; cluster/local/up.sh starts one"
source "$state/environment"

id=
flags=()
while [ $# -gt 0 ] && [[ $1 == --* ]]; do
    case $1 in
        --submission-id=*) id=${1#*=} ;;
        *) flags+=("$1") ;;
    esac
    shift
done
[ $# -gt 0 ] || fail "which command? cluster/local/submit.sh train quickstart"
case $1 in
    stop | logs | list | status) exec "$ray" job "$@" ;;
esac
[ -f "$repository/jobs/$1.py" ] || fail "there is no command $1; see xlret --help"

runtime=$(HOME_OF_PATHS=${XLRET_HOME:-$PWD} "$python" -c '
import json, os
given = {"XLRET_HOME": os.environ["HOME_OF_PATHS"]}
given |= {"XLRET_SHARED": os.path.abspath(path) for path in [os.environ.get("XLRET_SHARED")] if path}
print(json.dumps({"env_vars": given}))')
id=${id:-$1-$(date +%m%d-%H%M%S)-$RANDOM}
status=0
"$ray" job submit "${flags[@]}" --submission-id="$id" --working-dir="$repository" --runtime-env-json="$runtime" -- \
    "$python" -m "jobs.$1" "${@:2}" || status=$?
[ $status -eq 0 ] || status=$("$python" -c '
import os, sys
from ray.job_submission import JobSubmissionClient
job = JobSubmissionClient(os.environ["RAY_API_SERVER_ADDRESS"]).get_job_info(sys.argv[1])
print(143 if job.status == "STOPPED" else job.driver_exit_code or 1)' "$id" 2> /dev/null || echo "$status")
exit "$status"
