//! What the errors of Redis and of its client ask for. Pure.
//!
//! | code | reaction |
//! |---|---|
//! | `LOADING`, `BUSY`, `TRYAGAIN`, `CLUSTERDOWN`, `MASTERDOWN`, `NOREPLICAS`, `NOSCRIPT`, too many clients | transient: it passes by itself |
//! | `READONLY` | transient: a failover may be under way |
//! | `OOM`, `MISCONF` | transient: an operator gives it memory or disk while it runs, and nothing is lost meanwhile |
//! | `NOAUTH`, `WRONGPASS`, `NOPERM`, `DENIED` | fatal: credentials and rights |
//! | `WRONGTYPE` | fatal: the namespace belongs to something else |
//! | `MOVED`, `ASK`, `CROSSSLOT` | fatal: one node of a Cluster |
//! | any other answer of the server | fatal |
//! | refused, reset, closed, timed out, name not found | transient |
//! | certificate not accepted, TLS refused by either side | fatal |
//! | an answer that is none | fatal |
//!
//! What must stay true: no argument of a command gets into a message, since it may be a record's content.

use redis::{ErrorKind, RedisError};
use wh_schemas::Reaction;

/// Longest part of a server's own words in a message.
const SAID: usize = 200;

/// What failed, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Whether trying again may help.
    pub transient: bool,
    /// What failed.
    pub message: String,
    /// What to do.
    pub remedy: String,
}

impl Failure {
    /// A failure that may pass.
    pub fn transient(message: impl Into<String>, remedy: impl Into<String>) -> Failure {
        Failure { transient: true, message: message.into(), remedy: remedy.into() }
    }

    /// A failure that somebody must mend.
    pub fn fatal(message: impl Into<String>, remedy: impl Into<String>) -> Failure {
        Failure { transient: false, message: message.into(), remedy: remedy.into() }
    }

    /// What a stage does about it; `place` is where the server is.
    #[must_use]
    pub fn reaction(&self, place: &str) -> Reaction {
        let text = format!("baselines ({place}): {}: {}", self.message, self.remedy);
        if self.transient { Reaction::transient(text) } else { Reaction::fatal(text) }
    }
}

/// The reaction to a failure of the server at `place`.
#[must_use]
pub fn reaction(place: &str, error: &RedisError) -> Reaction {
    failure(error).reaction(place)
}

/// What a failure asks for.
#[must_use]
pub fn failure(error: &RedisError) -> Failure {
    if let Some(errors) = error.clone().into_server_errors()
        && let Some((_, first)) = errors.first()
    {
        return answered(first.code(), first.details().unwrap_or_default());
    }
    match error.kind() {
        ErrorKind::Io | ErrorKind::Client => broken(error),
        ErrorKind::InvalidClientConfig if error.to_string().contains("No address found") => {
            Failure::transient("its name has no address", "check the host in stores.baselines; it is tried again")
        }
        ErrorKind::InvalidClientConfig => Failure::fatal(format!("the connection cannot be set up ({})", shortened(&error.to_string())), "check stores.baselines and [redis]"),
        // The client's own words would quote what it read.
        _ => Failure::fatal("its answer cannot be read", "check that this is a Redis server, and whatever stands between it and here"),
    }
}

