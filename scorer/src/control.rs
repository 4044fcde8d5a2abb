//! What a partition's scorer does about control records: which it accepts, which it refuses and why, and what is in force. Pure.
//!
//! A record is accepted where its `from_seq` lies beyond every `seq` that was emitted, else refused with both numbers. It takes effect
//! exactly before `from_seq` is scored. The ruleset that the settings name is the first in force; where it has changed at a restart, that
//! is accepted like a record, from the first `seq` that was not emitted on. Once a record has set a ruleset or priors, records alone do.
//!
//! What must stay true: all of it stands in the partition's checkpoint, and an acceptance counts only once a checkpoint that covers
//! everything emitted holds it, so that a replay never compares anew; what is kept says everything, so that a restart needs no file.

use serde::{Deserialize, Serialize};
use wh_eventlog::Stored;
use wh_schemas::control::{ControlChange, ControlRecord};
use wh_schemas::position::Seq;
use wh_schemas::{AcceptedTransaction, ids};

use crate::engine::Ruleset;
use crate::engine::ruleset::Priors;
use crate::rules;

/// Records of one partition that may wait for their `from_seq`.
pub const MOST_PENDING: usize = 256;
/// Decisions that a checkpoint remembers once they are told.
pub const MOST_DECIDED: usize = 32;
/// Releases that a checkpoint remembers, so that none is learnt twice: 8 bytes each.
pub const MOST_RELEASED: usize = 256;
/// Faults of a ruleset that one refusal tells.
const MOST_FAULTS: usize = 20;

/// What a partition's checkpoint holds about control records.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ControlState {
    /// Next offset of `scorer-control` to be read.
    pub next_offset: u64,
    /// The ruleset in force; `None` in a checkpoint that knows of none yet.
    pub in_force: Option<InForce>,
    /// Content hash of the settings' ruleset as it was last taken.
    pub settings: String,
    /// Whether a record has set a ruleset or priors: the settings' ruleset no longer counts.
    pub by_control: bool,
    /// Accepted and not in effect yet, in the order in which they take effect.
    pub pending: Vec<Pending>,
    /// What became of the last records, oldest first.
    pub decided: Vec<Decided>,
    /// Fingerprints of the last transactions released.
    pub released: Vec<u64>,
}

/// The ruleset in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InForce {
    /// Its content hash.
    pub hash: String,
    /// All of it, as TOML without comments.
    pub toml: String,
    /// First `seq` that was scored under it.
    pub from_seq: Seq,
    /// The record that set it; `None` where the settings did.
    #[serde(default)]
    pub control_id: Option<String>,
}

/// Something accepted that is not in effect yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pending {
    /// It takes effect exactly before this is scored.
    pub from_seq: Seq,
    /// The record; `None` where the settings changed.
    #[serde(default)]
    pub control_id: Option<String>,
    /// What it does.
    pub change: Change,
}

/// What is done at a position.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Change {
    /// Scores by another ruleset.
    Ruleset {
        /// All of it, as TOML.
        toml: String,
    },
    /// Puts other priors into the ruleset in force.
    Priors {
        /// All of them, as TOML.
        toml: String,
    },
    /// Learns from a transaction.
    Release {
        /// The accepted transaction's JSON.
        transaction: String,
    },
}

/// What became of a record, or of a change of the settings' ruleset.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decided {
    /// Its offset in `scorer-control`; `None` where the settings changed.
    #[serde(default)]
    pub offset: Option<u64>,
    /// Its id; empty where it could not be read, and where the settings changed.
    #[serde(default)]
    pub control_id: String,
    /// `ruleset`, `priors`, `release`; empty where it could not be read.
    #[serde(default)]
    pub kind: String,
    /// A ruleset's content hash, or a released transaction.
    #[serde(default)]
    pub subject: String,
    /// Who sent it.
    #[serde(default)]
    pub principal: String,
    /// Why.
    #[serde(default)]
    pub reason: String,
    /// From where on it was to count.
    pub from_seq: Seq,
    /// The first `seq` that was not emitted when it was decided.
    pub next_seq: Seq,
    /// Why it was refused; empty where it was accepted.
    #[serde(default)]
    pub refused: Vec<String>,
    /// Whether `system-events` holds it.
    #[serde(default)]
    pub told: bool,
}

impl ControlState {
    /// Says that `system-events` holds every decision, and forgets the oldest.
    pub fn told(&mut self) {
        self.decided.iter_mut().for_each(|decided| decided.told = true);
        self.decided.drain(..self.decided.len().saturating_sub(MOST_DECIDED));
    }

    /// The first `seq` before which something takes effect.
    #[must_use]
    pub fn first_pending(&self) -> Option<Seq> {
        self.pending.first().map(|pending| pending.from_seq)
    }

