//! Makes and checks what Wardhouse needs in InfluxDB: the bucket, the layout's version in it, the bucket of hourly sums and the task
//! that fills it.
//!
//! What must stay true: doing it twice, or in two processes at once, changes nothing; nothing is done to a bucket in which another
//! program, or a newer Wardhouse, keeps the same measurements; a right that only the hourly sums need is asked for, not demanded.

use influxdb2::api::task::{CreateTaskRequest, ListTasksRequest};
use influxdb2::models::Task;
use wh_schemas::Reaction;

use super::checks;
use super::client::{Bucket, Client};
use super::errors::{self, Wrote};
use super::points::{LAYOUT, LAYOUT_TIME, LAYOUT_VERSION, THROUGHPUT, TIMES};
use crate::finding::{DURABILITY, Durability};

/// The task that sums by hour, with `{{task}}`, `{{bucket}}` and `{{hourly}}` to be filled in.
const DOWNSAMPLE: &str = include_str!("../../../schemas/influxdb/downsample.flux");

/// Makes what is missing. Returns a sentence for each thing done.
///
/// # Errors
/// Fatal where the bucket is another program's or a newer Wardhouse's, where the token may not make what is missing, and under
/// strict durability where the bucket has no retention or the server syncs late.
pub async fn ensure(client: &Client) -> Result<Vec<String>, Reaction> {
    let settings = client.settings();
    let mut done = Vec::new();
    let bucket = match client.bucket().await? {
        Some(bucket) => bucket,
        None => {
            client.make_bucket(&settings.bucket, settings.retention_days).await?;
            done.push(format!("made the bucket {:?} ({})", settings.bucket, kept(settings.retention_days)));
            let made = client.bucket().await?;
            made.ok_or_else(|| Reaction::transient(format!("{}: the bucket was made and is not there yet", client.place())))?
        }
    };
    let late = client.fsync_delay().await?.filter(|delay| checks::is_late(delay));
    let late = late.map(|delay| format!("{}: what the server acknowledged in the last {delay} is lost with its power: set storage-wal-fsync-delay to 0s", client.place()));
    for lack in lack_of_retention(client, &bucket).into_iter().chain(late) {
        match settings.durability {
            Durability::Strict => return Err(Reaction::fatal(lack)),
            Durability::Warn => tracing::warn!(target: DURABILITY, "{lack}"),
        }
    }
    if version(client).await?.is_none() {
        // Another process may have made the layout, and written, between the two looks.
        if is_foreign(client).await? && version(client).await?.is_none() {
            return Err(Reaction::fatal(format!(
                "{}: the bucket holds a measurement {THROUGHPUT:?} that Wardhouse did not write: name a bucket of its own in stores.metrics",
                client.place()
            )));
        }
        mark(client).await?;
        done.push(format!("made layout {LAYOUT_VERSION} in the bucket {:?}", settings.bucket));
    }
    if settings.downsample {
        done.extend(downsample(client).await?);
    }
    Ok(done)
}

fn kept(days: u64) -> String {
    if days == 0 { "points are kept for ever".to_owned() } else { format!("points are kept for {days} days") }
}

/// What is wrong with a bucket that keeps everything.
#[must_use]
pub fn lack_of_retention(client: &Client, bucket: &Bucket) -> Option<String> {
    let name = &client.settings().bucket;
    bucket.retention.is_none().then(|| {
        format!(
            "{}: the bucket has no retention, so that it grows for ever: set one (`influx bucket update --id … --retention 400d`, the id by `influx bucket list --name {name}`)",
            client.place()
        )
    })
}

/// The version of the layout in the bucket, where there is one.
///
/// # Errors
/// What the failure asks for; fatal where the layout is newer than this Wardhouse, or unknown to it.
pub async fn version(client: &Client) -> Result<Option<i64>, Reaction> {
    let found = client.fields(&format!("SELECT \"version\" FROM \"{LAYOUT}\" WHERE time = {LAYOUT_TIME}")).await?;
    let Some(version) = found.first().map(|fields| fields.int("version")) else { return Ok(None) };
    if version > LAYOUT_VERSION {
        return Err(Reaction::fatal(format!(
            "{}: it was written by a newer Wardhouse (layout {version}, this one knows {LAYOUT_VERSION}): use that version, nothing was changed",
            client.place()
        )));
    }
    if version < 1 {
        return Err(Reaction::fatal(format!("{}: it has no layout version that this Wardhouse knows: restore it from a backup", client.place())));
    }
    Ok(Some(version))
}

