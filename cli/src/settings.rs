//! Settings: defaults, then `wardhouse.toml`, then the environment, then flags; then validated into types that cannot
//! hold nonsense, all faults told at once. No I/O but the reading of the file.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use chrono_tz::Tz;
use figment::Figment;
use figment::providers::{Env, Format, Serialized, Toml};
use serde::{Deserialize, Serialize};
use wh_eventlog::dead_letters::LimitSettings;
use wh_schemas::validate::{DEFAULT_LABEL_KEYS, Reading};
use wh_scorer::engine::Ruleset;
use wh_stores::elasticsearch::RawElasticsearch;
use wh_stores::influxdb::RawInfluxdb;
use wh_stores::kafka::RawKafka;
use wh_stores::mongodb::RawMongodb;
use wh_stores::postgres::RawPostgres;
use wh_stores::redis::RawRedis;
use wh_stores::{Durability, Faults, Role};

use crate::places::Places;
use crate::sql_settings::{RawSql, SqlSettings};

/// The file that is read where none is named.
pub(crate) const DEFAULT_FILE: &str = "wardhouse.toml";
/// The folder that embedded stores live in unless settings or flags say otherwise.
pub(crate) const DEFAULT_DATA: &str = "data";

/// Settings as they are written.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Raw {
    pub(crate) stores: RawStores,
    hospital: RawHospital,
    log: RawLog,
    intake: RawIntake,
    dead_letters: RawDeadLetters,
    scorer: RawScorer,
    sinks: RawSinks,
    http: RawHttp,
    operations: RawOperations,
    sql: RawSql,
    generator: RawGenerator,
    pub(crate) kafka: RawKafka,
    pub(crate) postgres: RawPostgres,
    pub(crate) mongodb: RawMongodb,
    pub(crate) influxdb: RawInfluxdb,
    pub(crate) redis: RawRedis,
    pub(crate) elasticsearch: RawElasticsearch,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct RawStores {
    #[serde(skip_serializing_if = "Option::is_none")]
    log: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ledger: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    documents: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    metrics: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    baselines: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    search: Option<String>,
    pub(crate) durability: RawDurability,
}

/// What a start does where a server may lose what it acknowledged.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum RawDurability {
    #[default]
    Warn,
    Strict,
}

impl From<RawDurability> for Durability {
    fn from(raw: RawDurability) -> Self {
        match raw {
            RawDurability::Warn => Durability::Warn,
            RawDurability::Strict => Durability::Strict,
        }
    }
}

impl RawStores {
    pub(crate) fn url_mut(&mut self, role: Role) -> &mut Option<String> {
        match role {
            Role::Log => &mut self.log,
            Role::Ledger => &mut self.ledger,
            Role::Documents => &mut self.documents,
            Role::Metrics => &mut self.metrics,
            Role::Baselines => &mut self.baselines,
            Role::Search => &mut self.search,
        }
    }

