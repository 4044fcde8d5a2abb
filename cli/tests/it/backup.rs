//! Backup, restore and replay as their users run them.

use crate::command::{Place, text};

#[test]
fn a_backup_is_restored_into_another_folder_and_answers_the_same() {
    let (place, other) = (Place::new(), Place::new());
    let input = place.generate("input.ndjson", 2_000, 4);
    place.ok(&["up", "--input", text(&input), "--rate", "0", "--until-idle"]);
    let backup = place.path("backup");
    let said = place.ok(&["backup", text(&backup)]);
    assert!(said.contains("is a backup of") && said.contains("2000 transactions"), "{said}");
    assert!(place.fails(1, &["backup", text(&backup)]).contains("is not empty"));
    assert!(place.fails(1, &["restore", text(&backup)]).contains("writes over nothing"));
    assert!(other.fails(1, &["restore", text(&place.data())]).contains("is no backup"));

    let said = other.ok(&["restore", text(&backup)]);
    assert!(said.contains("every hash, position and count is as it was"), "{said}");
    assert_eq!(said.matches("all as the log says").count(), 5, "{said}");
    for statement in [
        "SELECT * FROM transactions ORDER BY transaction_id",
        "SELECT * FROM risk_alerts ORDER BY alert_id",
        "SELECT * FROM documents.explanations ORDER BY transaction_id",
        "SELECT sum(transactions), sum(alerts) FROM metrics.throughput",
        "SELECT * FROM baselines.users ORDER BY user_id, partition",
        "SELECT alert_id FROM search.alerts ORDER BY alert_id",
    ] {
        assert_eq!(other.sql(statement), place.sql(statement), "{statement}");
    }
    assert!(other.ok(&["status"]).contains("everything adds up, nothing waits"));
    // It goes on where it was.
    let more = other.generate("more.ndjson", 300, 9);
    other.ok(&["up", "--input", text(&more), "--rate", "0", "--until-idle"]);
    assert_eq!(other.sql("SELECT count(*) >= 2300 FROM transactions"), ["true"]);
    assert!(other.ok(&["status"]).contains("everything adds up, nothing waits"));
}

#[test]
fn a_replay_says_what_it_did_and_what_it_cannot_do() {
    let place = Place::new();
    let input = place.generate("input.ndjson", 1_500, 6);
    place.ok(&["up", "--input", text(&input), "--rate", "0", "--until-idle"]);
    let all = place.ok(&["replay"]);
    for line in ["ledger: 1500 records read, 0 written", "documents: 1500 records read, 0 written", "search: 1500 records read"] {
        assert!(all.contains(line), "{line:?} is not in {all}");
    }
    let none = place.ok(&["replay", "--store", "ledger", "--since", "2100-01-01"]);
    assert!(none.contains("ledger: 0 records read, 0 written"), "{none}");
    assert!(place.fails(2, &["replay", "--since", "soon"]).contains("expected a time such as"));
    assert!(place.fails(2, &["replay", "--from", "7", "--to", "7"]).contains("expected more than --from 7"));
    assert!(place.fails(2, &["replay", "--begin", "newest"]).contains("expected one store"));
    assert!(place.fails(1, &["replay", "--begin", "newest", "--store", "documents"]).contains("stands somewhere in risk-scores already"));
}
