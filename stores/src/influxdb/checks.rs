//! What `wardhouse doctor` looks at on an InfluxDB server.
//!
//! What must stay true: nothing is changed; one failure to connect is one finding.

use wh_schemas::Reaction;
use wh_schemas::time::SECOND;

use super::client::{Bucket, Client};
use super::connect::{connect, version_of};
use super::errors::Wrote;
use super::layout;
use super::points::LAYOUT_VERSION;
use super::settings::InfluxdbSettings;
use crate::clock;
use crate::finding::Finding;

/// Clocks that differ by more than this are told: retention goes by the server's.
const SKEW: i64 = 5 * SECOND;
/// What is to be done about something that could not be looked at.
const ASK_AGAIN: &str = "ask again once the server answers";

/// Looks at a server.
pub async fn examine(settings: &InfluxdbSettings) -> Vec<Finding> {
    let client = match connect(settings).await {
        Ok(client) => client,
        Err(reaction) => return vec![Finding::fault("connection", reaction.to_string(), "mend this first: nothing else could be looked at")],
    };
    let mut findings = vec![match version_of(&client).await {
        Ok(version) => Finding::fine("version", format!("InfluxDB {version}")),
        Err(reaction) => Finding::warning("version", reaction.to_string(), ASK_AGAIN),
    }];
    findings.push(encryption(settings));
    findings.push(clock(&client).await);
    findings.push(durability(&client).await);
    match client.bucket().await {
        Ok(Some(bucket)) => {
            findings.push(retention(&client, &bucket));
            findings.push(writing(&client).await);
            findings.push(layout_of(&client).await);
            if settings.downsample {
                findings.push(hourly(&client).await);
            }
        }
        Ok(None) => findings.push(Finding::fault(
            "bucket",
            format!("there is no bucket {:?}, or the token may not see it", settings.bucket),
            "run `wardhouse migrate` with a token that may make buckets, then let this one read and write it",
        )),
        Err(reaction) => findings.push(Finding::fault("bucket", reaction.to_string(), ASK_AGAIN)),
    }
    findings
}

fn encryption(settings: &InfluxdbSettings) -> Finding {
    if settings.tls.is_some() {
        Finding::fine("encryption", "TLS")
    } else if settings.is_local {
        Finding::fine("encryption", "none, on this machine")
    } else {
        Finding::warning("encryption", "the token and the points travel unencrypted", "let the server speak TLS and set influxdb.tls = true")
    }
}

async fn clock(client: &Client) -> Finding {
    match client.clock().await {
        Ok(Some(theirs)) => skew(clock::now().0 - theirs.0),
        Ok(None) => Finding::warning("clock", "the server does not say what time it is", "check that no proxy stands before it"),
        Err(reaction) => Finding::warning("clock", reaction.to_string(), ASK_AGAIN),
    }
}

/// What a difference in microseconds comes to. The server tells its time to the second.
fn skew(difference: i64) -> Finding {
    let seconds = difference / SECOND;
    if difference.abs() <= SKEW {
        Finding::fine("clock", "the server's and this one agree")
    } else {
        let which = if difference > 0 { "behind" } else { "ahead" };
        Finding::warning("clock", format!("the server's is {} seconds {which}", seconds.abs()), "let both machines set their clocks by NTP: retention goes by the server's")
    }
}

async fn durability(client: &Client) -> Finding {
    match client.fsync_delay().await {
        Ok(Some(delay)) => fsync(&delay),
        Ok(None) => Finding::fine("durability", "the server's settings are for operators to see: make sure that storage-wal-fsync-delay is 0s, its default"),
        Err(reaction) => Finding::warning("durability", reaction.to_string(), ASK_AGAIN),
    }
}

fn fsync(delay: &str) -> Finding {
    if is_late(delay) {
        let remedy = "set storage-wal-fsync-delay to 0s; what was lost is written again by `wardhouse replay --store metrics`";
        Finding::warning("durability", format!("what the server acknowledged in the last {delay} is lost with its power"), remedy)
    } else {
        Finding::fine("durability", "each write is on disk before it is acknowledged")
    }
}

/// Whether a `storage-wal-fsync-delay` is a delay at all; `0s` is none.
pub(super) fn is_late(delay: &str) -> bool {
    !delay.trim_end_matches(['s', 'm', 'h', 'u', 'n', 'µ']).chars().all(|c| matches!(c, '0' | '.'))
}

fn retention(client: &Client, bucket: &Bucket) -> Finding {
    match (layout::lack_of_retention(client, bucket), bucket.retention) {
        (Some(lack), _) => Finding::warning("retention", "the bucket keeps points for ever", lack),
        (None, retention) => Finding::fine("retention", format!("{} days", retention.unwrap_or_default().as_secs() / 86_400)),
    }
}

async fn writing(client: &Client) -> Finding {
    match client.write(b"").await {
        Ok(Wrote::All) => Finding::fine("rights", "the token may write the bucket"),
        Ok(_) => Finding::warning("rights", "the server does not take an empty write", "check that no proxy stands before it"),
        Err(reaction @ Reaction::Transient { .. }) => Finding::warning("rights", reaction.to_string(), ASK_AGAIN),
        Err(reaction) => Finding::fault("rights", reaction.to_string(), "give the token the right to read and write the bucket"),
    }
}

async fn layout_of(client: &Client) -> Finding {
    match layout::version(client).await {
        Ok(Some(version)) => Finding::fine("layout", format!("layout {version}")),
        Ok(None) => Finding::warning("layout", format!("the bucket is empty of Wardhouse's layout {LAYOUT_VERSION}"), "run `wardhouse migrate`, or start the metrics sink"),
        Err(reaction @ Reaction::Transient { .. }) => Finding::warning("layout", reaction.to_string(), ASK_AGAIN),
        Err(reaction) => Finding::fault("layout", reaction.to_string(), "nothing was changed"),
    }
}

async fn hourly(client: &Client) -> Finding {
    let remedy = "run `wardhouse migrate` with a token that may make buckets and tasks, or set influxdb.downsample = false";
    match layout::tasks(client).await {
        Ok(tasks) => match tasks.first() {
            None => Finding::warning("downsampling", "there is no task that sums by hour, or the token may not see it", remedy),
            Some(task) if task.last_run_status.as_deref() == Some("failed") => {
                Finding::warning("downsampling", "the task that sums by hour failed when it last ran", "see its log (`influx task log list`)")
            }
            Some(task) => Finding::fine("downsampling", format!("the task {:?}", task.name)),
        },
        Err(reaction) => Finding::warning("downsampling", reaction.to_string(), remedy),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::Level;

    #[test]
    fn clocks_that_differ_are_told() {
        assert_eq!((skew(0).level, skew(-4 * SECOND).level), (Level::Fine, Level::Fine));
        assert_eq!(skew(90 * SECOND).found, "the server's is 90 seconds behind");
        assert_eq!((skew(-90 * SECOND).level, skew(-90 * SECOND).found.as_str()), (Level::Warning, "the server's is 90 seconds ahead"));
    }

    #[test]
    fn a_late_fsync_is_told() {
        for fine in ["0s", "0", "0ms"] {
            assert_eq!(fsync(fine).level, Level::Fine, "{fine}");
        }
        for late in ["100ms", "1s", "1m0s"] {
            assert_eq!(fsync(late).level, Level::Warning, "{late}");
        }
    }
}
