# shellcheck shell=bash
# Apache Kafka, the real one, from Maven Central: broker and controller in one process, or three of them.
KAFKA_VERSION=4.1.1
KAFKA_LOG4J=2.24.3
# Of the list of all files and their SHA-256, to be set anew with the versions.
KAFKA_PIN=1d6821540ce19b51cf52e86bbc549c6b1dcc588dec1dfcbcf22b3f5ef302ef08
KAFKA_PORT=29092
kafka_home=$servers/kafka-$KAFKA_VERSION
# A plain broker listens a second time, so many ports higher, and sends who comes there on to a port as much higher again: that of a proxy.
KAFKA_LINK=10

kafka_role() { echo log; }
kafka_port() { port $((KAFKA_PORT + 2 * (${1:-1} - 1))); }
# What the data was made for counts; the plain variant's first start decides.
kafka_brokers() { cat "$stack/$variant/kafka/brokers" 2>/dev/null || if [ "$variant" = plain ]; then echo "${WARDHOUSE_STACK_BROKERS:-1}"; else echo 1; fi; }

kafka_install() {
    local build
    find_java 17 >/dev/null || packages openjdk-17-jre-headless
    if verified "$kafka_home"; then return; fi
    say "downloading Kafka $KAFKA_VERSION, 54 MB"
    build=$(workshop)
    cat >"$build/pom.xml" <<END
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>stack</groupId><artifactId>kafka</artifactId><version>1</version>
  <dependencies>
    <dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>$KAFKA_VERSION</version></dependency>
    <dependency><groupId>org.apache.kafka</groupId><artifactId>kafka-tools</artifactId><version>$KAFKA_VERSION</version></dependency>
    <dependency><groupId>org.apache.logging.log4j</groupId><artifactId>log4j-slf4j-impl</artifactId><version>$KAFKA_LOG4J</version></dependency>
    <dependency><groupId>org.apache.logging.log4j</groupId><artifactId>log4j-core</artifactId><version>$KAFKA_LOG4J</version></dependency>
  </dependencies>
</project>
END
    maven "$build" copy-dependencies "-DoutputDirectory=$build/kept/libs" -DincludeScope=runtime
    keep "$build/kept" "$kafka_home" "$KAFKA_PIN"
    rm -rf "$build"
}

kafka_configure() {
    local id cluster format count client voters=() scheme=PLAINTEXT listens advertises
    count=$(kafka_brokers)
    echo "$count" >"$dir/brokers"
    if [ "$variant" = plain ] && [ "$count" -ne "${WARDHOUSE_STACK_BROKERS:-$count}" ]; then
        echo "Kafka's data is that of $count brokers: \`tests/stack reset kafka\` makes it anew"
        return 1
    fi
    [ "$variant" = plain ] || scheme=SASL_SSL
    cluster=$(kafka_id cluster)
    cat >"$dir/log4j2.properties" <<'END'
rootLogger.level = info
rootLogger.appenderRef.console.ref = console
appender.console.type = Console
appender.console.name = console
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = %d %p %c{1}: %m%n
END
    for ((id = 1; id <= count; id++)); do
        client=$(kafka_port "$id")
        voters+=("$id@127.0.0.1:$((client + 1)):$(kafka_id "folder.$id")")
        listens=$scheme://127.0.0.1:$client advertises=$scheme://127.0.0.1:$client
        if [ "$variant" = plain ]; then
            listens+=,LINK://127.0.0.1:$((client + KAFKA_LINK))
            advertises+=,LINK://127.0.0.1:$((client + 2 * KAFKA_LINK))
        fi
        cat >"$dir/server.$id.properties" <<END
process.roles=broker,controller
node.id=$id
listeners=$listens,CONTROLLER://127.0.0.1:$((client + 1))
advertised.listeners=$advertises
controller.listener.names=CONTROLLER
inter.broker.listener.name=$scheme
listener.security.protocol.map=CONTROLLER:PLAINTEXT,LINK:PLAINTEXT,$scheme:$scheme
controller.quorum.bootstrap.servers=$(for ((n = 1; n <= count; n++)); do printf '127.0.0.1:%s,' "$(($(kafka_port "$n") + 1))"; done | sed 's/,$//')
log.dirs=$dir/data.$id
offsets.topic.replication.factor=$count
offsets.topic.num.partitions=8
transaction.state.log.replication.factor=$count
transaction.state.log.min.isr=$(((count + 1) / 2))
transaction.state.log.num.partitions=8
share.coordinator.state.topic.replication.factor=$count
share.coordinator.state.topic.min.isr=$(((count + 1) / 2))
default.replication.factor=$count
min.insync.replicas=$(((count + 1) / 2))
group.initial.rebalance.delay.ms=0
auto.create.topics.enable=false
message.max.bytes=1048588
log.retention.hours=168
END
        [ "$variant" = plain ] || kafka_secure >>"$dir/server.$id.properties"
    done
    for ((id = 1; id <= count; id++)); do
        [ ! -e "$dir/data.$id/meta.properties" ] || continue
        format=(format -t "$cluster" -c "$dir/server.$id.properties" --initial-controllers "$(IFS=,; echo "${voters[*]}")")
        if [ "$variant" = secure ]; then
            format+=(--add-scram "SCRAM-SHA-512=[name=$USER_NAME,password=$PASSWORD]" --add-scram "SCRAM-SHA-256=[name=$USER_NAME,password=$PASSWORD]")
        fi
        "$(find_java 17)" -cp "$kafka_home/libs/*" kafka.tools.StorageTool "${format[@]}"
    done
}
# An identifier that is made up once: 16 bytes in base 64 without its two special characters, which the tools read as options.
kafka_id() {
    [ -s "$dir/$1" ] || openssl rand -base64 16 | tr '+/' 'Az' | tr -d '=' >"$dir/$1"
    cat "$dir/$1"
}

