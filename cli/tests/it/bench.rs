//! `wardhouse bench` on embedded stores: what it says adds up, and nothing of it is left behind.

use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::command::{Place, text};

/// What a measurement made and did not remove.
fn left(place: &Place) -> Vec<String> {
    let beside = place.data().parent().unwrap().to_owned();
    std::fs::read_dir(beside).unwrap().map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).filter(|name| name.contains("whbench")).collect()
}

#[test]
fn what_was_sent_is_scored_and_in_every_store_and_nothing_is_left() {
    let place = Place::new();
    let out = place.path("out");
    let output = place.run(&["bench", "--rate", "200", "--duration", "3s", "--warmup", "1s", "--users", "50", "--json", "--report", text(&out)]);
    let said = String::from_utf8_lossy(&output.stderr);
    // On a busy machine the load generator may be late, which is told and changes no count.
    assert!(output.status.success() || said.contains("kept no schedule"), "{said}");
    // Where there is no terminal, it tells by lines how it goes.
    assert!(said.contains("reaching the stores") && said.contains("removing what was made"), "{said}");
    let told = String::from_utf8(output.stdout).unwrap();
    let report: Value = serde_json::from_str(&told).unwrap();
    assert_eq!((&report["lost"], &report["doubled"]), (&Value::from(0), &Value::from(0)), "{told}");
    let round = &report["rounds"][0];
    assert_eq!((&round["load"]["offered"], &round["load"]["sent"], &round["scored"]), (&Value::from(800), &Value::from(800), &Value::from(800)), "{told}");
    for role in ["ledger", "documents", "metrics", "baselines"] {
        assert_eq!(round["stored"][role], 800, "{role}: {told}");
    }
    assert_eq!(report["settings"]["entrance"], "http");
    let latencies = round["latencies"].as_array().unwrap();
    // Of the measured time alone, each from the time at which it was intended.
    let scored = latencies.iter().find(|latency| latency["name"] == "published→scored").unwrap();
    assert_eq!(scored["count"], 600, "{told}");
    assert!(scored["p99_us"].as_u64().unwrap() >= scored["p50_us"].as_u64().unwrap() && scored["p50_us"].as_u64().unwrap() > 100, "{scored}");
    for store in ["ledger", "documents", "metrics", "baselines"] {
        let seen = latencies.iter().find(|latency| latency["name"] == format!("published→{store}")).unwrap_or_else(|| panic!("{store}: {told}"));
        // Every second one is looked for.
        assert!(seen["count"].as_u64().unwrap().abs_diff(300) <= 10 && seen["max_us"].as_u64() > Some(1_000), "{seen}");
    }
    let processes: Vec<&str> = round["processes"].as_array().unwrap().iter().map(|process| process["name"].as_str().unwrap()).collect();
    assert_eq!(processes, ["pipeline", "generator"]);
    assert!(report["faults"].as_array().unwrap().is_empty(), "{}", report["faults"]);
    assert!(out.join("report.json").is_file() && out.join("report.html").is_file());
    assert!(left(&place).is_empty() && !place.data().exists(), "{:?}", left(&place));
    if output.status.success() {
        let same = place.ok(&["bench", "compare", text(&out), text(&out.join("report.json"))]);
        assert!(!same.is_empty());
    }
}

/// Starts a measurement, and waits until its pipeline runs on its own folder.
fn measuring(place: &Place) -> std::process::Child {
    let mut process = place.spawn(&["bench", "--rate", "100", "--duration", "10m", "--users", "50"]);
    let begun = Instant::now();
    let runs = || left(place).iter().any(|name| std::fs::read_to_string(place.path(name).join("pipeline.out")).is_ok_and(|said| said.contains("running ")));
    while !runs() {
        assert!(begun.elapsed() < Duration::from_secs(60) && process.try_wait().unwrap().is_none(), "it never begins");
        std::thread::sleep(Duration::from_millis(50));
    }
    process
}

