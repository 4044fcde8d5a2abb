//! What a look at a Redis server finds: for `wardhouse doctor`, and for a start that warns or refuses.
//!
//! What must stay true: nothing is changed but one key that is gone again; the weighing of what was found is pure.

use std::collections::HashMap;

use redis::aio::MultiplexedConnection;
use redis::{InfoDict, RedisError, RedisResult, Value, cmd, pipe};
use wh_schemas::Reaction;

use super::connect::{Greeting, open};
use super::errors::failure;
use super::layout::{self, Keys};
use super::settings::RedisSettings;
use crate::clock;
use crate::finding::{DURABILITY, Durability, Finding, Level};

/// Clocks that differ by more are worth a word: microseconds.
const SKEW: u64 = 2_000_000;
/// Share of `maxmemory` from which on it is nearly full: percent.
const NEARLY_FULL: u64 = 90;

/// Looks at the server and at what Wardhouse keeps there.
pub async fn examine(settings: &RedisSettings) -> Vec<Finding> {
    let (mut connection, greeting) = match open(settings).await {
        Ok(opened) => opened,
        Err(failure) => return vec![Finding::fault("connection", format!("{settings}: {}", failure.message), failure.remedy)],
    };
    let mut findings = vec![Finding::fine("version", format!("{} {}", greeting.server, greeting.version))];
    findings.push(kind(&greeting));
    findings.push(rights(&mut connection, settings).await);
    match Facts::read(&mut connection).await {
        Ok(facts) => {
            findings.extend(facts.durability());
            findings.push(facts.memory());
        }
        Err(error) => findings.push(unknown("durability", &error)),
    }
    findings.push(clocks(&mut connection).await);
    findings.push(match layout::check(&mut connection, settings).await {
        Ok(Some(version)) => Finding::fine("layout", format!("layout {version} in the namespace {:?}", settings.namespace)),
        Ok(None) => Finding::fine("layout", format!("nothing yet in the namespace {:?}: it is made by the first start", settings.namespace)),
        Err(failure) => Finding::fault("layout", failure.message, failure.remedy),
    });
    let local = ["localhost", "127.0.0.1", "::1"].contains(&settings.host.as_str());
    if settings.tls.is_none() && !local {
        findings.push(Finding::warning("encryption", "password and data cross the network in clear text", "give the server a tls-port and set redis.tls = true"));
    }
    findings
}

/// Tells what may lose what was acknowledged; under [`Durability::Strict`] refuses it.
///
/// # Errors
/// Fatal under [`Durability::Strict`] where anything is to be said; transient where the server cannot be asked.
pub async fn insist(connection: &mut MultiplexedConnection, settings: &RedisSettings) -> Result<(), Reaction> {
    let findings = match Facts::read(connection).await {
        Ok(facts) => facts.durability(),
        Err(error) if failure(&error).transient => return Err(failure(&error).reaction(&settings.place())),
        Err(error) => vec![unknown("durability", &error)],
    };
    for finding in findings.iter().filter(|finding| finding.level > Level::Fine) {
        match settings.durability {
            Durability::Strict => return Err(Reaction::fatal(format!("baselines ({settings}): {finding} (stores.durability = \"strict\" asks for it)"))),
            Durability::Warn => tracing::warn!(target: DURABILITY, store = "baselines", place = %settings, "{finding}"),
        }
    }
    Ok(())
}

fn unknown(subject: &'static str, error: &RedisError) -> Finding {
    let failure = failure(error);
    Finding::warning(subject, format!("cannot be told: {}", failure.message), failure.remedy)
}

fn kind(greeting: &Greeting) -> Finding {
    match (greeting.mode.as_str(), greeting.role.as_str()) {
        (_, "replica" | "slave") => Finding::warning("role", "a replica: it can be read, and takes no checkpoints", "name the master in stores.baselines"),
        ("cluster", _) => Finding::warning("role", "a node of a Redis Cluster", "Wardhouse talks to one server: it works only while this node holds every slot"),
        (mode, role) => Finding::fine("role", format!("{mode}, {role}")),
    }
}

