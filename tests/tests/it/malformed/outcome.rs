//! What became of each record, and whether it is accounted for.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use wh_eventlog::dead_letters::{self, Found};
use wh_eventlog::{Bytes, Reader, Record, Stored};
use wh_ops::status::Status;
use wh_schemas::dead_letter::OURS;
use wh_schemas::json;
use wh_schemas::position::Origin;
use wh_schemas::topics::{HOSPITAL_TRANSACTIONS, RISK_ALERTS, RISK_SCORES};

use super::Place;
use crate::content::{Role, assert_same, expected, expected_patterns, read_back};
use crate::records::{score, topic};
use crate::sql;

/// What the log holds of each record of the source: its letter, or its scored record.
pub(super) struct Outcome {
    /// Dead letters of intake and of the scorer, by the place of the source record.
    pub(super) letters: BTreeMap<(String, Place), Found>,
    /// Records of `risk-scores`, by the place of the source record.
    pub(super) scores: BTreeMap<Place, Stored>,
    /// Places in `risk-scores` of what a store refused, by its name.
    pub(super) refused: BTreeMap<String, BTreeSet<Place>>,
}

impl Outcome {
    pub(super) async fn of(log: &dyn Reader) -> Outcome {
        let (mut letters, mut refused) = (BTreeMap::new(), BTreeMap::<String, BTreeSet<Place>>::new());
        for found in dead_letters::read_all(log).await.unwrap() {
            let Origin { topic, partition, offset } = found.letter.origin.clone();
            if let Some(store) = &found.letter.store {
                // Two users that sent one id are in two partitions of the scorer: the store's key decides.
                assert_eq!((topic.as_str(), found.letter.error_class.as_str()), (RISK_SCORES, "transaction_id:conflict"), "{:?}", found.letter);
                refused.entry(store.clone()).or_default().insert((partition, offset));
                continue;
            }
            assert_eq!(topic, HOSPITAL_TRANSACTIONS, "{:?}", found.letter);
            let before = letters.insert((found.letter.stage.clone(), (partition, offset)), found);
            assert!(before.is_none(), "one letter a stage and record: {:?}", before.map(|found| found.letter));
        }
        let mut scores = BTreeMap::new();
        for record in topic(log, RISK_SCORES).await.concat() {
            let source = score(&record).source;
            let before = scores.insert((source.partition, source.offset), record);
            assert!(before.is_none(), "one scored record a source record");
        }
        Outcome { letters, scores, refused }
    }

    pub(super) fn intake(&self, place: Place) -> Option<&Found> {
        self.letters.get(&("intake".to_owned(), place))
    }

    pub(super) fn scorer(&self, place: Place) -> Option<&Found> {
        self.letters.get(&("scorer".to_owned(), place))
    }
}

/// Headers that a stranger may give a meaning.
fn theirs(headers: &[(String, Bytes)]) -> Vec<(String, Bytes)> {
    headers.iter().filter(|(name, _)| !OURS.contains(&name.as_str())).cloned().collect()
}

/// A letter has all of its record, and a reason to act on.
#[track_caller]
pub(super) fn keeps(found: &Found, sent: &Record, what: &str) {
    assert_eq!((&found.record.value, &found.record.key), (&sent.value, &sent.key), "{what}: the original bytes");
    assert_eq!(theirs(&found.record.headers), theirs(&sent.headers), "{what}: the headers");
    assert!(found.has_value() && found.letter.fingerprint.len() == 16 && !found.letter.error_message.is_empty(), "{what}: {:?}", found.letter);
}

/// What the source was is what became of it, in each line; nothing was written twice.
pub(super) fn adds_up(status: &Status, sent: usize, refused: usize) {
    assert!(status.settled(), "{status:#?}");
    assert_eq!(status.stages[0].input, sent as u64, "{status:#?}");
    let part = |stage: usize, name: &str| status.stages[stage].parts.iter().find(|(part, _)| *part == name).map_or(0, |(_, count)| *count);
    assert_eq!(part(0, "accepted") + part(0, "dead-lettered"), sent as u64);
    assert_eq!(part(1, "scored") + part(1, "duplicates") + part(1, "dead-lettered"), part(0, "accepted"));
    assert_eq!(status.letters.written, part(0, "dead-lettered") + part(1, "dead-lettered") + refused as u64);
}

/// Every store holds what the log holds but for what it refused, and nothing else.
pub(super) async fn stores_hold_the_log(log: &dyn Reader, folder: &Path, refused: &BTreeMap<String, BTreeSet<Place>>) {
    let alerts = topic(log, RISK_ALERTS).await.concat();
    let mut scores: Vec<(Place, Stored)> = Vec::new();
    for (partition, records) in (0..).zip(topic(log, RISK_SCORES).await) {
        scores.extend(records.into_iter().map(|record| ((partition, record.offset), record)));
    }
    for role in Role::ALL {
        let taken = |place: &Place| !refused.get(role.name()).is_some_and(|refused| refused.contains(place));
        let held = scores.iter().filter(|(place, _)| taken(place)).map(|(_, record)| record);
        let mut wanted = [expected(role, held), expected_patterns(role, &alerts)].concat();
        wanted.sort_unstable();
        assert_same(&read_back(role, &sql::engine(folder)).await, &wanted, role.name());
    }
}

/// A record was scored, and the member that is looked at reads so.
pub(super) fn is_scored(outcome: &Outcome, place: Place, member: Option<&(String, String)>, what: &str) {
    let Some(record) = outcome.scores.get(&place) else {
        let told = outcome.intake(place).or_else(|| outcome.scorer(place)).map(|found| &found.letter.error_message);
        panic!("{what} was not scored: {told:?}");
    };
    assert!(score(record).risk_score.is_some(), "{what} was taken for a copy of another");
    if let Some((field, wanted)) = member {
        let members = json::members(std::str::from_utf8(&record.value).unwrap()).unwrap();
        let found = members.iter().find(|(key, _)| key.as_str() == field).map(|(_, value)| value.get());
        assert_eq!(found, Some(wanted.as_str()), "{what}: {field}");
    }
}
