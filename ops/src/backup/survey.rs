//! How far the copies of a backup, or what was restored of it, have come, and how much they hold. Nothing is changed.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use wh_eventlog::{Reader, embedded};
use wh_schemas::Reaction;
use wh_schemas::topics::{self, ACCEPTED_TRANSACTIONS, ACCOUNT_ACTIVITY, RISK_ALERTS, RISK_SCORES, SYSTEM_EVENTS};
use wh_scorer::account_activity;
use wh_scorer::state::sqlite::{read_checkpoints, read_patterns};
use wh_sinks::delivery::StorePosition;
use wh_sinks::delivery::walk::stream_of;
use wh_sinks::sqlite::file;
use wh_sinks::tantivy;
use wh_stores::Role;

use super::manifest::{LogState, PositionState, StoreState, TopicState};
use super::{index, layout_of, sqlite, version_of};

/// What a log holds; `layout` is 0 for one that is not in the backup.
pub(super) async fn log(reader: &dyn Reader, layout: i64) -> Result<LogState, Reaction> {
    let mut state = LogState { identity: reader.identity().await?, layout, topics: Vec::new() };
    for spec in topics::ALL {
        for partition in 0..reader.partitions(spec.name).await? {
            let bounds = reader.bounds(spec.name, partition).await?;
            state.topics.push(TopicState { topic: spec.name.to_owned(), partition, start: bounds.start, end: bounds.end });
        }
    }
    Ok(state)
}

/// The same of an embedded log.
pub(super) async fn embedded_log(folder: &Path) -> Result<LogState, Reaction> {
    log(&*embedded::open_reader(folder)?, version_of(Role::Log)).await
}

/// What the stores and checkpoints hold. The log is passed over.
pub(super) fn stores(places: &BTreeMap<Role, PathBuf>) -> Result<Vec<StoreState>, Reaction> {
    places.iter().filter(|(role, _)| **role != Role::Log).map(|(role, path)| store(*role, path)).collect()
}

fn store(role: Role, path: &Path) -> Result<StoreState, Reaction> {
    let positions = match role {
        Role::Log => Vec::new(),
        Role::Ledger => of_sink(&[RISK_SCORES, RISK_ALERTS, SYSTEM_EVENTS], |stream| in_file(role, path, stream))?,
        Role::Documents | Role::Metrics => of_sink(&[RISK_SCORES], |stream| in_file(role, path, stream))?,
        Role::Search => of_sink(&[RISK_SCORES, RISK_ALERTS], |stream| tantivy::read_positions(path, stream))?,
        Role::Baselines => checkpoints(path)?,
    };
    let rows = match layout_of(role) {
        Some(layout) => sqlite::rows(path, layout)?,
        None => [("documents".to_owned(), index::documents(path)?)].into(),
    };
    Ok(StoreState { role: role.to_string(), layout: version_of(role), positions, rows })
}

fn in_file(role: Role, path: &Path, stream: &str) -> Result<Vec<StorePosition>, Reaction> {
    layout_of(role).map_or(Ok(Vec::new()), |layout| file::read_positions(path, layout, stream))
}

fn of_sink(topics: &[&str], read: impl Fn(&str) -> Result<Vec<StorePosition>, Reaction>) -> Result<Vec<PositionState>, Reaction> {
    let mut positions = Vec::new();
    for topic in topics {
        let state = |at: StorePosition| PositionState { topic: (*topic).to_owned(), partition: at.partition, next_seq: at.next_seq, next_offset: at.next_offset };
        positions.extend(read(stream_of(topic))?.into_iter().map(state));
    }
    Ok(positions)
}

/// What the scorer reads on from, by its checkpoints, and patterns by account by theirs.
fn checkpoints(path: &Path) -> Result<Vec<PositionState>, Reaction> {
    let state = |topic: &str, partition, next_seq, next_offset| PositionState { topic: topic.to_owned(), partition, next_seq, next_offset };
    let scorer = read_checkpoints(path)?.into_iter().map(|(partition, at, _)| state(ACCEPTED_TRANSACTIONS, partition, at.next_seq, at.next_offset));
    let patterns = read_patterns(path)?.map(|(at, _)| state(ACCOUNT_ACTIVITY, account_activity::PARTITION, at.next_seq, at.next_offset));
    Ok(scorer.chain(patterns).collect())
}
