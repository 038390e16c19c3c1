#!/usr/bin/env bash
# Ends the cluster of up.sh and whatever runs on it; other Rays of this machine are not touched. What jobs wrote stays.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
[ -f "$state/mark" ] || fail "no cluster in $state"
mark=$(cat "$state/mark")

# Waits until nothing of the cluster lives, for so many tenths of a second.
gone_within() {
    for _ in $(seq "$1"); do
        [ -n "$(members "$mark")" ] || return 0
        sleep 0.1
    done
    return 1
}

# The head ends its processes in order, if it is still itself: a process number may have been given again.
head=$(cat "$state/head" 2> /dev/null || echo none)
members "$mark" | grep -qx "$head" && kill -s TERM "$head" 2> /dev/null || true
if ! gone_within 100; then
    kill -s KILL $(members "$mark") 2> /dev/null || true
    gone_within 100 || fail "these processes did not end: $(members "$mark" | tr '\n' ' ')"
fi
rm -rf "$state"
echo "down: nothing of the cluster is left"
