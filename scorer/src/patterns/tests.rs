//! What the account engine promises, on small streams.

mod interleaving;
mod mechanisms;
mod state;

use wh_schemas::activity::Activity;
use wh_schemas::scored::ALERT_SCORE;
use wh_schemas::time::{DAY, HOUR};
use wh_schemas::{Cents, Micros, TransactionType};

use super::*;

/// 2026-01-05T00:00:00Z, a Monday.
pub(super) const MONDAY: i64 = 1_767_571_200_000_000;

/// One event before it has a place in a stream.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) at: i64,
    pub(super) user: String,
    pub(super) account: String,
    pub(super) counterparty: Option<String>,
    pub(super) department: &'static str,
    pub(super) kind: TransactionType,
    pub(super) cents: i64,
}

pub(super) fn row(at: i64, user: &str, kind: TransactionType, from: &str, to: &str, cents: i64) -> Row {
    let department = ["Surgery", "Radiology", "Pharmacy", "Emergency"][user.bytes().map(usize::from).sum::<usize>() % 4];
    Row { at, user: user.to_owned(), account: from.to_owned(), counterparty: Some(to.to_owned()), department, kind, cents }
}

/// Numbers without pattern (G. Marsaglia, "Xorshift RNGs", 2003).
#[derive(Debug)]
pub(super) struct Dice(pub(super) u64);

impl Dice {
    pub(super) fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % n
    }
}

/// Five weeks of an honest house: six vendors, standing refunds, wages twice a month in a run, pooling each morning.
pub(super) fn honest() -> Vec<Row> {
    let mut dice = Dice(7);
    let mut rows = Vec::new();
    for day in 0..35_i64 {
        let morning = MONDAY + day * DAY + 8 * HOUR;
        for i in 0..40_i64 {
            let user = format!("buyer {}", dice.below(8));
            let vendor = format!("vendor {}", dice.below(6));
            let cents = 100_000 + i64::try_from(dice.below(150_000)).unwrap();
            let kind = if dice.below(2) == 0 { TransactionType::Procurement } else { TransactionType::Payment };
            rows.push(row(morning + i * HOUR / 5, &user, kind, &format!("cost centre {}", dice.below(12)), &vendor, cents));
        }
        for i in 0..5_i64 {
            let patient = dice.below(4_000);
            let cents = 2_000 + i64::try_from(dice.below(9_000)).unwrap();
            rows.push(row(morning + i * HOUR, "clerk", TransactionType::Refund, &format!("patient {patient}"), &format!("bank of {patient}"), cents));
        }
        for ward in 0..4 {
            let cents = 500_000 + i64::try_from(dice.below(500_000)).unwrap();
            rows.push(row(morning + ward * 60_000_000, "treasurer", TransactionType::Transfer, &format!("ward {ward}"), "pool", cents));
            rows.push(row(morning + HOUR + ward * 60_000_000, "treasurer", TransactionType::Transfer, "pool", &format!("ward {ward}"), cents - 10_000));
        }
        if day % 14 == 4 {
            for person in 0..60_i64 {
                rows.push(row(morning + 2 * HOUR + person * 3_000_000, "paymaster", TransactionType::Payroll, "wages", &format!("home of {person}"), 250_000 + person * 1_711));
            }
        }
    }
    rows
}

/// Rows as one partition's activities, by time.
pub(super) fn activities(mut rows: Vec<Row>) -> Vec<Activity<'static>> {
    rows.sort_by_key(|r| r.at);
    let mut newest = i64::MIN;
    rows.into_iter()
        .enumerate()
        .map(|(i, r)| {
            newest = newest.max(r.at);
            Activity {
                schema_version: 1,
                transaction_id: format!("{i:06}").into(),
                timestamp: Micros(r.at),
                user_id: r.user.into(),
                account_id: r.account.into(),
                counterparty_account: r.counterparty.map(Into::into),
                department: r.department.to_owned().into(),
                transaction_type: r.kind,
                amount: Cents(r.cents),
                risk_score: 0,
                partition: 0,
                seq: i as u64,
                stream_time: Micros(newest),
                implausible: false,
            }
        })
        .collect()
}

/// What is found in the honest house with these rows among its own.
pub(super) fn found_with(rows: Vec<Row>) -> Vec<Found> {
    let mut all = honest();
    all.extend(rows);
    let mut engine = AccountEngine::new(AccountRules::default());
    let mut out = Vec::new();
    for activity in activities(all) {
        engine.take(&activity, &mut out);
    }
    engine.flush(&mut out);
    out
}

pub(super) fn alerts(found: &[Found]) -> Vec<&str> {
    found.iter().filter(|f| f.pattern.risk_score >= ALERT_SCORE).map(|f| f.pattern.pattern_type.as_str()).collect()
}
