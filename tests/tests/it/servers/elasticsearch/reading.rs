//! SQL and full text over Elasticsearch: the answers of the embedded index.

use std::time::Duration;

use futures::TryStreamExt;
use wh_query::Engine;
use wh_sinks::delivery::Store;
use wh_stores::elasticsearch::{Method, RawElasticsearch, layout};
use wh_stores::tantivy::layout as embedded;

use super::{Bench, batch, contains, settle, small};
use crate::content::{self, Role};
use crate::contract::servers::elasticsearch::ask;
use crate::records::stream;
use crate::sql;

const AWKWARD: [&str; 16] = [
    "U-0012's user_id sent 12,345.67 EUR to account:ACC1 at 03:12, risk 85 of 100: 4.5x the usual.",
    "can't don’t O'Neil's 'quoted' e-mail@x.com http://a.b/c?d=e 3.14abc a.1 1.a 1'000 1,,2 1;2",
    "Résumé naïve STRASSE straße İstanbul ﬁne ŒUVRE Σίσυφος ǅ Ünal \"der Große\" Kardiologie Ω",
    "e\u{301}te\u{301} a\u{200d}b a\u{ad}b a\u{200b}b \u{301}a na\u{308}ive",
    "日本語テキスト ひらがな ｶﾀｶﾅ 한국어 텍스트 中a文1",
    "ภาษาไทย ລາວ မြန်မာ ខ្មែរ ไทยabc abcไทย 1่2",
    "😀 👨‍👩‍👧‍👦 🇩🇪🇫🇷 #️⃣ 1️⃣ ☺️ © 👍🏽 a😀b 🩺 ★ →",
    "צה\"ל ג'ון א' א\" ב'א' aא.א",
    "m² ① Ⓐ １２ ½ Ⅻ x² H2O 25° ʹ ˂a",
    "_ __x 1_2 a_b_ snake_case kebab-case a.b. ..a a:b a·b",
    "x\u{1}y a\tb\nc\u{a0}d\u{2028}e \"\\",
    "radiologist oncologists cardiology universities organizations generously communication internally",
    "refunds refunded refunding payments transferred transferring unusually pharmacies nightly proceeds dying",
    "'; DROP TABLE transactions; -- %_",
    "",
    "...",
];

#[tokio::test]
#[cfg_attr(not(has_elasticsearch), ignore = "WARDHOUSE_TEST_ELASTICSEARCH is not set")]
async fn the_analyser_is_the_one_of_the_embedded_index() {
    let bench = Bench::new().await;
    let index = bench.settings.index_of(0);
    layout::ensure(&bench.client, &bench.settings).await.unwrap();
    layout::ensure_index(&bench.client, &bench.settings, &index).await.unwrap();
    let long = ["a".repeat(600), format!("{}'b", "a".repeat(254)), "é".repeat(300), "x_".repeat(300)];
    let made = (0..40).map(|seed| made_up(seed, 150));
    for text in AWKWARD.iter().map(|text| (*text).to_owned()).chain(long).chain(made) {
        let body = serde_json::json!({ "analyzer": layout::ANALYZER, "text": text });
        let answer = bench.ask(Method::Post, &format!("{index}/_analyze"), body).await;
        let found: Vec<&str> = answer["tokens"].as_array().unwrap().iter().map(|token| token["token"].as_str().unwrap()).collect();
        let mut wanted = Vec::new();
        embedded::analyzer().token_stream(&text).process(&mut |token| wanted.push(token.text.clone()));
        assert_eq!(found, wanted, "{text:?}");
    }
    bench.done().await;
}

/// A text of characters that decide where words end.
fn made_up(seed: u64, length: usize) -> String {
    const FROM: [&str; 32] = [
        "a", "b", "Z", "s", "ing", "ed", "ly", "0", "9", "_", "'", "’", "\"", ".", ",", ":", ";", "·", "-", "@", " ", " ", "\u{301}", "\u{200d}", "ー", "カ", "中", "ひ", "한",
        "א", "ב", "ไท",
    ];
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) + 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        FROM[usize::try_from(state % 32).unwrap()]
    };
    (0..length).map(|_| next()).collect()
}