# TLS for everyone, and a password: SCRAM of either strength, or PLAIN. The broker talks to itself the same way.
kafka_secure() {
    local login="required username=\"$USER_NAME\" password=\"$PASSWORD\""
    cat "$certificates/server.key" "$certificates/server.pem" >"$dir/server.keystore.pem"
    cat <<END
ssl.keystore.type=PEM
ssl.keystore.location=$dir/server.keystore.pem
ssl.truststore.type=PEM
ssl.truststore.location=$certificates/ca.pem
sasl.enabled.mechanisms=SCRAM-SHA-512,SCRAM-SHA-256,PLAIN
sasl.mechanism.inter.broker.protocol=SCRAM-SHA-512
listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule $login;
listener.name.sasl_ssl.scram-sha-256.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule $login;
listener.name.sasl_ssl.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule $login user_$USER_NAME="$PASSWORD";
END
}

kafka_start() {
    local id heap=512m count instance=
    count=$(kafka_brokers)
    [ "$count" -eq 1 ] || heap=256m
    for ((id = 1; id <= count; id++)); do
        # One of three that was killed comes back beside the others.
        [ "$count" -eq 1 ] || instance=$id
        if is_ours "$(cat "$dir/pid.$instance" 2>/dev/null)"; then continue; fi
        launch "$(find_java 17)" "-Xmx$heap" -XX:+UseG1GC -XX:+ExitOnOutOfMemoryError "-Dlog4j2.configurationFile=$dir/log4j2.properties" \
            -cp "$kafka_home/libs/*" kafka.Kafka "$dir/server.$id.properties"
    done
}

# The answer to ApiVersions (API 18, version 0, correlation 1, client `wh`) has no error. It is the one request that needs no password.
kafka_ready() {
    local id count
    count=$(kafka_brokers)
    for ((id = 1; id <= count; id++)); do
        [[ $(answer "$(kafka_port "$id")" 0000000c001200000000000100027768) =~ ^[0-9a-f]{8}000000010000 ]] || return 1
    done
}

kafka_seed() { :; }

kafka_stop() { halt TERM 60; }

kafka_url() {
    local id count list=
    count=$(kafka_brokers)
    for ((id = 1; id <= count; id++)); do list+=,127.0.0.1:$(kafka_port "$id"); done
    echo "kafka://${list#,}$([ "$variant" = plain ] || echo '?tls=true')"
}

# Where a proxy is to listen for each broker, and where it is to pass on to.
kafka_variables() {
    local id count client list=
    [ "$variant" = plain ] || return 0
    count=$(kafka_brokers)
    for ((id = 1; id <= count; id++)); do
        client=$(kafka_port "$id")
        list+=,127.0.0.1:$((client + 2 * KAFKA_LINK))=127.0.0.1:$((client + KAFKA_LINK))
    done
    echo "KAFKA_LINK ${list#,}"
}

kafka_section() {
    [ "$variant" = secure ] || return 0
    printf '%s = "%s"\n' ca_file "$certificates/ca.pem" user "$USER_NAME" password "$PASSWORD" mechanism scram-sha-512
}