/// Whether there are points of the name of ours in a bucket without our layout.
async fn is_foreign(client: &Client) -> Result<bool, Reaction> {
    let found = client.fields(&format!("SELECT * FROM \"{THROUGHPUT}\" WHERE time >= {} AND time < {} LIMIT 1", TIMES.0, TIMES.1)).await?;
    Ok(!found.is_empty())
}

async fn mark(client: &Client) -> Result<(), Reaction> {
    let line = format!("{LAYOUT} version={LAYOUT_VERSION}i {LAYOUT_TIME}\n");
    match client.write(line.as_bytes()).await? {
        Wrote::All => Ok(()),
        Wrote::Outdated(_) | Wrote::Unreadable | Wrote::TooLarge => {
            Err(Reaction::fatal(format!("{}: the server does not take the layout's own point: see its log", client.place())))
        }
    }
}

/// Name of the task that sums a bucket by hour.
#[must_use]
pub fn task_name(bucket: &str) -> String {
    format!("wardhouse downsample {bucket}")
}

fn script(client: &Client) -> String {
    let settings = client.settings();
    DOWNSAMPLE.replace("{{task}}", &quoted(&task_name(&settings.bucket))).replace("{{bucket}}", &quoted(&settings.bucket)).replace("{{hourly}}", &quoted(&settings.hourly_bucket()))
}

/// A text as Flux writes it.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"").replace("${", "\\${").replace('\n', "\\n"))
}

/// The tasks of our name that the token may see, the oldest first.
pub(super) async fn tasks(client: &Client) -> Result<Vec<Task>, Reaction> {
    let settings = client.settings();
    let request = ListTasksRequest { name: Some(task_name(&settings.bucket)), org: Some(settings.org.clone()), ..ListTasksRequest::default() };
    let found = client.admin().list_tasks(request).await.map_err(|error| errors::of_request(client.place(), "looking up the task", &error))?;
    let mut tasks = found.tasks;
    tasks.sort_by(|one, other| one.id.cmp(&other.id));
    Ok(tasks)
}

/// Makes the bucket of hourly sums and its task, or says why not: only the sums are missing without them.
async fn downsample(client: &Client) -> Result<Vec<String>, Reaction> {
    match made_downsample(client).await {
        Err(Reaction::Fatal(why)) => {
            tracing::warn!("{why}; until then there are no sums by hour (influxdb.downsample = false leaves them out)");
            Ok(Vec::new())
        }
        other => other,
    }
}

async fn made_downsample(client: &Client) -> Result<Vec<String>, Reaction> {
    let settings = client.settings();
    let hourly = settings.hourly_bucket();
    let script = script(client);
    let mut done = Vec::new();
    let there = tasks(client).await?;
    if there.first().is_some_and(|task| task.flux == script) && there.len() == 1 {
        return Ok(done);
    }
    if client.bucket_named(&hourly).await?.is_none() {
        client.make_bucket(&hourly, settings.downsample_retention_days).await?;
        done.push(format!("made the bucket {hourly:?} ({})", kept(settings.downsample_retention_days)));
    }
    let failed = |error: &influxdb2::RequestError| errors::of_request(client.place(), "making the task that sums by hour", error);
    if !there.iter().any(|task| task.flux == script) {
        let description = Some("made by Wardhouse: sums of throughput by hour".to_owned());
        let request = CreateTaskRequest { description, org: Some(settings.org.clone()), ..CreateTaskRequest::new(script.clone()) };
        client.admin().create_task(request).await.map_err(|error| failed(&error))?;
        done.push(format!("made the task {:?}", task_name(&settings.bucket)));
    }
    // One stays: of two that two processes made at once the older; none of an earlier version.
    let mut kept_one = false;
    for task in tasks(client).await? {
        if task.flux == script && !kept_one {
            kept_one = true;
            continue;
        }
        match client.admin().delete_task(&task.id).await {
            Ok(()) => {}
            Err(error) if errors::refusal_of(&error).is_some_and(|refusal| refusal.status == 404) => {}
            Err(error) => return Err(failed(&error)),
        }
    }
    Ok(done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_quoted_for_flux() {
        assert_eq!(quoted("a \"b\" \\ ${c} $\n"), r#""a \"b\" \\ \${c} $\n""#);
        assert!(DOWNSAMPLE.contains("{{task}}") && DOWNSAMPLE.contains("{{bucket}}") && DOWNSAMPLE.contains("{{hourly}}"));
    }
}
