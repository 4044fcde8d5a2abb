//! Names of measurements, and what those left behind that never came to their end: one that was killed removes nothing.
//!
//! What must stay true: only names that a measurement gives itself are found; one whose process still runs, or may run on another machine,
//! is told as that, so that nobody takes away what is being measured on.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use redis::aio::MultiplexedConnection;
use serde::Deserialize;
use serde_json::{Map, Value};
use sqlx::{Connection, Postgres};
use wh_schemas::{Reaction, ids};
use wh_stores::elasticsearch::{ElasticsearchSettings, Method};
use wh_stores::influxdb::InfluxdbSettings;
use wh_stores::mongodb::MongodbSettings;
use wh_stores::places::{BaselinesPlace, DocumentsPlace, LedgerPlace, MetricsPlace, SearchPlace};
use wh_stores::postgres::PostgresSettings;

use super::{Own, PREFIX, removal};

/// Keys that one look at Redis aims at.
const KEYS: usize = 1_000;
/// Buckets that stand on one page of InfluxDB's list.
const PAGE: usize = 100;

/// Who made something of a measurement's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Maker {
    /// A process of this machine that still runs.
    Runs(u32),
    /// One of this machine that is gone: what it made is nobody's.
    Gone,
    /// One that cannot be asked for from here.
    Elsewhere,
}

/// What was found in the stores and beside the data.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// By the measurement's name, what there is of it.
    pub by_name: BTreeMap<String, BTreeSet<&'static str>>,
    /// Stores that could not be looked into: a sentence each.
    pub unread: Vec<String>,
}

/// A name that no other measurement has: of the time, the process and the machine.
#[must_use]
pub fn own_name(now_micros: i64, process: u32) -> String {
    format!("{PREFIX}{:x}_{process:x}_h{:08x}", now_micros.unsigned_abs() / 1_000, host())
}

/// The machine's name as a number, so that processes of two machines that share stores are told apart.
fn host() -> u32 {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    u32::try_from(ids::fingerprint(name.trim().as_bytes()) >> 32).unwrap_or_default()
}

/// Who made what bears this name; `None` where it is no name of a measurement.
#[must_use]
pub fn maker(name: &str) -> Option<Maker> {
    let rest = name.strip_prefix(PREFIX)?;
    if rest.is_empty() || !rest.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_') {
        return None;
    }
    let mut parts = rest.split('_').skip(1);
    let process = parts.next().and_then(|part| u32::from_str_radix(part, 16).ok());
    let of = parts.next().and_then(|part| part.strip_prefix('h')).and_then(|part| u32::from_str_radix(part, 16).ok());
    match process {
        Some(process) if of == Some(host()) => Some(if runs(process) { Maker::Runs(process) } else { Maker::Gone }),
        _ => Some(Maker::Elsewhere),
    }
}

/// Whether a process runs that measures: numbers of processes are given again.
fn runs(process: u32) -> bool {
    match std::fs::read(format!("/proc/{process}/cmdline")) {
        Ok(line) => memchr::memmem::find(&line, b"bench").is_some(),
        Err(_) if Path::new("/proc/self").exists() => false,
        // A system that does not tell: that there is such a process must do.
        Err(_) => i32::try_from(process).is_ok_and(|process| kill(Pid::from_raw(process), None::<Signal>).is_ok()),
    }
}

impl Own {
    /// Names of measurements whose folders stand beside this one's, without asking a store.
    #[must_use]
    pub fn folders(&self) -> Vec<String> {
        let Some((parent, own)) = self.folder.parent().zip(self.folder.file_name().and_then(|own| own.to_str())) else { return Vec::new() };
        let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
        let stem = own.strip_suffix(self.name.as_str()).unwrap_or_default();
        let names = std::fs::read_dir(parent).into_iter().flatten().flatten().filter_map(|entry| entry.file_name().into_string().ok());
        names.filter_map(|name| name.strip_prefix(stem).or(Some(name.as_str())).filter(|name| *name != self.name && maker(name).is_some()).map(str::to_owned)).collect()
    }

    /// Everything of any measurement's name in the stores and beside the data. Topics are not listed: they are found by another trace.
    pub async fn found(&self) -> Found {
        let (databases, documents, buckets, keys, indexes) = tokio::join!(self.databases(), self.documents(), self.buckets(), self.keys(), self.indexes());
        let mut found = Found::default();
        let looked = [("a folder", Ok(self.folders())), ("a database", databases), ("documents", documents), ("buckets", buckets), ("keys", keys), ("indexes", indexes)];
        for (what, names) in looked {
            match names {
                Ok(names) => {
                    for name in names.into_iter().filter(|name| *name != self.name && maker(name).is_some()) {
                        found.by_name.entry(name).or_default().insert(what);
                    }
                }
                Err(reaction) => found.unread.push(format!("whether {what} of a measurement was left is not known: {reaction}")),
            }
        }
        found
    }

    async fn databases(&self) -> Result<Vec<String>, Reaction> {
        match (&self.places.ledger, &self.door) {
            (LedgerPlace::Postgres(_), Some(door)) => databases(door).await,
            _ => Ok(Vec::new()),
        }
    }

    async fn documents(&self) -> Result<Vec<String>, Reaction> {
        match &self.places.documents {
            DocumentsPlace::Mongodb(settings) => documents(settings).await,
            DocumentsPlace::Sqlite(_) => Ok(Vec::new()),
        }
    }

