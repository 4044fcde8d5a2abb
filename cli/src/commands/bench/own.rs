//! The settings of a measurement: those of the user, with every place changed for one of its own.
//!
//! What must stay true: no place that the settings name is given to the measured processes; passwords go to them as the user gave them, by
//! the file, the environment or the URL.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use wh_bench::child::Program;
use wh_bench::places::{own_name, own_url};
use wh_bench::{Own, Places, Setup};
use wh_stores::places::LedgerPlace;
use wh_stores::{Place, Role, clock};

use crate::build;
use crate::failure::Failure;
use crate::settings::{self, Raw, Settings};

/// Sections that say nothing of the speed of the stages, or where things are.
const NOT_TOLD: [&str; 5] = ["stores", "http", "operations", "sql", "generator"];
/// What the measured processes are told beside their places: ports that are free, no push-back of sources before what is measured shows it.
const TOLD: [(&str, &str); 4] = [
    ("WARDHOUSE_HTTP__LISTEN", "127.0.0.1:0"),
    ("WARDHOUSE_HTTP__MAX_LAG_RECORDS", "1000000000"),
    ("WARDHOUSE_OPERATIONS__LISTEN", "127.0.0.1:0"),
    ("RUST_LOG", "warn,tantivy=error"),
];

/// What a measurement needs.
pub(super) struct Prepared {
    pub(super) setup: Setup,
    /// The places that the settings name.
    pub(super) places: Places,
}

/// Prepares a measurement. Nothing is made yet.
pub(super) fn prepare(settings: &Settings, partitions: Option<u32>) -> Result<Prepared, Failure> {
    prepare_as(settings, partitions, own_name(clock::now().0, std::process::id()))
}

/// The same by the name of a measurement that was, for what it left behind.
pub(super) fn prepare_as(settings: &Settings, partitions: Option<u32>, name: String) -> Result<Prepared, Failure> {
    let folder = beside(&settings.data, &name);
    let mut environment: Vec<(String, String)> = TOLD.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let own = settings::load_changed(settings.file.as_deref(), Some(&folder), None, |raw| {
        for role in Role::ALL {
            let url = own_place(raw, role, &folder, &name);
            environment.push((format!("WARDHOUSE_STORES__{}", role.as_str().to_uppercase()), url.clone()));
            *raw.stores.url_mut(role) = Some(url);
        }
    })
    .map_err(Failure::Settings)?;
    if let Some(partitions) = partitions {
        environment.push(("WARDHOUSE_LOG__PARTITIONS".to_owned(), partitions.to_string()));
    }
    let binary = std::env::current_exe().map_err(|error| format!("this program cannot find itself: {error}"))?;
    let mut arguments = vec!["--data".to_owned(), folder.display().to_string()];
    if let Some(file) = &settings.file {
        arguments.extend(["--config".to_owned(), file.display().to_string()]);
    }
    let door = match &settings.places.ledger {
        LedgerPlace::Postgres(postgres) => Some(postgres.clone()),
        LedgerPlace::Sqlite(_) => None,
    };
    let setup = Setup {
        program: Program { binary, arguments, environment, folder: folder.clone() },
        own: Own { name, folder, places: places(&own), door },
        partitions: partitions.unwrap_or(settings.partitions),
        zone: settings.zone,
        version: build::VERSION.to_owned(),
        profile: if cfg!(debug_assertions) { "debug" } else { "release" }.to_owned(),
        pipeline: told(&settings.to_toml()),
    };
    Ok(Prepared { setup, places: places(settings) })
}

/// A folder beside that of the data, so that it is on the same disk.
fn beside(data: &Path, name: &str) -> PathBuf {
    match data.file_name() {
        Some(last) => data.with_file_name(format!("{}.{name}", last.to_string_lossy())),
        None => data.join(name),
    }
}

