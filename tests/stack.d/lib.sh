# shellcheck shell=bash
# What the servers' files share: folders, verified downloads, processes that are told apart by what they run, and polling.
# A server is `name`, of the `variant` plain or secure, with everything that it keeps in `dir`.

# What a job ends with when its server can't be had on this machine.
LACKING=3
# For tests only: whoever may reach 127.0.0.1 here may know them.
USER_NAME=wardhouse
PASSWORD=wardhouse-secret
TOKEN=wardhouse-token

cache=${WARDHOUSE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/wardhouse}
servers=$cache/servers
mkdir -p "$servers"

# PostgreSQL and Elasticsearch refuse to run as root. as USER: fills `as` with what runs a command as that user, with nothing
# where we are not root. What they use must then be where that user may go.
as=()
as() { if [ "$EUID" -eq 0 ]; then as=(setpriv --reuid "$1" --regid "$(id -g "$1")" --clear-groups); fi; }
enterable() { (as nobody; "${as[@]}" test -x "$1"); }
# folders_of USER FOLDER…: that are that user's to write in. file_of USER FROM TO: a copy that only that user may read.
folders_of() { if [ "$EUID" -eq 0 ]; then install -d -o "$1" -g "$(id -g "$1")" "${@:2}"; else mkdir -p "${@:2}"; fi; }
file_of() { if [ "$EUID" -eq 0 ]; then install -m 600 -o "$1" -g "$(id -g "$1")" "${@:2}"; else install -m 600 "${@:2}"; fi; }

# Root's home is closed to others on most machines, so root's stack then lies outside of it.
if [ -n "${WARDHOUSE_STACK:-}" ]; then
    stack=$WARDHOUSE_STACK
elif enterable "$cache"; then
    stack=$cache/stack
else
    stack=/var/lib/wardhouse/stack
fi
mkdir -p "$stack"
stack=$(cd "$stack" && pwd)
certificates=$stack/certificates

# part NAME: the server that the functions below are about.
part() {
    name=$1
    dir=$stack/$variant/$name
}

# port BASE: of this variant. All stay below 32768, where the kernel begins to hand out ports to clients.
port() {
    local shift=${WARDHOUSE_STACK_SHIFT:-0}
    [ "$variant" = plain ] || shift=$((shift + 1000))
    echo $(($1 + shift))
}

# Progress of what takes long, past the job's log.
say() { echo "$name: $*" >&4; }

# lacks REASON: this machine can't have the server.
lacks() {
    echo "$*" >"$dir/skipped"
    exit "$LACKING"
}

reason() { cat "$dir/skipped" 2>/dev/null || echo "not running, \`tests/stack up\` starts it"; }

# A URL in the environment is the user's own server, unless it is ours, put there by `env`.
theirs_url() {
    local key=WARDHOUSE_TEST_
    [ "$variant" = plain ] || key=WARDHOUSE_TEST_SECURE_
    key=$key${1^^}
    echo "${!key:-}"
}
theirs() {
    local url
    url=$(theirs_url "$1")
    [ -n "$url" ] && [ "$url" != "$("${1}_url")" ]
}

# --- What is installed -------------------------------------------------------------------------------------------------

# alone LOCK COMMAND…: one at a time on this machine. Compilers and package managers want all of it, or can't share.
alone() {
    local lock=$1; shift
    (
        exec 8>"$cache/locks/$lock"
        flock 8
        "$@"
    )
}

# as_root COMMAND…: as root, or by sudo where it asks for no password.
as_root() { if [ "$EUID" -eq 0 ]; then "$@"; else sudo -n "$@"; fi; }

# packages PACKAGE…: from Debian. The services that they bring are not started.
packages() {
    command -v apt-get >/dev/null || lacks "needs $*, and there is no apt-get here"
    as_root true 2>/dev/null || lacks "needs \`apt-get install $*\`, which takes root"
    say "installing $*"
    alone packages packages_now "$@"
}
packages_now() {
    local policy=/usr/sbin/policy-rc.d made=0 status=0
    if [ ! -e "$policy" ]; then
        printf '#!/bin/sh\nexit 101\n' | as_root install -m 755 /dev/stdin "$policy"
        made=1
    fi
    as_root apt-get update -qq || true
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" || status=$?
    [ "$made" -eq 0 ] || as_root rm -f "$policy"
    return "$status"
}

# verified FOLDER: one of the cache is used while every file in it is what was recorded when it was made.
verified() { [ -f "$1/SHA256" ] && (cd "$1" && sha256sum --quiet --strict --check SHA256) >/dev/null 2>&1; }

