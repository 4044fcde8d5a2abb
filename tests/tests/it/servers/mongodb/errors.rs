//! Each class of failure as MongoDB says it to an insert, of a command, of a document, of the write concern, to the driver that asks.

use mongodb::bson::{Document, doc, serialize_to_vec};
use wh_schemas::Reaction;
use wh_sinks::delivery::{Store, Written};
use wh_sinks::mongodb::DocumentsStore;
use wh_stores::ServerUrl;
use wh_stores::mongodb::RawMongodb;

use super::super::says::Line;
use super::{Bench, batch, hasty, settle};
use crate::contract::servers::mongodb::at;
use crate::contract::servers::url;
use crate::records::stream;

fn command(code: i32, name: &str) -> Document {
    doc! { "ok": 0.0, "code": code, "codeName": name, "errmsg": "so says the test" }
}

fn labelled(code: i32, label: &str) -> Document {
    doc! { "ok": 0.0, "code": code, "codeName": "Said", "errmsg": "so says the test", "errorLabels": [label] }
}

fn of_first_row(code: i32) -> Document {
    doc! { "ok": 1.0, "n": 0, "writeErrors": [{ "index": 0, "code": code, "errmsg": "so says the test" }] }
}

fn of_concern(code: i32, name: &str) -> Document {
    doc! { "ok": 1.0, "n": 10, "writeConcernError": { "code": code, "codeName": name, "errmsg": "so says the test" } }
}

/// What became of a batch.
fn class(outcome: &Result<Written, Reaction>) -> &'static str {
    match outcome {
        Ok(Written::Done { .. }) => "done",
        Ok(Written::Refused { .. }) => "refused",
        Err(reaction) => reaction.class(),
    }
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(not(has_mongodb), ignore = "WARDHOUSE_TEST_MONGODB names no server")]
async fn each_answer_has_its_class_and_nothing_is_lost() {
    let (bench, records) = (Bench::new(), stream(0));
    let server = ServerUrl::parse(&url("MONGODB").unwrap()).unwrap().hosts()[0].with_port(27_017);
    let line = Line::mongodb(server).await;
    let raw = RawMongodb { operation_timeout_ms: 10_000, server_selection_timeout_ms: 5_000, ..hasty() };
    let mut store = DocumentsStore::open(&at(&format!("mongodb://{}/{}?directConnection=true", line.address, bench.name), &raw)).await.unwrap();
    settle(&mut store, &records[..50]).await;
    for (answer, wanted) in [
        (command(13, "Unauthorized"), "fatal"),
        (command(18, "AuthenticationFailed"), "fatal"),
        (command(8_000, "AtlasError"), "fatal"),
        (command(14_031, "OutOfDiskSpace"), "transient"),
        (command(59, "CommandNotFound"), "fatal"),
        (command(24, "LockTimeout"), "transient"),
        (command(50, "MaxTimeMSExpired"), "transient"),
        (command(91, "ShutdownInProgress"), "transient"),
        (command(112, "WriteConflict"), "transient"),
        (command(189, "PrimarySteppedDown"), "transient"),
        (command(262, "ExceededTimeLimit"), "transient"),
        (command(10_107, "NotWritablePrimary"), "transient"),
        (command(11_600, "InterruptedAtShutdown"), "transient"),
        (command(11_602, "InterruptedDueToReplStateChange"), "transient"),
        (command(13_435, "NotPrimaryNoSecondaryOk"), "transient"),
        (labelled(72_222, "RetryableWriteError"), "transient"),
        (labelled(72_222, "TransientTransactionError"), "transient"),
        (of_first_row(121), "refused"),
        (of_first_row(10_334), "refused"),
        (of_first_row(13), "fatal"),
        (of_first_row(112), "transient"),
        (of_concern(64, "WriteConcernTimeout"), "transient"),
        (of_concern(91, "ShutdownInProgress"), "transient"),
        (of_concern(79, "UnknownReplWriteConcern"), "fatal"),
        (of_concern(100, "UnsatisfiableWriteConcern"), "fatal"),
    ] {
        let said = serialize_to_vec(&answer).unwrap();
        line.says(move |_| said.clone());
        let mut outcome = store.write(batch(&records[50..60])).await;
        for _ in 0..20 {
            // The driver may still be looking for a primary, after what it was told before.
            if class(&outcome) == wanted {
                break;
            }
            outcome = store.write(batch(&records[50..60])).await;
        }
        assert_eq!(class(&outcome), wanted, "{answer}: {outcome:?}");
    }
    line.passes();
    settle(&mut store, &records[50..150]).await;
    bench.holds(&records[..150]).await;
    bench.done().await;
}
