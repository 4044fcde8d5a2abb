//! The first question: one SQL statement that joins all five stores, asked when there is something to answer.

/// Alerts by their text (search), with the transaction (ledger), where it came from (documents), what is usual for its
/// user (baselines) and how much its department does (metrics).
pub(crate) const FIVE_STORES: &str = "\
SELECT a.risk_score AS risk, a.alert_type, t.user_id, t.amount, round(b.amount_mean, 2) AS usual_amount,
       t.department, w.per_day AS department_per_day, d.metadata ->> 'terminal' AS terminal, t.timestamp
FROM search.alerts a
JOIN ledger.transactions t ON t.transaction_id = a.transaction_id
JOIN documents.transaction_metadata d ON d.transaction_id = a.transaction_id
JOIN baselines.users b ON b.user_id = a.user_id
JOIN (SELECT department, sum(transactions) / count(DISTINCT date_trunc('day', time)) AS per_day
      FROM metrics.throughput GROUP BY department) w ON w.department = t.department
WHERE match(a.message, 'refund OR payment')
ORDER BY a.risk_score DESC, t.amount DESC, t.transaction_id
LIMIT 5";
