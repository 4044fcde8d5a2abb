//! Each mechanism is seen, and its honest look-alikes are not.

use super::*;
use wh_schemas::scored::Dimension;

const LATER: i64 = MONDAY + 25 * DAY + 10 * HOUR;

#[test]
fn an_honest_house_raises_nothing() {
    let found = found_with(Vec::new());
    assert!(alerts(&found).is_empty(), "{found:#?}");
}

#[test]
fn money_that_returns_over_three_accounts_is_a_round_trip_once() {
    let mut rows = Vec::new();
    for (i, (from, to)) in [("ward 1", "x"), ("x", "y"), ("y", "ward 1")].into_iter().enumerate() {
        let i = i64::try_from(i).unwrap();
        rows.push(row(LATER + i * 3 * HOUR, ["ann", "bob", "cid"][usize::try_from(i).unwrap()], TransactionType::Transfer, from, to, 800_000 - i * 12_000));
    }
    let found = found_with(rows);
    assert_eq!(alerts(&found), ["round_trip"], "{found:#?}");
    let pattern = &found.iter().find(|f| f.pattern.pattern_type.as_str() == "round_trip").unwrap().pattern;
    assert_eq!(pattern.members.len(), 3);
    assert_eq!(pattern.accounts.iter().map(|a| a.as_str()).collect::<Vec<_>>(), ["ward 1", "x", "y"]);
    assert_eq!(pattern.user_id, None);
}

#[test]
fn a_returned_transfer_is_none_and_three_with_changing_amounts_are() {
    let there_and_back = |n: i64| {
        let mut rows = Vec::new();
        for i in 0..n {
            let cents = 300_000 + i * 77_700;
            rows.push(row(LATER + i * DAY, "ann", TransactionType::Transfer, "ward 2", "z", cents));
            rows.push(row(LATER + i * DAY + 3 * HOUR, "ann", TransactionType::Transfer, "z", "ward 2", cents - 2_000));
        }
        found_with(rows)
    };
    assert!(alerts(&there_and_back(1)).is_empty());
    assert_eq!(alerts(&there_and_back(3)), ["round_trip"]);
}

#[test]
fn a_new_vendor_with_ordinary_orders_is_none_and_a_dear_hasty_one_is() {
    let vendor = |cents: i64, step: i64| {
        (0..9).map(|i| row(LATER + i * step, &format!("buyer {}", i % 6), TransactionType::Procurement, &format!("cost centre {i}"), "newcomer", cents + i * 9_100)).collect()
    };
    let honest = found_with(vendor(140_000, 14 * HOUR));
    assert!(alerts(&honest).is_empty(), "{honest:#?}");
    let dear = found_with(vendor(900_000, 4 * HOUR));
    assert!(alerts(&dear).contains(&"shared_new_payee"), "{dear:#?}");
}

#[test]
fn wages_paid_four_times_in_an_afternoon_are_a_ghost_and_a_newcomer_in_the_run_is_none() {
    let ghost = found_with((0..4).map(|i| row(LATER + i * HOUR, "paymaster", TransactionType::Payroll, "wages", "ghost", 300_000)).collect());
    assert_eq!(alerts(&ghost), ["ghost_payee"], "{ghost:#?}");
    let newcomer = found_with(vec![row(MONDAY + 18 * DAY + 10 * HOUR + 5, "paymaster", TransactionType::Payroll, "wages", "newcomer", 300_000)]);
    assert!(alerts(&newcomer).is_empty());
}

#[test]
fn many_senders_to_a_new_account_alert_once_and_again_when_doubled() {
    let senders = |n: i64| {
        found_with((0..n).map(|i| row(LATER + i * HOUR / 3, &format!("buyer {}", i % 7), TransactionType::Payment, &format!("till {i}"), "mule", 240_000 + i * 3_000)).collect())
    };
    assert!(!alerts(&senders(9)).is_empty(), "{:#?}", senders(9));
    let fans = |found: &[Found]| found.iter().filter(|f| f.pattern.pattern_type.as_str() == "fan_in").count();
    assert!(fans(&senders(16)) <= 3, "{:#?}", senders(16));
}

#[test]
fn what_came_in_and_leaves_at_once_passes_through() {
    let mut rows: Vec<Row> = (0..6).map(|i| row(LATER + i * HOUR, &format!("buyer {i}"), TransactionType::Transfer, &format!("till {i}"), "mule", 600_000 + i * 1_000)).collect();
    for i in 0..3 {
        rows.push(row(LATER + 10 * HOUR + i * HOUR, "ann", TransactionType::Transfer, "mule", &format!("abroad {i}"), 1_180_000));
    }
    let found = found_with(rows);
    assert!(alerts(&found).contains(&"pass_through"), "{found:#?}");
}

#[test]
fn one_account_that_pays_strangers_fans_out() {
    let found = found_with((0..9).map(|i| row(LATER + i * 300_000_000, "ann", TransactionType::Transfer, "pool", &format!("stranger {i}"), 900_000 + i * 2_000)).collect());
    assert!(alerts(&found).contains(&"fan_out"), "{found:#?}");
}

#[test]
fn refunds_of_many_patients_to_one_account_are_a_sink() {
    let found =
        found_with((0..8).map(|i| row(LATER + i * 5 * HOUR, "clerk", TransactionType::Refund, &format!("patient {}", 9_000 + i), "own account", 8_000 + i * 100)).collect());
    assert!(alerts(&found).contains(&"refund_sink"), "{found:#?}");
    let usual = found_with((0..3).map(|i| row(LATER + i * 30 * HOUR, "clerk", TransactionType::Refund, "patient 9000", "bank of 9000", 8_000 + i * 100)).collect());
    assert!(alerts(&usual).is_empty());
}

#[test]
fn the_points_add_up_and_members_stand_in_order() {
    let mut rows: Vec<Row> = (0..12).map(|i| row(LATER + i * HOUR, &format!("buyer {i}"), TransactionType::Payment, &format!("till {i}"), "mule", 700_000 + i * 3_000)).collect();
    rows.extend((0..6).map(|i| row(LATER + i * HOUR, "eve", TransactionType::Procurement, "cost centre 1", "phantom", 400_000 + i * 190_000)));
    let found = found_with(rows);
    assert!(found.len() >= 2);
    for f in &found {
        assert_eq!(u32::from(f.pattern.risk_score), f.reasons.iter().map(|r| u32::from(r.points)).sum::<u32>(), "{f:?}");
        for dimension in Dimension::ALL {
            let points: u32 = f.reasons.iter().filter(|r| r.dimension == dimension).map(|r| u32::from(r.points)).sum();
            assert!(points <= u32::from(dimension.cap()));
        }
        assert!(f.pattern.members.iter().any(|m| m.as_str() == f.transaction_id), "{f:?}");
        assert!(f.pattern.first_event <= f.pattern.last_event);
        assert!(PATTERNS.contains(&f.pattern.pattern_type.as_str()));
    }
}

#[test]
fn a_pattern_that_is_off_is_not_reported() {
    let rules = AccountRules { disabled: PATTERNS.iter().map(|p| (*p).to_owned()).collect(), ..AccountRules::default() };
    let mut all = honest();
    all.extend((0..12).map(|i| row(LATER + i * HOUR, &format!("buyer {i}"), TransactionType::Payment, &format!("till {i}"), "mule", 700_000)));
    let (mut engine, mut out) = (AccountEngine::new(rules), Vec::new());
    for activity in activities(all) {
        engine.take(&activity, &mut out);
    }
    engine.flush(&mut out);
    assert!(out.is_empty());
}
