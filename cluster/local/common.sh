# What up.sh, submit.sh and down.sh share: where the cluster of this user keeps its state. Sourced, not run.
set -euo pipefail
umask 077  # the state holds the cluster's token
repository=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
# Short: Ray's sockets lie below it, and a socket's path has 107 bytes.
state=${XLRET_CLUSTER:-/tmp/xlret-cluster-$(id -u)}
python=${PYTHON:-$repository/.venv/bin/python}
[ -x "$python" ] || python=$(command -v python3)
ray=$(dirname "$python")/ray

fail() {
    echo "error: $*" >&2
    exit 2
}

# A directory in /tmp may have been made by somebody else, whose files would be run here.
[ ! -e "$state" ] || [ -O "$state" ] || fail "$state belongs to another user; set XLRET_CLUSTER to a directory of your own"

# The living processes of the cluster: whatever its head started has its mark in the environment.
members() {
    grep -lzsx "XLRET_CLUSTER_MARK=$1" /proc/[0-9]*/environ | cut -d/ -f3 || true
}