    /// Takes out what takes effect before `seq` is scored, first things first.
    pub fn take_due(&mut self, seq: Seq) -> Vec<Pending> {
        let due = self.pending.partition_point(|pending| pending.from_seq <= seq);
        self.pending.drain(..due).collect()
    }

    fn accept(&mut self, pending: Pending) {
        // Of two at one place the later one comes after.
        let place = self.pending.partition_point(|other| other.from_seq <= pending.from_seq);
        self.pending.insert(place, pending);
    }
}

/// A ruleset as a checkpoint keeps it.
#[must_use]
pub fn text_of(ruleset: &Ruleset) -> String {
    // Every field of it is one that TOML knows; the commented form is the same ruleset.
    toml::to_string(ruleset).unwrap_or_else(|_| rules::to_toml(ruleset))
}

/// Reads what [`text_of`] wrote. What is built into this version stands in it as this version has it.
///
/// # Errors
/// Where it is of a version that has other settings.
pub fn ruleset_of(text: &str) -> Result<Ruleset, String> {
    let mut ruleset: Ruleset = toml::from_str(text).map_err(|error| error.message().to_owned())?;
    ruleset.combination.trees = Ruleset::default().combination.trees;
    Ok(ruleset)
}

/// Reads the priors that a checkpoint keeps.
///
/// # Errors
/// Where they are of a version that has others.
pub fn priors_of(text: &str) -> Result<Priors, String> {
    toml::from_str(text).map_err(|error| error.message().to_owned())
}

/// How a partition begins or goes on.
#[derive(Debug)]
pub struct Begun {
    /// What it scores by.
    pub ruleset: Ruleset,
    /// Whether something changed that must be kept before anything new is emitted.
    pub changed: bool,
    /// What a person should know.
    pub warning: Option<String>,
}

/// Settles which ruleset a partition goes on with. `next_seq` is where it stands, `fresh` the first `seq` that was never emitted.
///
/// # Errors
/// Where this version cannot read what is in force.
pub fn begin(control: &mut ControlState, settings: &Ruleset, next_seq: Seq, fresh: Seq) -> Result<Begun, String> {
    let hash = settings.content_hash();
    let Some(in_force) = &mut control.in_force else {
        control.in_force = Some(InForce { hash: hash.clone(), toml: text_of(settings), from_seq: next_seq, control_id: None });
        control.settings = hash;
        return Ok(Begun { ruleset: settings.clone(), changed: true, warning: None });
    };
    let unreadable =
        |what: &str, error: String| format!("{what} cannot be read by this version ({error}): go back to the version that wrote it, and apply a ruleset that both read");
    let ruleset = ruleset_of(&in_force.toml).map_err(|error| unreadable(&format!("the ruleset in force ({})", in_force.hash), error))?;
    for pending in &control.pending {
        let read = match &pending.change {
            Change::Ruleset { toml } => ruleset_of(toml).map(drop),
            Change::Priors { toml } => priors_of(toml).map(drop),
            Change::Release { .. } => Ok(()),
        };
        read.map_err(|error| unreadable(&format!("what takes effect at seq {}", pending.from_seq), error))?;
    }
    let mut begun = Begun { changed: false, warning: None, ruleset };
    let present = begun.ruleset.content_hash();
    if present != in_force.hash {
        begun.warning = Some(format!("the ruleset in force was {}; under this version, whose settings or built-in parts are others, it is {present}", in_force.hash));
        *in_force = InForce { hash: present.clone(), toml: text_of(&begun.ruleset), ..in_force.clone() };
        begun.changed = true;
    }
    if control.by_control {
        if hash != present {
            begun.warning = Some(format!(
                "the ruleset in force is {present}, set by a control record; that of the settings ({hash}) does not count: `wardhouse rules apply FILE` makes one count"
            ));
        }
    } else if control.settings != hash {
        control.accept(Pending { from_seq: fresh, control_id: None, change: Change::Ruleset { toml: text_of(settings) } });
        control.decided.push(Decided {
            offset: None,
            control_id: String::new(),
            kind: "ruleset".to_owned(),
            subject: hash.clone(),
            principal: "local".to_owned(),
            reason: "the settings name another ruleset than before".to_owned(),
            from_seq: fresh,
            next_seq: fresh,
            refused: Vec::new(),
            told: false,
        });
        control.settings = hash;
        begun.changed = true;
    }
    Ok(begun)
}

/// Where a partition stands when it decides.
#[derive(Clone, Copy, Debug)]
pub struct At {
    /// The partition.
    pub partition: u32,
    /// How many there are.
    pub partitions: u32,
    /// The first `seq` that was not emitted.
    pub next_seq: Seq,
}

