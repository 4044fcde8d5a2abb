//! State is bounded, versioned and reads back.

use std::collections::BTreeMap;

use super::*;

#[test]
fn an_account_stays_within_its_bytes_whatever_happens_to_it() {
    let (mut engine, mut out) = (AccountEngine::new(AccountRules { row_score: 0, ..AccountRules::default() }), Vec::new());
    let mut dice = Dice(11);
    let mut newest = MONDAY;
    for i in 0..6_000_u64 {
        newest += i64::try_from(dice.below(1_000_000_000)).unwrap();
        let kind = TransactionType::ALL[usize::try_from(dice.below(8)).unwrap()];
        let (from, to) = (format!("a{}", dice.below(40)), format!("a{}", dice.below(40)));
        let mut activity = activities(vec![row(newest, &format!("u{}", dice.below(90)), kind, &from, &to, 99_999_999_999_900 + i64::try_from(i).unwrap())]).remove(0);
        activity.transaction_id = format!("{i:0width$}", width = 10 + usize::try_from(dice.below(200)).unwrap()).into();
        activity.seq = i;
        activity.risk_score = 100;
        engine.take(&activity, &mut out);
    }
    engine.flush(&mut out);
    let changes = engine.take_changes();
    let largest = changes.accounts.iter().map(|(_, bytes)| bytes.len()).max().unwrap();
    assert!(largest <= STATE_BYTES, "{largest} bytes");
    assert!(changes.header.len() < 32_768, "{} bytes", changes.header.len());
    let again = AccountEngine::restored(AccountRules::default(), &changes.header, changes.accounts.clone()).unwrap().take_changes();
    assert_eq!(again.header, changes.header);
}

#[test]
fn a_million_names_do_not_grow_the_book() {
    let (mut engine, mut out) = (AccountEngine::new(AccountRules { accounts: 100, ..AccountRules::default() }), Vec::new());
    for (i, mut activity) in
        activities((0..5_000).map(|i| row(MONDAY + i * 1_000_000, "u", TransactionType::Payment, &format!("f{i}"), &format!("t{i}"), 100)).collect()).into_iter().enumerate()
    {
        activity.seq = i as u64;
        engine.take(&activity, &mut out);
        if i % 1_000 == 0 {
            engine.take_changes();
        }
    }
    engine.flush(&mut out);
    let changes = engine.take_changes();
    assert_eq!(changes.accounts.len(), 100);
    assert!(!changes.removed.is_empty());
    assert!(changes.removed.iter().all(|name| changes.accounts.binary_search_by(|(n, _)| n.cmp(name)).is_err()));
}

#[test]
fn only_what_changed_is_in_the_changes() {
    let (mut engine, mut out) = (AccountEngine::new(AccountRules::default()), Vec::new());
    for activity in activities(honest()) {
        engine.take(&activity, &mut out);
    }
    engine.flush(&mut out);
    assert!(engine.take_changes().accounts.len() > 100);
    assert!(engine.take_changes().accounts.is_empty());
}

#[test]
fn another_version_or_a_damaged_state_is_refused() {
    let header = AccountEngine::new(AccountRules::default()).take_changes().header;
    assert!(matches!(AccountEngine::restored(AccountRules::default(), &[9, 9], Vec::new()), Err(StateError::Version { found: 9 })));
    assert!(matches!(AccountEngine::restored(AccountRules::default(), &header[..header.len() / 2], Vec::new()), Err(StateError::Damaged(_))));
    assert!(matches!(AccountEngine::restored(AccountRules::default(), &header, vec![("a".to_owned(), vec![9])]), Err(StateError::Version { found: 9 })));
}

#[test]
fn what_is_held_back_is_kept_in_a_form_that_older_builds_wrote() {
    type Partitions = BTreeMap<u32, (bool, Option<i64>, Option<u64>)>;
    let (mut engine, mut out) = (AccountEngine::new(AccountRules::default()), Vec::new());
    engine.expect(1, true, &mut out);
    engine.take(&activities(vec![row(MONDAY, "u", TransactionType::Payment, "a", "b", 100)])[0], &mut out);
    let bytes = postcard::to_extend(&engine.order.keep(), Vec::new()).unwrap();
    // By partition whether it is awaited, its time and the last seq taken; the watermark; the events.
    let (partitions, watermark, held): (Partitions, i64, Vec<event::Event>) = postcard::from_bytes(&bytes).unwrap();
    assert_eq!(partitions, Partitions::from([(0, (true, Some(MONDAY), Some(0))), (1, (true, None, None))]));
    assert_eq!((watermark, held.len()), (i64::MIN, 1));
}

#[test]
fn rules_say_all_their_faults_at_once() {
    assert!(AccountRules::default().faults().is_empty());
    let bad = AccountRules { hold_back: 0, accounts: 1, window_days: 0, row_score: 70, disabled: ["nonsense".to_owned()].into(), ..AccountRules::default() };
    assert_eq!(bad.faults().len(), 5, "{:#?}", bad.faults());
}

#[test]
fn an_account_that_was_altered_is_refused_where_it_is_loaded() {
    let mut account = account::Account::new(MONDAY);
    account.touch_edge(7, 20_000);
    let restored = |bytes: Vec<u8>| account::Account::from_bytes(&bytes);
    assert_eq!(restored(account.to_bytes()).unwrap(), account);
    let longer = [account.to_bytes(), vec![0]].concat();
    assert!(matches!(restored(longer), Err(StateError::Damaged(said)) if said == "1 bytes too many"));
    let mut ahead = account.clone();
    ahead.first = i64::MAX;
    assert!(matches!(restored(ahead.to_bytes()), Err(StateError::Damaged(said)) if said.contains("cannot be")));
    let mut last = account.clone();
    last.edges[0].last_day = i32::MAX;
    assert!(matches!(restored(last.to_bytes()), Err(StateError::Damaged(_))));
}
