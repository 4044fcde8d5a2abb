# shellcheck shell=bash
# InfluxDB 2, the real influxd without its web pages, built from its Go module.
INFLUXDB_VERSION=2.7.12
INFLUXDB_PKG_CONFIG=0.2.14
# Hashes of the module as the Go checksum database has them; its own go.sum pins everything below it.
INFLUXDB_SUM=h1:m25dUSO7h6nm3zFC4v/aCNeFFmnN/mlN/uPo1T63bmk=
INFLUXDB_PORT=28086
# A hundred years: a bucket has a retention, and the tests write what is long past.
INFLUXDB_RETENTION_SECONDS=3153600000
influxdb_home=$servers/influxdb-$INFLUXDB_VERSION

influxdb_role() { echo metrics; }
influxdb_port() { port "$INFLUXDB_PORT"; }

influxdb_install() {
    local build
    if verified "$influxdb_home"; then return; fi
    command -v go >/dev/null || lacks "InfluxDB is built with Go 1.23 or newer, which is not installed"
    command -v cargo >/dev/null || lacks "InfluxDB's query language is built with cargo, which is not installed"
    command -v cc >/dev/null && command -v pkg-config >/dev/null || packages build-essential pkg-config
    say "building InfluxDB $INFLUXDB_VERSION, 3 to 9 minutes, once"
    build=$(workshop)
    influxdb_fetch "$build"
    (cd "$build" && alone compile influxdb_build "$build")
    keep "$build/kept" "$influxdb_home"
    rm -rf "$build"
}

# A module that wants nothing but influxd, with the pins of influxd's own go.mod: replacements count in the main module only.
influxdb_fetch() {
    local build=$1 module source
    module=$(cd "$build" && go mod download -json "github.com/influxdata/influxdb/v2@v$INFLUXDB_VERSION")
    grep -qF "\"Sum\": \"$INFLUXDB_SUM\"" <<<"$module" || { echo "the InfluxDB module is not the expected one: $module"; return 1; }
    source=$(sed -n 's/^\t"Dir": "\(.*\)",$/\1/p' <<<"$module")
    {
        sed -e 's|^module .*|module stack/influxd|' -e '/^toolchain /d' "$source/go.mod"
        echo "require github.com/influxdata/influxdb/v2 v$INFLUXDB_VERSION"
    } >"$build/go.mod"
    install -m 644 "$source/go.sum" "$build/go.sum"
    printf 'package main\n\nimport _ "github.com/influxdata/influxdb/v2/cmd/influxd/launcher"\n\nfunc main() {}\n' >"$build/main.go"
    (cd "$build" && GOFLAGS=-mod=mod go mod download)
}

influxdb_build() {
    local build=$1
    export GOFLAGS=-mod=mod
    GOBIN=$build/bin go install "github.com/influxdata/pkg-config@v$INFLUXDB_PKG_CONFIG"
    # libflux names an old toolchain of its own, and denies warnings that newer compilers have.
    printf '#!/bin/sh\nexec "$@" --cap-lints warn\n' >"$build/bin/rustc-quiet"
    chmod +x "$build/bin/rustc-quiet"
    if command -v rustup >/dev/null; then
        RUSTUP_TOOLCHAIN=$(rustup show active-toolchain | cut -d ' ' -f 1)
        export RUSTUP_TOOLCHAIN
    fi
    # It looks for libflux in the library's own folder, whatever the user's cargo is set to.
    export CARGO_TARGET_DIR=target
    PATH=$build/bin:$PATH PKG_CONFIG=$build/bin/pkg-config RUSTC_WRAPPER=$build/bin/rustc-quiet \
        go build -trimpath -ldflags "-s -w -X main.version=v$INFLUXDB_VERSION" -tags sqlite_foreign_keys,sqlite_json -o "$build/kept/influxd" github.com/influxdata/influxdb/v2/cmd/influxd
}

influxdb_configure() { mkdir -p "$dir/data"; }

# The server's flags for TLS. It asks for a token in either variant.
influxdb_secure() { printf '%s\n' --tls-cert "$certificates/server.pem" --tls-key "$certificates/server.key"; }

influxdb_start() {
    local flags=()
    [ "$variant" = plain ] || mapfile -t flags < <(influxdb_secure)
    cd "$dir"
    launch "$influxdb_home/influxd" --bolt-path "$dir/data/influxd.bolt" --sqlite-path "$dir/data/influxd.sqlite" --engine-path "$dir/data/engine" \
        --http-bind-address "127.0.0.1:$(influxdb_port)" --reporting-disabled "${flags[@]}"
}

influxdb_ready() { http /health 2>/dev/null | grep -q '"status": *"pass"'; }

influxdb_seed() {
    http /api/v2/setup --fail-with-body -d "{\"username\":\"$USER_NAME\",\"password\":\"$PASSWORD\",\"org\":\"wardhouse\",\"bucket\":\"wardhouse\",\"retentionPeriodSeconds\":$INFLUXDB_RETENTION_SECONDS,\"token\":\"$TOKEN\"}"
}

influxdb_stop() { halt TERM 60; }

influxdb_url() { echo "influxdb://127.0.0.1:$(influxdb_port)/wardhouse/wardhouse$([ "$variant" = plain ] || echo '?tls=true')"; }

influxdb_variables() { echo "INFLUXDB_TOKEN $TOKEN"; }

influxdb_section() {
    printf '%s = "%s"\n' token "$TOKEN"
    [ "$variant" = plain ] || printf '%s = "%s"\n' ca_file "$certificates/ca.pem"
}
