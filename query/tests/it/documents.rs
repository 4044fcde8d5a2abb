//! Documents, excerpts and buckets of time: what SQL says of JSON, and that it is the same whether a store chose the rows or not.

use rusqlite::{Connection, params};

use crate::fixture::{BEGIN, Fixture};

/// Metadata about which stores and DataFusion might think otherwise.
const METADATA: [&str; 22] = [
    r#"{"n":7}"#,
    r#"{"n":"7"}"#,
    r#"{"n":7.0}"#,
    r#"{"n":7e0}"#,
    r#"{"n":-0}"#,
    r#"{"n":0}"#,
    r#"{"n":true}"#,
    r#"{"n":"true"}"#,
    r#"{"n":1}"#,
    r#"{"n":null}"#,
    r#"{"n":[1,2]}"#,
    r#"{"n":{"b":1}}"#,
    r#"{"n":12345678901234567890.10}"#,
    r#"{"n":"\u00e9\ud83d\ude00"}"#,
    r#"{"n":"é😀"}"#,
    r#"{"\u006e":"x"}"#,
    r#"{"o":{"b":"x","c":[{"b":"x"}]},"t":["a","7",7]}"#,
    r#"{"o":[{"b":"x"}]}"#,
    r#"{"o":"x"}"#,
    r#"{"":"x","a.b":"x","$w":"x","a\"b":"x","a\\b":"x"}"#,
    r#"{"n":1,"n":2}"#,
    "{}",
];

