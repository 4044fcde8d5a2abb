//! Each class of failure as InfluxDB says it to a write, to the client that asks.

use wh_schemas::Reaction;
use wh_sinks::delivery::Store;
use wh_sinks::influxdb::MetricsStore;
use wh_stores::influxdb::InfluxdbSettings;

use super::super::says::{Line, http};
use super::{Bench, write};
use crate::records::stream;

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(not(has_influxdb), ignore = "WARDHOUSE_TEST_INFLUXDB names no server")]
async fn each_answer_has_its_class_and_nothing_is_lost() {
    let (bench, records) = (Bench::new(), stream(0));
    drop(bench.open().await);
    let line = Line::http(bench.settings.authority.clone(), "POST /api/v2/write").await;
    let here = InfluxdbSettings { authority: line.address.to_string(), ..bench.settings.clone() };
    let told = |message: &str| serde_json::json!({ "code": "said", "message": message }).to_string();
    for (status, message, wanted) in [
        // Halved until each line stands alone, and none can be read.
        (400, "unable to parse 'x': missing fields", "fatal"),
        (400, "partial write: unable to parse 'x' dropped=1", "fatal"),
        (401, "unauthorized access", "fatal"),
        (401, "write:orgs/a/buckets/b is unauthorized", "fatal"),
        (403, "insufficient permissions", "fatal"),
        (404, "bucket \"b\" not found", "fatal"),
        (408, "", "transient"),
        (413, "", "fatal"),
        (422, "failure writing points to database: partial write: field type conflict: input field \"x\" dropped=1", "fatal"),
        (429, "too many requests", "transient"),
        (500, "engine: cache-max-memory-size exceeded", "transient"),
        (503, "unavailable", "transient"),
        (504, "", "transient"),
    ] {
        let mut store = MetricsStore::open(&here).await.unwrap();
        write(&mut store, &records[..20]).await;
        let body = told(message);
        line.says(move |_| http(status, "Retry-After: 7\r\n", &body));
        let failed = store.publish().await.unwrap_err();
        assert_eq!(failed.class(), wanted, "{status} {message}: {failed}");
        if let Reaction::Transient { retry_after, .. } = &failed {
            assert_eq!(retry_after.map(|wait| wait.as_secs()), Some(7), "{status}");
        }
        assert!(!failed.to_string().contains("'x'"), "no point is repeated: {failed}");
        line.passes();
        if wanted == "transient" {
            store.publish().await.unwrap();
            bench.holds(&records[..20]).await;
        }
    }
    let mut store = MetricsStore::open(&here).await.unwrap();
    write(&mut store, &records[..300]).await;
    store.publish().await.unwrap();
    bench.holds(&records[..300]).await;
    bench.done().await;
}