#[test]
fn a_measurement_that_is_killed_takes_its_pipeline_along_and_what_it_left_is_removed() {
    let place = Place::new();
    let mut process = measuring(&place);
    let name = left(&place).remove(0);
    // Every process of the measurement bears the folder's name in its command line; `clean` does not.
    let working = || {
        std::fs::read_dir("/proc").unwrap().filter_map(|entry| std::fs::read(entry.unwrap().path().join("cmdline")).ok()).any(|line| String::from_utf8_lossy(&line).contains(&name))
    };
    let used = place.ok(&["bench", "clean"]);
    assert!(working() && used.contains("it is left alone") && left(&place) == [name.clone()], "{used}");
    // The strongest signal: nothing is cleaned up.
    process.kill().unwrap();
    process.wait().unwrap();
    let begun = Instant::now();
    while working() {
        assert!(begun.elapsed() < Duration::from_secs(20), "its pipeline outlives it");
        std::thread::sleep(Duration::from_millis(50));
    }
    let listed = place.ok(&["bench", "clean", "--list"]);
    assert!(listed.contains("(a folder): its process is gone") && left(&place) == [name.clone()], "{listed}");
    let removed = place.ok(&["bench", "clean"]);
    assert!(removed.contains("(a folder): removed") && left(&place).is_empty(), "{removed}");
    assert!(place.ok(&["bench", "clean"]).contains("no measurement left anything behind"));
}

#[test]
fn a_report_that_cannot_be_written_is_told_before_anything_is_measured() {
    let place = Place::new();
    std::fs::write(place.path("file"), "x").unwrap();
    let told = place.fails(1, &["bench", "--rate", "10", "--report", text(&place.path("file"))]);
    assert!(told.contains("--report: cannot write into") && left(&place).is_empty(), "{told}");
}

#[test]
fn told_to_stop_it_removes_what_it_made() {
    let place = Place::new();
    let mut process = measuring(&place);
    assert!(Command::new("sh").args(["-c", &format!("kill -TERM {}", process.id())]).status().unwrap().success());
    let begun = Instant::now();
    let status = loop {
        if let Some(status) = process.try_wait().unwrap() {
            break status;
        }
        assert!(begun.elapsed() < Duration::from_secs(40), "it does not end");
        std::thread::sleep(Duration::from_millis(50));
    };
    assert!(status.code() == Some(1) && left(&place).is_empty() && !place.data().exists(), "{status} {:?}", left(&place));
}

#[test]
fn what_cannot_be_measured_is_told_before_anything_is_made() {
    let place = Place::new();
    let stores = "[stores]\nledger = \"postgres://127.0.0.1:1/x\"\nbaselines = \"redis://127.0.0.1:1\"\n";
    std::fs::write(place.config(), format!("{}{stores}", std::fs::read_to_string(place.config()).unwrap())).unwrap();
    let told = place.fails(1, &["bench", "--rate", "10", "--duration", "2s"]);
    assert!(told.contains("stores.ledger cannot be measured") && told.contains("stores.baselines cannot be measured"), "{told}");
    assert!(left(&place).is_empty(), "{:?}", left(&place));
}

#[test]
fn wrong_flags_are_told() {
    let place = Place::new();
    for (flags, part) in [
        (vec!["--rate", "0"], "--rate 0"),
        (vec!["--rate", "-1"], "--rate -1"),
        (vec!["--duration", "-5s"], "expected a time"),
        (vec!["plan", "--target", "1000", "--measure", "300", "--check", "300"], "--check 300"),
        (vec!["--arrivals", "often"], "file:PATH"),
        (vec!["--arrivals", "file:nowhere.txt"], "nowhere.txt cannot be read"),
        (vec!["--duration", "never"], "such as 90s"),
        (vec!["--users", "0"], "--users"),
        (vec!["--find-limit", "--arrivals", "ramp"], "a ramp has no one rate"),
        (vec!["plan", "--target", "0"], "--target 0"),
    ] {
        let told = place.fails(2, &[vec!["bench"], flags.clone()].concat());
        assert!(told.contains(part), "{flags:?}: {told}");
    }
    assert!(left(&place).is_empty());
}