/// Reasons of as many explanations.
const REASONS: [&str; 4] = [r#"[{"rule":"night"},{"rule":"amount"}]"#, "[]", "null", r#"{"rule":"odd"}"#];

/// The fixture with such rows in partition 5.
fn awkward() -> Fixture {
    let fixture = Fixture::new();
    let (ledger, documents) = (Connection::open(fixture.path("ledger.db")).unwrap(), Connection::open(fixture.path("documents.db")).unwrap());
    for (seq, metadata) in (0_i64..).zip(METADATA) {
        ledger
            .execute(
                "INSERT INTO transactions (pos, transaction_id, timestamp, user_id, account_id, department, transaction_type, amount, risk_score, risk_level, is_anomaly, \
                 amount_score, time_score, frequency_score, behavior_score, metadata_score, detection_rules, ruleset, metadata, content_hash, processed_at) \
                 VALUES (?1, ?2, ?3, 'u', 'acc', 'Pharmacy', 'refund', 1, 0, 'low', 0, 0, 0, 0, 0, 0, '[\"night\",\"amount\"]', 'r1', ?4, 'h', ?3)",
                params![(5_i64 << 40) | seq, format!("t-5-{seq:03}"), BEGIN, metadata],
            )
            .unwrap();
        let reasons = usize::try_from(seq).ok().and_then(|seq| REASONS.get(seq)).unwrap_or(&"[]");
        documents
            .execute(
                "INSERT INTO documents (pos, transaction_id, user_id, timestamp, metadata, explanation, processed_at) VALUES (?1, ?2, 'u', ?3, jsonb(?4), jsonb(?5), ?3)",
                params![(5_i64 << 40) | seq, format!("t-5-{seq:03}"), BEGIN, metadata, format!("{{\"risk_score\":1,\"reasons\":{reasons}}}")],
            )
            .unwrap();
    }
    fixture
}

/// Conditions that a store is asked about, and that are judged again.
const ASKED: [&str; 27] = [
    "metadata->>'ip' = '10.0.0.7'",
    "'10.0.0.7' = metadata->>'ip'",
    "metadata->>'ip' IN ('10.0.0.7', '10.0.0.8', 'x', 'y')",
    "metadata->>'n' = '7'",
    "metadata->>'n' = '7.0'",
    "metadata->>'n' IN ('7e0', '-0', '0', '12345678901234567890.10')",
    "metadata->>'n' = 'true'",
    "metadata->>'n' = '1'",
    "metadata->>'n' = '[1,2]'",
    "metadata->>'n' = '{\"b\":1}'",
    "metadata->>'n' = 'é😀'",
    "metadata->>'n' = 'null'",
    "metadata->>'n' IS NOT NULL",
    "metadata->>'' = 'x'",
    "metadata->>'a.b' = 'x'",
    "metadata->>'$w' = 'x'",
    "metadata->'o'->>'b' = 'x'",
    "metadata->'t'->> -1 = '7'",
    "metadata #>> '{o,b}' = 'x'",
    "metadata #>> ARRAY['o', 'b'] = 'x'",
    "jsonb_extract_path_text(metadata, 'o', 'b') = 'x'",
    "metadata @> '{\"o\":{\"b\":\"x\"}}'",
    "metadata @> '{\"n\":7}'",
    "metadata @> '{\"n\":true}' AND partition = 5",
    "'{\"ip\":\"10.0.0.7\"}' <@ metadata",
    "metadata->>'ip' = '10.0.0.7' OR metadata->>'n' = '7' OR seq = 3",
    "(metadata->>'n' = '7') AND metadata->>'n' IS NOT NULL",
];

/// Conditions that stay with DataFusion: more rows than SQL wants would be fewer there, or the store reads the path otherwise.
const COMPUTED: [&str; 17] = [
    "metadata->>'n' <> '7'",
    "NOT (metadata->>'n' = '7' AND seq < 5)",
    "metadata->>'n' NOT IN ('7', '1', 'x', 'y')",
    "metadata->>'n' IS NULL",
    "(metadata->>'n' = '7') IS NOT TRUE",
    "metadata->>'n' > '5'",
    "metadata->>'ip' LIKE '10.0.0.1%'",
    "metadata->>'a\"b' = 'x'",
    "metadata->>'a\\b' = 'x'",
    "metadata #>> '{t,1}' = '7'",
    "metadata ? 'n'",
    "metadata ?| '{n,o}'",
    "metadata ?& ARRAY['o', 't']",
    "metadata @> '{}'",
    "metadata @> '{\"n\":null}'",
    "metadata <@ '{\"n\":7,\"m\":1}'",
    "json_typeof(metadata->'n') = 'number'",
];

#[tokio::test(flavor = "multi_thread")]
async fn conditions_on_documents_mean_the_same_whether_a_store_chooses_or_not() {
    let fixture = awkward();
    for table in ["ledger.transactions", "documents.transaction_metadata"] {
        for condition in ASKED.iter().chain(&COMPUTED) {
            let sql = format!("SELECT transaction_id FROM {table} WHERE {condition} ORDER BY 1");
            let chosen = fixture.column(&sql).await;
            fixture.rows("SET wardhouse.pushdown = 'off'").await;
            let computed = fixture.column(&sql).await;
            fixture.rows("SET wardhouse.pushdown = 'on'").await;
            assert_eq!(chosen, computed, "{sql}");
            let plan = fixture.plan(&format!("SELECT transaction_id FROM {table} WHERE {condition}")).await;
            assert!(plan.contains("FilterExec"), "{sql}\n{plan}");
            assert_eq!(plan.contains("rechecked=["), ASKED.contains(condition), "{sql}\n{plan}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_shows_what_is_asked_of_a_document() {
    let fixture = awkward();
    let plan = fixture.plan("SELECT transaction_id FROM documents.transaction_metadata WHERE metadata->'o'->>'b' = 'x' AND partition = 5 LIMIT 3").await;
    assert!(plan.contains("CASE WHEN json_valid(metadata, 5) THEN metadata ->> ?"), "{plan}");
    assert!(plan.contains("metadata->'o'->>'b' = 'x'") && plan.contains("rechecked=[") && !plan.contains("LIMIT ?"), "{plan}");
    let plan = fixture.plan("SELECT transaction_id FROM documents.explanations WHERE reasons->0->>'rule' = 'amount'").await;
    assert!(plan.contains("explanation ->> ?1 IN (?2)") && plan.contains("?1='$.reasons[0].\"rule\"'"), "{plan}");
    assert_eq!(fixture.column("SELECT transaction_id FROM documents.explanations WHERE reasons->1->>'rule' = 'amount'").await, ["t-5-000"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn documents_are_read_in_postgresqls_words() {
    let fixture = awkward();
    let row = fixture
        .rows(
            "SELECT metadata #> '{o,c,0}', metadata #>> '{o,c,-1,b}', json_typeof(metadata->'t'), jsonb_array_length(metadata->'t'), metadata->'o' @> '{\"c\":[{\"b\":\"x\"}]}', \
             '[1,2]' <@ '[2,1,3]', metadata ? 't', json_get_int(metadata->'t', 1), json_get_int(metadata, 'o'), '{\"a\":1}'::jsonb->>'a', ARRAY[1, 2] @> ARRAY[2] \
             FROM transactions WHERE transaction_id = 't-5-016'",
        )
        .await;
    assert_eq!(row, [["{\"b\":\"x\"}", "x", "array", "3", "true", "true", "true", "7", "", "1", "true"]]);
    assert_eq!(fixture.column("SELECT (metadata->>'n')::numeric = 7 FROM transactions WHERE transaction_id = 't-5-002'").await, ["true"]);
    assert_eq!(fixture.column("SELECT (metadata->>'n')::bigint + 1 FROM transactions WHERE transaction_id = 't-5-001'").await, ["8"]);
    let told = fixture.fault("SELECT (metadata->>'ip')::bigint FROM transactions WHERE transaction_id = 't-0-007'").await;
    assert!(told.contains("10.0.0.7"), "{told}");
    let told = fixture.fault("SELECT 1 FROM transactions WHERE metadata @> '{a:1}'").await;
    assert!(told.contains("'{a:1}' is no JSON"), "{told}");
    let told = fixture.fault("SELECT metadata #> 'a' FROM transactions").await;
    assert!(told.contains("'a' is no array of text"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn elements_of_an_array_are_rows() {
    let fixture = awkward();
    let counted = [["amount", "1"], ["night", "121"]];
    for sql in [
        "SELECT r->>'rule', count(*) FROM documents.explanations, unnest(json_elements(reasons)) AS t(r) GROUP BY 1 ORDER BY 1",
        "SELECT t.r->>'rule', count(*) FROM documents.explanations AS e CROSS JOIN unnest(json_elements(e.reasons)) AS t(r) GROUP BY 1 ORDER BY 1",
        "SELECT r->>'rule', count(*) FROM documents.explanations e, jsonb_array_elements(e.reasons) AS r GROUP BY 1 ORDER BY 1",
        "SELECT r->>'rule', count(*) FROM (SELECT unnest(json_elements(reasons)) AS r FROM documents.explanations) AS t GROUP BY 1 ORDER BY 1",
        "SELECT value->>'rule', count(*) FROM documents.explanations e JOIN LATERAL jsonb_array_elements(e.reasons) ON true GROUP BY 1 ORDER BY 1",
    ] {
        assert_eq!(fixture.rows(sql).await, counted, "{sql}");
    }
    // A name of the list that a column has too, two lists beside one row, and a condition on both sides.
    let sql = "SELECT e.seq, reasons.reasons->>'rule', d.name FROM documents.explanations e, unnest(json_elements(e.reasons)) AS reasons(reasons), \
               unnest(json_elements_text('[\"a\",\"b\"]')) AS d(name) WHERE e.partition = 5 AND d.name > 'a' ORDER BY 1, 2";
    assert_eq!(fixture.rows(sql).await, [["0", "amount", "b"], ["0", "night", "b"]]);
    let sql = "SELECT e.seq, r->>'rule' FROM documents.explanations e LEFT JOIN unnest(json_elements(e.reasons)) AS t(r) ON true WHERE e.partition = 5 AND e.seq < 4 ORDER BY 1, 2";
    assert_eq!(fixture.rows(sql).await, [["0", "amount"], ["0", "night"], ["1", ""], ["2", ""], ["3", ""]]);
    let sql = "SELECT t.transaction_id, r FROM transactions t JOIN unnest(json_elements_text(t.detection_rules)) AS u(r) ON r = 'amount' WHERE t.seq = 4";
    assert_eq!(fixture.rows(sql).await, [["t-5-004", "amount"]]);
    let plan = fixture.plan("SELECT r FROM documents.explanations e, unnest(json_elements(e.reasons)) AS t(r) WHERE e.risk_score >= 70").await;
    assert!(plan.contains("pushed=[risk_score >= 70]") && !plan.contains("Join"), "{plan}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snippet_shows_what_match_found() {
    let fixture = Fixture::new();
    let rows = fixture.rows("SELECT alert_id, snippet(message), snippet(message, 20) AS short FROM search.alerts WHERE match(message, 'refund AND night')").await;
    assert_eq!(rows, [["s-0", "User Ünal was «refunded» 999.99 at «night», twice", "…was «refunded» 999.99…"]]);
    let shown = fixture.column("SELECT snippet(a.title) FROM search.alerts a JOIN transactions t USING (transaction_id) WHERE match(a.title, 'refund') ORDER BY 1").await;
    assert_eq!(shown, ["«Refunds» at night", "«Refund»"]);
    for sql in ["SELECT snippet(message) FROM search.alerts", "SELECT snippet(title, 50) FROM search.alerts WHERE match(message, 'refund')"] {
        let told = fixture.fault(sql).await;
        assert!(told.starts_with("snippet() shows what match() found"), "{sql}: {told}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn hours_in_which_nothing_happened_are_shown() {
    let fixture = Fixture::new();
    let rows = fixture
        .rows(
            "SELECT b.bucket, coalesce(t.n, 0) AS n FROM time_buckets(interval '1 hour', '2026-03-01', '2026-03-01T16:00:00Z') AS b \
             LEFT JOIN (SELECT date_trunc('hour', timestamp) AS hour, count(*) AS n FROM transactions GROUP BY 1) AS t ON t.hour = b.bucket ORDER BY 1",
        )
        .await;
    let counts: Vec<&str> = rows.iter().map(|row| row[1].as_str()).collect();
    assert_eq!(rows[0][0], "2026-03-01T00:00:00Z");
    assert_eq!(counts, ["10", "10", "10", "10", "10", "10", "10", "10", "8", "8", "8", "8", "8", "0", "0", "0"]);
    fixture.rows("SET TIME ZONE 'Europe/Berlin'").await;
    let days = "SELECT b.bucket, count(t.transaction_id) FROM time_buckets(interval '1 day', '2026-02-28', '2026-03-03') AS b \
                LEFT JOIN transactions t ON t.timestamp >= b.bucket AND t.timestamp < b.bucket_end GROUP BY 1 ORDER BY 1";
    assert_eq!(fixture.rows(days).await, [["2026-02-28T00:00:00+01:00", "0"], ["2026-03-01T00:00:00+01:00", "120"], ["2026-03-02T00:00:00+01:00", "0"]]);
    let told = fixture.fault("SELECT * FROM time_buckets(interval '1 second', '2020-01-01', '2026-01-01')").await;
    assert!(told.contains("at most 1000000 buckets"), "{told}");
    let told = fixture.fault("SELECT * FROM time_buckets(interval '1 day', now(), timestamp)").await;
    assert!(told.contains("timestamp"), "{told}");
}
