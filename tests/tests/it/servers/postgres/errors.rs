//! Each class of failure as PostgreSQL itself says it: a trigger on the table that the sink writes raises it.

use wh_schemas::Reaction;
use wh_sinks::delivery::{Store, Written};

use super::{Bench, batch_of, settle};
use crate::contract::servers::postgres::run;
use crate::records::stream;

/// What becomes of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Class {
    /// A row is refused, the others are not written yet.
    Row,
    Transient,
    Fatal,
}
use Class::{Fatal, Row, Transient};

/// SQLSTATEs, each with its class.
const STATES: [(&str, Class); 36] = [
    ("08006", Transient),
    ("08P01", Transient),
    ("0A000", Fatal),
    ("22001", Row),
    ("22003", Row),
    ("22021", Row),
    ("22P02", Row),
    ("22P05", Row),
    ("23502", Row),
    ("23505", Row),
    ("23514", Row),
    ("25006", Transient),
    ("25P03", Transient),
    ("26000", Transient),
    ("28000", Fatal),
    ("28P01", Fatal),
    ("3D000", Fatal),
    ("3F000", Fatal),
    ("40001", Transient),
    ("40P01", Transient),
    ("42501", Fatal),
    ("42703", Fatal),
    ("42P01", Fatal),
    ("53100", Transient),
    ("53200", Transient),
    ("53300", Transient),
    ("54000", Fatal),
    ("55006", Transient),
    ("55P03", Transient),
    ("57014", Transient),
    ("57P01", Transient),
    ("57P03", Transient),
    ("57P04", Fatal),
    ("58030", Fatal),
    ("XX001", Fatal),
    ("P0001", Fatal),
];

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(not(has_postgres), ignore = "WARDHOUSE_TEST_POSTGRES names no server")]
async fn each_sqlstate_has_its_class_and_nothing_is_lost() {
    let bench = Bench::new().await;
    let (mut store, records) = (bench.open().await, stream(0));
    settle(&mut store, &batch_of(0, &records[..50])).await;
    run(&bench.settings, "CREATE TABLE test_says (state text); INSERT INTO test_says VALUES (NULL)").await;
    let body = "DECLARE said text; BEGIN SELECT state INTO said FROM test_says; IF said IS NOT NULL THEN RAISE EXCEPTION 'so says the test' USING ERRCODE = said; END IF; RETURN NULL; END";
    run(&bench.settings, format!("CREATE FUNCTION test_says() RETURNS trigger LANGUAGE plpgsql AS $${body}$$")).await;
    run(&bench.settings, "CREATE TRIGGER test_says BEFORE INSERT ON transactions FOR EACH STATEMENT EXECUTE FUNCTION test_says()").await;
    for (state, class) in STATES {
        run(&bench.settings, format!("UPDATE test_says SET state = '{state}'")).await;
        let found = match store.write(batch_of(0, &records[50..90])).await {
            Ok(Written::Refused { .. }) => Row,
            Err(Reaction::Transient { retry_after, .. }) => {
                assert_eq!(retry_after.is_some(), state.starts_with("53"), "{state}: a server that is full is left alone for a while");
                Transient
            }
            Err(Reaction::Fatal(message)) => {
                assert!(message.contains(state), "{state}: {message}");
                Fatal
            }
            other => panic!("{state}: {other:?}"),
        };
        assert_eq!(found, class, "{state}");
    }
    run(&bench.settings, "UPDATE test_says SET state = NULL").await;
    settle(&mut store, &batch_of(0, &records[50..90])).await;
    bench.holds(&records[..90]).await;
    bench.done().await;
}