/// What the server's own error asks for.
fn answered(code: &str, detail: &str) -> Failure {
    let (code, detail) = within_script(code, detail);
    let said = shortened(detail);
    let transient = |message: &str, remedy: &str| Failure::transient(format!("{message} ({code}: {said})"), remedy);
    let fatal = |message: &str, remedy: &str| Failure::fatal(format!("{message} ({code}: {said})"), remedy);
    match code {
        "LOADING" => transient("it is reading its data from the disk", "it is tried again until that is done"),
        "BUSY" => transient("a script keeps it busy", "end it by SCRIPT KILL if it does not end by itself; it is tried again"),
        "TRYAGAIN" | "CLUSTERDOWN" | "MASTERDOWN" | "NOREPLICAS" => transient("it cannot write for now", "check its replicas and its Cluster; it is tried again"),
        "NOSCRIPT" => transient("its scripts were taken away", "they are loaded again"),
        "READONLY" => transient("it is a replica, which takes no writes", "name the master in stores.baselines, unless a failover is under way; it is tried again"),
        "OOM" => transient("its memory is full", "raise maxmemory or make room: nothing is lost meanwhile; it is tried again"),
        "MISCONF" => transient("it cannot save its data", "make room on its disk and see its log: nothing is lost meanwhile; it is tried again"),
        "NOAUTH" => fatal("it asks for a password", "set redis.password or redis.password_file, and redis.user where there is one"),
        "WRONGPASS" => fatal("it does not take this user and password", "check redis.user and redis.password"),
        "NOPERM" => fatal(
            "this user may not do what is needed",
            "grant it: ACL SETUSER <user> on ~<namespace>:* +@read +@write +@connection +@scripting +info +config|get +time, the namespace being \"wardhouse\" unless stores.baselines says another",
        ),
        "DENIED" => fatal("it takes no connections from here", "give it a password, or end its protected mode"),
        "WRONGTYPE" => fatal("a key is of another kind than Wardhouse makes it", "something else uses these keys: choose another namespace, redis://host:6379/0?namespace=NAME"),
        "MOVED" | "ASK" | "CROSSSLOT" => fatal("it is one node of a Redis Cluster", "name a server that holds all keys"),
        "ERR" => without_code(detail, &said),
        _ => fatal("it refused a command", "see its documentation for this code"),
    }
}

/// What an error without a code of its own asks for, by its words.
fn without_code(detail: &str, said: &str) -> Failure {
    let has = |words: &str| detail.contains(words);
    if has("max number of clients") {
        Failure::transient("it has too many clients", "raise its maxclients, or lower redis.connections; it is tried again")
    } else if has("without any password configured") {
        Failure::fatal("it has no password, and one was given", "remove redis.password, or give the server one by requirepass or ACL SETUSER")
    } else if has("DB index is out of range") || has("invalid DB index") {
        Failure::fatal("it has no database of this number", "lower the number behind redis://host:port/ or raise its `databases`")
    } else if has("SELECT is not allowed in cluster mode") {
        Failure::fatal("it is one node of a Redis Cluster", "name a server that holds all keys")
    } else if has("unknown command") || has("wrong number of arguments for 'hello'") {
        Failure::fatal(format!("it does not know a command ({said})"), "it is older than Redis 6.2, or the command was renamed or disabled there")
    } else {
        Failure::fatal(format!("it refused a command ({said})"), "see its log")
    }
}

/// Redis 6 wraps what a command of a script answers: `ERR Error running script (…): @user_script:3: -OOM command not allowed`.
fn within_script<'a>(code: &'a str, detail: &'a str) -> (&'a str, &'a str) {
    if code != "ERR" || !detail.contains("user_script") {
        return (code, detail);
    }
    let inner = detail.match_indices(": -").find_map(|(at, mark)| {
        let (code, rest) = detail[at + mark.len()..].split_once(' ')?;
        (code.len() > 2 && code.bytes().all(|byte| byte.is_ascii_uppercase())).then_some((code, rest))
    });
    inner.unwrap_or((code, detail))
}

/// The server's words without the arguments that it quotes, and without the script's hash.
fn shortened(detail: &str) -> String {
    let cut = [", with args", " script: ", " (value was"].iter().filter_map(|mark| detail.find(mark)).min().unwrap_or(detail.len());
    detail[..cut].trim_end_matches('.').chars().take(SAID).collect()
}

