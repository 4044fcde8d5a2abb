//! When each store acknowledges, in the words of the look that `doctor` takes at it.
//!
//! What must stay true: nothing is changed by asking; what a server does not tell is said to be not told, and never left empty.

use std::collections::BTreeMap;

use wh_stores::places::{BaselinesPlace, DocumentsPlace, LedgerPlace, LogPlace, MetricsPlace, SearchPlace};
use wh_stores::postgres::PostgresSettings;
use wh_stores::{Finding, Role};

use crate::places::Places;
use crate::report::StoreUsed;

/// The subject of findings that are meant.
const SUBJECT: &str = "durability";
/// Of the embedded stores: files of SQLite, and an index of Tantivy.
const SQLITE: &str = "its commit is on the disk (WAL, synchronous = FULL)";
const TANTIVY: &str = "its commit is on the disk";

/// Fills in when each store acknowledges, and what a log that tells no version is. `door` is a database of the ledger that is there.
pub async fn tell(stores: &mut [StoreUsed], places: &Places, door: Option<&PostgresSettings>) {
    let told = by_role(places, door).await;
    for store in stores {
        if let Some(told) = told.get(store.role.as_str()) {
            store.durability.clone_from(told);
        }
        if store.server.is_empty() && store.scheme == "kafka" {
            "Kafka (its protocol tells no version)".clone_into(&mut store.server);
        }
    }
}

/// By role.
async fn by_role(places: &Places, door: Option<&PostgresSettings>) -> BTreeMap<&'static str, String> {
    let log = async {
        match &places.log {
            LogPlace::Kafka(_) => "every replica in sync has it (acks=all)".to_owned(),
            LogPlace::Sqlite(_) => SQLITE.to_owned(),
        }
    };
    let ledger = async {
        match (&places.ledger, door) {
            (LedgerPlace::Postgres(_), Some(door)) => words(&wh_stores::postgres::examine(door).await),
            _ => SQLITE.to_owned(),
        }
    };
    let documents = async {
        match &places.documents {
            DocumentsPlace::Mongodb(settings) => words(&wh_stores::mongodb::examine(settings).await),
            DocumentsPlace::Sqlite(_) => SQLITE.to_owned(),
        }
    };
    let metrics = async {
        match &places.metrics {
            MetricsPlace::Influxdb(settings) => words(&wh_stores::influxdb::checks::examine(settings).await),
            MetricsPlace::Sqlite(_) => SQLITE.to_owned(),
        }
    };
    let baselines = async {
        match &places.baselines {
            BaselinesPlace::Redis(settings) => words(&wh_stores::redis::checks::examine(settings).await),
            BaselinesPlace::Sqlite(_) => SQLITE.to_owned(),
        }
    };
    let search = async {
        match &places.search {
            SearchPlace::Elasticsearch(settings) => words(&wh_stores::elasticsearch::checks::examine(settings).await),
            SearchPlace::Tantivy(_) => TANTIVY.to_owned(),
        }
    };
    let (log, ledger, documents, metrics, baselines, search) = tokio::join!(log, ledger, documents, metrics, baselines, search);
    let roles = [Role::Log, Role::Ledger, Role::Documents, Role::Metrics, Role::Baselines, Role::Search].map(Role::as_str);
    roles.into_iter().zip([log, ledger, documents, metrics, baselines, search]).collect()
}

/// What was found of it; not what to do about it.
fn words(findings: &[Finding]) -> String {
    let found: Vec<&str> = findings.iter().filter(|finding| finding.subject == SUBJECT).map(|finding| finding.found.as_str()).collect();
    if found.is_empty() { "not told by the server".to_owned() } else { found.join("; ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_told_is_said() {
        let findings = [Finding::fine("version", "PostgreSQL 15"), Finding::warning(SUBJECT, "fsync = off", "set it on"), Finding::fine(SUBJECT, "full_page_writes = on")];
        assert_eq!(words(&findings), "fsync = off; full_page_writes = on");
        assert_eq!(words(&findings[..1]), "not told by the server");
    }
}
