//! The baselines, user by user, against a state that is worked out from the log again.
//!
//! What must stay true: a user whom the scorer has changed meanwhile is no finding, and is looked at by the next run; a state is the same where it means
//! the same, whatever its bytes; as much memory is taken as the scorer takes for one partition, and a page of users.
//!
//! What is not compared, because the log does not say it: which checkpoint has written a user (its `seq` is only held below the checkpoint's), and the
//! fingerprints of the ids seen.

use std::borrow::Cow;
use std::collections::HashSet;

use serde_json::json;
use wh_eventlog::Reader;
use wh_schemas::Reaction;
use wh_schemas::ids;
use wh_schemas::position::{Seq, SeqPosition};
use wh_scorer::engine::{Ruleset, UserState};
use wh_scorer::partition::{PartitionRecord, PartitionScorer, Position};
use wh_scorer::state::users::{Corrections, SHOWN, StoredUser, StoredUsers, WorkedOut, shown, work_out};
use wh_sinks::reconcile::{Field, Row};

use super::compare::{Compared, Found, compare};
use super::{Finding, Options, RangeResult, Summary, Tell, Told};

/// The role.
const STORE: &str = "baselines";
/// What is compared.
const STREAM: &str = "users";
/// The partition's own record.
const CHECKPOINTS: &str = "checkpoints";
/// How often a partition is looked at until nothing changes meanwhile.
const TRIES: u32 = 3;
/// Strays that one run tells.
const MOST: usize = 10_000;

/// By what the scorer works.
#[derive(Clone, Debug)]
pub struct Scoring {
    /// The ruleset of the settings.
    pub ruleset: Ruleset,
    /// How many transaction ids each partition remembers.
    pub dedup_horizon: usize,
}

/// Compares the baselines with the log, and puts them right where that is asked for.
///
/// # Errors
/// Where the log or the store cannot be read.
pub async fn reconcile(log: &dyn Reader, store: &mut dyn StoredUsers, scoring: &Scoring, options: Options, repair: bool, tell: Tell<'_>) -> Result<Summary, Reaction> {
    let mut summary = Summary::default();
    let partitions: Vec<u32> = store.checkpoints().await?.into_iter().map(|(partition, ..)| partition).collect();
    for partition in partitions.iter().copied().filter(|partition| options.partition.is_none_or(|wanted| wanted == *partition)) {
        for attempt in 1..=TRIES {
            match examine(log, store, scoring, partition, attempt == TRIES, repair, &mut *tell).await? {
                Examined::Compared(range) => {
                    count(&mut summary, &range);
                    tell(Told::Range(&range));
                    break;
                }
                Examined::Unknown(why) => {
                    tell(Told::Note(format!("{STORE}: partition {partition} is not compared: {why}")));
                    break;
                }
                Examined::GoneOn if attempt == TRIES => {
                    tell(Told::Note(format!("{STORE}: partition {partition} is not compared: the scorer has gone on each time; compare it while the stream is quiet")));
                }
                Examined::GoneOn => {}
            }
        }
    }
    if options.partition.is_none() {
        let strays = store.strays(&partitions, MOST).await?;
        let rows: Vec<Found> = strays.iter().map(|stray| Found::Extra(stored_row(stray, None, Seq::MAX))).collect();
        let mut range = RangeResult { store: STORE, stream: "", extra: rows.len() as u64, ..RangeResult::default() };
        rows.iter().for_each(|found| tell(Told::Finding(&Finding::of(STORE, found))));
        if repair && !strays.is_empty() {
            store.remove_strays(&strays).await?;
            range.repaired = range.extra.saturating_sub(store.strays(&partitions, MOST).await?.len() as u64);
        }
        count(&mut summary, &range);
        tell(Told::Range(&range));
    }
    Ok(summary)
}

fn count(summary: &mut Summary, range: &RangeResult) {
    summary.ranges += 1;
    summary.rows += range.stored.rows;
    summary.missing += range.missing;
    summary.different += range.different;
    summary.extra += range.extra;
    summary.left += range.findings().saturating_sub(range.repaired);
}

/// What looking at a partition came to.
enum Examined {
    Compared(RangeResult),
    GoneOn,
    Unknown(String),
}

/// The table of users.
const USERS: &str = "users";

fn at(partition: u32) -> SeqPosition {
    SeqPosition { partition, seq: 0 }
}

fn bytes_said(bytes: &[u8]) -> String {
    format!("{} bytes, {:016x}", bytes.len(), ids::fingerprint(bytes))
}

