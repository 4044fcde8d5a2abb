//! A made-up hospital whose financial transactions never end, with incidents in them whose truth is known.
//!
//! It stands in for real data, which nobody may publish: demonstrations, benchmarks and the evaluation of the scorer run
//! on it. `people` are hired with their `rhythm`, `habits` and `accounts`; `amounts` says how much, `scenarios` what
//! goes wrong, `papers` how it is written down, and `world` lets time pass.
//!
//! What must stay true: a stream is a function of its settings alone, to the byte (no clock, no I/O, no hash order, no
//! platform's mathematics); rows are in the order of event time; what is true of a row is beside it in [`Truth`] and
//! never in it.

mod accounts;
mod amounts;
mod dice;
mod habits;
mod papers;
mod people;
mod rhythm;
mod scenarios;
mod world;

use chrono_tz::Tz;
use serde::Serialize;
use wh_schemas::json::RawObject;
use wh_schemas::money::Cents;
use wh_schemas::time::Micros;
use wh_schemas::transaction::{SCHEMA_VERSION, Transaction};

pub use world::World;

/// What a world is made from.
#[derive(Clone, Debug)]
pub struct GeneratorSettings {
    /// Equal seeds give equal streams.
    pub seed: u64,
    /// How many people do transactions, 1 to 500,000. By default 50.
    pub users: u32,
    /// The instant at which the stream begins.
    pub start: Micros,
    /// Transactions of one user in one day, in the mean over all users, weekends and incidents: 0.001 to 10,000.
    pub transactions_per_user_day: f64,
    /// Share of transactions that belong to incidents, 0.0 to 0.5. By default 0.15.
    pub anomaly_rate: f64,
    /// The hospital's time zone, which shifts, weekends and pay days follow.
    pub zone: Tz,
}

/// What is true of a transaction that belongs to an incident.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Truth {
    /// Number of the incident, from 1.
    pub incident: u64,
    /// Name of what went wrong, such as `refund_cycle`.
    pub scenario: &'static str,
}

/// One item of a [`World`].
#[derive(Clone, Debug)]
pub struct Generated {
    /// What a producer would send.
    pub transaction: Transaction<'static>,
    /// The incident it belongs to; `None` for an ordinary one.
    pub truth: Option<Truth>,
}

/// Says what is wrong with the settings, if anything is.
fn check(settings: &GeneratorSettings) -> Result<(), String> {
    const YEAR_ONE: i64 = -62_135_596_800_000_000;
    let GeneratorSettings { users, start, transactions_per_user_day, anomaly_rate, .. } = settings;
    if !(1..=500_000).contains(users) {
        return Err(format!("the generator's number of users is {users}; give it 1 to 500000"));
    }
    if !(0.001..=10_000.0).contains(transactions_per_user_day) {
        return Err(format!("the generator's transactions per user and day are {transactions_per_user_day}; give it 0.001 to 10000"));
    }
    if !(0.0..=0.5).contains(anomaly_rate) {
        return Err(format!("the generator's anomaly rate is {anomaly_rate}; give it a share of 0.0 to 0.5"));
    }
    if !(YEAR_ONE..rhythm::LAST).contains(&start.0) {
        return Err(format!("the generator's start is {} µs from 1970; give it an instant in the years 1 to 9999", start.0));
    }
    Ok(())
}

