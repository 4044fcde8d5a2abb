//! Whatever the interleaving, the chunks and the kills: the same is found.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

/// A small world with schemes in it, over three partitions by user, some records late, some implausible.
fn world(seed: u64) -> [Vec<Activity<'static>>; 3] {
    let mut dice = Dice(seed | 1);
    let mut rows = Vec::new();
    for _ in 0..160 {
        let at = MONDAY + i64::try_from(dice.below(6 * 24 * 60)).unwrap() * 60_000_000;
        let kind = TransactionType::ALL[usize::try_from(dice.below(8)).unwrap()];
        let (user, from, to) = (format!("u{}", dice.below(9)), format!("a{}", dice.below(7)), format!("a{}", dice.below(20)));
        rows.push(row(at, &user, kind, &from, &to, 10_000 + i64::try_from(dice.below(60_000)).unwrap()));
    }
    let start = MONDAY + 3 * DAY;
    for i in 0..10_i64 {
        rows.push(row(start + i * HOUR / 2, &format!("u{}", i % 7), TransactionType::Transfer, &format!("s{i}"), "mule", 90_000 + i * 500));
        rows.push(row(start + i * HOUR, &format!("u{}", i % 3), TransactionType::Transfer, &format!("r{}", i % 3), &format!("r{}", (i + 1) % 3), 500_000 - i * 900));
        rows.push(row(start + i * HOUR / 3, "u5", TransactionType::Payroll, "w", "ghost", 40_000));
    }
    let mut partitions: [Vec<Row>; 3] = Default::default();
    for r in rows {
        partitions[usize::from(*r.user.as_bytes().last().unwrap()) % 3].push(r);
    }
    let mut number = 0;
    let mut p = 0;
    partitions.map(|mut rows| {
        // Arrival is by time with up to 25 minutes of disorder: some come late.
        let mut arrival: Vec<(i64, Row)> = rows.drain(..).map(|r| (r.at + i64::try_from(dice.below(25)).unwrap() * 60_000_000, r)).collect();
        arrival.sort_by_key(|(at, _)| *at);
        let mut newest = i64::MIN;
        let out = arrival
            .into_iter()
            .enumerate()
            .map(|(seq, (_, r))| {
                let implausible = dice.below(40) == 0;
                if !implausible {
                    newest = newest.max(r.at);
                }
                number += 1;
                let mut activity = activities(vec![r]).remove(0);
                activity.transaction_id = format!("t{:05}", (number * 7_919) % 100_003).into();
                activity.partition = p;
                activity.seq = 2 * seq as u64;
                activity.stream_time = Micros(newest.max(MONDAY));
                activity.implausible = implausible;
                activity
            })
            .collect();
        p += 1;
        out
    })
}

fn rules() -> AccountRules {
    // Few accounts, so that forgetting takes part.
    AccountRules { warm_up_days: 1, accounts: 48, row_score: 20, ..AccountRules::default() }
}

fn ready() -> AccountEngine {
    let mut engine = AccountEngine::new(rules());
    for p in 0..3 {
        engine.expect(p, true, &mut Vec::new());
    }
    engine
}

#[derive(Clone, Default)]
struct Checkpoint {
    header: Vec<u8>,
    accounts: BTreeMap<String, Vec<u8>>,
    found: usize,
}

impl Checkpoint {
    fn write(&mut self, engine: &mut AccountEngine, found: usize) {
        let changes = engine.take_changes();
        self.header = changes.header;
        for name in changes.removed {
            self.accounts.remove(&name);
        }
        self.accounts.extend(changes.accounts);
        self.found = found;
    }

    fn read(&self) -> AccountEngine {
        AccountEngine::restored(rules(), &self.header, self.accounts.clone()).unwrap()
    }
}

