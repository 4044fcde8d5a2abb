//! Reading and moving the positions: the store's own word, changed by compare-and-set.
//!
//! What must stay true: a position never goes back. Where two instances wrote one partition, because it moved from one to the other, each
//! has settled every row from a position of the store on, so that the further one holds, whoever comes last. A reply that was lost after
//! the change took effect is found to have taken effect; partitions of other instances, in the same document, are left as they are.

use std::collections::BTreeMap;

use wh_schemas::Reaction;
use wh_schemas::position::{LOG_STREAM, WITNESS_STREAM};
use wh_stores::clock;
use wh_stores::elasticsearch::positions::{Held, Positions, Published, Version};
use wh_stores::elasticsearch::{Client, ElasticsearchSettings, Failure, Method, connect};

use crate::delivery::{StorePosition, Tally};

/// How often a document is read again when other instances write their partitions at the same time.
const ATTEMPTS: u32 = 20;

/// What a position is that was never published.
pub(super) fn unpublished(partition: u32) -> StorePosition {
    StorePosition { partition, ..StorePosition::default() }
}

pub(super) fn position(partition: u32, published: &Published) -> StorePosition {
    let Published { next_seq, next_offset, stored, duplicates, dead_letters, discarded, unreadable, .. } = *published;
    let tally = Tally { stored, duplicates, dead_letters, discarded };
    StorePosition { partition, next_seq, next_offset, visible_seq: next_seq, visible_offset: next_offset, unreadable, tally }
}

fn published(position: &StorePosition, before: &Published, updated_at: i64) -> Published {
    let Tally { stored, duplicates, dead_letters, discarded } = position.tally;
    Published {
        next_seq: position.next_seq,
        next_offset: position.next_offset,
        stored,
        duplicates,
        dead_letters,
        discarded,
        unreadable: position.unreadable,
        updated_at,
        ..*before
    }
}

/// One step of a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Step {
    /// Where this instance began: a position that the store had.
    pub(super) from: StorePosition,
    /// Up to where it has settled every row.
    pub(super) to: StorePosition,
}

/// What the steps make of a document.
#[derive(Debug, PartialEq, Eq)]
struct Moved {
    /// What is to be written; `None` where every partition is as far already.
    changed: Option<Positions>,
    /// Where the partitions of the steps are then.
    reached: Vec<StorePosition>,
}

/// Takes the steps in a document.
fn moved(mut positions: Positions, steps: &[Step], now: i64) -> Result<Moved, Failure> {
    let place = |position: &StorePosition| (position.next_seq, position.next_offset);
    let (mut changed, mut reached) = (false, Vec::new());
    for Step { from, to } in steps {
        let before = positions.partitions.get(&to.partition).copied().unwrap_or_default();
        let there = position(to.partition, &before);
        if place(&there) < place(from) {
            return Err(Failure::fatal(
                format!("partition {} stood at seq {} and now stands at {}: the store was restored or emptied meanwhile", to.partition, from.next_seq, there.next_seq),
                "start again: the sink goes on from what the store says",
            ));
        }
        if place(&there) >= place(to) {
            reached.push(there);
            continue;
        }
        positions.partitions.insert(to.partition, published(to, &before, now));
        reached.push(*to);
        changed = true;
    }
    positions.updated_at = now;
    Ok(Moved { changed: changed.then_some(positions), reached })
}

/// Raises the floors in a document to the first alerts that are left; where none is, to the position. `None` where they are as high.
fn raised(mut positions: Positions, left: &BTreeMap<u32, u64>, now: i64) -> Option<Positions> {
    let mut changed = false;
    for (partition, published) in &mut positions.partitions {
        let floor = left.get(partition).copied().unwrap_or(u64::MAX).min(published.next_seq);
        if published.floor_seq < floor {
            published.floor_seq = floor;
            changed = true;
        }
    }
    positions.updated_at = now;
    changed.then_some(positions)
}

/// The documents of the streams, as they were read or written last.
#[derive(Debug, Default)]
pub(super) struct Documents {
    known: BTreeMap<String, (Positions, Option<Version>)>,
}

impl Documents {
    /// The positions of a stream, read anew.
    pub(super) async fn read(&mut self, client: &Client, settings: &ElasticsearchSettings, stream: &str) -> Result<Positions, Failure> {
        self.known.remove(stream);
        let (positions, version) = match read(client, settings, stream).await? {
            Some(Held { number, term, positions }) => (positions, Some(Version { number, term })),
            None => (Positions { stream: stream.to_owned(), ..Positions::default() }, None),
        };
        self.known.insert(stream.to_owned(), (positions.clone(), version));
        Ok(positions)
    }

