//! What a store must hold once it has taken certain records, worked out from the records alone, and what it does hold, read
//! back by SQL. Both as rows of text: an id and a content.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::path::Path;

use chrono_tz::Tz;
use wh_eventlog::Stored;
use wh_query::Engine;
use wh_schemas::layout::{DOCUMENTS, LEDGER, METRICS, METRICS_BLOCK};
use wh_schemas::pattern::Pattern;
use wh_schemas::scored::ALERT_SCORE;
use wh_schemas::time::SECOND;
use wh_schemas::{Alert, Reaction, ScoreRecord};
use wh_sinks::delivery::{Store, StorePosition};
use wh_sinks::sqlite::{DocumentsStore, LedgerStore, MetricsStore, file};
use wh_sinks::tantivy::{self, SearchStore};

use crate::records::score;
use crate::sql::{self, NULL};

/// A store that a sink writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Ledger,
    Documents,
    Metrics,
    Search,
}

impl Role {
    pub(crate) const ALL: [Role; 4] = [Role::Ledger, Role::Documents, Role::Metrics, Role::Search];

    /// Whether it keeps pattern alerts.
    pub(crate) fn takes_patterns(self) -> bool {
        matches!(self, Role::Ledger | Role::Search)
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Role::Ledger => "ledger",
            Role::Documents => "documents",
            Role::Metrics => "metrics",
            Role::Search => "search",
        }
    }
}

/// Opens the embedded store of a role in a folder.
pub(crate) fn open(role: Role, folder: &Path) -> Result<Box<dyn Store>, Reaction> {
    Ok(match role {
        Role::Ledger => Box::new(LedgerStore::open(&folder.join("ledger.db"), Tz::UTC)?),
        Role::Documents => Box::new(DocumentsStore::open(&folder.join("documents.db"))?),
        Role::Metrics => Box::new(MetricsStore::open(&folder.join("metrics.db"))?),
        Role::Search => Box::new(SearchStore::open(&folder.join("search"))?),
    })
}

/// How far an embedded store says that it can be read in the scored stream, as whoever does not write it finds it.
pub(crate) fn published(role: Role, folder: &Path) -> Result<Vec<StorePosition>, Reaction> {
    published_of(role, folder, "scorer")
}

/// The same in any stream.
pub(crate) fn published_of(role: Role, folder: &Path, stream: &str) -> Result<Vec<StorePosition>, Reaction> {
    match role {
        Role::Ledger => file::read_positions(&folder.join("ledger.db"), &LEDGER, stream),
        Role::Documents => file::read_positions(&folder.join("documents.db"), &DOCUMENTS, stream),
        Role::Metrics => file::read_positions(&folder.join("metrics.db"), &METRICS, stream),
        Role::Search => tantivy::read_positions(&folder.join("search"), stream),
    }
}

/// Rows of id and content, sorted.
pub(crate) type Content = Vec<(String, String)>;

/// What the store of a role must hold of these records.
pub(crate) fn expected<'r>(role: Role, records: impl IntoIterator<Item = &'r Stored>) -> Content {
    // A duplicate has no score and is in no store.
    let rows: Vec<(&Stored, ScoreRecord<'_>)> = records.into_iter().map(|record| (record, score(record))).filter(|(_, row)| row.risk_score.is_some()).collect();
    let mut content = match role {
        Role::Ledger => ledger(&rows),
        Role::Documents => documents(&rows),
        Role::Metrics => metrics(&rows),
        Role::Search => search(&rows),
    };
    content.sort_unstable();
    content
}

/// What the store of a role must hold of these records of `risk-alerts`, beside what it holds of scored ones. Those without a pattern are
/// alerts of transactions: they are in no store by themselves.
pub(crate) fn expected_patterns<'r>(role: Role, records: impl IntoIterator<Item = &'r Stored>) -> Content {
    let mut content = BTreeMap::new();
    for record in records.into_iter().filter(|_| role.takes_patterns()) {
        let alert: Alert<'_> = serde_json::from_slice(&record.value).unwrap();
        let (Some(pattern), Some(row)) = (&alert.pattern, alert.row_position()) else { continue };
        if role == Role::Ledger {
            content.insert(format!("pattern {}", pattern.pattern_id), pattern_fields(pattern));
        }
        if alert.is_raised() {
            let completing: serde_json::Value = serde_json::from_str(alert.transaction.as_ref().unwrap().get()).unwrap();
            let user = completing["user_id"].as_str().unwrap();
            let said = fields([&alert.title, &alert.message, &json(&alert.detection_rules)]);
            // The search store keeps the department where the ledger has a status, and when it happened.
            let (state, when) = if role == Role::Ledger { ("open", String::new()) } else { ("", format!(" | {}", pattern.last_event.0)) };
            let raised = fields([
                &alert.transaction_id,
                &user,
                &alert.alert_type,
                &alert.severity.as_str(),
                &alert.risk_score,
                &said,
                &state,
                &record.append_time,
                &row.partition,
                &row.seq,
            ]);
            content.insert(format!("alert {}", alert.alert_id), format!("{raised}{when}"));
        }
    }
    content.into_iter().collect()
}