/// One partition after another.
fn reference(world: &[Vec<Activity<'static>>; 3]) -> Vec<Found> {
    let (mut engine, mut out) = (ready(), Vec::new());
    for activity in world.iter().flatten() {
        engine.take(activity, &mut out);
    }
    engine.flush(&mut out);
    out
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_interleaving_with_checkpoints_and_kills_finds_the_same(seed in any::<u64>(), schedule in any::<u64>()) {
        let world = world(seed);
        let expected = reference(&world);
        let mut dice = Dice(schedule | 1);
        let (mut engine, mut out) = (ready(), Vec::new());
        let mut next = [0_usize; 3];
        let mut checkpoint = Checkpoint::default();
        checkpoint.write(&mut engine, 0);
        let mut kills = 0;
        while (0..3).any(|p| next[p] < world[p].len()) {
            let p = usize::try_from(dice.below(3)).unwrap();
            for _ in 0..dice.below(12) {
                if let Some(activity) = world[p].get(next[p]) {
                    engine.take(activity, &mut out);
                    next[p] += 1;
                }
            }
            match dice.below(12) {
                0..=2 => checkpoint.write(&mut engine, out.len()),
                3 => {
                    // Restored at once: nothing is lost.
                    checkpoint.write(&mut engine, out.len());
                    engine = checkpoint.read();
                }
                4 if kills < 4 => {
                    // Killed: back to an older checkpoint, and some copies again.
                    kills += 1;
                    engine = checkpoint.read();
                    out.truncate(checkpoint.found);
                    for (p, next) in next.iter_mut().enumerate() {
                        let taken = engine.taken(u32::try_from(p).unwrap());
                        let after = taken.map_or(0, |seq| usize::try_from(seq / 2).unwrap() + 1);
                        *next = after.saturating_sub(usize::try_from(dice.below(4)).unwrap());
                    }
                }
                _ => {}
            }
        }
        engine.flush(&mut out);
        prop_assert_eq!(out, expected);
    }
}

#[test]
fn the_property_is_not_empty() {
    let found: usize = (1..20).map(|seed| reference(&world(seed * 7_777)).len()).sum();
    assert!(found > 40, "{found}");
}

#[test]
fn a_partition_with_nothing_before_it_holds_back_only_while_it_is_awaited() {
    let stream = activities((0..6).map(|i| row(MONDAY + i * HOUR, "u", TransactionType::Payment, "a", "b", 100)).collect());
    let (mut engine, mut out) = (AccountEngine::new(rules()), Vec::new());
    engine.expect(1, true, &mut out);
    for activity in &stream {
        engine.take(activity, &mut out);
    }
    assert_eq!(engine.evaluated, 0);
    engine.expect(1, false, &mut out);
    assert_eq!(engine.evaluated, 2 * 5);
    // Behind the watermark: it counts at the watermark, and is not lost.
    let mut behind = stream[0].clone();
    behind.partition = 1;
    behind.transaction_id = "behind".to_owned().into();
    engine.take(&behind, &mut out);
    engine.flush(&mut out);
    assert_eq!(engine.evaluated, 2 * 7);
    assert_eq!(engine.taken(1), Some(0));
    assert_eq!(engine.taken(2), None);
}

#[test]
fn an_event_at_the_watermark_waits_for_what_may_still_stand_before_it() {
    let stream = activities([0, 15, 20, 40].into_iter().map(|minute| row(MONDAY + minute * 60_000_000, "u", TransactionType::Payment, "a", "b", 100)).collect());
    let (mut engine, mut out) = (AccountEngine::new(rules()), Vec::new());
    engine.take(&stream[0], &mut out);
    engine.take(&stream[1], &mut out);
    assert_eq!(engine.evaluated, 0);
    // A late one counts at its partition's time less the lateness: there too, and before the other by its id.
    let mut late = stream[2].clone();
    (late.transaction_id, late.timestamp, late.stream_time) = ("0".to_owned().into(), Micros(MONDAY - DAY), stream[1].stream_time);
    engine.take(&late, &mut out);
    assert_eq!(engine.evaluated, 0);
    assert_eq!(engine.order.drain().map(|e| (e.id, e.at)), Some(("0".to_owned(), MONDAY)));
}

#[test]
fn a_full_buffer_evaluates_the_oldest_early() {
    let stream = activities((0..50).map(|i| row(MONDAY + i, "u", TransactionType::Payment, "a", "b", 100)).collect());
    let (mut engine, mut out) = (AccountEngine::new(AccountRules { hold_back: 10, ..rules() }), Vec::new());
    for activity in &stream {
        engine.take(activity, &mut out);
    }
    assert_eq!(engine.evaluated, 2 * 40);
}