/// A role's URL with a place of the measurement's own.
fn own_place(raw: &Raw, role: Role, folder: &Path, name: &str) -> String {
    match raw.stores.url(role) {
        Some(url) if matches!(Place::parse(role, url), Ok(Place::Server(_))) => {
            let logs_in = url.contains('@') || raw.mongodb.user.is_some();
            own_url(role, url, name, logs_in && raw.mongodb.auth_source.is_none())
        }
        _ => {
            let file = match role {
                Role::Log | Role::Search => role.as_str().to_owned(),
                other => format!("{other}.db"),
            };
            format!("{}:{}", role.embedded_scheme(), folder.join(file).display())
        }
    }
}

fn places(settings: &Settings) -> Places {
    let places = &settings.places;
    Places {
        log: places.log.clone(),
        ledger: places.ledger.clone(),
        documents: places.documents.clone(),
        metrics: places.metrics.clone(),
        baselines: places.baselines.clone(),
        search: places.search.clone(),
    }
}

/// The settings in force that bear on speed, as `section.name`.
fn told(text: &str) -> BTreeMap<String, String> {
    let sections = text.parse::<toml::Table>().unwrap_or_default();
    let mut found = BTreeMap::new();
    for (section, values) in sections.iter().filter(|(section, _)| !NOT_TOLD.contains(&section.as_str())) {
        for (name, value) in values.as_table().into_iter().flatten() {
            found.insert(format!("{section}.{name}"), value.as_str().map_or_else(|| value.to_string(), str::to_owned));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_place_is_its_own_and_passwords_go_along() {
        let folder = tempfile::tempdir().unwrap();
        let (file, data) = (folder.path().join("w.toml"), folder.path().join("data"));
        let stores = "[stores]\nlog = \"kafka://h:1?namespace=theirs\"\nledger = \"postgres://me:s3cret@h/theirs\"\ndocuments = \"mongodb://me:s3cret@h/theirs\"\n\
             metrics = \"influxdb://h/org/theirs\"\nsearch = \"tantivy:elsewhere/search\"\n[influxdb]\ntoken = \"t\"\n";
        std::fs::write(&file, stores).unwrap();
        let settings = settings::load(Some(&file), Some(&data), None).unwrap();
        let Prepared { setup, places } = prepare(&settings, Some(5)).unwrap();
        let name = setup.own.name.clone();
        let environment: BTreeMap<String, String> = setup.program.environment.iter().cloned().collect();
        assert_eq!(environment["WARDHOUSE_STORES__LOG"], format!("kafka://h:1?namespace={name}"));
        assert_eq!(environment["WARDHOUSE_STORES__LEDGER"], format!("postgres://me:s3cret@h/{name}"));
        assert_eq!(environment["WARDHOUSE_STORES__DOCUMENTS"], format!("mongodb://me:s3cret@h/{name}?authSource=theirs"));
        assert_eq!(environment["WARDHOUSE_STORES__METRICS"], format!("influxdb://h/org/{name}"));
        assert!(environment.iter().all(|(_, value)| !value.contains("elsewhere")));
        assert_eq!((setup.partitions, environment["WARDHOUSE_LOG__PARTITIONS"].as_str()), (5, "5"));
        assert!(setup.own.folder.starts_with(folder.path()) && setup.own.folder.to_string_lossy().contains(&name));
        assert!(matches!(&setup.own.door, Some(door) if door.server.database == "theirs"));
        assert!(matches!(&setup.own.places.ledger, LedgerPlace::Postgres(own) if own.server.database == name));
        assert!(matches!(&places.ledger, LedgerPlace::Postgres(theirs) if theirs.server.database == "theirs"));
        assert!(setup.pipeline.contains_key("kafka.linger_ms") && !format!("{:?}", setup.pipeline).contains("s3cret"));
    }

    #[test]
    fn the_folder_is_beside_the_data() {
        assert_eq!(beside(Path::new("data"), "x"), Path::new("data.x"));
        assert_eq!(beside(Path::new("/srv/w/data"), "x"), Path::new("/srv/w/data.x"));
        assert_eq!(beside(Path::new("/"), "x"), Path::new("/x"));
    }
}