    /// A document as it is known.
    async fn last(&mut self, client: &Client, settings: &ElasticsearchSettings, stream: &str) -> Result<(Positions, Option<Version>), Failure> {
        if !self.known.contains_key(stream) {
            self.read(client, settings, stream).await?;
        }
        Ok(self.known.get(stream).cloned().unwrap_or_default())
    }

    /// Takes steps of partitions. Returns where these are then, which may be further than the steps went.
    pub(super) async fn advance(&mut self, client: &Client, settings: &ElasticsearchSettings, stream: &str, steps: &[Step]) -> Result<Vec<StorePosition>, Failure> {
        for _ in 0..ATTEMPTS {
            let (positions, version) = self.last(client, settings, stream).await?;
            let Moved { changed, reached } = moved(positions, steps, clock::now().0)?;
            let Some(changed) = changed else { return Ok(reached) };
            if self.write(client, settings, changed, version).await? {
                return Ok(reached);
            }
        }
        Err(busy())
    }

    /// Publishes floors, from the first alert that each partition has left.
    pub(super) async fn raise(&mut self, client: &Client, settings: &ElasticsearchSettings, stream: &str, left: &BTreeMap<u32, u64>) -> Result<(), Failure> {
        for _ in 0..ATTEMPTS {
            let (positions, version) = self.last(client, settings, stream).await?;
            let Some(changed) = raised(positions, left, clock::now().0) else { return Ok(()) };
            if self.write(client, settings, changed, version).await? {
                return Ok(());
            }
        }
        Err(busy())
    }

    /// The mark of the log that the store is filled from, where it keeps one.
    pub(super) async fn log(&mut self, client: &Client, settings: &ElasticsearchSettings) -> Result<Option<u64>, Failure> {
        Ok(self.read(client, settings, LOG_STREAM).await?.partitions.get(&0).map(|kept| kept.next_offset))
    }

    /// Keeps the mark of a log where none is kept; gives the one that is.
    pub(super) async fn bind(&mut self, client: &Client, settings: &ElasticsearchSettings, log: u64) -> Result<u64, Failure> {
        for _ in 0..ATTEMPTS {
            if let Some(kept) = self.log(client, settings).await? {
                return Ok(kept);
            }
            let version = self.known.get(LOG_STREAM).and_then(|(_, version)| *version);
            let updated_at = clock::now().0;
            let mark = Published { next_offset: log, updated_at, ..Published::default() };
            let made = Positions { stream: LOG_STREAM.to_owned(), updated_at, partitions: [(0, mark)].into() };
            if self.write(client, settings, made, version).await? {
                return Ok(log);
            }
        }
        Err(busy())
    }

    /// What the store keeps of the last records that it has taken.
    pub(super) async fn witnesses(&mut self, client: &Client, settings: &ElasticsearchSettings) -> Result<Vec<StorePosition>, Failure> {
        let kept = self.read(client, settings, WITNESS_STREAM).await?;
        Ok(kept.partitions.iter().map(|(place, kept)| position(*place, kept)).collect())
    }

    /// Keeps what the last records were that were taken.
    pub(super) async fn remember(&mut self, client: &Client, settings: &ElasticsearchSettings, taken: &[StorePosition]) -> Result<(), Failure> {
        for _ in 0..ATTEMPTS {
            let (mut positions, version) = self.last(client, settings, WITNESS_STREAM).await?;
            positions.updated_at = clock::now().0;
            for place in taken {
                positions.partitions.insert(place.partition, published(place, &Published::default(), positions.updated_at));
            }
            if self.write(client, settings, positions, version).await? {
                return Ok(());
            }
        }
        Err(busy())
    }

    /// Writes a document where it is still the one that was read. Returns `false` where it is not.
    async fn write(&mut self, client: &Client, settings: &ElasticsearchSettings, changed: Positions, version: Option<Version>) -> Result<bool, Failure> {
        let path = format!("{}/_doc/{}", settings.positions(), changed.stream);
        let numbers = version.map(|version| (version.number.to_string(), version.term.to_string()));
        let query = match &numbers {
            Some((number, term)) => vec![("if_seq_no", number.as_str()), ("if_primary_term", term.as_str())],
            None => vec![("op_type", "create")],
        };
        let body = serde_json::to_vec(&changed).map_err(|error| Failure::fatal(format!("positions cannot be written: {error}"), ""))?;
        // Whatever comes of it, what was known is old.
        self.known.remove(&changed.stream);
        match client.send(Method::Put, &path, &query, Some(&body)).await {
            Ok(answer) => {
                let version: Version = connect::decode(&answer)?;
                self.known.insert(changed.stream.clone(), (changed, Some(version)));
                Ok(true)
            }
            Err(failure) if failure.status == Some(409) => Ok(false),
            Err(failure) => Err(failure),
        }
    }
}