    pub(crate) fn url(&self, role: Role) -> Option<&String> {
        match role {
            Role::Log => self.log.as_ref(),
            Role::Ledger => self.ledger.as_ref(),
            Role::Documents => self.documents.as_ref(),
            Role::Metrics => self.metrics.as_ref(),
            Role::Baselines => self.baselines.as_ref(),
            Role::Search => self.search.as_ref(),
        }
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawHospital {
    time_zone: String,
}

impl Default for RawHospital {
    fn default() -> Self {
        RawHospital { time_zone: "UTC".to_owned() }
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawLog {
    partitions: u32,
    max_mib: u64,
    fetch_kib: u64,
}

impl Default for RawLog {
    fn default() -> Self {
        RawLog { partitions: 3, max_mib: 20_480, fetch_kib: 1_024 }
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawIntake {
    label_keys: Vec<String>,
}

impl Default for RawIntake {
    fn default() -> Self {
        RawIntake { label_keys: DEFAULT_LABEL_KEYS.iter().map(|k| (*k).to_owned()).collect() }
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawDeadLetters {
    max_per_minute: u64,
    max_percent: u64,
}

impl Default for RawDeadLetters {
    fn default() -> Self {
        let LimitSettings { per_minute, percent } = LimitSettings::default();
        RawDeadLetters { max_per_minute: per_minute, max_percent: percent }
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawScorer {
    checkpoint_ms: u64,
    quiet_seconds: u64,
    dedup_horizon: u64,
    /// The ruleset file.
    #[serde(skip_serializing_if = "Option::is_none")]
    rules: Option<String>,
    metadata_keys: Vec<String>,
    limits: Vec<f64>,
}

impl Default for RawScorer {
    fn default() -> Self {
        let Ruleset { metadata_keys, limits, .. } = Ruleset::default();
        RawScorer { checkpoint_ms: 500, quiet_seconds: 5, dedup_horizon: wh_scorer::dedup::DEFAULT_HORIZON as u64, rules: None, metadata_keys, limits }
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawSinks {
    publish_ms: u64,
    retention_days: u64,
}

impl Default for RawSinks {
    fn default() -> Self {
        RawSinks { publish_ms: 200, retention_days: 0 }
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawHttp {
    listen: String,
    max_body_kib: u64,
    max_rows: u64,
    max_lag_records: u64,
}

impl Default for RawHttp {
    fn default() -> Self {
        RawHttp { listen: "127.0.0.1:8080".to_owned(), max_body_kib: 8_192, max_rows: 10_000, max_lag_records: 500_000 }
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawOperations {
    listen: String,
}

impl Default for RawOperations {
    fn default() -> Self {
        RawOperations { listen: "127.0.0.1:9600".to_owned() }
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawGenerator {
    seed: u64,
    users: u32,
    anomaly_rate: f64,
    history: u64,
    history_days: u32,
}

impl Default for RawGenerator {
    fn default() -> Self {
        RawGenerator { seed: 1, users: 50, anomaly_rate: 0.15, history: 200_000, history_days: 30 }
    }
}

/// Validated settings.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) data: PathBuf,
    pub(crate) places: Places,
    pub(crate) zone: Tz,
    pub(crate) partitions: u32,
    pub(crate) log_sizes: wh_eventlog::embedded::Settings,
    pub(crate) reading: Reading,
    /// How many dead letters end a stage.
    pub(crate) dead_letters: LimitSettings,
    pub(crate) ruleset: Ruleset,
    pub(crate) checkpoint_every: Duration,
    /// How long nothing must come before patterns by account wait for a partition no more.
    pub(crate) quiet: Duration,
    pub(crate) dedup_horizon: usize,
    pub(crate) publish_every: Duration,
    pub(crate) retention: Option<Duration>,
    /// `None`: switched off by an empty address.
    pub(crate) http: Option<SocketAddr>,
    pub(crate) http_sizes: (usize, usize, u64),
    pub(crate) operations: Option<SocketAddr>,
    pub(crate) sql: SqlSettings,
    pub(crate) generator: Generator,
    /// The file that was named, if any.
    pub(crate) file: Option<PathBuf>,
    raw: Raw,
}

/// How `up` makes its world.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Generator {
    pub(crate) seed: u64,
    pub(crate) users: u32,
    pub(crate) anomaly_rate: f64,
    pub(crate) history: u64,
    pub(crate) history_days: u32,
}

/// Reads and validates the settings; every fault at once. `rules`, a ruleset file, counts before the one that they name.
///
/// # Errors
/// A sentence a fault.
pub(crate) fn load(file: Option<&Path>, data: Option<&Path>, rules: Option<&Path>) -> Result<Settings, Vec<String>> {
    load_changed(file, data, rules, |_| {})
}

/// As [`load`], of settings that are changed as they are written, URLs with their passwords included.
///
/// # Errors
/// A sentence a fault.
pub(crate) fn load_changed(file: Option<&Path>, data: Option<&Path>, rules: Option<&Path>, change: impl FnOnce(&mut Raw)) -> Result<Settings, Vec<String>> {
    let mut figment = Figment::from(Serialized::defaults(Raw::default()));
    match file {
        Some(path) if !path.is_file() => return Err(vec![format!("there is no settings file {}: check --config", path.display())]),
        Some(path) => figment = figment.merge(Toml::file_exact(path)),
        None if Path::new(DEFAULT_FILE).is_file() => figment = figment.merge(Toml::file_exact(DEFAULT_FILE)),
        None => {}
    }
    figment = figment.merge(Env::prefixed("WARDHOUSE_").filter(|key| key.as_str().contains("__") && !is_secret(key.as_str())).split("__"));
    // As they are written: a password of digits is no number.
    for (name, value) in std::env::vars() {
        let key = name.strip_prefix("WARDHOUSE_").filter(|key| key.contains("__") && is_secret(key));
        if let Some(key) = key {
            figment = figment.merge((key.to_lowercase().replace("__", "."), value));
        }
    }
    if let Some(path) = rules {
        figment = figment.merge(("scorer.rules", path.display().to_string()));
    }
    let mut raw: Raw = figment.extract().map_err(|errors| errors.into_iter().map(|e| sentence(&e)).collect::<Vec<_>>())?;
    change(&mut raw);
    let rules = raw.scorer.rules.as_deref().map(|path| crate::ruleset::read(Path::new(path)));
    Settings::try_new(raw, data, rules).map(|settings| Settings { file: file.map(Path::to_owned), ..settings })
}

/// Whether a setting of the environment is a password or what stands for one.
fn is_secret(key: &str) -> bool {
    let key = key.to_lowercase();
    ["password", "token", "api_key"].iter().any(|secret| key.ends_with(&format!("__{secret}")))
}

fn sentence(error: &figment::Error) -> String {
    let place = error.path.join(".");
    let source = error.metadata.as_ref().map(|m| m.source.as_ref().map_or_else(|| m.name.to_string(), ToString::to_string)).unwrap_or_default();
    let at = [(!place.is_empty()).then_some(place), (!source.is_empty()).then_some(format!("in {source}"))].into_iter().flatten().collect::<Vec<_>>().join(" ");
    // What stands there may be the secret itself.
    if is_secret(&format!("__{}", error.path.last().map(String::as_str).unwrap_or_default())) {
        return format!("{at}: expected text in quotes");
    }
    if at.is_empty() { error.kind.to_string() } else { format!("{at}: {}", error.kind) }
}

/// Three settings stand in a ruleset too. Where a ruleset file is named, it alone says what they are, so that its hash is
/// that of the file; one that is set here as well must say the same.
fn contradictions(raw: &Raw, ruleset: &Ruleset, faults: &mut Faults) {
    let usual = Raw::default();
    let mut compare = |name: &str, set: bool, same: bool, there: &str| {
        if set && !same {
            faults.add(format!("{name} is set here, and scorer.rules names a file whose {there} is another: leave out {name}, or give both the same value"));
        }
    };
    let (zone, limits, keys) = (&raw.hospital.time_zone, &raw.scorer.limits, &raw.scorer.metadata_keys);
    compare("hospital.time_zone", *zone != usual.hospital.time_zone, zone == ruleset.time_zone.name(), "time_zone");
    compare("scorer.limits", *limits != usual.scorer.limits, *limits == ruleset.limits, "limits");
    compare("scorer.metadata_keys", *keys != usual.scorer.metadata_keys, *keys == ruleset.metadata_keys, "metadata_keys");
}

impl Settings {
    fn try_new(mut raw: Raw, data: Option<&Path>, rules: Option<Result<Ruleset, Vec<String>>>) -> Result<Settings, Vec<String>> {
        let mut told = Vec::new();
        let data = data.map_or_else(|| PathBuf::from(DEFAULT_DATA), Path::to_owned);
        let places = Places::try_new(&raw, &data, &mut told);
        let mut faults = Faults::new();
        told.into_iter().for_each(|fault| faults.add(fault));
        // From here on nobody needs the passwords in the URLs, and none is shown.
        for role in Role::ALL {
            *raw.stores.url_mut(role) = Some(places.shown(role));
        }
        let zone = raw.hospital.time_zone.parse::<Tz>().unwrap_or_else(|_| {
            faults.add(format!("hospital.time_zone = {:?}: expected an IANA name such as Europe/Berlin", raw.hospital.time_zone));
            Tz::UTC
        });
        let rules = rules.transpose().unwrap_or_else(|told| {
            told.into_iter().for_each(|fault| faults.add(fault));
            None
        });
        let ruleset = match rules {
            Some(ruleset) => {
                contradictions(&raw, &ruleset, &mut faults);
                ruleset
            }
            None => Ruleset { time_zone: zone, limits: raw.scorer.limits.clone(), metadata_keys: raw.scorer.metadata_keys.clone(), ..Ruleset::default() },
        };
        let zone = ruleset.time_zone;
        let mut within = |name: &str, value: u64, from: u64, to: u64| faults.within(name, value, from, to);
        let partitions = within("log.partitions", u64::from(raw.log.partitions), 1, 1_024);
        let max_mib = within("log.max_mib", raw.log.max_mib, 16, 1 << 30);
        let fetch_kib = within("log.fetch_kib", raw.log.fetch_kib, 16, 65_536);
        let dead_letters = LimitSettings {
            per_minute: within("dead_letters.max_per_minute", raw.dead_letters.max_per_minute, 0, 1_000_000_000),
            percent: within("dead_letters.max_percent", raw.dead_letters.max_percent, 0, 100),
        };
        let checkpoint_ms = within("scorer.checkpoint_ms", raw.scorer.checkpoint_ms, 10, 60_000);
        let quiet_seconds = within("scorer.quiet_seconds", raw.scorer.quiet_seconds, 1, 3_600);
        let dedup_horizon = within("scorer.dedup_horizon", raw.scorer.dedup_horizon, 1, 100_000_000);
        let publish_ms = within("sinks.publish_ms", raw.sinks.publish_ms, 10, 60_000);
        let retention_days = within("sinks.retention_days", raw.sinks.retention_days, 0, 36_500);
        let max_body_kib = within("http.max_body_kib", raw.http.max_body_kib, 1, 1 << 20);
        let max_rows = within("http.max_rows", raw.http.max_rows, 1, 1_000_000);
        let history_days = within("generator.history_days", u64::from(raw.generator.history_days), 1, 3_650);
        let users = within("generator.users", u64::from(raw.generator.users), 1, 500_000);
        let history = within("generator.history", raw.generator.history, 0, 1_000_000_000);
        let address = |name: &str, text: &str, faults: &mut Faults| -> Option<SocketAddr> {
            if text.is_empty() {
                return None;
            }
            let parsed = text.parse().ok();
            if parsed.is_none() {
                faults.add(format!("{name} = {text:?}: expected an address such as 127.0.0.1:8080, or \"\" for none"));
            }
            parsed
        };
        let http = address("http.listen", &raw.http.listen, &mut faults);
        let operations = address("operations.listen", &raw.operations.listen, &mut faults);
        let sql = raw.sql.checked(&mut faults);
        let mut addresses = vec![("http.listen", http), ("operations.listen", operations)];
        addresses.extend(sql.addresses());
        for (place, (name, one)) in addresses.iter().enumerate() {
            for (other_name, other) in addresses.iter().take(place) {
                if one.is_some_and(|address| address.port() != 0) && one == other {
                    faults.add(format!("{other_name} and {name} are the same address: give each its own port"));
                }
            }
        }
        if !(0.0..=0.5).contains(&raw.generator.anomaly_rate) {
            faults.add(format!("generator.anomaly_rate = {}: expected 0 to 0.5", raw.generator.anomaly_rate));
        }
        if raw.scorer.limits.iter().any(|limit| !limit.is_finite() || *limit <= 0.0) {
            faults.add("scorer.limits: expected amounts above 0");
        }
        faults.unless_any(())?;
        let narrow = |value: u64| usize::try_from(value).unwrap_or(usize::MAX);
        // What is shown is what is in force.
        raw.hospital.time_zone = zone.name().to_owned();
        raw.scorer.limits.clone_from(&ruleset.limits);
        raw.scorer.metadata_keys.clone_from(&ruleset.metadata_keys);
        Ok(Settings {
            places,
            data,
            zone,
            partitions: u32::try_from(partitions).unwrap_or(3),
            log_sizes: wh_eventlog::embedded::Settings { max_bytes: max_mib * 1_048_576, fetch_bytes: narrow(fetch_kib * 1024) },
            dead_letters,
            reading: Reading { zone, label_keys: raw.intake.label_keys.iter().map(|k| k.to_lowercase()).collect() },
            ruleset,
            checkpoint_every: Duration::from_millis(checkpoint_ms),
            quiet: Duration::from_secs(quiet_seconds),
            dedup_horizon: narrow(dedup_horizon),
            publish_every: Duration::from_millis(publish_ms),
            retention: (retention_days > 0).then(|| Duration::from_secs(retention_days * 86_400)),
            http,
            http_sizes: (narrow(max_body_kib * 1024), narrow(max_rows), raw.http.max_lag_records),
            operations,
            sql,
            generator: Generator {
                seed: raw.generator.seed,
                users: u32::try_from(users).unwrap_or(50),
                anomaly_rate: raw.generator.anomaly_rate,
                history,
                history_days: u32::try_from(history_days).unwrap_or(30),
            },
            file: None,
            raw,
        })
    }

    /// The effective settings as a file; secrets are left out.
    pub(crate) fn to_toml(&self) -> String {
        toml::to_string(&self.raw).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(text: &str) -> Result<Settings, Vec<String>> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("w.toml");
        std::fs::write(&path, text).unwrap();
        load(Some(&path), None, None)
    }

    #[test]
    fn the_defaults_are_valid_and_written_settings_read_back() {
        let settings = from("").unwrap();
        assert_eq!((settings.partitions, settings.places.shown(Role::Ledger)), (3, "sqlite:data/ledger.db".to_owned()));
        assert_eq!(from(&settings.to_toml()).unwrap().to_toml(), settings.to_toml());
    }

    #[test]
    fn every_fault_is_told_at_once_with_its_name() {
        let faults = from("[hospital]\ntime_zone = \"Mars\"\n[log]\npartitions = 0\n[stores]\nledger = \"mysql://h\"\n[http]\nlisten = \"nowhere\"").unwrap_err().join("\n");
        for name in ["hospital.time_zone", "log.partitions = 0: expected 1 to 1024", "stores.ledger", "http.listen"] {
            assert!(faults.contains(name), "{name} is missing in {faults}");
        }
    }

    #[test]
    fn an_unknown_setting_is_refused_by_name() {
        let faults = from("[log]\npartitons = 3").unwrap_err().join("\n");
        assert!(faults.contains("partitons") && faults.contains("partitions"), "{faults}");
    }

    #[test]
    fn a_password_is_never_repeated() {
        let told = from("[postgres]\npassword = 12345").unwrap_err().join("\n");
        assert!(told.contains("postgres.password") && !told.contains("12345"), "{told}");
        let settings = from("[stores]\nledger = \"postgres://me:s3cret@h/db\"\n[redis]\npassword = \"t0p\"").unwrap();
        let shown = format!("{}{settings:?}", settings.to_toml());
        assert!(!shown.contains("s3cret") && !shown.contains("t0p"), "{shown}");
        assert!(shown.contains("postgres://me@h/db"));
    }

    #[test]
    fn a_ruleset_file_says_its_zone_limits_and_keys_alone() {
        let folder = tempfile::tempdir().unwrap();
        let rules = folder.path().join("rules.toml");
        std::fs::write(&rules, "time_zone = \"Europe/Berlin\"\nlimits = [7.0]\n").unwrap();
        let named = format!("[scorer]\nrules = {:?}\n", rules.display().to_string());
        let settings = from(&named).unwrap();
        assert_eq!((settings.zone, settings.ruleset.limits.clone()), (Tz::Europe__Berlin, vec![7.0]));
        assert_eq!(from(&settings.to_toml()).unwrap().to_toml(), settings.to_toml());
        let told = from(&format!("{named}limits = [8.0]\n[hospital]\ntime_zone = \"Asia/Tokyo\"\n")).unwrap_err().join("\n");
        assert!(told.contains("scorer.limits") && told.contains("hospital.time_zone"), "{told}");
        std::fs::write(&rules, "limts = [7.0]\n").unwrap();
        let told = from(&named).unwrap_err().join("\n");
        assert!(told.contains("rules.toml:1:1: limts: ") && told.contains("did you mean limits?") && told.contains("    1 | limts = [7.0]\n      | ^^^^^"), "{told}");
    }
}
