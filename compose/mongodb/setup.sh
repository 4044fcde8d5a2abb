#!/bin/bash
# Waits for the server, then makes the replica set of one, and in the secure variant our user. Run again, it changes nothing.
set -euo pipefail
for _ in $(seq 60); do
    if mongosh --norc --quiet "$MONGODB_URI" ${MONGODB_CA:+--tls --tlsCAFile "$MONGODB_CA"} --file /setup/setup.js; then exit 0; fi
    sleep 2
done
echo "MongoDB at $MONGODB_URI could not be set up" >&2
exit 1
