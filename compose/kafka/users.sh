#!/bin/bash
# Over the listener of the brokers, whom Kafka knows by their certificate: the password of our user, and what it may do. Run again,
# it sets the same.
set -euo pipefail
server=(--bootstrap-server kafka:9095 --command-config /etc/kafka/secrets/admin.properties)
export KAFKA_HEAP_OPTS=-Xmx128m

# In a file (there without the brackets that the command line wants), so that it is on no command line and in no message.
umask 077
printf 'SCRAM-SHA-512=password=%s\n' "$(cat /etc/kafka/secrets/wardhouse_password)" >/tmp/scram.properties
/opt/kafka/bin/kafka-configs.sh "${server[@]}" --alter --entity-type users --entity-name wardhouse --add-config-file /tmp/scram.properties
rm /tmp/scram.properties

allow=(/opt/kafka/bin/kafka-acls.sh "${server[@]}" --add --allow-principal User:wardhouse)
"${allow[@]}" --operation All --topic '*' --group '*' --transactional-id '*'
"${allow[@]}" --operation Create --operation Describe --operation DescribeConfigs --operation IdempotentWrite --cluster
