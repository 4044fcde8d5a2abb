//! One partition of a pass: from a record's bytes to its scores, on the thread that owns the partition.
//!
//! What must stay true: it sees its own partition's records in their order and nothing else; a copy is scored once.

use std::collections::BTreeMap;

use wh_schemas::json::Text;
use wh_schemas::position::{Seq, SeqPosition};
use wh_schemas::transaction::SCHEMA_VERSION;
use wh_schemas::validate::{Reading, decode_transaction};
use wh_schemas::{AcceptedTransaction, Activity, Micros, ids};

use super::unanswered::Tally;
use super::{Fate, Seen};
use crate::dedup::{Ids, Seen as Known, Verdict, fingerprints};
use crate::engine::{Engine, Observation, Score};
use crate::offline::source::Input;

/// One partition's part of a pass.
pub(super) struct Lane {
    partition: u32,
    engines: Vec<Engine>,
    ids: Ids,
    origins: BTreeMap<u32, u64>,
    next_seq: Seq,
}

/// What a thread answers for one record.
pub(super) enum Answer<T> {
    Scored {
        seen: T,
        activity: Box<Activity<'static>>,
        /// Scores by engine.
        risks: Vec<u8>,
    },
    Other(Fate<T>),
}

impl Lane {
    /// One that has seen nothing.
    pub(super) fn new(partition: u32, engines: Vec<Engine>, dedup_horizon: usize) -> Lane {
        Lane { partition, engines, ids: Ids::new(dedup_horizon), origins: BTreeMap::new(), next_seq: 0 }
    }

    pub(super) fn take<T>(&mut self, input: &Input, reading: &Reading, engine_of: &[usize], view: &(dyn Fn(&Seen<'_>) -> T + Sync)) -> Answer<T> {
        let rejected = |class: String, reason: String| Answer::Other(Fate::Rejected { class, reason, raw: input.text.clone() });
        let transaction = match input.logged {
            None => match decode_transaction(&input.text, reading) {
                Ok(transaction) => AcceptedTransaction::new(transaction),
                Err(rejection) => return rejected(rejection.class(), rejection.to_string()),
            },
            Some(logged) => {
                if let Some((partition, offset)) = logged.origin {
                    match self.origins.get_mut(&partition) {
                        Some(highest) if offset <= *highest => return Answer::Other(Fate::Copy),
                        Some(highest) => *highest = offset,
                        None => {
                            self.origins.insert(partition, offset);
                        }
                    }
                }
                match serde_json::from_slice(&input.text) {
                    Ok(transaction) => transaction,
                    Err(error) => return rejected("record:not_accepted".to_owned(), format!("expected an accepted transaction: {error}")),
                }
            }
        };
        let (id, content) = fingerprints(&transaction.transaction_id, &transaction.content_hash);
        match self.ids.verdict(id, content) {
            Verdict::Duplicate(_) => {
                self.next_seq += 1;
                return Answer::Other(Fate::Duplicate);
            }
            Verdict::Conflict(_) => {
                return rejected("transaction_id:conflict".to_owned(), "transaction_id: expected the content of the first line with this id, found another".to_owned());
            }
            Verdict::New => {}
        }
        let position = SeqPosition { partition: self.partition, seq: self.next_seq };
        self.next_seq += 1;
        self.ids.remember(Known { id, content, seq: position.seq });
        let mut scores = Vec::with_capacity(self.engines.len());
        for engine in &mut self.engines {
            let observation = Observation::of(&transaction, engine.ruleset());
            scores.push(engine.score(&observation));
        }
        let stream_time = self.engines.first().and_then(|engine| engine.stream_time().newest()).unwrap_or(Micros::EARLIEST);
        let seen = view(&Seen { transaction: &transaction, number: input.number, position, scores: &scores, engine_of });
        let owned = |text: &Text<'_>| Text::from(text.as_str().to_owned());
        let activity = Activity {
            schema_version: SCHEMA_VERSION,
            transaction_id: owned(&transaction.transaction_id),
            timestamp: transaction.timestamp,
            user_id: owned(&transaction.user_id),
            account_id: owned(&transaction.account_id),
            counterparty_account: transaction.counterparty_account.as_ref().map(owned),
            department: owned(&transaction.department),
            transaction_type: transaction.transaction_type,
            amount: transaction.amount,
            risk_score: 0,
            partition: position.partition,
            seq: position.seq,
            stream_time,
            implausible: scores.first().is_some_and(|score| score.implausible),
        };
        Answer::Scored { seen, activity: Box::new(activity), risks: scores.iter().map(Score::risk_score).collect() }
    }

    /// Adds the rows that the team's rules had no answer for, by engine.
    pub(super) fn tell_unanswered(&self, tally: &mut Tally) {
        for (at, engine) in self.engines.iter().enumerate() {
            for (rule, why, rows) in engine.unanswered() {
                tally.add(at, rule, why, rows);
            }
        }
    }
}

/// The partition of a record's user, read from its text without decoding it. Those that cannot be read go to partition 0, where decoding says why.
pub(in crate::offline) fn lane_of(input: &Input, partitions: u32) -> u32 {
    #[derive(serde::Deserialize)]
    struct User<'a> {
        #[serde(borrow)]
        user_id: Text<'a>,
    }
    match input.logged {
        Some(logged) => logged.partition % partitions,
        None => serde_json::from_slice::<User<'_>>(&input.text).map_or(0, |u| ids::partition_of(u.user_id.as_bytes(), partitions)),
    }
}
