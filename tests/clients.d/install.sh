# shellcheck shell=bash
# shellcheck disable=SC2154,SC2034 # parts, work and cache are the caller's; name and dir are for ../stack.d/lib.sh
# Where the clients come from: each group is fetched into a folder of the cache that is named by what its files pin, used when it is
# there and whole, and made anew when not.
# What must stay true: nothing is written into the checkout; a group that this machine cannot have ends with the reason, and the others go on.

# kept GROUP: its folder.
kept() {
    case $1 in
        python) kept_as python python/requirements.txt "$(python3 --version)" ;;
        superset) kept_as superset superset/requirements.txt "$(cat "$parts/superset/superset_config.py"; python3 --version)" ;;
        node) kept_as node node/package-lock.json "$(node --version)" ;;
        java) kept_as java java/pom.xml '' ;;
        go) kept_as go go/go.sum "$(cat "$parts/go/main.go")" ;;
    esac
}
kept_as() { echo "$cache/clients/$1-$({ cat "$parts/$2"; echo "$3"; } | sha256sum | cut -c 1-12)"; }

# complete GROUP: whether its folder can be used.
complete() {
    local folder
    folder=$(kept "$1")
    [ -e "$folder/done" ] || return 1
    case $1 in
        # Links into a Python that is gone.
        python | superset) "$folder/bin/python" -c '' 2>/dev/null ;;
        *) verified "$folder" ;;
    esac
}

# provide GROUP: makes the folder where it is not there; the reason goes to a file where that fails.
provide() {
    local group=$1 folder
    folder=$(kept "$group")
    mkdir -p "$cache/clients" "$cache/locks" "$work/$group"
    (
        name=clients-$group dir=$work/$group
        exec 4>/dev/null 8>"$cache/locks/clients-$group"
        flock 8
        if complete "$group"; then exit 0; fi
        # Of what an older list pinned, nothing is kept.
        rm -rf "$cache/clients/$group-"*
        set -e
        "install_$group" "$folder"
    ) >"$work/$group.log" 2>&1 </dev/null || {
        rm -rf "$folder"
        [ -s "$work/$group/skipped" ] || { grep -m 1 -iE '^(error|npm error|fatal)|ERROR' "$work/$group.log" || tail -n 1 "$work/$group.log"; } | sed 's/\x1b\[[0-9;]*m//g' | cut -c 1-300 >"$work/$group/skipped"
    }
}
# lacking GROUP: the reason why it is not there, or non-zero.
lacking() { [ -s "$work/$1/skipped" ] && cat "$work/$1/skipped"; }

need() { command -v "$1" >/dev/null || lacks "there is no $1 here${2:+: $2}"; }

virtual_environment() {
    need python3
    python3 -m venv "$1" || lacks "python3 -m venv does not work here (on Debian: apt-get install python3-venv)"
    "$1/bin/python" -m pip install --quiet --disable-pip-version-check --no-input --no-deps -r "$2"
}
install_python() {
    virtual_environment "$1" "$parts/python/requirements.txt"
    touch "$1/done"
}
install_superset() {
    virtual_environment "$1" "$parts/superset/requirements.txt"
    # Its own tables and its administrator, made once.
    export SUPERSET_HOME=$1/home SUPERSET_CONFIG_PATH=$parts/superset/superset_config.py FLASK_APP=superset PYTHONDONTWRITEBYTECODE=1
    mkdir -p "$SUPERSET_HOME"
    "$1/bin/superset" db upgrade
    "$1/bin/superset" fab create-admin --username admin --firstname of --lastname checks --email admin@localhost --password admin
    "$1/bin/superset" init
    touch "$1/done"
}
install_node() {
    local build
    need node
    need npm
    build=$(workshop)
    cp "$parts/node/package.json" "$parts/node/package-lock.json" "$build/"
    (cd "$build" && npm ci --no-audit --no-fund --ignore-scripts)
    touch "$build/done"
    keep "$build" "$1"
}
install_java() {
    local build java
    java=$(find_java 17) || lacks "needs a Java 17 or newer"
    [ -x "$(dirname "$(readlink -f "$java")")/javac" ] || lacks "needs a Java with its compiler (on Debian: apt-get install openjdk-17-jdk-headless)"
    build=$(workshop)
    cp "$parts/java/pom.xml" "$build/"
    maven "$build" copy-dependencies "-DoutputDirectory=$build/kept/jars" -DincludeScope=runtime
    touch "$build/kept/done"
    keep "$build/kept" "$1"
    rm -rf "$build"
}
install_go() {
    local build
    need go 'https://go.dev'
    build=$(workshop)
    cp "$parts"/go/* "$build/"
    mkdir "$build/kept"
    # A newer Go is not fetched behind anybody's back.
    (cd "$build" && GOTOOLCHAIN=local GOFLAGS=-mod=readonly go build -buildvcs=false -o kept/clients .)
    touch "$build/kept/done"
    keep "$build/kept" "$1"
    rm -rf "$build"
}