/// Appends a transaction as one JSON object: the fields in the order of the design, then `schema_version`. No newline.
pub fn write_json(generated: &Transaction<'_>, out: &mut Vec<u8>) {
    #[derive(Serialize)]
    struct Wire<'a> {
        transaction_id: &'a str,
        timestamp: Micros,
        user_id: &'a str,
        account_id: &'a str,
        department: &'a str,
        transaction_type: &'static str,
        amount: Cents,
        #[serde(skip_serializing_if = "Option::is_none")]
        description: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        counterparty_account: Option<&'a str>,
        metadata: &'a RawObject<'a>,
        schema_version: u16,
    }
    let wire = Wire {
        transaction_id: generated.transaction_id.as_str(),
        timestamp: generated.timestamp,
        user_id: generated.user_id.as_str(),
        account_id: generated.account_id.as_str(),
        department: generated.department.as_str(),
        transaction_type: generated.transaction_type.as_str(),
        amount: generated.amount,
        description: generated.description.as_ref().map(|text| text.as_str()),
        counterparty_account: generated.counterparty_account.as_ref().map(|text| text.as_str()),
        metadata: &generated.metadata,
        schema_version: SCHEMA_VERSION,
    };
    if let Err(error) = serde_json::to_writer(out, &wire) {
        // A vector takes every byte, and numbers and strings have no way to refuse: only a bug gets here.
        unreachable!("a transaction cannot be written as JSON: {error}");
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet, HashSet};

    use serde_json::{Map, Value};
    use wh_schemas::time::{DAY, HOUR};
    use wh_schemas::transaction::TransactionType;

    use super::*;

    fn settings() -> GeneratorSettings {
        GeneratorSettings {
            seed: 7,
            users: 50,
            start: Micros::parse("2026-03-02T00:00:00Z", Tz::UTC).unwrap(),
            transactions_per_user_day: 24.0,
            anomaly_rate: 0.15,
            zone: Tz::Europe__Berlin,
        }
    }

    fn world(settings: GeneratorSettings) -> World {
        World::new(settings).unwrap_or_else(|sentence| panic!("{sentence}"))
    }

    fn bytes(settings: GeneratorSettings, rows: usize) -> Vec<u8> {
        let mut out = Vec::new();
        for generated in world(settings).take(rows) {
            write_json(&generated.transaction, &mut out);
            out.push(b'\n');
        }
        out
    }

    #[test]
    fn the_same_seed_gives_the_same_bytes() {
        assert_eq!(bytes(settings(), 20_000), bytes(settings(), 20_000));
    }

    #[test]
    fn another_seed_gives_other_rows() {
        assert_ne!(bytes(settings(), 100), bytes(GeneratorSettings { seed: 8, ..settings() }, 100));
    }

    #[test]
    fn event_times_never_decrease_and_no_identifier_comes_twice() {
        let mut seen = HashSet::new();
        let mut last = settings().start;
        for generated in world(settings()).take(200_000) {
            assert!(generated.transaction.timestamp >= last);
            last = generated.transaction.timestamp;
            assert!(seen.insert(generated.transaction.transaction_id.0));
        }
        assert_eq!(seen.len(), 200_000);
    }

    #[test]
    fn incidents_have_their_share_of_the_rows() {
        for (users, rate) in [(50, 0.15), (50, 0.0), (50, 0.5), (3, 0.1), (2_000, 0.3)] {
            let rows = world(GeneratorSettings { users, anomaly_rate: rate, ..settings() }).take(100_000);
            let share = rows.filter(|generated| generated.truth.is_some()).count() as f64 / 100_000.0;
            // Where 100,000 rows are two days, the incidents of the first evening have not all happened yet.
            let tolerance = if users > 1_000 { 0.12 } else { 0.02 };
            assert!((share - rate).abs() <= tolerance, "{users} users: {share} instead of {rate}");
        }
    }

    #[test]
    fn every_scenario_occurs() {
        let names: BTreeSet<&str> = world(settings()).take(300_000).filter_map(|generated| generated.truth).map(|truth| truth.scenario).collect();
        let all: BTreeSet<&str> = scenarios::SCENARIOS.iter().map(|scenario| scenario.name).collect();
        assert_eq!(names, all);
    }

    #[test]
    fn every_row_is_valid_and_tells_nothing_of_its_truth() {
        let keys = ["channel", "ip", "reference", "session", "terminal"];
        for generated in world(settings()).take(50_000) {
            let row = &generated.transaction;
            assert!(row.amount.0 > 0 && row.amount <= Cents::MAX);
            for text in [&row.transaction_id, &row.user_id, &row.account_id, &row.department] {
                assert!(!text.is_empty());
            }
            assert!(row.counterparty_account.as_ref().is_none_or(|account| !account.is_empty()));
            let metadata: Map<String, Value> = serde_json::from_str(row.metadata.get()).unwrap();
            assert!(metadata.keys().eq(keys), "{metadata:?}");
            let mut out = Vec::new();
            write_json(row, &mut out);
            let text = String::from_utf8(out).unwrap();
            assert!(!scenarios::SCENARIOS.iter().any(|scenario| text.contains(scenario.name)), "{text}");
        }
    }

    #[test]
    fn a_row_is_written_in_the_order_of_the_design() {
        for generated in world(settings()).take(200) {
            let mut out = Vec::new();
            write_json(&generated.transaction, &mut out);
            let object: Map<String, Value> = serde_json::from_slice(&out).unwrap();
            let order = [
                "transaction_id",
                "timestamp",
                "user_id",
                "account_id",
                "department",
                "transaction_type",
                "amount",
                "description",
                "counterparty_account",
                "metadata",
                "schema_version",
            ];
            let row = &generated.transaction;
            let left_out = [(row.description.is_none(), "description"), (row.counterparty_account.is_none(), "counterparty_account")];
            let expected = order.iter().filter(|key| !left_out.contains(&(true, **key)));
            assert!(object.keys().eq(expected), "{object:?}");
            assert!(object["timestamp"].as_str().is_some_and(|time| time.ends_with('Z')));
            assert_eq!(object["schema_version"], 1);
        }
    }

    #[test]
    fn the_density_is_what_was_asked_for() {
        let start = Micros::parse("2026-03-16T00:00:00Z", Tz::UTC).unwrap();
        for users in [50, 400] {
            let rows = world(GeneratorSettings { start, users, ..settings() }).take_while(|generated| generated.transaction.timestamp.0 < start.0 + 28 * DAY).count();
            let density = rows as f64 / 28.0 / f64::from(users);
            assert!((density - 24.0).abs() < 2.4, "{users} users: {density}");
        }
    }

    #[test]
    fn nights_have_their_shift_and_are_quiet() {
        let ordinary = world(settings()).take(100_000).filter(|generated| generated.truth.is_none());
        let (mut night, mut noon) = (0_u32, 0_u32);
        for generated in ordinary {
            match generated.transaction.timestamp.hour_of_week(Tz::Europe__Berlin) % 24 {
                1..=4 => night += 1,
                9..=12 => noon += 1,
                _ => {}
            }
        }
        assert!(night > 500, "{night}");
        assert!(noon > 4 * night, "{noon} and {night}");
    }

    #[test]
    fn a_payroll_officer_pays_dozens_in_one_evening() {
        let start = Micros::parse("2026-03-16T00:00:00Z", Tz::UTC).unwrap();
        let rows = world(GeneratorSettings { start, ..settings() }).take_while(|generated| generated.transaction.timestamp.0 < start.0 + 14 * DAY);
        let mut evenings: BTreeMap<(String, i64), u32> = BTreeMap::new();
        for generated in rows.filter(|generated| generated.truth.is_none()) {
            let row = generated.transaction;
            // 17:00 in Berlin and later, in March.
            if row.transaction_type == TransactionType::Payroll && row.timestamp.0.rem_euclid(DAY) >= 16 * HOUR {
                *evenings.entry((row.user_id.to_string(), row.timestamp.0.div_euclid(DAY))).or_default() += 1;
            }
        }
        assert!(evenings.values().any(|rows| *rows >= 24), "{evenings:?}");
    }

    #[test]
    fn nonsense_is_refused_in_a_sentence() {
        let refused = |settings: GeneratorSettings| World::new(settings).err().unwrap_or_default();
        assert!(refused(GeneratorSettings { users: 0, ..settings() }).contains("users is 0"));
        assert!(refused(GeneratorSettings { transactions_per_user_day: f64::NAN, ..settings() }).contains("NaN"));
        assert!(refused(GeneratorSettings { transactions_per_user_day: 0.0, ..settings() }).contains("per user and day"));
        assert!(refused(GeneratorSettings { anomaly_rate: 0.7, ..settings() }).contains("0.7"));
        assert!(refused(GeneratorSettings { start: Micros(i64::MAX), ..settings() }).contains("years 1 to 9999"));
    }
}