/// The row of a user as it should be.
fn expected_row(partition: u32, user: &str, state: &UserState) -> Row {
    let mut fields: Vec<Field> = SHOWN.iter().zip(shown(state)).map(|(name, value)| (Cow::Borrowed(*name), value)).collect();
    fields.push((Cow::Borrowed("state"), state.to_bytes().ok().map(|bytes| bytes_said(&bytes))));
    user_row(partition, user, fields)
}

fn user_row(partition: u32, user: &str, fields: Vec<Field>) -> Row {
    let mut row = Row::new(USERS, at(partition), fields);
    user.clone_into(&mut row.key);
    user.clone_into(&mut row.id);
    row
}

/// Whether the store has a user's name alone.
fn is_gone(stored: &StoredUser) -> bool {
    stored.seq.is_none() && stored.state.is_none() && stored.shown.iter().all(Option::is_none)
}

/// The row of a user as it is stored; `expected` is what it should be, `below` the checkpoint's next `seq`.
fn stored_row(stored: &StoredUser, expected: Option<&UserState>, below: Seq) -> Row {
    let mut fields: Vec<Field> = SHOWN.iter().zip(stored.shown.clone()).map(|(name, value)| (Cow::Borrowed(*name), value)).collect();
    // Other bytes may mean the same.
    let same = expected.filter(|expected| stored.state.as_deref().and_then(|bytes| UserState::from_bytes(bytes).ok()).is_some_and(|state| state == **expected));
    let state = same.and_then(|state| state.to_bytes().ok()).or_else(|| stored.state.clone());
    fields.push((Cow::Borrowed("state"), state.map(|bytes| bytes_said(&bytes))));
    if stored.seq.is_none_or(|seq| seq > below) {
        fields.push((Cow::Borrowed("seq"), Some(stored.seq.map_or_else(|| "no number".to_owned(), |seq| format!("{seq}, beyond the checkpoint's {below}")))));
    }
    user_row(stored.partition, &stored.user, fields)
}

/// The partition's own record, as far as the log says it.
fn record_row(partition: u32, position: &Position, record: &PartitionRecord) -> Row {
    let text = |value: serde_json::Value| Some(value.to_string());
    let fields: Vec<Field> = vec![
        (Cow::Borrowed("next_seq"), text(json!(position.next_seq))),
        (Cow::Borrowed("origins"), text(json!(record.origins))),
        (Cow::Borrowed("counts"), text(json!(record.counts))),
        (Cow::Borrowed("stream_time"), text(json!(record.stream_time))),
        (Cow::Borrowed("ruleset"), Some(record.ruleset.clone())),
    ];
    Row::new(CHECKPOINTS, at(partition), fields)
}

async fn checkpoint(store: &mut dyn StoredUsers, partition: u32) -> Result<Option<(Position, PartitionRecord)>, Reaction> {
    Ok(store.checkpoints().await?.into_iter().find(|(found, ..)| *found == partition).map(|(_, position, record)| (position, record)))
}

/// Compares one partition. Where the scorer goes on meanwhile, `last` says to tell what could be compared all the same.
async fn examine(log: &dyn Reader, store: &mut dyn StoredUsers, scoring: &Scoring, partition: u32, last: bool, repair: bool, tell: Tell<'_>) -> Result<Examined, Reaction> {
    let Some((position, record)) = checkpoint(store, partition).await? else { return Ok(Examined::GoneOn) };
    let scorer = match work_out(log, partition, &position, &scoring.ruleset, scoring.dedup_horizon).await? {
        WorkedOut::There(scorer) => scorer,
        WorkedOut::GoneOn => return Ok(Examined::GoneOn),
        WorkedOut::Unknown(why) => return Ok(Examined::Unknown(why)),
    };
    let mut compared = look(store, partition, &position, &scorer).await?;
    let stands = checkpoint(store, partition).await?.is_some_and(|(now, _)| now == position);
    if !stands {
        if !last {
            return Ok(Examined::GoneOn);
        }
        // Who is not there may have been forgotten, or written, by a later checkpoint.
        for one in std::mem::take(&mut compared.found) {
            match one {
                Found::Missing(row) => compared.expected.remove(&row),
                Found::Extra(row) => compared.stored.remove(&row),
                Found::Different { expected, stored } if stored.field("seq").is_some() => {
                    compared.expected.remove(&expected);
                    compared.stored.remove(&stored);
                }
                other => compared.found.push(other),
            }
        }
        tell(Told::Note(format!("{STORE}: of partition {partition} users are compared whom the scorer has not changed meanwhile")));
    }
    let own = record_row(partition, scorer.position(), &scorer.record());
    join(&mut compared, compare(vec![own], vec![record_row(partition, &position, &record)]));
    let mut range = RangeResult { store: STORE, stream: STREAM, partition: Some(partition), from: 0, to: position.next_seq, ..RangeResult::default() };
    range.count(&compared.found);
    let found = std::mem::take(&mut compared.found);
    found.iter().for_each(|found| tell(Told::Finding(&Finding::of(STORE, found))));
    if repair && !found.is_empty() && stands {
        let corrections = corrections(&found, &scorer, &record);
        if store.correct(partition, &position, &corrections).await? {
            compared = look(store, partition, &position, &scorer).await?;
            if let Some((now, record)) = checkpoint(store, partition).await? {
                let own = record_row(partition, scorer.position(), &scorer.record());
                join(&mut compared, compare(vec![own], vec![record_row(partition, &now, &record)]));
            }
            range.repaired = (found.len() as u64).saturating_sub(compared.found.len() as u64);
        }
    }
    (range.expected, range.stored) = (compared.expected, compared.stored);
    Ok(Examined::Compared(range))
}

