#!/bin/bash
# Puts saved-objects.ndjson into Kibana. Run again, it puts them back as they are in the file.
set -euo pipefail
login=()
if [ -n "${ELASTIC_PASSWORD_FILE:-}" ]; then
    umask 077
    printf 'user = "elastic:%s"\n' "$(cat "$ELASTIC_PASSWORD_FILE")" >/tmp/login
    login=(-K /tmp/login)
fi
answer=$(curl -sS --fail-with-body --max-time 60 "${login[@]}" -H 'kbn-xsrf: setup' -F file=@/setup/saved-objects.ndjson "$KIBANA_URL/api/saved_objects/_import?overwrite=true")
echo "$answer"
[[ $answer == *'"success":true'* ]]