/// What a connection that broke, or was never made, asks for.
fn broken(error: &RedisError) -> Failure {
    let text = error.to_string();
    if text.contains("invalid peer certificate") {
        return Failure::fatal(
            format!("its certificate is not accepted ({})", shortened(&text)),
            "renew it where it has expired, name it by redis.ca_file where no well-known authority made it, and name the server as its certificate does",
        );
    }
    if text.contains("received fatal alert") {
        return Failure::fatal(
            format!("it refused the encrypted connection ({})", shortened(&text)),
            "check its TLS settings; where it asks for a certificate of ours, set redis.cert_file and redis.key_file",
        );
    }
    if text.contains("InvalidContentType") {
        return Failure::fatal("it does not speak TLS on this port", "remove tls from stores.baselines and [redis], or name its tls-port");
    }
    if error.kind() == ErrorKind::Client {
        return Failure::fatal(format!("the encrypted connection cannot be set up ({})", shortened(&text)), "check redis.ca_file, redis.cert_file and redis.key_file");
    }
    let what = if error.is_connection_refusal() {
        "it refuses the connection".to_owned()
    } else if error.is_timeout() {
        "it did not answer in time".to_owned()
    } else if error.is_connection_dropped() {
        "the connection broke".to_owned()
    } else {
        shortened(&text)
    };
    Failure::transient(what, "check that Redis runs and can be reached from here; it is tried again")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;

    fn told(line: &str) -> Failure {
        failure(&redis::parse_redis_value(format!("-{line}\r\n").as_bytes()).unwrap().extract_error().unwrap_err())
    }

    #[test]
    fn what_passes_by_itself_is_transient() {
        for line in [
            "LOADING Redis is loading the dataset in memory",
            "BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.",
            "READONLY You can't write against a read only replica. script: d8f2fad9, on @user_script:3.",
            "OOM command not allowed when used memory > 'maxmemory'. script: d8f2fad9, on @user_script:3.",
            "ERR Error running script (call to f_d8f2fad9): @user_script:3: @user_script: 3: -OOM command not allowed when used memory > 'maxmemory'. ",
            "MISCONF Errors writing to the AOF file: No space left on device",
            "NOREPLICAS Not enough good replicas to write.",
            "TRYAGAIN Multiple keys request during rehashing of slot",
            "ERR max number of clients reached",
        ] {
            assert!(told(line).transient, "{line}: {:?}", told(line));
        }
        for kind in [io::ErrorKind::ConnectionRefused, io::ErrorKind::TimedOut, io::ErrorKind::BrokenPipe, io::ErrorKind::HostUnreachable] {
            assert!(failure(&RedisError::from(io::Error::from(kind))).transient, "{kind}");
        }
    }

    #[test]
    fn what_somebody_must_mend_is_fatal_and_says_how() {
        for (line, part) in [
            ("NOAUTH Authentication required.", "redis.password"),
            ("WRONGPASS invalid username-password pair or user is disabled.", "redis.user"),
            ("NOPERM this user has no permissions to run the 'evalsha' command", "ACL SETUSER"),
            ("WRONGTYPE Operation against a key holding the wrong kind of value", "namespace"),
            ("MOVED 3999 127.0.0.1:6381", "Cluster"),
            ("ERR DB index is out of range", "databases"),
            ("ERR AUTH <password> called without any password configured for the default user. Are you sure your configuration is correct?", "no password"),
            ("DENIED Redis is running in protected mode because", "protected mode"),
            ("ERR unknown command 'XTRIM', with args beginning with: 'U1' ", "6.2"),
            ("SOMETHING new", "SOMETHING"),
        ] {
            let Reaction::Fatal(message) = told(line).reaction("redis://cache:6379/0") else { panic!("{line}") };
            assert!(message.contains(part) && message.starts_with("baselines (redis://cache:6379/0): ") && !message.contains("U1"), "{message}");
        }
        let certificate = io::Error::new(io::ErrorKind::InvalidData, "invalid peer certificate: Expired");
        let Reaction::Fatal(message) = reaction("redis://cache:6379/0", &RedisError::from(certificate)) else { panic!("fatal") };
        assert!(message.contains("Expired") && message.contains("redis.ca_file"), "{message}");
    }

    #[test]
    fn the_first_error_of_a_pipeline_counts() {
        let errors = redis::parse_redis_value(b"*1\r\n-NOPERM this user has no permissions\r\n").unwrap().extract_error().unwrap_err();
        assert!(!failure(&errors).transient);
        let misread = RedisError::from((ErrorKind::UnexpectedReturnType, "type", "the record's content".to_owned()));
        assert!(!failure(&misread).message.contains("content"));
    }
}
