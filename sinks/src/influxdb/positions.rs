//! How far the metrics sink has come, as points of the bucket itself.
//!
//! What must stay true: a position is written after the rows that it covers; a further one has a later time and the latest counts, so
//! that a late writer cannot put it back; it goes with the bucket into a backup and back.

use std::io::Write;

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
    fn a_position_is_read_by_name() {
        let line = br#"{"results":[{"statement_id":0,"series":[{"name":"wardhouse_positions","tags":{"partition":"3","stream":"scorer"},"columns":["time","dead_letters","next_offset","next_seq","stored","visible_seq"],"values":[[7258118400000001020,1,1007,1000,900,1020]]}]}]}"#;
        let found = fields(Reader::new(1).read(line).unwrap());
        let stands = position(&found[0]).unwrap();
        assert_eq!((stands.partition, stands.next_seq, stands.next_offset, stands.visible_seq), (3, 1_000, 1_007, 1_020));
        assert_eq!(stands.tally, Tally { stored: 900, dead_letters: 1, ..Tally::default() });
    }
}
