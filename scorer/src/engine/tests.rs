//! What the engine promises, on small streams.

mod budget;
mod damaged;
mod dates;
mod keys;

use super::*;
use wh_schemas::scored::{ALERT_SCORE, Dimension};
use wh_schemas::time::{DAY, HOUR};
use wh_schemas::{Cents, Micros, TransactionType};

fn observation(at: i64, user: &str, cents: i64) -> Observation<'_> {
    Observation {
        transaction_id: "T",
        timestamp: Micros(at),
        user_id: user,
        account: 1,
        counterparty: Some(7),
        department: "Surgery",
        department_print: 5,
        transaction_type: TransactionType::Billing,
        amount: Cents(cents),
        account_id: "A",
        counterparty_account: Some("C"),
        metadata_text: "{}",
        metadata: vec![Some(1), Some(2), None],
    }
}

const MONDAY: i64 = 1_767_571_200_000_000; // 2026-01-05T00:00:00Z

/// Six weeks of a clerk of the day: 40 bills a working day.
fn trained() -> Engine {
    let mut engine = Engine::new(Ruleset::default());
    for day in 0..42 {
        if day % 7 >= 5 {
            continue;
        }
        for i in 0..40_i64 {
            let at = MONDAY + day * DAY + 8 * HOUR + i * HOUR / 5;
            engine.score(&observation(at, "U1", 20_000 + (i * 7919 + day * 104_729) % 15_000));
        }
    }
    engine
}

const AFTER: i64 = MONDAY + 42 * DAY + 10 * HOUR;

#[test]
fn the_parts_add_up_and_stay_within_their_caps() {
    let mut engine = trained();
    for (i, cents) in [20_000, 900_000, 5_000_000, 99_999_999].into_iter().enumerate() {
        let score = engine.score(&observation(AFTER + i64::try_from(i).unwrap() * 60_000_000, "U1", cents));
        for dimension in Dimension::ALL {
            let points: u32 = score.reasons.iter().filter(|r| r.dimension == dimension).map(|r| u32::from(r.points)).sum();
            assert_eq!(points, u32::from(score.dimensions.get(dimension)));
            assert!(points <= u32::from(dimension.cap()));
        }
        assert_eq!(u32::from(score.risk_score()), score.reasons.iter().map(|r| u32::from(r.points)).sum::<u32>());
    }
}

#[test]
fn a_usual_row_scores_low_and_a_run_of_spikes_alerts() {
    let mut engine = trained();
    let usual = engine.score(&observation(AFTER, "U1", 25_000));
    assert!(usual.risk_score() <= 15, "{usual:?}");
    engine.score(&observation(AFTER + HOUR, "U1", 9_000_000));
    let second = engine.score(&observation(AFTER + 2 * HOUR, "U1", 8_000_000));
    assert!(second.risk_score() >= ALERT_SCORE, "{second:?}");
    assert_eq!(second.rules()[0].as_str(), "amount_spikes");
}

#[test]
fn what_alerts_is_not_learnt() {
    let mut engine = trained();
    // After a weekend a user's first row is learnt when the next one comes.
    for i in [2, 1] {
        engine.score(&observation(AFTER - i * 60_000_000, "U1", 25_000));
    }
    let before = engine.user("U1").unwrap().amounts;
    engine.score(&observation(AFTER, "U1", 9_000_000));
    let learnt = engine.user("U1").unwrap().amounts;
    for i in 1..30 {
        engine.score(&observation(AFTER + i * 60_000_000, "U1", 9_000_000));
    }
    assert_eq!(engine.user("U1").unwrap().amounts, learnt);
    assert_ne!(before, learnt);
    assert!(engine.user("U1").unwrap().alerts >= 28);
}

#[test]
fn a_newcomer_and_a_busy_hour_do_not_alert() {
    let mut engine = trained();
    for i in 0..40 {
        let score = engine.score(&observation(AFTER + i * 90_000_000, "U-new", 30_000 + i * 311));
        assert!(score.risk_score() < ALERT_SCORE, "row {i}: {score:?}");
    }
}

#[test]
fn a_burst_of_dear_payments_to_a_party_never_seen_alerts() {
    let mut engine = trained();
    let highest = (0..30).map(|i| {
        let o = Observation { counterparty: Some(99), transaction_type: TransactionType::Payment, ..observation(AFTER + i * 10_000_000, "U1", 91_000 + i * 997) };
        engine.score(&o).risk_score()
    });
    let highest = highest.max();
    assert!(highest >= Some(ALERT_SCORE), "{highest:?}");
}

#[test]
fn a_record_of_another_century_leaves_the_baseline_as_it_was() {
    let mut engine = trained();
    let before = engine.user("U1").unwrap().clone();
    engine.score(&observation(0, "U1", 25_000));
    engine.score(&observation(31_000_000_000_000_000, "U1", 25_000));
    let mut after = engine.user("U1").unwrap().clone();
    after.events = before.events;
    after.touched = before.touched;
    assert_eq!(after, before);
}

