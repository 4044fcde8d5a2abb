//! How far the metrics sink has come, as points of the bucket itself.
//!
//! What must stay true: a position is written after the rows that it covers; a further one has a later time and the latest counts, so
//! that a late writer cannot put it back; it goes with the bucket into a backup and back.

use std::collections::BTreeSet;
use std::io::Write;

use wh_eventlog::incidents::ANOTHER_LOG;
use wh_schemas::position::LOG_STREAM;
use wh_schemas::{Micros, Reaction};
use wh_stores::influxdb::answer::Fields;
use wh_stores::influxdb::points::{POSITIONS, latest_positions, position_time, push_tag, tag_of};
use wh_stores::influxdb::{Client, InfluxdbSettings, connect};

use super::dialect::Lines;
use crate::delivery::{StorePosition, Tally};

/// Where the store stands in a stream, by its own word.
///
/// # Errors
/// As the store's.
pub async fn read(client: &Client, stream: &str) -> Result<Vec<StorePosition>, Reaction> {
    let found = client.fields(&latest_positions()).await?;
    let mut positions: Vec<StorePosition> = found.iter().filter(|fields| fields.text("stream") == tag_of(stream)).filter_map(position).collect();
    positions.sort_by_key(|position| position.partition);
    Ok(positions)
}

/// The same for whoever does not write it; nothing where the bucket is not there yet.
///
/// # Errors
/// As the store's.
pub async fn read_positions(settings: &InfluxdbSettings, stream: &str) -> Result<Vec<StorePosition>, Reaction> {
    let client = connect(settings).await?;
    if client.bucket().await?.is_none() { Ok(Vec::new()) } else { read(&client, stream).await }
}

/// The claim of a log on the bucket. Each log's is a point of its own, so that of two that are made at the same moment neither takes the other's place.
pub(super) fn claim(log: u64) -> StorePosition {
    let partition = u32::try_from(log & u64::from(u32::MAX)).unwrap_or(0);
    StorePosition { partition, next_offset: log, ..StorePosition::default() }
}

/// The mark of the log that the bucket is filled from, if there is a claim.
///
/// The server has no compare-and-set. Whoever binds a bucket writes a claim and then reads all; of two who do so at once, the one that reads last
/// sees both, as everybody does from then on, and nobody goes on.
///
/// # Errors
/// Fatal where two logs have claimed it.
pub(super) async fn mark(client: &Client) -> Result<Option<u64>, Reaction> {
    let claims: BTreeSet<u64> = read(client, LOG_STREAM).await?.iter().map(|claim| claim.next_offset).collect();
    one(&claims).map_err(|(one, other)| {
        Reaction::fatal(format!(
            "{}: the store {ANOTHER_LOG}, or is about to be: two logs were bound to it at the same moment (marks {one:013x} and {other:013x}): stop both sinks, delete the \
             bucket, and start that of the log that belongs to it, which fills it again",
            client.place()
        ))
    })
}

/// The only claim; two, where there are several.
fn one(claims: &BTreeSet<u64>) -> Result<Option<u64>, (u64, u64)> {
    match (claims.first(), claims.last()) {
        (Some(one), Some(other)) if one != other => Err((*one, *other)),
        (only, _) => Ok(only.copied()),
    }
}

fn position(fields: &Fields) -> Option<StorePosition> {
    let next_offset = fields.count("next_offset");
    let tally = Tally { stored: fields.count("stored"), duplicates: fields.count("duplicates"), dead_letters: fields.count("dead_letters"), discarded: fields.count("discarded") };
    Some(StorePosition {
        partition: fields.text("partition").parse().ok()?,
        next_seq: fields.count("next_seq"),
        next_offset,
        visible_seq: fields.count("visible_seq"),
        visible_offset: next_offset,
        unreadable: fields.count("unreadable"),
        tally,
    })
}

/// Appends the point of a position.
pub(super) fn write(stream: &str, position: &StorePosition, now: Micros, lines: &mut Lines) {
    let Some(time) = position_time(position.visible_seq) else { return };
    lines.push(|line| {
        write!(line, "{POSITIONS},partition={},stream=", position.partition)?;
        push_tag(&tag_of(stream), line);
        let StorePosition { next_seq, next_offset, visible_seq, unreadable, tally, .. } = position;
        let Tally { stored, duplicates, dead_letters, discarded } = tally;
        writeln!(
            line,
            " dead_letters={dead_letters}i,discarded={discarded}i,duplicates={duplicates}i,next_offset={next_offset}i,next_seq={next_seq}i,stored={stored}i,\
             unreadable={unreadable}i,updated_at={}i,visible_seq={visible_seq}i {time}",
            now.0
        )
    });
}

/// Deletes the points of positions that a later one has passed.
pub(super) async fn prune(client: &Client, stream: &str, position: &StorePosition) -> Result<(), Reaction> {
    let (Some(first), Some(behind)) = (position_time(0), position_time(position.visible_seq)) else { return Ok(()) };
    if behind <= first {
        return Ok(());
    }
    let predicate = format!("_measurement=\"{POSITIONS}\" AND stream=\"{stream}\" AND partition=\"{}\"", position.partition);
    client.delete(&predicate, first, behind - 1).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use wh_stores::influxdb::answer::{Reader, fields};

    #[test]
    fn a_position_is_a_point_in_the_future() {
        let tally = Tally { stored: 900, duplicates: 60, dead_letters: 1, discarded: 39 };
        let stands = StorePosition { partition: 3, next_seq: 1_000, next_offset: 1_007, visible_seq: 1_020, visible_offset: 1_029, unreadable: 1, tally };
        let mut lines = Lines::default();
        write("scorer", &stands, Micros(77), &mut lines);
        let text = String::from_utf8(lines.part(&(0..1)).to_vec()).unwrap();
        assert_eq!(
            text,
            "wardhouse_positions,partition=3,stream=scorer dead_letters=1i,discarded=39i,duplicates=60i,next_offset=1007i,next_seq=1000i,stored=900i,unreadable=1i,\
             updated_at=77i,visible_seq=1020i 7258118400000001020\n"
        );
    }

    #[test]
    fn two_logs_that_claim_a_bucket_at_once_both_see_it() {
        let claims = |logs: &[u64]| logs.iter().map(|log| claim(*log).next_offset).collect();
        assert_eq!((one(&claims(&[])), one(&claims(&[7])), one(&claims(&[7, 7]))), (Ok(None), Ok(Some(7)), Ok(Some(7))));
        assert_eq!(one(&claims(&[9, 7])), Err((7, 9)));
        // Points of two series: one does not take the other's place.
        assert_ne!(claim(7).partition, claim(9).partition);
        assert_eq!(claim(0x000f_0000_0000_0005).partition, 5);
    }

    #[test]
    fn a_position_is_read_by_name() {
        let line = br#"{"results":[{"statement_id":0,"series":[{"name":"wardhouse_positions","tags":{"partition":"3","stream":"scorer"},"columns":["time","dead_letters","next_offset","next_seq","stored","visible_seq"],"values":[[7258118400000001020,1,1007,1000,900,1020]]}]}]}"#;
        let found = fields(Reader::new(1).read(line).unwrap());
        let stands = position(&found[0]).unwrap();
        assert_eq!((stands.partition, stands.next_seq, stands.next_offset, stands.visible_seq), (3, 1_000, 1_007, 1_020));
        assert_eq!(stands.tally, Tally { stored: 900, dead_letters: 1, ..Tally::default() });
    }
}