fn pattern_fields(pattern: &Pattern<'_>) -> String {
    fields([
        &pattern.pattern_type,
        &pattern.user_id.as_deref().unwrap_or(NULL),
        &json(&pattern.accounts),
        &json(&pattern.members),
        &pattern.risk_score,
        &pattern.description,
        &pattern.first_event.0,
        &pattern.last_event.0,
    ])
}

fn fields<const N: usize>(values: [&dyn Display; N]) -> String {
    values.map(|value| value.to_string()).join(" | ")
}

fn json<T: serde::Serialize + ?Sized>(value: &T) -> String {
    serde_json::to_string(value).unwrap()
}

#[derive(Default)]
struct Profile {
    transactions: i64,
    amount_sum: i64,
    amount_max: i64,
    departments: BTreeMap<String, i64>,
    hours: [i64; 24],
    alerts: i64,
    score_sum: i64,
    score_max: i64,
    times: BTreeSet<i64>,
}

fn ledger(rows: &[(&Stored, ScoreRecord<'_>)]) -> Content {
    let mut content = Content::new();
    let mut profiles: BTreeMap<&str, Profile> = BTreeMap::new();
    // One pattern may be completed twice: by its id it is one row.
    let mut patterns = BTreeMap::new();
    for (record, row) in rows {
        let (points, level, parts) = (row.risk_score.unwrap(), row.risk_level.unwrap(), row.dimensions.unwrap());
        content.push((
            format!("transaction {}", row.transaction_id),
            fields([
                &row.timestamp.0,
                &row.user_id,
                &row.account_id,
                &row.counterparty_account.as_deref().unwrap_or(NULL),
                &row.department,
                &row.transaction_type,
                &row.amount.0,
                &row.description.as_deref().unwrap_or(NULL),
                &points,
                &level.as_str(),
                &row.is_anomaly.unwrap(),
                &fields([&parts.amount, &parts.time, &parts.frequency, &parts.behavior, &parts.metadata]),
                &json(&row.detection_rules),
                &row.ruleset.as_deref().unwrap(),
                &row.metadata.get(),
                &row.content_hash,
                &record.append_time,
                &row.partition,
                &row.seq,
            ]),
        ));
        for alert in &row.alerts {
            content.push((format!("alert {}", alert.alert_id), alert_fields(alert, row, "open", record.append_time)));
        }
        for pattern in &row.patterns {
            patterns.entry(format!("pattern {}", pattern.pattern_id)).or_insert_with(|| pattern_fields(pattern));
        }
        let profile = profiles.entry(row.user_id.as_str()).or_default();
        profile.transactions += 1;
        profile.amount_sum += row.amount.0;
        profile.amount_max = profile.amount_max.max(row.amount.0);
        *profile.departments.entry(row.department.to_string()).or_default() += 1;
        profile.hours[usize::from(row.timestamp.hour_of_week(Tz::UTC)) % 24] += 1;
        profile.alerts += i64::from(!row.alerts.is_empty());
        profile.score_sum += i64::from(points);
        profile.score_max = profile.score_max.max(i64::from(points));
        profile.times.insert(row.timestamp.0);
    }
    content.extend(patterns);
    content.extend(profiles.into_iter().map(|(user, profile)| {
        let (first, last) = (profile.times.first().unwrap(), profile.times.last().unwrap());
        let amounts = fields([&profile.transactions, &profile.amount_sum, &profile.amount_max, &json(&profile.departments), &json(&profile.hours)]);
        (format!("profile {user}"), fields([&amounts, &profile.alerts, &profile.score_sum, &profile.score_max, first, last, last]))
    }));
    content
}

fn alert_fields(alert: &Alert<'_>, row: &ScoreRecord<'_>, state: &str, created_at: i64) -> String {
    let said = fields([&alert.title, &alert.message, &json(&alert.detection_rules)]);
    fields([&alert.transaction_id, &row.user_id, &alert.alert_type, &alert.severity.as_str(), &alert.risk_score, &said, &state, &created_at, &row.partition, &row.seq])
}

fn documents(rows: &[(&Stored, ScoreRecord<'_>)]) -> Content {
    let mut content = Content::new();
    for (_, row) in rows {
        let place = fields([&row.timestamp.0, &row.user_id, &row.partition, &row.seq]);
        content.push((format!("metadata {}", row.transaction_id), fields([&place, &row.metadata.get()])));
        content.push((
            format!("explanation {}", row.transaction_id),
            fields([
                &place,
                &row.risk_score.unwrap(),
                &row.risk_level.unwrap().as_str(),
                &json(&row.dimensions),
                &json(&row.reasons),
                &json(&row.alerts),
                &row.ruleset.as_deref().unwrap(),
                &row.state_epoch,
            ]),
        ));
    }
    content
}

fn metrics(rows: &[(&Stored, ScoreRecord<'_>)]) -> Content {
    let mut points: BTreeMap<String, [i64; 5]> = BTreeMap::new();
    for (_, row) in rows {
        let score = i64::from(row.risk_score.unwrap());
        let second = row.timestamp.0.div_euclid(SECOND) * SECOND;
        let id = fields([&second, &row.department, &row.transaction_type, &row.risk_level.unwrap().as_str(), &row.partition, &(row.seq / METRICS_BLOCK)]);
        let [transactions, amount_sum, score_sum, score_max, alerts] = points.entry(id).or_default();
        *transactions += 1;
        *amount_sum += row.amount.0;
        *score_sum += score;
        *score_max = score.max(*score_max);
        *alerts += i64::from(score >= i64::from(ALERT_SCORE));
    }
    points.into_iter().map(|(id, sums)| (format!("point {id}"), sums.map(|sum| sum.to_string()).join(" | "))).collect()
}

fn search(rows: &[(&Stored, ScoreRecord<'_>)]) -> Content {
    let mut content = Content::new();
    for (record, row) in rows {
        for alert in &row.alerts {
            let alert_fields = alert_fields(alert, row, row.department.as_str(), record.append_time);
            content.push((format!("alert {}", alert.alert_id), fields([&alert_fields, &row.timestamp.0])));
        }
    }
    content
}

/// A query whose first columns are the id.
struct Query {
    kind: &'static str,
    keys: usize,
    sql: &'static str,
}

fn queries(role: Role) -> &'static [Query] {
    match role {
        Role::Ledger => &[
            Query {
                kind: "transaction",
                keys: 1,
                sql: "SELECT transaction_id, \"timestamp\", user_id, account_id, counterparty_account, department, transaction_type, amount, description, \
                      risk_score, risk_level, is_anomaly, amount_score, time_score, frequency_score, behavior_score, metadata_score, detection_rules, ruleset, \
                      metadata, content_hash, processed_at, \"partition\", seq FROM ledger.transactions",
            },
            Query {
                kind: "alert",
                keys: 1,
                sql: "SELECT alert_id, transaction_id, user_id, alert_type, severity, risk_score, title, message, detection_rules, status, created_at, \"partition\", seq \
                      FROM ledger.risk_alerts",
            },
            Query {
                kind: "pattern",
                keys: 1,
                sql: "SELECT pattern_id, pattern_type, user_id, accounts, members, risk_score, description, first_event, last_event FROM ledger.transaction_patterns",
            },
            Query {
                kind: "profile",
                keys: 1,
                sql: "SELECT user_id, total_transactions, amount_sum, amount_max, departments, \"hours\", alert_count, score_sum, score_max, first_seen, last_seen, \
                      last_updated FROM ledger.user_profiles",
            },
        ],
        Role::Documents => &[
            Query { kind: "metadata", keys: 1, sql: "SELECT transaction_id, \"timestamp\", user_id, \"partition\", seq, metadata FROM documents.transaction_metadata" },
            Query {
                kind: "explanation",
                keys: 1,
                sql: "SELECT transaction_id, \"timestamp\", user_id, \"partition\", seq, risk_score, risk_level, dimensions, reasons, alerts, ruleset, state_epoch \
                      FROM documents.explanations",
            },
        ],
        Role::Metrics => &[Query {
            kind: "point",
            keys: 6,
            sql: "SELECT \"time\", department, transaction_type, risk_level, \"partition\", \"block\", transactions, amount_sum, score_sum, score_max, alerts \
                  FROM metrics.throughput",
        }],
        Role::Search => &[Query {
            kind: "alert",
            keys: 1,
            sql: "SELECT alert_id, transaction_id, user_id, alert_type, severity, risk_score, title, message, detection_rules, department, created_at, \"partition\", seq, \
                  \"timestamp\" FROM search.alerts",
        }],
    }
}

/// What the store of a role holds, for whoever reads it.
pub(crate) async fn read_back(role: Role, engine: &Engine) -> Content {
    let mut content = Content::new();
    for query in queries(role) {
        for row in sql::rows(engine, query.sql).await {
            let (id, rest) = row.split_at(query.keys);
            content.push((format!("{} {}", query.kind, id.join(" | ")), rest.join(" | ")));
        }
    }
    content.sort_unstable();
    content
}

/// Panics with the first rows that differ.
#[track_caller]
pub(crate) fn assert_same(found: &[(String, String)], wanted: &[(String, String)], what: &str) {
    if found == wanted {
        return;
    }
    let (held, asked): (BTreeSet<_>, BTreeSet<_>) = (found.iter().collect(), wanted.iter().collect());
    let missing: Vec<_> = asked.difference(&held).take(3).collect();
    let unexpected: Vec<_> = held.difference(&asked).take(3).collect();
    panic!("{what}: {} rows instead of {}\nmissing: {missing:#?}\nnot expected: {unexpected:#?}", found.len(), wanted.len());
}