/// Decides on one record of `scorer-control`: whether it was this partition's to decide. What names no partition that there is, is decided by
/// partition 0.
pub fn decide(control: &mut ControlState, at: At, stored: &Stored, knows: &dyn Fn(&str) -> bool) -> bool {
    if stored.offset < control.next_offset {
        return false;
    }
    control.next_offset = stored.offset + 1;
    let (record, unread) = match serde_json::from_slice::<ControlRecord>(&stored.value) {
        Ok(record) if record.partition == at.partition => (Some(record), None),
        Ok(record) if record.partition >= at.partitions => {
            let why = format!("partition {} does not exist: there are {}", record.partition, at.partitions);
            (Some(record), Some(why))
        }
        Ok(_) => return false,
        Err(error) => (None, Some(format!("it is no control record: {error}"))),
    };
    if unread.is_some() && at.partition != 0 {
        return false;
    }
    let mut decided = Decided {
        offset: Some(stored.offset),
        control_id: String::new(),
        kind: String::new(),
        subject: String::new(),
        principal: String::new(),
        reason: String::new(),
        from_seq: 0,
        next_seq: at.next_seq,
        refused: Vec::new(),
        told: false,
    };
    let Some(record) = record else {
        decided.refused.extend(unread);
        control.decided.push(decided);
        return true;
    };
    decided.kind = record.change.kind().to_owned();
    decided.from_seq = record.from_seq;
    let outcome = match unread {
        Some(why) => Err(vec![why]),
        None => fit(control, at, &record, knows),
    };
    match outcome {
        Ok((subject, change)) => {
            decided.subject = subject;
            match &change {
                Change::Release { .. } => {
                    control.released.push(ids::fingerprint(decided.subject.as_bytes()));
                    control.released.drain(..control.released.len().saturating_sub(MOST_RELEASED));
                }
                Change::Ruleset { .. } | Change::Priors { .. } => control.by_control = true,
            }
            control.accept(Pending { from_seq: record.from_seq, control_id: Some(record.control_id.clone()), change });
        }
        Err(why) => decided.refused = why,
    }
    decided.control_id = record.control_id;
    decided.principal = record.principal;
    decided.reason = record.reason;
    control.decided.push(decided);
    true
}

/// What an acceptable record does, with its subject; or why it is not acceptable.
fn fit(control: &ControlState, at: At, record: &ControlRecord, knows: &dyn Fn(&str) -> bool) -> Result<(String, Change), Vec<String>> {
    if record.from_seq < at.next_seq {
        return Err(vec![format!(
            "it was to count from seq {} of partition {} on, which is behind: everything below seq {} is emitted",
            record.from_seq, at.partition, at.next_seq
        )]);
    }
    if control.pending.len() >= MOST_PENDING {
        return Err(vec![format!("{MOST_PENDING} records of partition {} wait to take effect already", at.partition)]);
    }
    match &record.change {
        ControlChange::Ruleset { ruleset } => {
            let ruleset = rules::parse(ruleset).map_err(told)?;
            Ok((ruleset.content_hash(), Change::Ruleset { toml: text_of(&ruleset) }))
        }
        ControlChange::Priors { priors } => {
            let ruleset = rules::parse(priors).map_err(told)?;
            if ruleset != (Ruleset { priors: ruleset.priors.clone(), ..Ruleset::default() }) {
                return Err(vec!["expected nothing but [priors.overall] and [priors.departments.NAME]: another setting belongs into a ruleset".to_owned()]);
            }
            let toml = toml::to_string(&ruleset.priors).map_err(|error| vec![error.to_string()])?;
            Ok((format!("{:016x}", ids::fingerprint(toml.as_bytes())), Change::Priors { toml }))
        }
        ControlChange::Release { transaction_id, transaction } => {
            let found: AcceptedTransaction<'_> = serde_json::from_str(transaction).map_err(|error| vec![format!("expected the accepted transaction: {error}")])?;
            if found.transaction_id.as_str() != transaction_id {
                return Err(vec![format!("it releases {transaction_id:?} and brings {:?}", found.transaction_id.as_str())]);
            }
            if control.released.contains(&ids::fingerprint(transaction_id.as_bytes())) {
                return Err(vec![format!("{transaction_id:?} is released already")]);
            }
            if !knows(found.user_id.as_str()) {
                return Err(vec![format!("partition {} knows nothing of the user of {transaction_id:?}: there is no baseline that could learn", at.partition)]);
            }
            Ok((transaction_id.clone(), Change::Release { transaction: transaction.clone() }))
        }
    }
}

fn told(faults: Vec<rules::RulesetFault>) -> Vec<String> {
    let all = faults.len();
    let mut told: Vec<String> = faults.iter().take(MOST_FAULTS).map(ToString::to_string).collect();
    if all > MOST_FAULTS {
        told.push(format!("… and {} more", all - MOST_FAULTS));
    }
    told
}

#[cfg(test)]
mod tests;