# keep BUILT FOLDER [PIN]: records the hashes of what was built, compares the record's own hash where the script knows it, and moves it into place.
keep() {
    local hash
    (cd "$1" && find . -type f ! -name SHA256 -print0 | LC_ALL=C sort -z | xargs -0 sha256sum >SHA256)
    hash=$(sha256sum <"$1/SHA256" | cut -d ' ' -f 1)
    if [ -n "${3:-}" ] && [ "$hash" != "$3" ]; then
        echo "what was downloaded for $name is not what is expected: $hash instead of $3"
        return 1
    fi
    rm -rf "$2"
    mkdir -p "$(dirname "$2")"
    mv "$1" "$2"
}

# workshop: an empty folder to download and build in.
workshop() {
    local folder=$cache/build/$name
    rm -rf "$folder"
    mkdir -p "$folder"
    echo "$folder"
}

# find_java VERSION: the path of a Java that is at least as new.
find_java() {
    local least=$1 candidate version
    for candidate in "${JAVA_HOME:-/nonexistent}/bin/java" "$(type -P java || true)" /usr/lib/jvm/*/bin/java; do
        [ -x "$candidate" ] || continue
        version=$("$candidate" -version 2>&1 | sed -n 's/.*version "\([0-9]*\).*/\1/p')
        if [ "${version:-0}" -ge "$least" ]; then
            echo "$candidate"
            return
        fi
    done
    return 1
}

# maven GOAL ARGUMENT…: with the published checksums enforced, and a repository that is thrown away.
maven() {
    local folder=$1 goal=$2; shift 2
    command -v mvn >/dev/null || packages maven
    (cd "$folder" && mvn -q -B -C "-Dmaven.repo.local=$folder/repository" "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:$goal" "$@")
}

# --- Processes ---------------------------------------------------------------------------------------------------------