#[test]
fn the_state_is_compact_and_reads_back() {
    let engine = trained();
    let user = engine.user("U1").unwrap();
    let bytes = user.to_bytes().unwrap();
    assert!(bytes.len() <= 4096, "{} bytes", bytes.len());
    assert_eq!(&UserState::from_bytes(&bytes).unwrap(), user);
    let mut worst = trained();
    for i in 0..2_000_i64 {
        let fingerprint = (i.unsigned_abs() + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let department = format!("Department {}", i % 40);
        worst.score(&Observation {
            account: fingerprint,
            counterparty: Some(fingerprint),
            department: &department,
            department_print: short(fingerprint) ^ 7,
            transaction_type: TransactionType::ALL[usize::try_from(i % 8).unwrap()],
            metadata: vec![Some(short(fingerprint)); 8],
            ..observation(AFTER + i * 337_000_000, "U1", 20_000_000 + i)
        });
    }
    let size = worst.user("U1").unwrap().to_bytes().unwrap().len();
    assert!(size <= 4096, "{size} bytes");
    assert!(matches!(UserState::from_bytes(&[9, 9]), Err(user::StateError::Version { found: 9 })));
    assert!(UserState::from_bytes(&bytes[..20]).is_err());
    assert!(UserState::from_bytes(&[bytes, vec![0]].concat()).is_err());
}

#[test]
fn a_restored_engine_goes_on_to_the_bit() {
    let mut whole = trained();
    let mut restored = Engine::restored(
        Ruleset::default(),
        whole.users().map(|(id, state)| (id.to_owned(), UserState::from_bytes(&state.to_bytes().unwrap()).unwrap())).collect::<Vec<_>>(),
        whole.stream_time().clone(),
    );
    for i in 0..500_i64 {
        let o = observation(AFTER + i * 400_000_000, "U1", 20_000 + (i * i * 977) % 3_000_000);
        assert_eq!(whole.score(&o), restored.score(&o));
    }
}

#[test]
fn users_beyond_the_bound_are_forgotten_in_order_and_alike_after_a_restart() {
    let ruleset = || Ruleset { state: ruleset::StateRules { max_users_per_partition: 50 }, ..Ruleset::default() };
    let mut whole = Engine::new(ruleset());
    let mut restored = Engine::new(ruleset());
    let mut forgotten = 0;
    for i in 0..600_i64 {
        if i % 97 == 0 {
            let users: Vec<(String, UserState)> = restored.users().map(|(id, state)| (id.to_owned(), UserState::from_bytes(&state.to_bytes().unwrap()).unwrap())).collect();
            restored = Engine::restored(ruleset(), users, restored.stream_time().clone());
        }
        let user = format!("U{}", (i * 37 + i * i % 29) % 83);
        let o = observation(MONDAY + i * HOUR / 10, &user, 20_000 + i);
        assert_eq!(whole.score(&o), restored.score(&o));
        let gone = whole.take_forgotten();
        forgotten += gone.len();
        assert_eq!(gone, restored.take_forgotten());
    }
    assert!(whole.users().count() <= 50);
    assert!(forgotten > 20, "{forgotten}");
}

#[test]
fn what_is_released_from_quarantine_is_learnt() {
    let mut engine = trained();
    let spike = observation(AFTER, "U1", 9_000_000);
    engine.score(&spike);
    let second = observation(AFTER + HOUR, "U1", 9_000_000);
    assert!(engine.score(&second).risk_score() >= ALERT_SCORE);
    let before = engine.user("U1").unwrap().clone();
    assert_eq!(engine.release(&second), Released::Learnt);
    let after = engine.user("U1").unwrap();
    assert_eq!((after.learnt, after.alerts), (before.learnt + 1, before.alerts - 1));
    assert_ne!(after.amounts, before.amounts);
}

#[test]
fn what_is_not_in_quarantine_cannot_be_released() {
    let mut engine = trained();
    let usual = observation(AFTER, "U1", 25_000);
    assert!(engine.score(&usual).risk_score() < ALERT_SCORE);
    engine.score(&observation(AFTER + HOUR, "U1", 9_000_000));
    let second = observation(AFTER + 2 * HOUR, "U1", 9_000_000);
    assert!(engine.score(&second).risk_score() >= ALERT_SCORE);
    let before = engine.user("U1").unwrap().clone();
    for other in [
        usual,
        Observation { user_id: "U-never-seen", ..second.clone() },
        Observation { transaction_id: "T2", ..second.clone() },
        Observation { amount: Cents(9_000_001), ..second.clone() },
        Observation { timestamp: Micros(AFTER + 900 * DAY), ..second.clone() },
        Observation { timestamp: Micros(0), ..second.clone() },
    ] {
        assert_eq!(engine.release(&other), Released::NotQuarantined);
        assert_eq!(engine.user("U1").unwrap(), &before);
    }
    assert_eq!(engine.release(&second), Released::Learnt);
    let learnt = engine.user("U1").unwrap().clone();
    assert_eq!(engine.release(&second), Released::NotQuarantined, "released once");
    assert_eq!(engine.user("U1").unwrap(), &learnt);
}

#[test]
fn a_release_of_what_is_too_old_to_teach_changes_nothing() {
    let mut engine = trained();
    engine.score(&observation(AFTER, "U1", 9_000_000));
    let second = observation(AFTER + HOUR, "U1", 9_000_000);
    assert!(engine.score(&second).risk_score() >= ALERT_SCORE);
    for day in 1..40 {
        engine.score(&observation(AFTER + day * DAY, "U2", 25_000));
    }
    let before = engine.user("U1").unwrap().clone();
    assert_eq!(engine.release(&second), Released::Implausible);
    assert_eq!(engine.user("U1").unwrap(), &before);
}

#[test]
fn the_longest_gap_fades() {
    let mut engine = trained();
    let longest = engine.user("U1").unwrap().longest_gap;
    assert!((60.0..64.5).contains(&longest), "a weekend and a little less: {longest}");
    for day in 0..300 {
        for i in 0..20 {
            engine.score(&observation(MONDAY + 43 * DAY + day * DAY + 8 * HOUR + i * HOUR / 2, "U1", 20_000 + i * 7));
        }
    }
    let faded = engine.user("U1").unwrap().longest_gap;
    assert!(faded < longest / 2.0, "{faded} of {longest}");
}
