# shellcheck shell=bash
# PostgreSQL, the real one, from Debian: a cluster of our own in the stack's folder. The system's own cluster is never touched.
POSTGRES_LEAST=15
POSTGRES_PORT=25432
postgres_home=

postgres_role() { echo ledger; }
postgres_port() { port "$POSTGRES_PORT"; }

# The folder of initdb and postgres, which Debian keeps off the PATH.
postgres_find() {
    local folder
    for folder in "$(pg_config --bindir 2>/dev/null)" $(printf '%s\n' /usr/lib/postgresql/*/bin | sort -rV) "$(dirname "$(type -P postgres || echo none)")"; do
        if [ -x "$folder/initdb" ] && [ -x "$folder/postgres" ] && type -P psql >/dev/null && [ "$("$folder/postgres" -V | sed 's/[^0-9]*\([0-9]*\).*/\1/')" -ge "$POSTGRES_LEAST" ]; then
            postgres_home=$folder
            return
        fi
    done
    return 1
}

postgres_install() {
    local instead=/etc/postgresql-common/createcluster.d/wardhouse-stack.conf
    if postgres_find; then return; fi
    # The package makes a cluster on port 5432 unless it is told not to before it comes.
    packages postgresql-common
    as_root mkdir -p "$(dirname "$instead")"
    echo 'create_main_cluster = false' | as_root install -m 644 /dev/stdin "$instead"
    packages postgresql || { as_root rm -f "$instead"; return 1; }
    as_root rm -f "$instead"
    postgres_find || lacks "apt-get installed no PostgreSQL $POSTGRES_LEAST or newer"
}

postgres_configure() {
    postgres_user
    enterable "$dir" || lacks "PostgreSQL does not run as root, and other users may not enter $dir: set WARDHOUSE_STACK to a folder that they may"
    if [ ! -e "$dir/data/PG_VERSION" ]; then
        rm -rf "$dir/data"
        folders_of "$postgres_user" "$dir/data"
        echo "$PASSWORD" >"$dir/password"
        (
            cd "$dir"
            as "$postgres_user"
            "${as[@]}" "$postgres_home/initdb" -D "$dir/data" -U postgres --pwfile "$dir/password" --auth scram-sha-256 --encoding UTF8 --locale C.UTF-8 --data-checksums
        )
    fi
    cat >"$dir/postgresql.conf" <<END
listen_addresses = '127.0.0.1'
port = $(postgres_port)
unix_socket_directories = ''
data_directory = '$dir/data'
hba_file = '$dir/pg_hba.conf'
ident_file = '$dir/data/pg_ident.conf'
max_connections = 100
shared_buffers = 256MB
fsync = on
synchronous_commit = on
full_page_writes = on
max_wal_size = 2GB
password_encryption = scram-sha-256
timezone = 'UTC'
log_line_prefix = '%m [%p] %q%u@%d '
END
    echo "host all all 127.0.0.1/32 scram-sha-256" >"$dir/pg_hba.conf"
    [ "$variant" = plain ] || postgres_secure >>"$dir/postgresql.conf"
}
# The user who runs it: Debian's, or any but root.
postgres_user() { if id postgres >/dev/null 2>&1; then postgres_user=postgres; else postgres_user=nobody; fi; }

# TLS for everyone: who comes without is turned away by name.
postgres_secure() {
    echo "hostssl all all 127.0.0.1/32 scram-sha-256" >"$dir/pg_hba.conf"
    # It takes no key that others may read.
    file_of "$postgres_user" "$certificates/server.key" "$dir/server.key"
    cat <<END
ssl = on
ssl_cert_file = '$certificates/server.pem'
ssl_key_file = '$dir/server.key'
END
}

postgres_start() {
    local lock=$dir/data/postmaster.pid
    # A killed server that was not reaped looks alive to the next one.
    if [ -e "$lock" ] && [ "$(state "$(head -n 1 "$lock")")" = Z ]; then rm -f "$lock"; fi
    as "$postgres_user"
    cd "$dir"
    launch "${as[@]}" "$postgres_home/postgres" -c "config_file=$dir/postgresql.conf"
}

postgres_admin() {
    local mode=disable
    [ "$variant" = plain ] || mode=verify-full
    PGPASSWORD=$PASSWORD PGSSLMODE=$mode PGSSLROOTCERT=$certificates/ca.pem PGCONNECT_TIMEOUT=5 \
        psql -X -q -h 127.0.0.1 -p "$(postgres_port)" -U postgres -v ON_ERROR_STOP=1 "$@"
}

postgres_ready() { postgres_admin -d postgres -c 'select 1' >/dev/null 2>&1; }

postgres_seed() {
    postgres_admin -d postgres -c "create role $USER_NAME login createdb password '$PASSWORD'" -c "create database wardhouse owner $USER_NAME"
}

# Its fast shutdown: sessions are ended, nothing is left to recover.
postgres_stop() { halt INT 60; }

postgres_url() {
    if [ "$variant" = plain ]; then
        echo "postgres://$USER_NAME:$PASSWORD@127.0.0.1:$(postgres_port)/wardhouse"
    else
        echo "postgres://127.0.0.1:$(postgres_port)/wardhouse?tls=true"
    fi
}

postgres_variables() { :; }

postgres_section() {
    [ "$variant" = secure ] || return 0
    printf '%s = "%s"\n' ca_file "$certificates/ca.pem" user "$USER_NAME" password "$PASSWORD"
}
