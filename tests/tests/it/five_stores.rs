//! SQL over five stores gives what the same join gives that is computed from the log's records, to the cent.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use wh_schemas::scored::ALERT_SCORE;
use wh_schemas::time::DAY;
use wh_schemas::topics::{ACCEPTED_TRANSACTIONS, RISK_ALERTS, RISK_SCORES};
use wh_schemas::{Alert, ScoreRecord};
use wh_scorer::dedup::DEFAULT_HORIZON;
use wh_scorer::partition::Emitted;

use crate::pipeline::{Pipeline, STAGES};
use crate::records::{hospital, score, scorer, topic};
use crate::sql;

/// The first question of `wardhouse up`, with one word and every row.
const FIVE_STORES: &str = "\
SELECT a.risk_score AS risk, a.alert_type, t.transaction_id, t.user_id, t.amount, b.transactions AS user_transactions, b.amount_mean AS usual_amount,
       t.department, w.transactions AS department_transactions, w.amount_sum, w.days, d.metadata ->> 'terminal' AS terminal, t.\"timestamp\"
FROM search.alerts a
JOIN ledger.transactions t ON t.transaction_id = a.transaction_id
JOIN documents.transaction_metadata d ON d.transaction_id = a.transaction_id
JOIN baselines.users b ON b.user_id = a.user_id
JOIN (SELECT department, sum(transactions) AS transactions, sum(amount_sum) AS amount_sum, count(DISTINCT date_trunc('day', \"time\")) AS days
      FROM metrics.throughput GROUP BY department) w ON w.department = t.department
WHERE match(a.message, 'WORD')
ORDER BY a.risk_score DESC, t.amount DESC, t.transaction_id";

/// Place of the mean among the columns: a float, compared apart.
const USUAL_AMOUNT: usize = 6;

/// Transactions, cents and days of a department.
#[derive(Default)]
struct Department {
    transactions: u64,
    cents: i64,
    days: BTreeSet<i64>,
}

fn says(message: &str, word: &str) -> bool {
    message.to_lowercase().split(|c: char| !c.is_alphanumeric()).any(|token| token.starts_with(word))
}

struct Log<'r> {
    rows: Vec<ScoreRecord<'r>>,
    /// Alerts of patterns by account.
    patterns: Vec<Alert<'r>>,
    departments: BTreeMap<&'r str, Department>,
    users: BTreeMap<&'r str, u64>,
    /// Mean amount of each user, from a scorer that saw the same accepted records.
    means: BTreeMap<String, f64>,
}

impl Log<'_> {
    /// The join, computed row by row.
    fn join(&self, word: &str) -> (Vec<Vec<String>>, Vec<f64>) {
        let mut found = Vec::new();
        let by_id: BTreeMap<&str, &ScoreRecord<'_>> = self.rows.iter().map(|row| (row.transaction_id.as_str(), row)).collect();
        let own = self.rows.iter().flat_map(|row| row.alerts.iter().map(move |alert| (row, alert)));
        let of_patterns = self.patterns.iter().map(|alert| (by_id[alert.transaction_id.as_str()], alert));
        for (row, alert) in own.chain(of_patterns).filter(|(_, alert)| says(&alert.message, word)) {
            let department = &self.departments[row.department.as_str()];
            let metadata: Value = serde_json::from_str(row.metadata.get()).unwrap();
            let cells = vec![
                alert.risk_score.to_string(),
                alert.alert_type.to_string(),
                row.transaction_id.to_string(),
                row.user_id.to_string(),
                row.amount.0.to_string(),
                self.users[row.user_id.as_str()].to_string(),
                row.department.to_string(),
                department.transactions.to_string(),
                department.cents.to_string(),
                department.days.len().to_string(),
                metadata["terminal"].as_str().unwrap_or(sql::NULL).to_owned(),
                row.timestamp.0.to_string(),
            ];
            let order = (std::cmp::Reverse(alert.risk_score), std::cmp::Reverse(row.amount.0), row.transaction_id.to_string());
            found.push((order, cells, self.means[row.user_id.as_str()]));
        }
        found.sort_by(|a, b| a.0.cmp(&b.0));
        found.into_iter().map(|(_, cells, mean)| (cells, mean)).unzip()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_join_of_five_stores_is_the_join_of_the_logs_records() {
    let folder = tempfile::tempdir().unwrap();
    let mut pipeline = Pipeline::open(folder.path()).await;
    pipeline.start_all(&STAGES);
    pipeline.feed(&hospital(7, 5_000)).await;
    pipeline.settle().await;
    pipeline.stop().await;

    let mut means = BTreeMap::new();
    for (partition, accepted) in (0..).zip(topic(&*pipeline.log, ACCEPTED_TRANSACTIONS).await) {
        let (mut scorer, mut emitted) = (scorer(partition, DEFAULT_HORIZON), Emitted::default());
        accepted.iter().for_each(|record| scorer.process(record, &mut emitted));
        means.extend(scorer.engine().users().map(|(user, state)| (user.to_owned(), state.mean_amount())));
    }
    let records = topic(&*pipeline.log, RISK_SCORES).await.concat();
    let rows: Vec<ScoreRecord<'_>> = records.iter().map(score).collect();
    let (mut departments, mut users): (BTreeMap<&str, Department>, BTreeMap<&str, u64>) = (BTreeMap::new(), BTreeMap::new());
    for row in rows.iter().filter(|row| row.risk_score.is_some()) {
        let department = departments.entry(row.department.as_str()).or_default();
        department.transactions += 1;
        department.cents += row.amount.0;
        department.days.insert(row.timestamp.0.div_euclid(DAY));
        *users.entry(row.user_id.as_str()).or_default() += 1;
    }
    let alerts = topic(&*pipeline.log, RISK_ALERTS).await.concat();
    let patterns = alerts.iter().map(|record| serde_json::from_slice::<Alert<'_>>(&record.value).unwrap()).filter(|alert| alert.pattern.is_some() && alert.is_raised()).collect();
    let log = Log { rows: rows.clone(), patterns, departments, users, means };

    let engine = sql::engine(folder.path());
    let mut joined = 0;
    for word in ["refund", "usual", "payment", "nothing"] {
        let mut found = sql::rows(&engine, &FIVE_STORES.replace("WORD", word)).await;
        let usual: Vec<f64> = found.iter_mut().map(|row| row.remove(USUAL_AMOUNT).parse().unwrap()).collect();
        let (wanted, means) = log.join(word);
        assert_eq!(found, wanted, "match(message, '{word}')");
        assert!(usual.iter().zip(&means).all(|(found, wanted)| (found - wanted).abs() < 0.005), "{usual:?} instead of {means:?}");
        joined += found.len();
    }
    assert!(joined >= 20, "{joined} rows");
}

#[tokio::test(flavor = "multi_thread")]
async fn aggregates_of_the_metrics_are_those_of_the_logs_records() {
    let folder = tempfile::tempdir().unwrap();
    let mut pipeline = Pipeline::open(folder.path()).await;
    pipeline.start_all(&["intake", "scorer", "ledger", "metrics"]);
    pipeline.feed(&hospital(8, 4_000)).await;
    pipeline.settle().await;
    pipeline.stop().await;

    let records = topic(&*pipeline.log, RISK_SCORES).await.concat();
    let mut sums: BTreeMap<(String, &str), [i64; 5]> = BTreeMap::new();
    for row in records.iter().map(score) {
        let points = i64::from(row.risk_score.unwrap());
        let [transactions, cents, score_sum, score_max, alerts] = sums.entry((row.department.to_string(), row.risk_level.unwrap().as_str())).or_default();
        *transactions += 1;
        *cents += row.amount.0;
        *score_sum += points;
        *score_max = points.max(*score_max);
        *alerts += i64::from(points >= i64::from(ALERT_SCORE));
    }
    let wanted: Vec<Vec<String>> =
        sums.into_iter().map(|((department, level), sums)| [department, level.to_owned()].into_iter().chain(sums.map(|sum| sum.to_string())).collect()).collect();
    let engine = sql::engine(folder.path());
    let found = sql::rows(
        &engine,
        "SELECT department, risk_level, sum(transactions), sum(amount_sum), sum(score_sum), max(score_max), sum(alerts) FROM metrics.throughput GROUP BY 1, 2 ORDER BY 1, 2",
    )
    .await;
    assert_eq!(found, wanted);
    let ledger = sql::rows(
        &engine,
        "SELECT department, risk_level, count(*), sum(amount), sum(risk_score), max(risk_score), count(CASE WHEN risk_score >= 70 THEN 1 END) \
         FROM ledger.transactions GROUP BY 1, 2 ORDER BY 1, 2",
    )
    .await;
    assert_eq!(ledger, wanted, "the ledger says the same");
}
