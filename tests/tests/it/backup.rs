//! A backup made under load, restored elsewhere, goes on where it was; what is not as it was backed up is not restored.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use wh_eventlog::{Bytes, Reader, Stored, embedded};
use wh_ops::backup::manifest::{FILE, Manifest, uncovered};
use wh_ops::backup::{Sources, backup, restore};
use wh_schemas::Reaction;
use wh_schemas::topics::{HOSPITAL_TRANSACTIONS, RISK_ALERTS, RISK_SCORES};

use crate::content::{Role, assert_same, expected, expected_patterns, read_back};
use crate::pipeline::{PARTITIONS, Pipeline, STAGES, until};
use crate::records::{hospital, merged, round_trip, score, topic};
use crate::sql;

/// Everything in files, as `--data` alone puts it there.
fn sources(data: &Path) -> Sources {
    use wh_stores::Role::{Baselines, Documents, Ledger, Log, Metrics, Search};
    let places = [(Log, "log"), (Ledger, "ledger.db"), (Documents, "documents.db"), (Metrics, "metrics.db"), (Baselines, "baselines.db"), (Search, "search")];
    Sources { embedded: places.into_iter().map(|(role, name)| (role, data.join(name))).collect(), elsewhere: BTreeMap::new(), data: data.to_owned() }
}

/// A backup on a thread of its own, as the command makes it.
async fn backed_up(data: PathBuf, to: PathBuf) -> Result<Manifest, Reaction> {
    let runtime = tokio::runtime::Handle::current();
    let making = tokio::task::spawn_blocking(move || {
        runtime.block_on(async {
            let log = embedded::open_reader(&data.join("log"))?;
            backup(&sources(&data), &*log, &to, "test", &mut |_, _, _| ()).await
        })
    });
    making.await.unwrap()
}

async fn restored(from: &Path, data: &Path) -> Result<Manifest, Reaction> {
    restore(from, &sources(data), None, &mut |_, _, _| ()).await
}

/// Scored records by partition and `seq`.
async fn scores(log: &dyn Reader) -> BTreeMap<(u32, u64), Bytes> {
    let records: Vec<Stored> = topic(log, RISK_SCORES).await.concat();
    records.iter().map(|record| ((score(record).partition, score(record).seq), record.value.clone())).collect()
}