fn busy() -> Failure {
    Failure::transient("other instances write their positions all the time", "it is tried again")
}

/// The document of a stream; `None` where nothing was published yet.
async fn read(client: &Client, settings: &ElasticsearchSettings, stream: &str) -> Result<Option<Held>, Failure> {
    match client.ask::<Held>(Method::Get, &format!("{}/_doc/{stream}", settings.positions()), &[], None).await {
        Ok(held) => Ok(Some(held)),
        // Of an index that is not there, the server says so by a name.
        Err(failure) if failure.status == Some(404) && failure.kind.is_empty() => Ok(None),
        Err(failure) => Err(failure),
    }
}

/// What the store says of itself, read without writing anything; nothing where there is no layout yet.
///
/// # Errors
/// Where it cannot be read.
pub async fn read_positions(settings: &ElasticsearchSettings, stream: &str) -> Result<Vec<StorePosition>, Reaction> {
    let client = connect::connect(settings).await?;
    match read(&client, settings, stream).await {
        Ok(held) => Ok(held.into_iter().flat_map(|held| held.positions.partitions).map(|(partition, published)| position(partition, &published)).collect()),
        Err(failure) if failure.is(404, "index_not_found_exception") => Ok(Vec::new()),
        Err(failure) => Err(client.reaction(&failure)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(partition: u32, next: u64) -> StorePosition {
        let tally = Tally { stored: next, ..Tally::default() };
        StorePosition { partition, next_seq: next, next_offset: next, visible_seq: next, visible_offset: next, unreadable: 0, tally }
    }

    fn document(places: &[StorePosition]) -> Positions {
        let partitions = places.iter().map(|place| (place.partition, published(place, &Published { floor_seq: 1, ..Published::default() }, 5))).collect();
        Positions { stream: "scorer".to_owned(), updated_at: 5, partitions }
    }

    #[test]
    fn a_step_leads_on_and_never_back() {
        let steps = [Step { from: at(1, 3), to: at(1, 7) }, Step { from: unpublished(2), to: at(2, 4) }];
        let Moved { changed, reached } = moved(document(&[at(0, 9), at(1, 3)]), &steps, 8).unwrap();
        let changed = changed.unwrap();
        assert_eq!(reached, [at(1, 7), at(2, 4)]);
        assert_eq!([0, 1, 2].map(|partition| position(partition, &changed.partitions[&partition])), [at(0, 9), at(1, 7), at(2, 4)]);
        assert_eq!((changed.partitions[&1].floor_seq, changed.partitions[&1].updated_at, changed.partitions[&0].updated_at), (1, 8, 5));
        // A reply that was lost.
        assert_eq!(moved(changed, &steps, 9).unwrap(), Moved { changed: None, reached });
    }

    #[test]
    fn where_two_have_written_the_further_position_holds() {
        let step = [Step { from: at(1, 3), to: at(1, 7) }];
        let between = moved(document(&[at(1, 5)]), &step, 8).unwrap();
        assert_eq!((between.changed.is_some(), between.reached), (true, vec![at(1, 7)]));
        let beyond = moved(document(&[at(1, 9)]), &step, 8).unwrap();
        assert_eq!((beyond.changed, beyond.reached), (None, vec![at(1, 9)]));
        let failure = moved(document(&[at(1, 2)]), &step, 8).unwrap_err();
        assert!(!failure.transient && failure.message.contains("stood at seq 3 and now stands at 2"), "{failure:?}");
    }

    #[test]
    fn floors_only_rise() {
        let left: BTreeMap<u32, u64> = [(0, 1), (1, 6), (2, 99), (5, 9)].into();
        let changed = raised(document(&[at(0, 9), at(1, 9), at(2, 8), at(3, 7)]), &left, 8).unwrap();
        assert_eq!([0, 1, 2, 3].map(|partition| changed.partitions[&partition].floor_seq), [1, 6, 8, 7]);
        assert_eq!(changed.partitions.len(), 4);
        assert_eq!(raised(changed, &left, 9), None);
    }
}