/// What the server says of its data's safety.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Facts {
    /// `aof_enabled`
    append_only: bool,
    /// `aof_last_write_status` is `ok`.
    writes_succeed: bool,
    /// How many replicas follow it.
    replicas: u64,
    /// `always`, `everysec`, `no`; `None` where it may not be asked.
    sync: Option<String>,
    /// `maxmemory_policy`
    policy: String,
    /// `maxmemory` in bytes; 0 where there is none.
    limit: u64,
    /// `used_memory` in bytes.
    used: u64,
}

impl Facts {
    async fn read(connection: &mut MultiplexedConnection) -> RedisResult<Facts> {
        let (persistence, memory, replication): (InfoDict, InfoDict, InfoDict) =
            pipe().cmd("INFO").arg("persistence").cmd("INFO").arg("memory").cmd("INFO").arg("replication").query_async(connection).await?;
        // Often forbidden where INFO is not.
        let sync: RedisResult<HashMap<String, String>> = cmd("CONFIG").arg("GET").arg("appendfsync").query_async(connection).await;
        let number = |info: &InfoDict, key: &str| info.get::<u64>(key).unwrap_or(0);
        Ok(Facts {
            append_only: number(&persistence, "aof_enabled") == 1,
            writes_succeed: persistence.get::<String>("aof_last_write_status").is_none_or(|status| status == "ok"),
            replicas: number(&replication, "connected_slaves"),
            sync: sync.ok().and_then(|mut sync| sync.remove("appendfsync")),
            policy: memory.get::<String>("maxmemory_policy").unwrap_or_default(),
            limit: number(&memory, "maxmemory"),
            used: number(&memory, "used_memory"),
        })
    }

    fn durability(&self) -> Vec<Finding> {
        let mut findings = Vec::new();
        findings.push(if !self.append_only {
            let found = if self.replicas > 0 {
                "the append-only file is off: checkpoints live in memory here and on the replicas only"
            } else {
                "the append-only file is off: checkpoints are gone when Redis ends"
            };
            Finding::warning("durability", found, "CONFIG SET appendonly yes, and in its configuration file; the log can replace what is lost, but that takes its time")
        } else if !self.writes_succeed {
            Finding::fault("durability", "its last write to the append-only file failed", "make room on its disk and see its log")
        } else if self.sync.as_deref() == Some("no") {
            Finding::warning(
                "durability",
                "the append-only file is never synced: checkpoints of half a minute may go with the machine",
                "CONFIG SET appendfsync everysec, and in its configuration file",
            )
        } else {
            Finding::fine("durability", format!("append-only file, appendfsync {}", self.sync.as_deref().unwrap_or("not told")))
        });
        // Wardhouse's keys never expire, so that only these policies reach them.
        findings.push(if self.policy.starts_with("allkeys") && self.limit > 0 {
            Finding::fault(
                "eviction",
                format!("maxmemory-policy {}: Redis drops baselines when its memory is full", self.policy),
                "CONFIG SET maxmemory-policy noeviction, and in its configuration file",
            )
        } else if self.policy.starts_with("allkeys") {
            Finding::warning(
                "eviction",
                format!("maxmemory-policy {}: Redis will drop baselines once maxmemory is set", self.policy),
                "CONFIG SET maxmemory-policy noeviction, and in its configuration file",
            )
        } else {
            Finding::fine("eviction", format!("maxmemory-policy {}", self.policy))
        });
        findings
    }

    fn memory(&self) -> Finding {
        const MIB: u64 = 1 << 20;
        let (used, limit) = (self.used / MIB, self.limit / MIB);
        if self.limit == 0 {
            Finding::fine("memory", format!("{used} MiB used, no limit"))
        } else if self.used / NEARLY_FULL >= self.limit / 100 {
            Finding::warning("memory", format!("{used} of {limit} MiB used: when it is full no checkpoint is written"), "raise maxmemory")
        } else {
            Finding::fine("memory", format!("{used} of {limit} MiB used"))
        }
    }
}

