#!/bin/bash
# Over Elasticsearch's own superuser: the password of Kibana's user, ours, and a reader for Grafana. Run again, it sets the same.
set -euo pipefail
keys=/run/secrets
url=https://elasticsearch:9200

# Passwords are read from files by curl, so that none is on a command line.
ask() {
    local method=$1 path=$2
    curl -sS --fail-with-body --max-time 30 --cacert "$keys/ca.pem" -K <(printf 'user = "elastic:%s"\n' "$(cat "$keys/elastic_password")") \
        -X "$method" "$url$path" -H 'Content-Type: application/json' --data-binary @-
    echo " $method $path"
}

ask PUT /_security/user/kibana_system/_password <<<"{\"password\":\"$(cat "$keys/kibana_system_password")\"}"
ask PUT /_security/role/wardhouse <<'JSON'
{"cluster": ["monitor", "manage_index_templates"],
 "indices": [{"names": ["wardhouse-*"], "privileges": ["read", "write", "manage"]}]}
JSON
ask PUT /_security/role/wardhouse_reader <<'JSON'
{"cluster": ["monitor"], "indices": [{"names": ["wardhouse-*"], "privileges": ["read", "view_index_metadata"]}]}
JSON
ask PUT /_security/user/wardhouse <<<"{\"password\":\"$(cat "$keys/wardhouse_password")\",\"roles\":[\"wardhouse\"]}"
ask PUT /_security/user/reader <<<"{\"password\":\"$(cat "$keys/reader_password")\",\"roles\":[\"wardhouse_reader\"]}"
