//! What scoring of files promises.

use wh_schemas::scored::ALERT_SCORE;

use super::*;

struct Kept(Vec<(u64, String)>);
impl Rejects for Kept {
    fn reject(&mut self, line: u64, class: &str, _: &str, _: &[u8]) -> io::Result<()> {
        self.0.push((line, class.to_owned()));
        Ok(())
    }
}

fn input() -> String {
    let mut text = String::new();
    for i in 0..3_000 {
        let line = format!(
            "{{\"transaction_id\":\"T{i}\",\"timestamp\":\"2026-03-{:02}T{:02}:{:02}:00\",\"user_id\":\"U{}\",\"account_id\":\"A\",\"department\":\"IT\",\"transaction_type\":\"payment\",\"amount\":{}.50,\"metadata\":{{\"ip\":\"10.0.0.{}\"}}}}\n",
            1 + i / 120,
            8 + i % 9,
            i % 60,
            i % 17,
            100 + (i * 7919) % 900,
            i % 5
        );
        text.push_str(&line);
        if i % 100 == 0 {
            text.push_str(&line);
        }
        if i % 250 == 0 {
            text.push_str("not json\n\n");
        }
    }
    text
}

fn scored_of(text: &str, threads: usize, order: Order) -> (String, Summary, Vec<(u64, String)>) {
    scored_under(Ruleset::default(), text, threads, order)
}

fn scored_under(ruleset: Ruleset, text: &str, threads: usize, order: Order) -> (String, Summary, Vec<(u64, String)>) {
    let (mut out, mut kept) = (Vec::new(), Kept(Vec::new()));
    let settings = ScoreSettings { ruleset, reading: Reading::default(), order, partitions: 3, threads };
    let summary = run(&mut text.as_bytes(), &mut out, &mut kept, &settings).unwrap();
    (String::from_utf8(out).unwrap(), summary, kept.0)
}

#[test]
fn any_number_of_threads_gives_the_same_bytes() {
    let one = scored_of(&input(), 1, Order::File);
    let Summary { lines, scored, duplicates, rejected, .. } = one.1;
    assert_eq!((lines, scored, duplicates, rejected), (3_042, 3_000, 30, 12));
    assert_eq!(one, scored_of(&input(), 2, Order::File));
    assert_eq!(one, scored_of(&input(), 3, Order::File));
    assert_eq!(one.2[0], (3, "record:invalid_json".to_owned()));
    let ids: Vec<String> = one.0.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["transaction_id"].as_str().unwrap().to_owned()).collect();
    assert!(ids.iter().map(String::as_str).eq((0..3_000).map(|i| format!("T{i}")).collect::<Vec<_>>().iter().map(String::as_str)), "the output is in the order of the input");
}

#[test]
fn by_event_time_the_order_of_lines_does_not_matter() {
    let (out, summary, _) = scored_of(&input(), 1, Order::EventTime);
    assert_eq!(summary.scored, 3_000);
    let reversed: String = input().lines().rev().map(|l| format!("{l}\n")).collect();
    assert_eq!(out, scored_of(&reversed, 2, Order::EventTime).0);
}

#[test]
fn alerts_stand_on_their_lines_with_what_they_consist_of_for_any_number_of_threads() {
    let config = wh_evaluation::Config { users: 60, days: 60, fraud_share: 0.02, grades: vec![wh_evaluation::Grade::Blatant], ..wh_evaluation::Config::default() };
    let generated = wh_evaluation::generate(&config, 3);
    let text = generated.ndjson();
    let (out, summary, _) = scored_of(&text, 2, Order::File);
    assert_eq!(out, scored_of(&text, 1, Order::File).0);
    assert_eq!((summary.scored, summary.pattern_alerts_without_line), (generated.transactions.len() as u64, 0));
    let (mut alerts, mut of_accounts) = (0, 0);
    for (line, transaction) in out.lines().zip(&generated.transactions) {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!(line["transaction_id"], transaction.transaction_id.as_str());
        let shown = line["alerts"].as_array().cloned().unwrap_or_default();
        assert_eq!(line["alert"], !shown.is_empty());
        let own = line["risk_score"].as_u64().unwrap() >= u64::from(ALERT_SCORE);
        alerts += u64::from(!shown.is_empty());
        of_accounts += shown.len() as u64 - u64::from(own);
        for alert in shown {
            assert!(alert["risk_score"].as_u64().unwrap() >= 70 && alert["message"].as_str().unwrap().ends_with('.'), "{alert}");
            assert_eq!(alert["alert_id"].as_str().unwrap().len(), 36);
            assert!(!alert["members"].as_array().unwrap().is_empty(), "{alert}");
        }
        for pattern in line["patterns"].as_array().cloned().unwrap_or_default() {
            assert!(pattern["members"].as_array().unwrap().contains(&line["transaction_id"]), "{pattern}");
        }
    }
    assert_eq!((alerts, of_accounts), (summary.alerts, summary.pattern_alerts));
    assert!(alerts > 0 && of_accounts > 0, "{summary:?}");
}

#[test]
fn every_line_names_its_ruleset_and_rows_without_an_answer_are_counted_by_rule() {
    let text = r#"
        metadata_keys = ["ip", "device"]
        [[rules]]
        name = "that_device"
        when = 'tx.metadata.device == "x"'
        dimension = "metadata"
        points = 5
        [[rules]]
        name = "that_address"
        when = 'tx.metadata.ip == "10.0.0.1"'
        dimension = "metadata"
        points = 5
    "#;
    let ruleset = crate::rules::parse(text).unwrap();
    let (hash, other) = (ruleset.content_hash(), Ruleset::default().content_hash());
    let (out, summary, _) = scored_under(ruleset.clone(), &input(), 3, Order::File);
    assert!(hash != other && out.lines().all(|line| line.ends_with(&format!("\"ruleset\":\"{hash}\"}}"))));
    let [unanswered] = summary.unanswered.as_slice() else { panic!("{:?}", summary.unanswered) };
    assert_eq!((unanswered.rule.as_str(), unanswered.rows), ("that_device", 3_000));
    assert_eq!(summary, scored_under(ruleset, &input(), 1, Order::File).1);
    let (out, summary, _) = scored_of(&input(), 2, Order::File);
    assert!(summary.unanswered.is_empty() && out.lines().all(|line| line.ends_with(&format!("\"ruleset\":\"{other}\"}}"))));
}