/// Whether this user may do what the scorer does, tried on a key that is gone again.
async fn rights(connection: &mut MultiplexedConnection, settings: &RedisSettings) -> Finding {
    const SCRIPT: &str = "redis.call('HSET', KEYS[1], 'a', '1') redis.call('HINCRBY', KEYS[1], 'a', 1) redis.call('HDEL', KEYS[1], 'a') \
        redis.call('ZADD', KEYS[1], 0, 'a') redis.call('UNLINK', KEYS[1]) redis.call('SADD', KEYS[1], 'a') redis.call('SPOP', KEYS[1], 1) \
        redis.call('XADD', KEYS[1], '1-0', 'a', '1') redis.call('XTRIM', KEYS[1], 'MINID', '=', '2') redis.call('RENAME', KEYS[1], KEYS[1]) redis.call('UNLINK', KEYS[1])";
    let key = Keys::new(settings).probe();
    let mut tried = pipe();
    tried.cmd("EVAL").arg(SCRIPT).arg(1).arg(&key);
    tried.cmd("SCRIPT").arg("LOAD").arg("return 1");
    tried.cmd("HMGET").arg(&key).arg("a").cmd("ZRANGE").arg(&key).arg("-").arg("+").arg("BYLEX").cmd("ZCARD").arg(&key);
    tried.cmd("XRANGE").arg(&key).arg("-").arg("+").cmd("SMEMBERS").arg(&key).cmd("HSETNX").arg(&key).arg("a").arg(1).cmd("UNLINK").arg(&key);
    let answers: RedisResult<Vec<RedisResult<Value>>> = tried.ignore_errors().query_async(connection).await;
    let refused = answers.map(|answers| answers.into_iter().find_map(Result::err));
    match refused {
        Ok(None) => Finding::fine("rights", "this user may do all that is needed"),
        Ok(Some(error)) | Err(error) => {
            let failure = failure(&error);
            Finding::fault("rights", failure.message, failure.remedy)
        }
    }
}

async fn clocks(connection: &mut MultiplexedConnection) -> Finding {
    let asked = clock::now().0;
    let time: RedisResult<(i64, i64)> = cmd("TIME").query_async(connection).await;
    match time {
        Ok((seconds, micros)) => {
            // The answer is from between the two readings.
            let middle = asked.midpoint(clock::now().0);
            weighed(seconds.saturating_mul(1_000_000).saturating_add(micros).saturating_sub(middle))
        }
        Err(error) => unknown("clock", &error),
    }
}

fn weighed(ahead: i64) -> Finding {
    let found = format!("its clock is {} ms {} ours", ahead.unsigned_abs() / 1_000, if ahead < 0 { "behind" } else { "ahead of" });
    if ahead.unsigned_abs() > SKEW { Finding::warning("clock", found, "let both machines follow the same time server") } else { Finding::fine("clock", found) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good() -> Facts {
        Facts { append_only: true, writes_succeed: true, replicas: 0, sync: Some("everysec".to_owned()), policy: "noeviction".to_owned(), limit: 0, used: 5 << 20 }
    }

    fn worst(facts: &Facts) -> Level {
        facts.durability().iter().map(|finding| finding.level).max().unwrap()
    }

    #[test]
    fn a_server_that_keeps_and_syncs_is_fine() {
        assert_eq!(worst(&good()), Level::Fine);
        assert_eq!(worst(&Facts { policy: "volatile-lru".to_owned(), limit: 1 << 30, sync: None, ..good() }), Level::Fine);
    }

    #[test]
    fn a_server_that_may_lose_checkpoints_is_told() {
        for (facts, part) in [
            (Facts { append_only: false, ..good() }, "append-only file is off"),
            (Facts { append_only: false, replicas: 1, ..good() }, "replicas only"),
            (Facts { sync: Some("no".to_owned()), ..good() }, "never synced"),
            (Facts { writes_succeed: false, ..good() }, "failed"),
            (Facts { policy: "allkeys-lru".to_owned(), limit: 1 << 30, ..good() }, "drops baselines"),
            (Facts { policy: "allkeys-random".to_owned(), ..good() }, "once maxmemory is set"),
        ] {
            let said: Vec<String> = facts.durability().iter().filter(|finding| finding.level > Level::Fine).map(ToString::to_string).collect();
            assert!(said.len() == 1 && said[0].contains(part), "{part}: {said:?}");
        }
    }

    #[test]
    fn memory_and_clocks_are_weighed() {
        assert_eq!(Facts { limit: 100 << 20, used: 95 << 20, ..good() }.memory().level, Level::Warning);
        assert_eq!(Facts { limit: 100 << 20, ..good() }.memory().level, Level::Fine);
        assert_eq!((weighed(-3_000_000).level, weighed(500_000).level), (Level::Warning, Level::Fine));
        assert!(weighed(-3_000_000).found.contains("3000 ms behind ours"));
    }
}
