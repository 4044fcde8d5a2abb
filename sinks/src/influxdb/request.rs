//! Writing lines, and what becomes of a body of which the server cannot read a line.
//!
//! What must stay true: one bad line loses no other.

use wh_schemas::Reaction;
use wh_stores::influxdb::Client;
use wh_stores::influxdb::errors::Wrote;

use super::dialect::Lines;

/// Writes lines in as many requests as the settings ask for.
pub(super) async fn send_in_parts(client: &Client, mut lines: Lines) -> Result<(), Reaction> {
    while !lines.is_empty() {
        send(client, &lines.split_first(client.settings().batch_points)).await?;
    }
    Ok(())
}

/// Writes lines in one request. The server stores nothing of a body in which it cannot read a line: then halves are tried, until the
/// bad line stands alone and all others are stored. Such a line cannot be made out of any record, so that the stage ends with it.
///
/// # Errors
/// What the failure asks for; fatal for a bad line.
pub async fn send(client: &Client, lines: &Lines) -> Result<(), Reaction> {
    let (mut outdated, mut bad) = (0, 0);
    let mut parts = Vec::new();
    if !lines.is_empty() {
        parts.push(0..lines.len());
    }
    while let Some(part) = parts.pop() {
        match client.write(lines.part(&part)).await? {
            Wrote::All => {}
            Wrote::Outdated(points) => outdated += points,
            Wrote::Unreadable | Wrote::TooLarge if part.len() > 1 => {
                let middle = part.start + part.len() / 2;
                parts.push(middle..part.end);
                parts.push(part.start..middle);
            }
            Wrote::Unreadable | Wrote::TooLarge => bad += 1,
        }
    }
    if outdated > 0 {
        tracing::warn!(stage = "metrics", outdated, "{}: points that came into being just beyond the bucket's retention were dropped", client.place());
    }
    if bad > 0 {
        return Err(Reaction::fatal(format!(
            "{}: the server cannot read {bad} of {} points, and stored the others: another version of InfluxDB reads line protocol in another way, or this is a fault of Wardhouse's own",
            client.place(),
            lines.len()
        )));
    }
    Ok(())
}
