//! What no crate may do: depend against the direction of the design, link what is not its business, or name what would
//! make a score depend on anything but its inputs.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use cargo_metadata::{DependencyKind, MetadataCommand, Package};

/// `schemas ← stores ← eventlog ← ingest, scorer, sinks, query ← ops ← cli`: what each crate may depend on.
const LAYERS: [(&str, &[&str]); 13] = [
    ("wh-schemas", &[]),
    ("wh-evaluation", &[]),
    ("wh-stores", &["wh-schemas"]),
    ("wh-eventlog", &["wh-schemas", "wh-stores"]),
    ("wh-ingest", &["wh-schemas", "wh-stores", "wh-eventlog"]),
    ("wh-scorer", &["wh-schemas", "wh-stores", "wh-eventlog", "wh-evaluation"]),
    ("wh-sinks", &["wh-schemas", "wh-stores", "wh-eventlog"]),
    ("wh-query", &["wh-schemas", "wh-stores", "wh-eventlog"]),
    ("wh-serve", &["wh-schemas", "wh-stores", "wh-query"]),
    ("wh-ops", &["wh-schemas", "wh-stores", "wh-eventlog", "wh-ingest", "wh-scorer", "wh-sinks", "wh-query"]),
    ("wh-bench", &["wh-schemas", "wh-stores", "wh-eventlog", "wh-ingest", "wh-scorer", "wh-sinks"]),
    ("wardhouse", &["wh-bench", "wh-schemas", "wh-stores", "wh-eventlog", "wh-evaluation", "wh-ingest", "wh-scorer", "wh-sinks", "wh-query", "wh-serve", "wh-ops"]),
    ("wh-tests", &["wh-bench", "wh-schemas", "wh-stores", "wh-eventlog", "wh-ingest", "wh-scorer", "wh-sinks", "wh-query", "wh-ops"]),
];

fn root() -> PathBuf {
    // Asked while running: clones that share a target folder share the compiled test.
    Path::new(&std::env::var_os("CARGO_MANIFEST_DIR").unwrap()).parent().unwrap().to_owned()
}

/// The workspace's crates as their manifests describe them. Nothing is resolved or fetched.
fn packages() -> Vec<Package> {
    MetadataCommand::new().manifest_path(root().join("Cargo.toml")).no_deps().exec().unwrap().packages
}

/// Every Rust file of the workspace below `folder`, by its path from the root.
fn sources(folder: &str) -> Vec<(String, String)> {
    let (root, mut found) = (root(), Vec::new());
    let mut folders = vec![root.join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.strip_prefix(&root).unwrap().to_string_lossy().replace('\\', "/");
                found.push((name, std::fs::read_to_string(&path).unwrap()));
            }
        }
    }
    assert!(!found.is_empty(), "there are Rust files below {folder}");
    found
}

/// Folders of the workspace's crates.
fn crates() -> Vec<String> {
    let folder = |package: Package| Path::new(package.manifest_path.as_str()).parent().unwrap().file_name().unwrap().to_string_lossy().into_owned();
    packages().into_iter().map(folder).collect()
}

/// Files below the folders that hold one of the words, comments included.
fn naming(folders: &[&str], words: &[&str]) -> Vec<String> {
    let files = folders.iter().flat_map(|folder| sources(folder));
    let holds = |text: &str| text.split(|c: char| !c.is_alphanumeric() && c != '_').any(|word| words.contains(&word));
    files.filter(|(_, text)| holds(text)).map(|(name, _)| name).collect()
}

const NONE: [&str; 0] = [];
/// Kafka's client; in two parts, since this file is searched too.
const CLIENT: &str = concat!("rd", "kafka");

#[test]
fn crates_depend_in_one_direction_only() {
    let layers: BTreeMap<&str, &[&str]> = LAYERS.into();
    let packages = packages();
    assert_eq!(packages.len(), layers.len(), "a new crate needs its place in the layers");
    let ours: BTreeSet<&str> = layers.keys().copied().collect();
    for package in &packages {
        let name: &str = package.name.as_ref();
        let allowed = layers.get(name).unwrap_or_else(|| panic!("{name} has no place in the layers"));
        for dependency in package.dependencies.iter().map(|dependency| dependency.name.as_str()).filter(|dependency| ours.contains(dependency)) {
            assert!(allowed.contains(&dependency), "{name} must not depend on {dependency}");
        }
    }
}

/// What the lock file says: packages by name and version, with what each depends on.
struct Lock(BTreeMap<(String, String), Vec<String>>);

impl Lock {
    fn read() -> Lock {
        let text = std::fs::read_to_string(root().join("Cargo.lock")).unwrap();
        let mut packages = BTreeMap::new();
        for block in text.split("[[package]]").skip(1) {
            let value = |key: &str| {
                let line = block.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(" = \""));
                line.map(|line| line.trim_end_matches('"').to_owned()).unwrap_or_default()
            };
            let listed = block.lines().filter_map(|line| line.strip_prefix(" \"")?.strip_suffix("\",")).map(str::to_owned);
            packages.insert((value("name"), value("version")), listed.collect());
        }
        Lock(packages)
    }

    /// The package that an entry such as `serde` or `hashbrown 0.17.1` names.
    fn find(&self, entry: &str) -> (&(String, String), &Vec<String>) {
        let mut parts = entry.split(' ');
        let (name, version) = (parts.next().unwrap(), parts.next());
        self.0.iter().find(|((n, v), _)| n == name && version.is_none_or(|version| v == version)).unwrap_or_else(|| panic!("{entry} is not in Cargo.lock"))
    }

    /// Everything that a crate of ours links, directly or not; what only its tests use is left out.
    fn linked(&self, package: &Package) -> BTreeSet<&str> {
        let direct: BTreeSet<&str> = package.dependencies.iter().filter(|d| d.kind != DependencyKind::Development).map(|d| d.name.as_str()).collect();
        let (_, listed) = self.find(package.name.as_ref());
        let mut open: Vec<&String> = listed.iter().filter(|entry| entry.split(' ').next().is_some_and(|name| direct.contains(name))).collect();
        let mut seen = BTreeSet::new();
        while let Some(entry) = open.pop() {
            let (key, listed) = self.find(entry);
            if seen.insert(key) {
                open.extend(listed);
            }
        }
        seen.into_iter().map(|(name, _)| name.as_str()).collect()
    }
}