# A process is ours if its command line names the server's folder: process ids come round again.
is_ours() { [ -r "/proc/$1/cmdline" ] && tr '\0' ' ' <"/proc/$1/cmdline" 2>/dev/null | grep -qF -- "$dir/"; }
alive() {
    local ids id
    mapfile -t ids < <(roots)
    [ ${#ids[@]} -gt 0 ] || return 1
    for id in "${ids[@]}"; do is_ours "$id" || return 1; done
}
# The processes that were launched, whether they are still there or not: one, or the second's and third's in files of their own.
roots() { cat "$dir"/pid "$dir"/pid.* 2>/dev/null || true; }

# launch COMMAND…: in the background, in a session of its own, with nothing open that belongs to us. Its command line must name `dir`.
# `instance` numbers those of a server that is several processes.
launch() {
    local log=$dir/log${instance:+.$instance}
    [ ! -e "$log" ] || mv "$log" "$log.before"
    (
        local fd
        exec </dev/null >"$log" 2>&1
        for fd in /proc/"$BASHPID"/fd/*; do
            fd=${fd##*/}
            if [ "$fd" -gt 2 ] && [ "$fd" -ne 255 ]; then eval "exec $fd>&-"; fi
        done
        trap - EXIT
        exec setsid "$@"
    ) &
    echo $! >"$dir/pid${instance:+.$instance}"
    # Until it is that command and no longer this script.
    until is_ours $! || ! running $!; do sleep 0.01; done
}

# The processes of the server, parents before children.
tree() {
    local ids=() id
    for id in $(roots); do if is_ours "$id"; then ids+=("$id"); fi; done
    descendants "${ids[@]}"
}

# descendants ID…: and these themselves.
descendants() {
    local queue=("$@") id
    while [ ${#queue[@]} -gt 0 ]; do
        id=${queue[0]}
        queue=("${queue[@]:1}")
        [ -d "/proc/$id" ] || continue
        echo "$id"
        # shellcheck disable=SC2207 # process ids are words
        queue+=($(cat "/proc/$id/task/"*/children 2>/dev/null || true))
    done
}

# A zombie does nothing any more, but its number is taken until somebody has waited for it.
state() { sed -n 's/^State:\t\(.\).*/\1/p' "/proc/$1/status" 2>/dev/null || true; }
running() {
    local id
    for id in "$@"; do case $(state "$id") in '' | Z | X) ;; *) return 0 ;; esac done
    return 1
}
# Until the system has reaped them; on a machine whose first process does not, they stay.
reaped() {
    local id until=$((SECONDS + 5))
    for id in "$@"; do
        while [ -n "$(state "$id")" ] && [ "$SECONDS" -lt "$until" ]; do sleep 0.02; done
    done
}

# halt SIGNAL SECONDS: asks, waits until the last process is gone, and insists in the end.
halt() {
    local ids id until=$((SECONDS + $2))
    mapfile -t ids < <(tree)
    for id in $(roots); do if is_ours "$id"; then kill "-$1" "$id" 2>/dev/null || true; fi; done
    while running "${ids[@]}"; do
        if [ "$SECONDS" -ge "$until" ]; then
            echo "$name does not stop, killing it"
            slay
            return
        fi
        sleep 0.05
    done
    reaped "${ids[@]}"
    rm -f "$dir"/pid "$dir"/pid.*
}

# SIGKILL, to the parents first so that nothing is started anew; returns when none is left.
slay() {
    local ids
    mapfile -t ids < <(tree)
    [ ${#ids[@]} -eq 0 ] || kill -KILL "${ids[@]}" 2>/dev/null || true
    while running "${ids[@]}"; do sleep 0.02; done
    reaped "${ids[@]}"
    rm -f "$dir"/pid "$dir"/pid.*
}

# User and system time of the whole tree, with that of children that are gone already.
cpu_seconds() {
    local id
    for id in $(tree); do
        # The second field is the name in brackets, which may hold anything.
        sed 's/^.*) //' "/proc/$id/stat" 2>/dev/null || true
    done | awk -v hertz="$(getconf CLK_TCK)" '{ticks += $12 + $13 + $14 + $15} END {printf "%.2f\n", ticks / hertz}'
}

# Memory in MiB, what is shared counted once.
memory() {
    local id
    for id in $(tree); do sed -n 's/^Pss: *\([0-9]*\) kB/\1/p' "/proc/$id/smaps_rollup" 2>/dev/null || true; done | awk '{sum += $1} END {printf "%.0f\n", sum / 1024}'
}

# --- Waiting and asking -------------------------------------------------------------------------------------------------

# Whoever already listens there would be taken for our server.
unused() {
    local one
    for one in "$@"; do
        if (exec 7<>"/dev/tcp/127.0.0.1/$one") 2>/dev/null; then
            echo "port $one is in use by another process; WARDHOUSE_STACK_SHIFT moves all ports" | tee -a "$dir/log"
            return 1
        fi
    done
}

# Until the server itself says that it is ready.
await() {
    local until=$((SECONDS + 180))
    until "${name}_ready"; do
        if ! alive; then
            echo "$name ended while it was waited for"
            return 1
        fi
        if [ "$SECONDS" -ge "$until" ]; then
            echo "$name does not answer"
            return 1
        fi
        sleep 0.1
    done
}

# answer PORT HEX: sends these bytes and prints the reply's first ones, in hexadecimal too; over TLS in the secure variant.
answer() {
    local bytes
    bytes=$(sed 's/../\\x&/g' <<<"$2")
    if [ "$variant" = secure ]; then
        { printf '%b' "$bytes"; sleep 0.5; } | timeout 5 openssl s_client -quiet -no_ign_eof -verify_return_error -CAfile "$certificates/ca.pem" -connect "127.0.0.1:$1" 2>/dev/null
    else
        (
            exec 7<>"/dev/tcp/127.0.0.1/$1" || exit 0
            printf '%b' "$bytes" >&7
            timeout 2 dd bs=65536 count=1 status=none <&7
        ) 2>/dev/null
    fi | od -An -v -tx1 | tr -d ' \n'
}

# http PATH [CURL-ARGUMENT…]: of the server at its own port, with the CA in the secure variant.
http() {
    local path=$1 base; shift
    base=http://127.0.0.1:$("${name}_port")
    if [ "$variant" = secure ]; then
        base=https${base#http}
        set -- --cacert "$certificates/ca.pem" "$@"
    fi
    curl -sS --max-time 30 "$@" "$base$path"
}

# --- Certificates -------------------------------------------------------------------------------------------------------

# A CA, a certificate of this machine for ten years, and one that is long past its time.
make_certificates() {
    [ ! -e "$certificates/done" ] || return 0
    mkdir -p "$certificates"
    (
        exec 8>"$stack/certificates.lock"
        flock 8
        [ ! -e "$certificates/done" ] || exit 0
        cd "$certificates"
        key() { openssl genpkey -quiet -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$1" 2>/dev/null || openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$1"; }
        cat >ca.cnf <<'END'
[ca]
default_ca = here
[here]
new_certs_dir = .
database = ca.index
serial = ca.serial
default_md = sha256
policy = any
x509_extensions = server
unique_subject = no
[any]
commonName = supplied
[server]
basicConstraints = CA:FALSE
keyUsage = digitalSignature
extendedKeyUsage = serverAuth
subjectAltName = DNS:localhost, IP:127.0.0.1
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
[root]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
[req]
distinguished_name = name
[name]
END
        : >ca.index
        echo 1000 >ca.serial
        key ca.key
        openssl req -config ca.cnf -extensions root -new -x509 -key ca.key -subj "/CN=Wardhouse test CA" -days 3650 -out ca.pem
        sign() {
            key "$1.key"
            openssl req -config ca.cnf -new -key "$1.key" -subj "/CN=localhost" -out "$1.csr"
            openssl ca -batch -notext -config ca.cnf -cert ca.pem -keyfile ca.key -in "$1.csr" -out "$1.pem" "${@:2}" 2>/dev/null
        }
        sign server -days 3649
        sign expired -startdate 20200101000000Z -enddate 20210101000000Z
        # Read by servers of several users, and worth nothing outside of these tests.
        chmod 644 ./*.key
        touch done
    )
}