    async fn buckets(&self) -> Result<Vec<String>, Reaction> {
        match &self.places.metrics {
            MetricsPlace::Influxdb(settings) => buckets(settings).await.map_err(|why| Reaction::fatal(format!("{}: {why}", settings.place()))),
            MetricsPlace::Sqlite(_) => Ok(Vec::new()),
        }
    }

    async fn keys(&self) -> Result<Vec<String>, Reaction> {
        match &self.places.baselines {
            BaselinesPlace::Redis(settings) => {
                let mut connection = wh_stores::redis::connect(settings).await?;
                keys(&mut connection).await.map_err(|error| wh_stores::redis::reaction(&settings.place(), &error))
            }
            BaselinesPlace::Sqlite(_) => Ok(Vec::new()),
        }
    }

    async fn indexes(&self) -> Result<Vec<String>, Reaction> {
        match &self.places.search {
            SearchPlace::Elasticsearch(settings) => indexes(settings).await,
            SearchPlace::Tantivy(_) => Ok(Vec::new()),
        }
    }
}

async fn databases(door: &PostgresSettings) -> Result<Vec<String>, Reaction> {
    let mut connection = wh_stores::postgres::connect(door).await?;
    let found = sqlx::query_scalar::<Postgres, String>("SELECT datname::text FROM pg_catalog.pg_database").fetch_all(&mut connection).await;
    let found = found.map_err(|error| wh_stores::postgres::reaction(&door.place(), &error))?;
    // Whether it is closed in form is of no account any more.
    drop(connection.close().await);
    Ok(found)
}

async fn documents(settings: &MongodbSettings) -> Result<Vec<String>, Reaction> {
    let connected = wh_stores::mongodb::connect(settings).await?;
    connected.ask(connected.database().client().list_database_names()).await
}

/// Buckets, those of hourly sums by the name of what they are summed from.
async fn buckets(settings: &InfluxdbSettings) -> Result<Vec<String>, String> {
    #[derive(Deserialize)]
    struct Named {
        name: String,
    }
    #[derive(Deserialize)]
    struct Listed {
        buckets: Vec<Named>,
    }
    let told = |error: reqwest::Error| error.to_string();
    let (http, authorization) = removal::http(settings)?;
    let (mut names, mut offset) = (Vec::new(), 0);
    loop {
        let (limit, from) = (PAGE.to_string(), offset.to_string());
        let asked = http
            .get(format!("{}/api/v2/buckets", settings.base()))
            .query(&[("org", settings.org.as_str()), ("limit", limit.as_str()), ("offset", from.as_str())])
            .header("Authorization", &authorization);
        let answer = asked.send().await.map_err(told)?.error_for_status().map_err(told)?.text().await.map_err(told)?;
        let page: Listed = serde_json::from_str(&answer).map_err(|error| error.to_string())?;
        let last = page.buckets.len() < PAGE;
        names.extend(page.buckets.into_iter().map(|bucket| bucket.name));
        if last {
            return Ok(names);
        }
        offset += PAGE;
    }
}

/// The namespaces of keys.
async fn keys(connection: &mut MultiplexedConnection) -> redis::RedisResult<Vec<String>> {
    let (pattern, mut cursor, mut names) = (format!("{PREFIX}*"), 0_u64, BTreeSet::new());
    loop {
        let (next, found): (u64, Vec<Vec<u8>>) = redis::cmd("SCAN").arg(cursor).arg("MATCH").arg(&pattern).arg("COUNT").arg(KEYS).query_async(connection).await?;
        names.extend(found.iter().filter_map(|key| std::str::from_utf8(key).ok()?.split(':').next().map(str::to_owned)));
        if next == 0 {
            return Ok(names.into_iter().collect());
        }
        cursor = next;
    }
}

/// The namespaces of indexes.
async fn indexes(settings: &ElasticsearchSettings) -> Result<Vec<String>, Reaction> {
    let client = wh_stores::elasticsearch::connect(settings).await?;
    let told = |failure| client.reaction(&failure);
    let found: Map<String, Value> = client.ask(Method::Get, &format!("{PREFIX}*/_alias"), &[], None).await.map_err(told)?;
    Ok(found.keys().filter_map(|index| index.split('-').next().map(str::to_owned)).collect())
}

#[cfg(test)]
mod tests {
    use wh_stores::clock;

    use super::*;

    #[test]
    fn a_name_tells_whether_its_measurement_still_runs() {
        let mine = own_name(clock::now().0, std::process::id());
        assert_eq!(maker(&mine), Some(Maker::Runs(std::process::id())), "{mine}");
        // No process has so high a number.
        assert_eq!(maker(&own_name(1, 0x7fff_fff0)), Some(Maker::Gone));
        assert_eq!(maker(&format!("{}_7", own_name(1, 0x7fff_fff0))), Some(Maker::Gone));
        assert_eq!(maker("whbench_19abc"), Some(Maker::Elsewhere));
        assert_eq!(maker("whbench_19abc_1_h0"), Some(Maker::Elsewhere));
        for foreign in ["wardhouse", "whbench", "whbench_", "whbench_a b", "whbench_A", "whbench_a/../b", "my_whbench_1"] {
            assert_eq!(maker(foreign), None, "{foreign}");
        }
    }
}