#[test]
fn only_query_and_who_uses_it_link_the_sql_engine() {
    let lock = Lock::read();
    for package in packages() {
        let name: &str = package.name.as_ref();
        let sql: Vec<&str> = lock.linked(&package).into_iter().filter(|linked| linked.starts_with("datafusion") || *linked == "sqlparser").collect();
        match name {
            "wh-query" | "wh-serve" | "wardhouse" => assert!(!sql.is_empty(), "{name} answers SQL"),
            _ => assert_eq!(sql, NONE, "{name} must not link the SQL engine"),
        }
        let named = package.dependencies.iter().any(|dependency| dependency.name.starts_with("datafusion"));
        assert!(!named || name == "wh-query" || name == "wh-serve", "{name} must not name DataFusion");
    }
}

#[test]
fn schemas_link_no_runtime_and_no_client() {
    let (lock, packages) = (Lock::read(), packages());
    let schemas = packages.iter().find(|package| package.name == "wh-schemas").unwrap();
    let linked = lock.linked(schemas);
    for banned in ["tokio", "rusqlite", "sqlx", "mongodb", "redis", "influxdb2", "elasticsearch", CLIENT, "tantivy", "hyper", "reqwest", "arrow-array", "rand"] {
        assert!(!linked.contains(banned), "wh-schemas must not link {banned}");
    }
}

#[test]
fn only_the_kafka_adapter_names_its_client() {
    for package in packages() {
        let declared = package.dependencies.iter().any(|dependency| dependency.name == CLIENT);
        // The tests speak to a server behind the adapter's back.
        assert!(!declared || ["wh-eventlog", "wh-tests"].contains(&package.name.as_str()), "{} must not depend on {CLIENT}", package.name);
    }
    let folders = crates();
    let folders: Vec<&str> = folders.iter().map(String::as_str).collect();
    let allowed = |file: &str| file.starts_with("eventlog/src/kafka") || (file.starts_with("tests/") && (file.ends_with("/kafka.rs") || file.contains("/kafka/")));
    let elsewhere: Vec<String> = naming(&folders, &[CLIENT]).into_iter().filter(|file| !allowed(file)).collect();
    assert_eq!(elsewhere, NONE, "these name {CLIENT}");
}

#[test]
fn the_engine_knows_no_runtime_no_clock_and_no_chance() {
    let banned = ["tokio", "async", "SystemTime", "Instant", "Utc", "rand", "rand_chacha", "wh_eventlog", "wh_stores", "rusqlite"];
    assert_eq!(naming(&["scorer/src/engine"], &banned), NONE, "a score is a function of the record, the state and the ruleset");
}

#[test]
fn writing_and_reading_do_not_know_each_other() {
    assert_eq!(naming(&["ingest", "scorer", "sinks"], &["wh_query"]), NONE, "what writes names what reads");
    assert_eq!(naming(&["query"], &["wh_sinks", "wh_ingest", "wh_scorer"]), NONE, "what reads names what writes");
}

#[test]
fn the_clock_is_read_in_one_place() {
    let folders = crates();
    let folders: Vec<&str> = folders.iter().map(String::as_str).filter(|folder| *folder != "tests").collect();
    assert_eq!(naming(&folders, &["SystemTime"]), ["stores/src/clock.rs"]);
}

#[test]
fn nothing_is_unchecked() {
    let word = concat!("un", "safe");
    let folders = crates();
    let folders: Vec<&str> = folders.iter().map(String::as_str).collect();
    assert_eq!(naming(&folders, &[word]), NONE, "these say {word}");
}

/// The sets of features that each dependency is built with, by its name and version.
fn features(of: &[&str]) -> BTreeMap<String, BTreeSet<String>> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let tree = ["tree", "--offline", "--prefix", "none", "--format", "{p}|{f}"];
    let told = std::process::Command::new(cargo).current_dir(root()).args(tree).args(of).output().unwrap();
    assert!(told.status.success(), "{}", String::from_utf8_lossy(&told.stderr));
    let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (package, features) in String::from_utf8(told.stdout).unwrap().lines().filter_map(|line| line.split_once('|')) {
        found.entry(package.to_owned()).or_default().insert(features.trim_end_matches(" (*)").to_owned());
    }
    found
}

/// A fresh machine compiles once for both commands of the README. What differs is named in `cli/Cargo.toml` with the features that the tests ask for.
#[test]
fn the_program_is_built_of_what_the_tests_are_built_of() {
    let (run, test) = (features(&["--package", "wardhouse", "--edges", "normal,build"]), features(&["--workspace", "--edges", "normal,build,dev"]));
    assert!(run.len() > 100, "cargo tells of {} packages", run.len());
    let twice: Vec<_> = run.iter().filter(|(package, features)| test.get(*package) != Some(features)).map(|(package, run)| (package, run, test.get(package))).collect();
    assert!(twice.is_empty(), "compiled twice: {twice:?}");
}
