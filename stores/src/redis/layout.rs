//! Keys of the baselines: the scorer writes them, SQL reads them.
//!
//! | key | kind | holds |
//! |---|---|---|
//! | `wardhouse:layout` | hash | `product`, `role`, `version` |
//! | `wardhouse:partitions` | set | the numbers of the partitions that have an owner or had one |
//! | `wardhouse:{p0}:checkpoint` | hash | `owner_epoch`, `owner`, `taken_at`; from the first checkpoint on `next_seq`, `next_offset`, `state_epoch`, `record` (JSON), `users` (how many), `ids` (how many ever), `updated_at`; `torn` while a script writes, `stage` while one checkpoint comes in parts |
//! | `wardhouse:{p0}:index` | sorted set, all scores 0 | the user ids, in the order of their bytes |
//! | `wardhouse:{p0}:user:<user_id>` | hash | [`USER_FIELDS`] |
//! | `wardhouse:{p0}:ids` | stream | one entry a checkpoint: `ids`, 24 bytes each {id fingerprint, content fingerprint, seq}; its number is how many ids there were up to its last |
//! | `wardhouse:{p0}:staged`, `wardhouse:{p0}:next:<user_id>` | set, hashes | users of a checkpoint that comes in parts, until it is whole |
//! | `wardhouse:{patterns}:checkpoint` | hash | of patterns by account: `owner_epoch`, `owner`, `taken_at`; from the first checkpoint on `next_seq`, `next_offset`, `record` (JSON), `header` (versioned), `users` (how many accounts), `commits` (how many checkpoints), `updated_at`; `torn`, `stage` as above |
//! | `wardhouse:{patterns}:accounts` | hash | by account, its versioned state |
//! | `wardhouse:{patterns}:next` | hash | accounts of a checkpoint that comes in parts, until it is whole |
//!
//! What must stay true: all keys of a partition have its hash tag, so that they lie in one slot of a Cluster and one script may
//! write them; none has a time to live; the index names exactly the users that have a hash. A change raises [`VERSION`].

use redis::aio::MultiplexedConnection;
use redis::{RedisResult, pipe};
use wh_schemas::Reaction;

use super::errors::{Failure, failure};
use super::settings::RedisSettings;

/// Version of the layout.
pub const VERSION: i64 = 1;
/// What the layout says of itself.
const PRODUCT: &str = "wardhouse";
const ROLE: &str = "baselines";

/// Fields of a user's hash. All but the last are for people and SQL; `state` is the versioned engine state.
pub const USER_FIELDS: [&str; 7] = ["seq", "transactions", "amount_mean", "home_department", "last_event", "alerts", "state"];

/// The keys of one namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keys {
    namespace: String,
}

impl Keys {
    /// Of the namespace that the settings name.
    #[must_use]
    pub fn new(settings: &RedisSettings) -> Keys {
        Keys { namespace: settings.namespace.clone() }
    }

    /// What the layout says of itself.
    #[must_use]
    pub fn layout(&self) -> String {
        format!("{}:layout", self.namespace)
    }

    /// The partitions' numbers.
    #[must_use]
    pub fn partitions(&self) -> String {
        format!("{}:partitions", self.namespace)
    }

    /// A key of a partition, with its hash tag.
    fn of(&self, partition: u32, what: &str) -> String {
        format!("{}:{{p{partition}}}:{what}", self.namespace)
    }

    /// A partition's checkpoint.
    #[must_use]
    pub fn checkpoint(&self, partition: u32) -> String {
        self.of(partition, "checkpoint")
    }

    /// A partition's user ids.
    #[must_use]
    pub fn index(&self, partition: u32) -> String {
        self.of(partition, "index")
    }

    /// The ids that a partition has seen.
    #[must_use]
    pub fn ids(&self, partition: u32) -> String {
        self.of(partition, "ids")
    }

    /// What the keys of a partition's users begin with.
    #[must_use]
    pub fn user_prefix(&self, partition: u32) -> String {
        self.of(partition, "user:")
    }

    /// The users of a checkpoint that is not whole yet.
    #[must_use]
    pub fn staged(&self, partition: u32) -> String {
        self.of(partition, "staged")
    }

    /// What the keys of those users begin with.
    #[must_use]
    pub fn staged_prefix(&self, partition: u32) -> String {
        self.of(partition, "next:")
    }

    /// A key of patterns by account, with their hash tag.
    #[must_use]
    pub fn patterns(&self, what: &str) -> String {
        format!("{}:{{patterns}}:{what}", self.namespace)
    }

    /// A key that holds nothing, for asking what a user may do.
    #[must_use]
    pub fn probe(&self) -> String {
        format!("{}:{{probe}}", self.namespace)
    }

    /// A pattern of all keys of a partition, for a person who deletes them.
    #[must_use]
    pub fn pattern(&self, partition: u32) -> String {
        self.of(partition, "*")
    }
}