/// The same records in both stores.
async fn both(raw: &RawElasticsearch) -> (Bench, Engine, Engine) {
    let (bench, records) = (Bench::with(raw).await, stream(0));
    let mut store = bench.open().await;
    settle(&mut store, &records).await;
    store.publish().await.unwrap();
    let mut index = content::open(Role::Search, bench.place.path()).unwrap();
    index.write(batch(&records)).await.unwrap();
    index.publish().await.unwrap();
    let engines = (bench.engine(), sql::engine(bench.place.path()));
    (bench, engines.0, engines.1)
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(not(has_elasticsearch), ignore = "WARDHOUSE_TEST_ELASTICSEARCH is not set")]
async fn a_match_finds_what_the_embedded_index_finds() {
    let (bench, server, embedded) = both(&small()).await;
    let mut found = 0;
    for query in [
        "refund",
        "REFUNDS",
        "refund OR transfer",
        "refund AND unusual",
        "payment billing",
        "NOT refund",
        "usual NOT refund",
        "(refund OR payment OR transfer) AND NOT night",
        "\"made a\"",
        "\"a made\"",
        "\"made refund\"~1",
        "\"on account\" AND usual",
        "risk-of",
        "+usual -refund",
        "usual^3 refund",
        "\"...\"",
        "refund \"--\"",
        "NOT \"...\"",
        "ünüsual",
    ] {
        for column in ["message", "title"] {
            let sql = format!("SELECT alert_id FROM search.alerts WHERE match({column}, '{query}') ORDER BY alert_id");
            let rows = sql::rows(&server, &sql).await;
            assert_eq!(rows, sql::rows(&embedded, &sql).await, "{sql}");
            found += rows.len();
        }
    }
    assert!(found > 100, "{found} rows");
    let ranked = sql::rows(&server, "SELECT alert_id, score() FROM search.alerts WHERE match(message, 'usual OR refund') ORDER BY score() DESC LIMIT 5").await;
    let scores: Vec<f64> = ranked.iter().map(|row| row[1].parse().unwrap()).collect();
    assert!(scores.len() == 5 && scores[4] > 0.0 && scores.windows(2).all(|pair| pair[0] >= pair[1]), "{scores:?}");
    assert_eq!(sql::rows(&server, "SELECT score() FROM search.alerts LIMIT 1").await, [[sql::NULL]]);
    bench.done().await;
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(not(has_elasticsearch), ignore = "WARDHOUSE_TEST_ELASTICSEARCH is not set")]
async fn sql_answers_as_over_the_embedded_index() {
    // Pages of seven rows: each answer takes several.
    let (bench, server, embedded) = both(&RawElasticsearch { page_rows: 7, ..small() }).await;
    let users = sql::rows(&embedded, "SELECT DISTINCT user_id FROM search.alerts ORDER BY 1").await;
    let (one, other) = (&users[0][0], &users[users.len() - 1][0]);
    for sql in [
        "SELECT * FROM search.alerts ORDER BY alert_id".to_owned(),
        "SELECT count(*) FROM search.alerts".to_owned(),
        "SELECT count(*) FROM (SELECT 1 FROM search.alerts LIMIT 5)".to_owned(),
        "SELECT alert_id, risk_score FROM search.alerts WHERE risk_score >= 80 AND seq < 600 ORDER BY 1".to_owned(),
        format!("SELECT alert_id FROM search.alerts WHERE user_id = '{one}' ORDER BY 1"),
        format!("SELECT alert_id FROM search.alerts WHERE user_id <> '{one}' AND NOT (severity = 'high' OR risk_score > 90) ORDER BY 1"),
        format!("SELECT alert_id FROM search.alerts WHERE user_id NOT IN ('{one}', '{other}', 'nobody') ORDER BY 1"),
        format!("SELECT alert_id FROM search.alerts WHERE user_id > '{one}' AND user_id <= '{other}' ORDER BY 1"),
        "SELECT alert_id FROM search.alerts WHERE user_id LIKE 'u%' AND alert_id NOT LIKE '%a%' ORDER BY 1".to_owned(),
        "SELECT user_id, alert_id FROM search.alerts ORDER BY user_id DESC, alert_id LIMIT 11".to_owned(),
        "SELECT seq FROM search.alerts ORDER BY created_at DESC LIMIT 3".to_owned(),
        "SELECT seq FROM search.alerts WHERE (risk_score > 100) IS NOT TRUE ORDER BY seq LIMIT 20 OFFSET 3".to_owned(),
        "SELECT severity, count(*), max(risk_score) FROM search.alerts GROUP BY 1 ORDER BY 1".to_owned(),
        "SELECT a.alert_id FROM search.alerts a JOIN search.alerts b ON a.transaction_id = b.transaction_id WHERE b.risk_score > 85 ORDER BY 1".to_owned(),
        "SELECT detection_rules->>0, \"timestamp\", created_at FROM search.alerts ORDER BY seq".to_owned(),
    ] {
        assert_eq!(sql::rows(&server, &sql).await, sql::rows(&embedded, &sql).await, "{sql}");
    }
    let places = sql::rows(&server, "SELECT kind, reachable, layout_version FROM system.stores WHERE role = 'search'").await;
    assert_eq!((places[0][0].as_str(), places[0][1].as_str()), ("elasticsearch", "true"));
    // No view is left open, once those that were not read to their end are closed.
    let path = format!("{}/_stats/search", bench.settings.alerts());
    let closed = async {
        while ask(&bench.client, Method::Get, &path, None).await["_all"]["total"]["search"]["open_contexts"] != 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), closed).await.unwrap();
    bench.done().await;
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(not(has_elasticsearch), ignore = "WARDHOUSE_TEST_ELASTICSEARCH is not set")]
async fn a_namespace_without_a_layout_is_told() {
    let bench = Bench::new().await;
    let analyst = sql::session(&bench.engine());
    let result = analyst.query("SELECT * FROM search.alerts").await.unwrap();
    let fault = result.stream.try_collect::<Vec<_>>().await.map(drop).unwrap_err();
    contains(&fault.to_string(), "there is no layout of Wardhouse");
    layout::ensure(&bench.client, &bench.settings).await.unwrap();
    assert!(sql::rows(&bench.engine(), "SELECT * FROM search.alerts").await.is_empty());
    bench.done().await;
}
