//! `wardhouse sql` asks the server that runs on its data folder, and does without one.

use std::time::{Duration, Instant};

use crate::command::{Place, text};

/// A file that the server writes while it runs.
fn announced(place: &Place) -> Option<serde_json::Value> {
    serde_json::from_slice(&std::fs::read(place.data().join("sql-server.json")).ok()?).ok()
}

#[test]
fn a_statement_goes_to_the_server_that_runs_and_else_to_the_stores() {
    let place = Place::new();
    let input = place.generate("input.ndjson", 500, 9);
    place.ok(&["up", "--input", text(&input), "--rate", "0", "--until-idle"]);
    std::fs::write(place.config(), "[http]\nlisten = \"\"\n[operations]\nlisten = \"\"\n[sql]\npostgres = \"\"\nflight = \"\"\nhttp = \"127.0.0.1:0\"\n").unwrap();
    let mut server = place.spawn(&["run", "sql"]);
    let begun = Instant::now();
    let announcement = loop {
        if let Some(announcement) = announced(&place) {
            break announcement;
        }
        assert!(begun.elapsed() < Duration::from_secs(30), "the server did not begin");
        std::thread::sleep(Duration::from_millis(20));
    };
    let url = announcement["http"].as_str().unwrap().to_owned();
    let count = "SELECT count(*) FROM transactions";
    assert_eq!(place.sql(count), place.ok(&["sql", "--embedded", "--format", "csv", count]).lines().skip(1).collect::<Vec<_>>());
    // The server's register has what was asked over it, and only that.
    let asked = "SELECT count(*) FROM system.queries WHERE way = 'http' AND sql LIKE 'SELECT count(*) FROM transactions%'";
    assert_eq!(place.ok(&["sql", "--server", &url, "--format", "csv", asked]).lines().nth(1), Some("1"));
    for format in ["table", "csv", "json", "ndjson"] {
        let statement = "SELECT transaction_id, amount, timestamp, metadata FROM transactions ORDER BY transaction_id LIMIT 3";
        assert_eq!(place.ok(&["sql", "--format", format, statement]), place.ok(&["sql", "--embedded", "--format", format, statement]), "{format}");
    }
    let said = place.fails(1, &["sql", "SELECT nope FROM transactions"]);
    assert!(said.contains("line 1, column 8") && said.contains("nope"), "{said}");

    // A server that died leaves its file, which misleads nobody.
    server.kill().unwrap();
    server.wait().unwrap();
    assert!(announced(&place).is_some());
    assert_eq!(place.sql(count), ["500"]);
    let said = place.fails(1, &["sql", "--server", &url, "SELECT 1"]);
    assert!(said.contains("does not answer"), "{said}");
}
