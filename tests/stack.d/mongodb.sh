# shellcheck shell=bash
# A stand-in for MongoDB: secantusd-rs speaks MongoDB 8's wire protocol over WiredTiger. No package registry has mongod itself, so what passes
# here has not passed against MongoDB: WARDHOUSE_TEST_MONGODB takes the URL of a real one. GPL-2.0: a process of its own, linked with nothing.
MONGODB_CRATE=secantus-mdb
MONGODB_VERSION=0.5.3-beta.196
MONGODB_PORT=27117
mongodb_home=$servers/$MONGODB_CRATE-$MONGODB_VERSION

mongodb_role() { echo documents; }
mongodb_port() { port "$MONGODB_PORT"; }

mongodb_install() {
    local build
    if verified "$mongodb_home"; then return; fi
    command -v cargo >/dev/null || lacks "the stand-in for MongoDB is built with cargo, which is not installed"
    command -v cmake >/dev/null || packages cmake make
    say "building $MONGODB_CRATE $MONGODB_VERSION, 4 to 9 minutes, once"
    build=$(workshop)
    # --locked: the dependencies that its authors tested with; crates are checked against the registry's hashes.
    (cd "$build" && CARGO_TARGET_DIR=$build/target alone compile cargo install --quiet "$MONGODB_CRATE" --version "=$MONGODB_VERSION" --locked --ignore-rust-version --no-track --root "$build/kept")
    keep "$build/kept" "$mongodb_home"
    rm -rf "$build"
}

mongodb_configure() { mkdir -p "$dir/data"; }

# The server's flags for TLS and passwords. Its localhost exception lets the first user be made, as MongoDB's does.
mongodb_secure() { printf '%s\n' --auth --tls-cert-file "$certificates/server.pem" --tls-key-file "$certificates/server.key"; }

mongodb_start() {
    local flags=()
    [ "$variant" = plain ] || mapfile -t flags < <(mongodb_secure)
    # --sync-on-commit: without it, `j: true` is acknowledged before it is on the disk. In a folder without a secantusd.toml.
    cd "$dir"
    launch "$mongodb_home/bin/secantusd-rs" --host 127.0.0.1 --port "$(mongodb_port)" --storage-path "$dir/data" --cache-size 512M --sync-on-commit "${flags[@]}"
}

# BSON in hexadecimal: fields of a document, and what makes a document, and a command, of them.
mongodb_text() { printf %s "$1" | od -An -v -tx1 | tr -d ' \n'; }
mongodb_number() { printf '%02x%02x%02x%02x' $(($1 & 255)) $(($1 >> 8 & 255)) $(($1 >> 16 & 255)) $(($1 >> 24 & 255)); }
mongodb_string() { echo "02$(mongodb_text "$1")00$(mongodb_number $((${#2} + 1)))$(mongodb_text "$2")00"; }
mongodb_int() { echo "10$(mongodb_text "$1")00$(mongodb_number "$2")"; }
mongodb_array() { echo "04$(mongodb_text "$1")00$(mongodb_document "$2")"; }
mongodb_document() { echo "$(mongodb_number $((${#1} / 2 + 5)))${1}00"; }
# mongodb_ask FIELDS: sends the command as an OP_MSG (2013) and is true if the reply's `ok` is 1.0.
mongodb_ask() {
    local body
    body=0000000000$(mongodb_document "$1$(mongodb_string '$db' admin)")
    [[ $(answer "$(mongodb_port)" "$(mongodb_number $((${#body} / 2 + 16)))0100000000000000dd070000$body") == *016f6b00000000000000f03f* ]]
}

# Answered without a password.
mongodb_ready() { mongodb_ask "$(mongodb_int hello 1)"; }

mongodb_seed() {
    [ "$variant" = secure ] || return 0
    mongodb_ask "$(mongodb_string createUser "$USER_NAME")$(mongodb_string pwd "$PASSWORD")$(mongodb_array roles "$(mongodb_string 0 root)")"
}

mongodb_stop() { halt TERM 60; }

mongodb_url() { echo "mongodb://127.0.0.1:$(mongodb_port)/wardhouse$([ "$variant" = plain ] || echo '?tls=true&authSource=admin')"; }

mongodb_variables() { :; }

mongodb_section() {
    [ "$variant" = secure ] || return 0
    printf '%s = "%s"\n' ca_file "$certificates/ca.pem" user "$USER_NAME" password "$PASSWORD"
}
