//! Each class of failure as Elasticsearch says it, of a request and of its rows, to the client that asks.

use serde_json::json;
use wh_schemas::Reaction;
use wh_sinks::delivery::{Store, Written};
use wh_sinks::elasticsearch::SearchStore;

use super::super::says::{Line, http};
use super::{Bench, batch, settle};
use crate::contract::servers::elasticsearch::{at, small};
use crate::contract::servers::url;
use crate::records::stream;

fn said(kind: &str) -> serde_json::Value {
    json!({ "type": kind, "reason": "so says the test" })
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
#[cfg_attr(not(has_elasticsearch), ignore = "WARDHOUSE_TEST_ELASTICSEARCH is not set")]
async fn each_answer_has_its_class_and_nothing_is_lost() {
    let (bench, records) = (Bench::new().await, stream(0));
    assert!(!url("ELASTICSEARCH").unwrap().contains("tls=true"), "the line is a plain one");
    let node = &bench.settings.nodes[0];
    let line = Line::http(format!("{}:{}", node.host_str().unwrap(), node.port().unwrap()), "POST /_bulk").await;
    let here = at(&format!("elasticsearch://{}", line.address), &bench.settings.namespace, &small());
    let mut store = SearchStore::open(here).await.unwrap();
    settle(&mut store, &records[..300]).await;
    store.publish().await.unwrap();
    // Of the request as a whole.
    for (status, kind, wanted) in [
        (400, "illegal_argument_exception", "fatal"),
        (401, "security_exception", "fatal"),
        (403, "security_exception", "fatal"),
        (404, "index_not_found_exception", "fatal"),
        (408, "timeout_exception", "transient"),
        (413, "", "refused"),
        (429, "es_rejected_execution_exception", "transient"),
        (429, "circuit_breaking_exception", "transient"),
        (500, "null_pointer_exception", "transient"),
        (502, "", "transient"),
        (503, "cluster_block_exception", "transient"),
        (504, "", "transient"),
    ] {
        line.says(move |_| http(status, "Retry-After: 7\r\n", &json!({ "error": said(kind), "status": status }).to_string()));
        let outcome = store.write(batch(&records[300..600])).await;
        assert_eq!(class(&outcome), wanted, "{status} {kind}: {outcome:?}");
        if let Err(Reaction::Transient { retry_after, .. }) = outcome {
            assert_eq!(retry_after.map(|wait| wait.as_secs()), Some(7), "{status} {kind}");
        }
    }
    // Of each of its rows: two lines of the body are one.
    for (status, kind, wanted) in [
        (400, "document_parsing_exception", "refused"),
        (400, "mapper_parsing_exception", "refused"),
        (400, "strict_dynamic_mapping_exception", "fatal"),
        (400, "validation_exception", "transient"),
        (401, "security_exception", "fatal"),
        (403, "security_exception", "fatal"),
        (403, "cluster_block_exception", "transient"),
        (404, "index_not_found_exception", "transient"),
        (429, "es_rejected_execution_exception", "transient"),
        (429, "cluster_block_exception", "transient"),
        (503, "unavailable_shards_exception", "transient"),
    ] {
        line.says(move |body| {
            let rows = body.iter().filter(|byte| **byte == b'\n').count() / 2;
            let items: Vec<_> = (0..rows).map(|_| json!({ "create": { "status": status, "error": said(kind) } })).collect();
            http(200, "", &json!({ "items": items }).to_string())
        });
        let outcome = store.write(batch(&records[300..600])).await;
        assert_eq!(class(&outcome), wanted, "row {status} {kind}: {outcome:?}");
    }
    // An answer that is cut short, or of another server.
    for body in ["{\"items\":[", "{\"items\":[]}"] {
        line.says(move |_| http(200, "", body));
        assert_eq!(class(&store.write(batch(&records[300..600])).await), "fatal", "{body}");
    }
    line.passes();
    settle(&mut store, &records[300..600]).await;
    store.publish().await.unwrap();
    bench.holds(&records[..600]).await;
    bench.done().await;
}