async fn stores_hold(log: &dyn Reader, data: &Path) {
    let (records, alerts): (Vec<Stored>, Vec<Stored>) = (topic(log, RISK_SCORES).await.concat(), topic(log, RISK_ALERTS).await.concat());
    for role in Role::ALL {
        let mut wanted = [expected(role, &records), expected_patterns(role, &alerts)].concat();
        wanted.sort_unstable();
        assert_same(&read_back(role, &sql::engine(data)).await, &wanted, role.name());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_made_under_load_goes_on_where_it_was() {
    let (live, place) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let lines = merged(hospital(7, 6_000), round_trip(PARTITIONS));
    std::fs::create_dir_all(live.path().join("import")).unwrap();
    std::fs::write(live.path().join("import/file.json"), "{}").unwrap();
    let mut pipeline = Pipeline::open(live.path()).await;
    pipeline.start_all(&STAGES);
    pipeline.feed(&lines[..2_000]).await;
    pipeline.settle().await;
    let fed = pipeline.feed(&lines[2_000..]);
    let made = async {
        // Somewhere in the midst of it.
        until("some more is scored", async || (pipeline.count(RISK_SCORES).await > 2_300).then_some(())).await;
        let first = backed_up(live.path().to_owned(), place.path().join("first")).await.unwrap();
        let second = backed_up(live.path().to_owned(), place.path().join("second")).await.unwrap();
        (first, second)
    };
    let ((), (first, second)) = tokio::join!(fed, made);
    assert_eq!((first.stores.len(), &first.log.identity), (5, &second.log.identity));
    for manifest in [&first, &second] {
        assert!(uncovered(&manifest.log, &manifest.stores).is_empty());
        assert!(manifest.files.iter().any(|file| file.path == "import/file.json"));
        assert!(manifest.stores.iter().all(|store| store.rows.values().sum::<u64>() > 0), "{manifest:?}");
    }
    pipeline.settle().await;
    pipeline.stop().await;
    let wanted = scores(&*pipeline.log).await;

    for name in ["first", "second"] {
        let data = place.path().join(format!("{name} restored"));
        let manifest = restored(&place.path().join(name), &data).await.unwrap();
        assert!(data.join("import/file.json").exists());
        let mut again = Pipeline::open(&data).await;
        assert_eq!(again.log.identity().await.unwrap(), manifest.log.identity);
        again.start_all(&STAGES);
        let status = again.settle().await;
        assert!(status.settled(), "{status:#?}");
        // What was fed after the backup comes again, and is scored to the same bytes.
        let had = again.count(HOSPITAL_TRANSACTIONS).await;
        assert!(had >= 2_000);
        again.stop().await;
        let found = scores(&*again.log).await;
        let other = found.iter().find(|(place, value)| wanted.get(*place) != Some(*value));
        assert!(other.is_none(), "scored otherwise than before the backup: {other:?}");
        assert_eq!(found.len() as u64, had, "each record that the log's copy holds is scored once");
        stores_hold(&*again.log, &data).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_as_it_was_backed_up_is_not_restored() {
    let (live, place) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut pipeline = Pipeline::open(live.path()).await;
    pipeline.start_all(&STAGES);
    pipeline.feed(&hospital(3, 300)).await;
    pipeline.settle().await;
    pipeline.stop().await;
    let (from, data) = (place.path().join("backup"), place.path().join("data"));
    let made = backed_up(live.path().to_owned(), from.clone()).await.unwrap();
    assert_eq!(made, Manifest::read(&from).unwrap());
    let told = |outcome: Result<Manifest, Reaction>| outcome.unwrap_err().to_string();

    let again = told(backed_up(live.path().to_owned(), from.clone()).await);
    assert!(again.contains("is not empty"), "a backup writes over nothing: {again}");
    let over = told(restored(&from, live.path()).await);
    assert!(over.contains("is not empty"), "nor does a restore: {over}");

    // A flipped bit in any file.
    for file in ["documents.db", "log/log.db", "search/meta.json"] {
        let path = from.join(file);
        let whole = std::fs::read(&path).unwrap();
        let mut flipped = whole.clone();
        flipped[whole.len() / 2] ^= 1;
        std::fs::write(&path, flipped).unwrap();
        let damaged = told(restored(&from, &data).await);
        assert!(damaged.contains("is not what was backed up") && damaged.contains(file), "{damaged}");
        assert!(!data.exists(), "nothing is left of it");
        std::fs::write(&path, whole).unwrap();
    }

    // A manifest that says something else of what is there, or was written by a newer version, or is not there.
    let text = std::fs::read_to_string(from.join(FILE)).unwrap();
    let changed = |edit: &dyn Fn(&mut serde_json::Value)| {
        let mut manifest: serde_json::Value = serde_json::from_str(&text).unwrap();
        edit(&mut manifest);
        std::fs::write(from.join(FILE), manifest.to_string()).unwrap();
    };
    changed(&|manifest| manifest["stores"][0]["layout"] = 99.into());
    assert!(told(restored(&from, &data).await).contains("newer Wardhouse (layout 99"));
    changed(&|manifest| manifest["log"]["identity"] = "another".into());
    assert!(told(restored(&from, &data).await).contains("the log holds other records"));
    assert!(!data.exists(), "nothing is left of it");
    changed(&|manifest| manifest["elsewhere"]["ledger"] = "postgres://h/w".into());
    assert!(told(restored(&from, &data).await).contains("name that server in stores.ledger"));
    std::fs::remove_file(from.join(FILE)).unwrap();
    assert!(told(restored(&from, &data).await).contains("is no backup"));

    std::fs::write(from.join(FILE), text).unwrap();
    restored(&from, &data).await.unwrap();
    stores_hold(&*embedded::open_reader(&data.join("log")).unwrap(), &data).await;
}
