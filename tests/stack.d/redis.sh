# shellcheck shell=bash
# Redis, the real one, from Debian: what it is told is in its append-only file.
REDIS_LEAST=7
REDIS_PORT=26379

redis_role() { echo baselines; }
redis_port() { port "$REDIS_PORT"; }

redis_find() { type -P redis-server >/dev/null && type -P redis-cli >/dev/null && [ "$(redis-server --version | sed 's/.* v=\([0-9]*\).*/\1/')" -ge "$REDIS_LEAST" ]; }

redis_install() {
    if redis_find; then return; fi
    packages redis-server
    redis_find || lacks "apt-get installed no Redis $REDIS_LEAST or newer"
}

redis_configure() {
    mkdir -p "$dir/data"
    cat >"$dir/redis.conf" <<END
bind 127.0.0.1
dir $dir/data
appendonly yes
appendfsync everysec
save ""
maxmemory-policy noeviction
# The command line stays as it is: it tells whose process this is.
set-proc-title no
END
    if [ "$variant" = plain ]; then
        echo "port $(redis_port)" >>"$dir/redis.conf"
    else
        redis_secure >>"$dir/redis.conf"
    fi
}

# TLS only, and nobody without a name.
redis_secure() {
    cat <<END
port 0
tls-port $(redis_port)
tls-cert-file $certificates/server.pem
tls-key-file $certificates/server.key
tls-ca-cert-file $certificates/ca.pem
tls-auth-clients no
user default off
user $USER_NAME on >$PASSWORD ~* &* +@all
END
}

redis_start() { launch redis-server "$dir/redis.conf"; }

redis_ready() {
    local flags=(-h 127.0.0.1 -p "$(redis_port)")
    [ "$variant" = plain ] || flags+=(--tls --cacert "$certificates/ca.pem" --user "$USER_NAME")
    # Loading its file, it answers with an error.
    [ "$(REDISCLI_AUTH=$PASSWORD timeout 5 redis-cli "${flags[@]}" ping 2>/dev/null)" = PONG ]
}

redis_seed() { :; }

redis_stop() { halt TERM 30; }

redis_url() { echo "redis://127.0.0.1:$(redis_port)/0$([ "$variant" = plain ] || echo '?tls=true')"; }

redis_variables() { :; }

redis_section() {
    [ "$variant" = secure ] || return 0
    printf '%s = "%s"\n' ca_file "$certificates/ca.pem" user "$USER_NAME" password "$PASSWORD"
}
