#!/usr/bin/env bash
# Starts a Ray head of this user's own on this machine: cluster/local/up.sh [flags of `ray start`, such as --num-cpus=4].
# It listens on the loopback address alone and asks for a token, which submit.sh and down.sh know. Environment:
#   XLRET_CLUSTER  directory of its state (by default /tmp/xlret-cluster-UID); another directory is another cluster
#   XLRET_API_KEYS, XLRET_ADMIN_KEY  keys of the endpoint, for `submit.sh serve`
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

if [ -f "$state/mark" ]; then
    [ -z "$(members "$(cat "$state/mark")")" ] || fail "a cluster runs in $state already; cluster/local/down.sh ends it"
    rm -rf "$state"
fi
mkdir -p "$state"
[ -z "$(ls -A "$state")" ] || fail "$state is not empty and no cluster's; set XLRET_CLUSTER to another directory"
[ "${#state}" -le 40 ] || fail "$state is too long for the path of Ray's sockets (40 bytes); set XLRET_CLUSTER to a shorter one"

cd "$repository"  # for xlret itself, where it is not installed
unset RAY_ADDRESS
mark=$("$python" -c 'import secrets; print(secrets.token_hex(16))')
read -r port dashboard metrics listen grpc client < <("$python" -c '
from xlret.ports import free_port
print(*list({free_port() for _ in range(30)})[:6])')
echo "$mark" > "$state/mark"

# What jobs and their readers need; nobody else can read it.
cat > "$state/environment" <<END
export RAY_AUTH_MODE=token
export RAY_AUTH_TOKEN=$("$python" -c 'import secrets; print(secrets.token_hex(32))')
export RAY_API_SERVER_ADDRESS=http://127.0.0.1:$dashboard
END
# What the cluster's own processes need besides: Ray Serve's fast set-up, and time for a stopped job to end by itself.
{
    "$python" -m jobs.serve --environment "$state/front"
    echo "export RAY_JOB_STOP_WAIT_TIME_S=40"
    echo "export RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER=0"  # else Ray takes the loopback address for the machine's own and listens on all
} > "$state/environment-of-nodes"

source "$state/environment"
source "$state/environment-of-nodes"
XLRET_CLUSTER_MARK=$mark setsid "$ray" start --head --block --disable-usage-stats --include-dashboard=true --node-ip-address=127.0.0.1 \
    --dashboard-host=127.0.0.1 --port="$port" --dashboard-port="$dashboard" --metrics-export-port="$metrics" \
    --dashboard-agent-listen-port="$listen" --dashboard-agent-grpc-port="$grpc" --ray-client-server-port="$client" \
    --temp-dir="$state/ray" "$@" > "$state/head.log" 2>&1 < /dev/null &
head=$!
echo "$head" > "$state/head"

# Jobs are taken some time after the head is up.
for _ in $(seq 60); do
    kill -0 "$head" 2> /dev/null || { tail -5 "$state/head.log" >&2; rm -rf "$state"; fail "the head did not start; Ray allows 30 s, which a busy machine may miss: then try again"; }
    if "$ray" job submit -- "$python" -c pass > "$state/probe.log" 2>&1; then
        echo "up: dashboard http://127.0.0.1:$dashboard, metrics http://127.0.0.1:$metrics/metrics, state in $state"
        echo "next: $repository/cluster/local/submit.sh train quickstart"
        exit 0
    fi
    sleep 1
done
tail -5 "$state/probe.log" >&2
"$(dirname "${BASH_SOURCE[0]}")/down.sh"
fail "the head took no job within a minute"
