//! Bad input: one clear sentence with what to do, a non-zero exit, nothing lost.

use std::io::{Seek, SeekFrom, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use crate::command::{Place, text};

fn filled() -> Place {
    let place = Place::new();
    let input = place.generate("input.ndjson", 20_000, 4);
    place.ok(&["up", "--input", text(&input), "--rate", "0", "--until-idle"]);
    place
}

#[test]
fn settings_that_make_no_sense_are_told_all_at_once() {
    let place = Place::new();
    std::fs::write(place.config(), "[log]\npartitions = 0\n[hospital]\ntime_zone = \"Mars\"\n[stores]\nledger = \"mysql://root:secret@h/x\"\n").unwrap();
    let said = place.fails(2, &["config", "check"]);
    assert!(said.contains("log.partitions = 0") && said.contains("hospital.time_zone") && said.contains("stores.ledger"), "{said}");
    assert!(!said.contains("secret"), "{said}");
    std::fs::write(place.config(), "[log]\npartitons = 3\n").unwrap();
    let said = place.fails(2, &["up"]);
    assert!(said.contains("partitons"), "{said}");
}

#[test]
fn a_data_folder_that_cannot_be_written_is_told() {
    let place = Place::new();
    std::fs::write(place.data(), "a file").unwrap();
    let said = place.fails(1, &["up"]);
    assert!(said.contains("--data DIR"), "{said}");
}

#[test]
fn an_input_that_cannot_be_read_is_told() {
    let place = Place::new();
    let said = place.fails(1, &["score", "nowhere.ndjson"]);
    assert!(said.contains("nowhere.ndjson"), "{said}");
    let said = place.fails(1, &["up", "--input", "nowhere.ndjson", "--rate", "0", "--until-idle"]);
    assert!(said.contains("nowhere.ndjson"), "{said}");
}

#[test]
fn a_role_has_one_holder_and_readers_are_let_in() {
    let place = Place::new();
    let mut first = place.spawn(&["up", "--rate", "5", "--no-history"]);
    let begun = Instant::now();
    while place.run(&["sql", "SELECT count(*) FROM transactions"]).status.code() != Some(0) {
        assert!(begun.elapsed() < Duration::from_secs(60));
        std::thread::sleep(Duration::from_millis(50));
    }
    let said = place.fails(1, &["up"]);
    assert!(said.contains("already runs") && said.contains(&first.id().to_string()), "{said}");
    // The index has one writer: of all stores none is written before that is known.
    let said = place.fails(1, &["replay"]);
    assert!(said.contains("nothing was written into any store") && !said.contains("records read"), "{said}");
    first.kill().unwrap();
    first.wait().unwrap();
}

#[test]
fn files_of_a_newer_version_are_refused_and_left_as_they_are() {
    let place = filled();
    for name in ["ledger.db", "documents.db", "metrics.db", "baselines.db", "log/log.db"] {
        let path = place.data().join(name);
        let set = |version: i64| {
            let connection = rusqlite::Connection::open(&path).unwrap();
            connection.execute("UPDATE wardhouse_layout SET version = ?1", [version]).unwrap();
        };
        set(99);
        let said = place.fails(1, &["up", "--rate", "0", "--until-idle"]);
        assert!(said.contains("newer Wardhouse"), "{name}: {said}");
        set(1);
    }
    place.ok(&["up", "--rate", "0", "--until-idle"]);
    assert_eq!(place.sql("SELECT count(*) FROM transactions"), ["20000"]);
}

fn damage(path: &Path) {
    // What still stands in the write-ahead log would be read from there.
    rusqlite::Connection::open(path).unwrap().execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
    let mut file = std::fs::OpenOptions::new().write(true).open(path).unwrap();
    let length = file.metadata().unwrap().len();
    for at in (0..length).step_by(4096) {
        file.seek(SeekFrom::Start(at + 16)).unwrap();
        file.write_all(&[0xa5; 64]).unwrap();
    }
}

#[test]
fn a_damaged_store_is_told_by_name_and_filled_anew_from_the_log_once_it_is_moved_away() {
    for name in ["ledger.db", "documents.db", "metrics.db", "baselines.db"] {
        let place = filled();
        let path = place.data().join(name);
        damage(&path);
        let more = place.generate("more.ndjson", 1_000, 77);
        let up = ["up", "--input", text(&more), "--rate", "0", "--until-idle"];
        let said = place.fails(1, &up);
        assert!(said.contains(name) && said.contains("damaged"), "{name}: {said}");
        std::fs::remove_file(&path).unwrap();
        for beside in ["-wal", "-shm"] {
            drop(std::fs::remove_file(place.data().join(format!("{name}{beside}"))));
        }
        place.ok(&up);
        assert_eq!(place.sql("SELECT count(*) FROM transactions"), ["21000"], "{name}");
        assert_eq!(place.sql("SELECT count(*) FROM documents.explanations"), ["21000"], "{name}");
        assert_eq!(place.sql("SELECT sum(transactions) FROM metrics.throughput"), ["21000"], "{name}");
        assert_eq!(place.sql("SELECT sum(transactions) FROM baselines.users"), ["21000"], "{name}");
    }
}

#[test]
fn a_damaged_index_is_told_without_what_is_in_it_and_filled_anew_once_it_is_moved_away() {
    let place = filled();
    let folder = std::fs::read_dir(place.data()).unwrap().map(|entry| entry.unwrap().path()).find(|path| path.join("meta.json").exists()).unwrap();
    std::fs::write(folder.join("meta.json"), "{\"segments\": \"nonsense\"").unwrap();
    let up = ["up", "--rate", "0", "--until-idle"];
    let said = place.fails(1, &up);
    assert!(said.contains("is damaged") && said.contains("move the folder away") && !said.contains("check the disk") && !said.contains("nonsense"), "{said}");
    std::fs::remove_dir_all(&folder).unwrap();
    place.ok(&up);
}

#[test]
fn malformed_lines_are_dead_letters_with_their_bytes_and_a_reason() {
    let place = Place::new();
    let good = place.generate("good.ndjson", 100, 1);
    place.ok(&["generate", "--count", "0", "--to", "log"]);
    // Past the import's own check: straight into the log, as a foreign producer would.
    let input = place.path("mixed.ndjson");
    let mut text_of = std::fs::read_to_string(&good).unwrap();
    text_of.push_str("{\"transaction_id\":\"X\",\"amount\":\"NaN\"}\nnot json at all\n");
    std::fs::write(&input, text_of).unwrap();
    let rejects = place.path("rejects.ndjson");
    let said = place.ok(&["import", text(&input), "--rejects", text(&rejects)]);
    assert!(said.contains("102 lines read: 100 accepted, 2 rejected"), "{said}");
    let rejected = std::fs::read_to_string(&rejects).unwrap();
    assert!(rejected.contains("\"line\":102") && rejected.contains("not json at all") && rejected.contains("user_id"), "{rejected}");
}