/// Makes what is missing. Two may do it at once.
///
/// # Errors
/// Fatal where the namespace belongs to something else or to a newer Wardhouse, or rights are lacking.
pub async fn ensure(connection: &mut MultiplexedConnection, settings: &RedisSettings) -> Result<Vec<String>, Reaction> {
    let place = settings.place();
    let key = Keys::new(settings).layout();
    let told = |failure: Failure| failure.reaction(&place);
    if check(connection, settings).await.map_err(told)?.is_some() {
        return Ok(Vec::new());
    }
    // Each field is written once; whoever comes second changes nothing.
    let mut make = pipe();
    make.cmd("HSETNX").arg(&key).arg("product").arg(PRODUCT);
    make.cmd("HSETNX").arg(&key).arg("role").arg(ROLE);
    make.cmd("HSETNX").arg(&key).arg("version").arg(VERSION);
    make.exec_async(connection).await.map_err(|error| told(failure(&error)))?;
    check(connection, settings).await.map_err(told)?;
    Ok(vec![format!("baselines ({place}): made {key}, layout {VERSION}")])
}

/// The version of the layout that is there, if there is one.
///
/// # Errors
/// Fatal where the namespace belongs to something else or to a newer Wardhouse.
pub async fn check(connection: &mut MultiplexedConnection, settings: &RedisSettings) -> Result<Option<i64>, Failure> {
    let key = Keys::new(settings).layout();
    let found: RedisResult<Vec<Option<String>>> = redis::cmd("HMGET").arg(&key).arg("product").arg("role").arg("version").query_async(connection).await;
    known(&key, &found.map_err(|error| failure(&error))?)
}

/// What the three fields of the layout say.
fn known(key: &str, found: &[Option<String>]) -> Result<Option<i64>, Failure> {
    let elsewhere = "choose another namespace: redis://host:6379/0?namespace=NAME";
    match found {
        [None, None, None] => Ok(None),
        [Some(product), Some(role), Some(version)] if product == PRODUCT && role == ROLE => match version.parse::<i64>() {
            Ok(VERSION) => Ok(Some(VERSION)),
            Ok(newer) if newer > VERSION => {
                Err(Failure::fatal(format!("{key} was written by a newer Wardhouse (layout {newer}, this one knows {VERSION})"), "use that version, nothing was changed"))
            }
            _ => Err(Failure::fatal(format!("{key} has no version that this Wardhouse knows"), "it may be damaged: restore it from a backup")),
        },
        // Another process is between its three fields.
        [Some(product), ..] if product == PRODUCT => Ok(None),
        _ => Err(Failure::fatal(format!("{key} is not Wardhouse's"), elsewhere)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::Durability;
    use crate::redis::settings::RawRedis;
    use crate::server_url::ServerUrl;

    fn keys(url: &str) -> Keys {
        Keys::new(&RedisSettings::try_new(&ServerUrl::parse(url).unwrap(), &RawRedis::default(), Durability::Warn).unwrap())
    }

    #[test]
    fn every_key_of_a_partition_has_its_hash_tag() {
        let keys = keys("redis://h?namespace=t1");
        for key in [keys.checkpoint(7), keys.index(7), keys.ids(7), keys.user_prefix(7), keys.staged(7), keys.staged_prefix(7)] {
            assert!(key.starts_with("t1:{p7}:"), "{key}");
        }
        assert_eq!((keys.layout(), keys.partitions()), ("t1:layout".to_owned(), "t1:partitions".to_owned()));
    }

    #[test]
    fn a_layout_of_somebody_else_or_of_a_newer_version_is_refused() {
        let of = |product: &str, version: &str| [Some(product.to_owned()), Some("baselines".to_owned()), Some(version.to_owned())];
        assert_eq!(known("k", &[None, None, None]), Ok(None));
        assert_eq!(known("k", &[Some("wardhouse".to_owned()), None, None]), Ok(None));
        assert_eq!(known("k", &of("wardhouse", "1")), Ok(Some(1)));
        let newer = known("k", &of("wardhouse", "9")).unwrap_err();
        assert!(newer.message.contains("newer Wardhouse (layout 9, this one knows 1)") && !newer.transient);
        assert!(known("k", &of("shop", "1")).unwrap_err().remedy.contains("namespace"));
        assert!(known("k", &of("wardhouse", "x")).is_err());
    }

    #[test]
    fn the_scripts_write_the_fields_that_are_read() {
        for script in [include_str!("../../../schemas/redis/commit.lua"), include_str!("../../../schemas/redis/stage.lua")] {
            let mut rest = script;
            for field in USER_FIELDS {
                let at = rest.find(&format!("'{field}', ARGV[")).unwrap_or_else(|| panic!("{field}"));
                rest = &rest[at..];
            }
        }
    }
}
