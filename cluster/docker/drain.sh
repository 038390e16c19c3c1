#!/usr/bin/env bash
# Tells Ray that this machine goes in so many seconds (60 by default): Ray Serve starts its replicas elsewhere and lets them end what
# is in work here; nothing new is placed here. For the preStop hook of a pod, or the notice that a spot machine gets.
set -euo pipefail
seconds=${1:-60}
ray drain-node --reason=DRAIN_NODE_REASON_PREEMPTION --reason-message="this machine goes" \
    --deadline-remaining-seconds="$seconds"
sleep "$seconds"