fn join(compared: &mut Compared, other: Compared) {
    compared.expected.join(other.expected);
    compared.stored.join(other.stored);
    compared.found.extend(other.found);
}

/// Compares the users of a partition, a page at a time.
async fn look(store: &mut dyn StoredUsers, partition: u32, position: &Position, scorer: &PartitionScorer) -> Result<Compared, Reaction> {
    let mut compared = Compared::default();
    let mut seen: HashSet<u64> = HashSet::new();
    let mut after: Option<String> = None;
    loop {
        let page = store.page(partition, after.as_deref()).await?;
        let Some(end) = page.last() else { break };
        after = Some(end.user.clone());
        let (mut expected, mut stored) = (Vec::new(), Vec::new());
        for held in &page {
            seen.insert(ids::fingerprint(held.user.as_bytes()));
            let state = scorer.engine().user(&held.user);
            expected.extend(state.map(|state| expected_row(partition, &held.user, state)));
            // An index that names a user of whom the store has nothing.
            if state.is_none() || !is_gone(held) {
                stored.push(stored_row(held, state, position.next_seq));
            }
        }
        join(&mut compared, compare(expected, stored));
    }
    let mut missing: Vec<(&str, &UserState)> = scorer.engine().users().filter(|(user, _)| !seen.contains(&ids::fingerprint(user.as_bytes()))).collect();
    missing.sort_unstable_by_key(|(user, _)| *user);
    join(&mut compared, compare(missing.into_iter().map(|(user, state)| expected_row(partition, user, state)).collect(), Vec::new()));
    Ok(compared)
}

/// What puts right what was found.
fn corrections(found: &[Found], scorer: &PartitionScorer, record: &PartitionRecord) -> Corrections {
    let mut corrections = Corrections::default();
    for one in found {
        let row = one.row();
        if row.table == CHECKPOINTS {
            // What control records say of it, and whose log it is, is the store's own.
            corrections.record = Some(PartitionRecord { control: record.control.clone(), log: record.log.clone(), last: record.last, ..scorer.record() });
            continue;
        }
        match scorer.engine().user(&row.key) {
            Some(state) => corrections.write.push((row.key.clone(), state.clone())),
            None => corrections.remove.push(row.key.clone()),
        }
    }
    corrections
}

#[cfg(test)]
mod tests {
    use super::*;
    use wh_schemas::Micros;

    #[test]
    fn a_user_of_whom_only_the_name_is_left_is_missing() {
        let gone = StoredUser { partition: 1, user: "U".to_owned(), ..StoredUser::default() };
        assert!(is_gone(&gone));
        let state = UserState::new(Micros(5));
        assert!(!is_gone(&StoredUser { shown: shown(&state), ..gone.clone() }) && !is_gone(&StoredUser { seq: Some(1), ..gone.clone() }));
        assert!(!is_gone(&StoredUser { state: Some(Vec::new()), ..gone }), "what is damaged is different, not missing");
    }

    #[test]
    fn a_state_is_the_same_where_it_means_the_same() {
        let mut state = UserState::new(Micros(5));
        state.events = 3;
        let held = StoredUser { partition: 1, user: "U".to_owned(), seq: Some(9), shown: shown(&state), state: state.to_bytes().ok() };
        let expected = expected_row(1, "U", &state);
        assert!(stored_row(&held, Some(&state), 9).has_fields_of(&expected));
        let told = |held: &StoredUser| -> Vec<String> { expected.differences(&stored_row(held, Some(&state), 9)).into_iter().map(|difference| difference.field).collect() };
        assert_eq!(told(&StoredUser { seq: Some(10), ..held.clone() }), ["seq"]);
        let mut other = state.clone();
        other.alerts = 1;
        assert_eq!(told(&StoredUser { state: other.to_bytes().ok(), ..held.clone() }), ["state"]);
        assert_eq!(told(&StoredUser { state: None, shown: shown(&other), ..held }), ["alerts", "state"]);
    }
}
