//! `doctor`: looks at every store and the log, and says what is wrong and what to do. Nothing is changed.

use std::path::Path;

use serde::Serialize;
use wh_eventlog::Reader;
use wh_eventlog::kafka::KafkaReader;
use wh_schemas::layout::{self, Layout};
use wh_schemas::topics::RISK_SCORES;
use wh_stores::kafka::KafkaSettings;
use wh_stores::places::{BaselinesPlace, DocumentsPlace, LedgerPlace, LogPlace, MetricsPlace, SearchPlace};
use wh_stores::{Finding, Level, Role};

/// What was found of one role.
#[derive(Clone, Debug)]
pub struct Examined {
    /// The role.
    pub role: Role,
    /// What keeps it: `sqlite`, `postgres`, …
    pub kind: &'static str,
    /// What was looked at, in order.
    pub findings: Vec<Finding>,
}

impl Examined {
    /// The worst of the findings.
    #[must_use]
    pub fn worst(&self) -> Level {
        self.findings.iter().map(|finding| finding.level).max().unwrap_or(Level::Fine)
    }

    /// The findings as a program reads them.
    #[must_use]
    pub fn told(&self) -> Told<'_> {
        let finding = |finding: &'_ Finding| -> ToldFinding {
            ToldFinding { subject: finding.subject, level: level(finding.level), found: finding.found.clone(), remedy: finding.remedy.clone() }
        };
        Told { role: self.role.as_str(), kind: self.kind, level: level(self.worst()), findings: self.findings.iter().map(finding).collect() }
    }
}

/// One role, to be serialised.
#[derive(Debug, Serialize)]
pub struct Told<'a> {
    role: &'a str,
    kind: &'a str,
    level: &'static str,
    findings: Vec<ToldFinding>,
}

#[derive(Debug, Serialize)]
struct ToldFinding {
    subject: &'static str,
    level: &'static str,
    found: String,
    remedy: String,
}

fn level(level: Level) -> &'static str {
    match level {
        Level::Fine => "fine",
        Level::Warning => "warning",
        Level::Fault => "fault",
    }
}

/// Looks at the log.
pub async fn log(place: &LogPlace, partitions: u32) -> Examined {
    let (kind, findings) = match place {
        LogPlace::Sqlite(folder) => ("sqlite", file(&wh_eventlog::embedded::file_of(folder), &layout::LOG)),
        LogPlace::Kafka(settings) => {
            let mut findings = wh_eventlog::kafka::checks::examine(settings).await;
            findings.extend(other_partitions(settings, partitions).await);
            ("kafka", findings)
        }
    };
    Examined { role: Role::Log, kind, findings }
}

/// Whether the topics have as many partitions as the settings say; nothing where that cannot be told.
async fn other_partitions(settings: &KafkaSettings, partitions: u32) -> Option<Finding> {
    let found = KafkaReader::open(settings).await.ok()?.partitions(RISK_SCORES).await.ok()?;
    (found != partitions).then(|| {
        Finding::fault(
            "partitions",
            format!("{RISK_SCORES} has {found}, and log.partitions = {partitions}"),
            format!("set log.partitions = {found}: users belong to partitions, their number cannot be changed"),
        )
    })
}

/// Looks at the ledger.
pub async fn ledger(place: &LedgerPlace) -> Examined {
    let (kind, findings) = match place {
        LedgerPlace::Sqlite(path) => ("sqlite", file(path, &layout::LEDGER)),
        LedgerPlace::Postgres(settings) => ("postgres", wh_stores::postgres::checks::examine(settings).await),
    };
    Examined { role: Role::Ledger, kind, findings }
}

/// Looks at the documents.
pub async fn documents(place: &DocumentsPlace) -> Examined {
    let (kind, findings) = match place {
        DocumentsPlace::Sqlite(path) => ("sqlite", file(path, &layout::DOCUMENTS)),
        DocumentsPlace::Mongodb(settings) => ("mongodb", wh_stores::mongodb::checks::examine(settings).await),
    };
    Examined { role: Role::Documents, kind, findings }
}

/// Looks at the metrics.
pub async fn metrics(place: &MetricsPlace) -> Examined {
    let (kind, findings) = match place {
        MetricsPlace::Sqlite(path) => ("sqlite", file(path, &layout::METRICS)),
        MetricsPlace::Influxdb(settings) => ("influxdb", wh_stores::influxdb::checks::examine(settings).await),
    };
    Examined { role: Role::Metrics, kind, findings }
}

/// Looks at the baselines.
pub async fn baselines(place: &BaselinesPlace) -> Examined {
    let (kind, findings) = match place {
        BaselinesPlace::Sqlite(path) => ("sqlite", file(path, &layout::BASELINES)),
        BaselinesPlace::Redis(settings) => ("redis", wh_stores::redis::checks::examine(settings).await),
    };
    Examined { role: Role::Baselines, kind, findings }
}

/// Looks at the search store.
pub async fn search(place: &SearchPlace) -> Examined {
    let (kind, findings) = match place {
        SearchPlace::Tantivy(folder) => ("tantivy", index(folder)),
        SearchPlace::Elasticsearch(settings) => ("elasticsearch", wh_stores::elasticsearch::checks::examine(settings).await),
    };
    Examined { role: Role::Search, kind, findings }
}

fn file(path: &Path, layout: &Layout) -> Vec<Finding> {
    if !path.exists() {
        return vec![Finding::fine("file", format!("{} is not there yet: the first start makes it", path.display()))];
    }
    match wh_stores::sqlite::open_reader(path, layout) {
        Ok(_) => vec![Finding::fine("file", path.display().to_string()), Finding::fine("layout", format!("layout {}", layout.version))],
        Err(reaction) => vec![Finding::fault("file", reaction.to_string(), "")],
    }
}

fn index(folder: &Path) -> Vec<Finding> {
    if !folder.join("meta.json").exists() {
        return vec![Finding::fine("index", format!("{} is not there yet: the first start makes it", folder.display()))];
    }
    match wh_sinks::tantivy::read_positions(folder, "scorer") {
        Ok(_) => vec![Finding::fine("index", folder.display().to_string())],
        Err(reaction) => vec![Finding::fault("index", reaction.to_string(), "")],
    }
}
