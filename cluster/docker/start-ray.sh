#!/usr/bin/env bash
# Starts Ray on this machine with what Ray Serve reads from the environment there: start-ray.sh COMMAND..., such as
# start-ray.sh ray start --head --block
set -euo pipefail
ulimit -n 65536 2> /dev/null || ulimit -n "$(ulimit -Hn)"
environment=$(xlret serve --environment "${XLRET_FRONT:-/tmp/xlret-front}")
eval "$environment"
exec "$@"
