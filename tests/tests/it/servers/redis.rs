//! The baselines on a Redis server: bad input told with what to do, breaks in between that lose nothing, and SQL that answers as over
//! the embedded store.

mod errors;

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::cmd;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use wh_schemas::Reaction;
use wh_scorer::dedup::{DEFAULT_HORIZON, Seen};
use wh_scorer::partition::{Changes, Emitted, PartitionScorer};
use wh_scorer::state::redis::{RedisCheckpoints, read_partitions};
use wh_scorer::state::sqlite::SqliteCheckpoints;
use wh_scorer::state::{CheckpointStore, Committed, Delta};
use wh_stores::places::BaselinesPlace;
use wh_stores::redis::{Keys, RawRedis, RedisSettings, checks, connect};
use wh_stores::{Durability, Level, ServerUrl};

use crate::contract::servers::redis::{delete, settings};
use crate::contract::servers::{own_name, url};
use crate::records::{accepted, scorer, small_hospital};
use crate::sql::{engine, engine_with, rows, session};

/// A namespace of its own on the test server, and a look behind the store's back.
struct Bench {
    place: tempfile::TempDir,
    settings: RedisSettings,
    raw: MultiplexedConnection,
}

impl Bench {
    async fn new() -> Bench {
        let place = tempfile::tempdir().unwrap();
        let settings = settings(&own_name(place.path()), &RawRedis::default());
        let raw = connect(&settings).await.unwrap();
        Bench { place, settings, raw }
    }

    fn keys(&self) -> Keys {
        Keys::new(&self.settings)
    }

    async fn open(&self) -> RedisCheckpoints {
        RedisCheckpoints::open(&self.settings).await.unwrap()
    }

    async fn write(&mut self, words: &[&str]) {
        let mut request = cmd(words[0]);
        request.arg(&words[1..]);
        request.exec_async(&mut self.raw).await.unwrap();
    }

    async fn done(mut self) {
        delete(&mut self.raw, &self.settings.namespace).await;
    }
}

/// A scorer that has seen some records, and what it would checkpoint, as often as asked.
struct Work {
    scorer: PartitionScorer,
    users: Vec<String>,
    forgotten: Vec<String>,
    ids: Vec<Seen>,
}

impl Work {
    fn new(partition: u32) -> Work {
        Work { scorer: scorer(partition, DEFAULT_HORIZON), users: Vec::new(), forgotten: Vec::new(), ids: Vec::new() }
    }

    /// Goes on to the record `until`; what was not checkpointed is still to be.
    fn process(&mut self, seed: u64, until: usize) {
        let mut emitted = Emitted::default();
        let from = usize::try_from(self.scorer.position().next_offset).unwrap();
        for record in &accepted(&small_hospital(seed, until))[from..] {
            self.scorer.process(record, &mut emitted);
        }
        let Changes { users, forgotten, ids } = self.scorer.take_changes();
        self.users.extend(users);
        self.forgotten.extend(forgotten);
        self.users.sort_unstable();
        self.users.dedup();
        self.ids.extend(ids);
    }

    fn delta(&self, partition: u32, owner_epoch: u64) -> Delta {
        let state = |user: &String| (user.clone(), self.scorer.engine().user(user).unwrap().clone());
        Delta {
            partition,
            owner_epoch,
            position: self.scorer.position().clone(),
            record: self.scorer.record(),
            users: self.users.iter().map(state).collect(),
            forgotten: self.forgotten.clone(),
            ids: self.ids.clone(),
            horizon: DEFAULT_HORIZON,
        }
    }

    fn kept(&mut self) {
        self.users.clear();
        self.forgotten.clear();
        self.ids.clear();
    }
}

fn at(url: &str, raw: &RawRedis) -> RedisSettings {
    RedisSettings::try_new(&ServerUrl::parse(url).unwrap(), raw, Durability::Warn).unwrap()
}

/// Why a store cannot be opened for good.
async fn fatal(settings: &RedisSettings) -> String {
    match RedisCheckpoints::open(settings).await {
        Err(Reaction::Fatal(message)) => message,
        other => panic!("expected a fatal reaction, found {other:?}"),
    }
}

/// Why a store cannot be opened for now.
async fn transient(settings: &RedisSettings) -> String {
    match RedisCheckpoints::open(settings).await {
        Err(Reaction::Transient { message, .. }) => message,
        other => panic!("expected a transient reaction, found {other:?}"),
    }
}

fn contains(message: &str, part: &str) {
    assert!(message.contains(part), "{part:?} is not in: {message}");
}

#[tokio::test]
#[cfg_attr(not(has_redis), ignore = "WARDHOUSE_TEST_REDIS names no server")]
async fn wrong_credentials_and_a_missing_database_are_told() {
    let server = settings("whtest", &RawRedis::default());
    let stranger = RedisSettings { user: Some("nobody".to_owned()), password: wh_stores::Secret::Value("s3cret".into()), ..server.clone() };
    let message = fatal(&stranger).await;
    contains(&message, "redis.user");
    assert!(!message.contains("s3cret"), "{message}");
    contains(&fatal(&RedisSettings { database: 60_000, ..server }).await, "no database of this number");
}

#[tokio::test]
#[cfg_attr(not(has_redis), ignore = "WARDHOUSE_TEST_REDIS is not set")]
async fn a_server_that_is_not_there_may_come() {
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    contains(&transient(&at(&format!("redis://{nobody}"), &RawRedis::default())).await, "refuses the connection");
}

/// Answers whatever is said with `words`; without words it hangs up.
async fn somebody(words: &'static [u8]) -> (SocketAddr, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let task = tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut said = [0; 4_096];
            while stream.read(&mut said).await.is_ok_and(|count| count > 0) && !words.is_empty() && stream.write_all(words).await.is_ok() {}
        }
    });
    (address, task)
}

#[tokio::test]
#[cfg_attr(not(has_redis), ignore = "WARDHOUSE_TEST_REDIS is not set")]
async fn a_server_of_another_kind_is_told() {
    let (web, task) = somebody(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n").await;
    contains(&fatal(&at(&format!("redis://{web}"), &RawRedis::default())).await, "is a Redis server");
    task.abort();
    let (silent, task) = somebody(b"").await;
    contains(&transient(&at(&format!("redis://{silent}"), &RawRedis::default())).await, "before it answered anything");
    task.abort();
    let old = b"*6\r\n$6\r\nserver\r\n$5\r\nredis\r\n$7\r\nversion\r\n$6\r\n6.0.16\r\n$4\r\nmode\r\n$10\r\nstandalone\r\n";
    let (old, task) = somebody(old).await;
    contains(&fatal(&at(&format!("redis://{old}"), &RawRedis::default())).await, "redis 6.0.16 is too old: expected 6.2 or newer");
    task.abort();
}

#[tokio::test]
#[cfg_attr(not(has_redis), ignore = "WARDHOUSE_TEST_REDIS names no server")]
async fn a_layout_of_somebody_else_or_of_a_newer_wardhouse_is_refused_and_left_as_it_is() {
    let mut bench = Bench::new().await;
    let key = bench.keys().layout();
    bench.write(&["SET", &key, "mine"]).await;
    contains(&fatal(&bench.settings).await, "choose another namespace");
    bench.write(&["UNLINK", &key]).await;
    bench.write(&["HSET", &key, "product", "shop"]).await;
    contains(&fatal(&bench.settings).await, "choose another namespace");
    bench.write(&["HSET", &key, "product", "wardhouse", "role", "baselines", "version", "9"]).await;
    contains(&fatal(&bench.settings).await, "newer Wardhouse (layout 9");
    let version: String = cmd("HGET").arg(&key).arg("version").query_async(&mut bench.raw).await.unwrap();
    assert_eq!(version, "9");
    bench.done().await;
}

#[tokio::test]
#[cfg_attr(not(has_redis), ignore = "WARDHOUSE_TEST_REDIS names no server")]
async fn encryption_where_the_server_has_none_is_told() {
    let plain = settings("whtest", &RawRedis { connect_timeout_ms: 500, ..RawRedis::default() });
    let encrypted = RedisSettings { tls: Some(wh_stores::tls::Tls::default()), ..plain };
    contains(&fatal(&encrypted).await, "does not speak TLS");
}

#[tokio::test]
#[cfg_attr(not(has_secure_redis), ignore = "WARDHOUSE_TEST_SECURE_REDIS names no server")]
async fn an_encrypted_server_is_reached_as_its_settings_say_only() {
    let variable = |name: &str| std::env::var(format!("WARDHOUSE_TEST_SECURE_{name}")).unwrap();
    let server = url("SECURE_REDIS").unwrap();
    let raw = RawRedis { user: Some(variable("USER")), password: Some(variable("PASSWORD").into()), ca_file: Some(variable("CA").into()), ..RawRedis::default() };
    let place = tempfile::tempdir().unwrap();
    let good = RedisSettings { namespace: own_name(place.path()), ..at(&server, &raw) };
    assert!(RedisCheckpoints::open(&good).await.is_ok());
    let worst = checks::examine(&good).await.into_iter().max_by_key(|finding| finding.level).unwrap();
    assert!(worst.level < Level::Fault, "{worst}");
    delete(&mut connect(&good).await.unwrap(), &good.namespace).await;

    contains(&fatal(&RedisSettings { tls: None, ..good.clone() }).await, "speaks TLS");
    let tls = wh_stores::tls::Tls::default();
    contains(&fatal(&RedisSettings { tls: Some(tls), ..good.clone() }).await, "certificate is not accepted");
    let password = wh_stores::Secret::Value("wrong".into());
    contains(&fatal(&RedisSettings { password, ..good.clone() }).await, "redis.password");
    contains(&fatal(&RedisSettings { user: None, password: wh_stores::Secret::None, ..good }).await, "asks for a password");
}

#[tokio::test]
#[cfg_attr(not(has_redis), ignore = "WARDHOUSE_TEST_REDIS names no server")]
async fn a_look_at_the_server_finds_what_there_is() {
    let bench = Bench::new().await;
    let findings = checks::examine(&bench.settings).await;
    for subject in ["version", "role", "rights", "durability", "eviction", "memory", "clock", "layout"] {
        assert!(findings.iter().any(|finding| finding.subject == subject && finding.level < Level::Fault), "{subject}: {findings:?}");
    }
    bench.done().await;
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Open,
    /// Requests go through, and after so many answers the line breaks in place of the next.
    Deaf(usize),
    Closed,
}

/// A line to the server that can be broken.
struct Line {
    address: SocketAddr,
    way: watch::Sender<Way>,
    task: JoinHandle<()>,
}

impl Line {
    async fn to(settings: &RedisSettings) -> Line {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (way, seen) = watch::channel(Way::Open);
        let server = (settings.host.clone(), settings.port);
        let task = tokio::spawn(async move {
            loop {
                let (near, _) = listener.accept().await.unwrap();
                if *seen.borrow() != Way::Closed {
                    let far = TcpStream::connect(&server).await.unwrap();
                    tokio::spawn(carry(near, far, seen.clone()));
                }
            }
        });
        Line { address, way, task }
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn carry(mut near: TcpStream, mut far: TcpStream, mut way: watch::Receiver<Way>) {
    tokio::select! {
        _ = tokio::io::copy_bidirectional(&mut near, &mut far) => return,
        _ = way.wait_for(|way| *way != Way::Open) => {}
    }
    let left = *way.borrow();
    let Way::Deaf(answers) = left else { return };
    let ((mut from_near, mut to_near), (mut from_far, mut to_far)) = (near.split(), far.split());
    let back = async {
        let mut answer = [0; 65_536];
        for _ in 0..answers {
            let count = from_far.read(&mut answer).await?;
            to_near.write_all(&answer[..count]).await?;
        }
        from_far.read(&mut answer).await
    };
    tokio::select! {
        _ = tokio::io::copy(&mut from_near, &mut to_far) => {}
        _ = back => {}
    }
}

#[tokio::test]
#[cfg_attr(not(has_redis), ignore = "WARDHOUSE_TEST_REDIS names no server")]
async fn a_checkpoint_is_kept_once_the_server_is_back() {
    let bench = Bench::new().await;
    let line = Line::to(&bench.settings).await;
    let here = RedisSettings { host: line.address.ip().to_string(), port: line.address.port(), ..bench.settings.clone() };
    let mut store = RedisCheckpoints::open(&here).await.unwrap();
    let mut work = Work::new(0);
    let (epoch, _) = store.take_over(0).await.unwrap();
    work.process(5, 50);
    store.commit(work.delta(0, epoch)).await.unwrap();
    work.kept();

    line.way.send(Way::Closed).unwrap();
    work.process(5, 80);
    for _ in 0..3 {
        let outcome = store.commit(work.delta(0, epoch)).await;
        assert!(matches!(outcome, Err(Reaction::Transient { .. })), "{outcome:?}");
    }
    line.way.send(Way::Open).unwrap();
    let back = async {
        while let Err(reaction) = store.commit(work.delta(0, epoch)).await {
            let Reaction::Transient { retry_after, .. } = reaction else { panic!("{reaction}") };
            tokio::time::sleep(retry_after.unwrap_or(Duration::from_millis(10))).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), back).await.unwrap();
    let checkpoint = bench.open().await.take_over(0).await.unwrap().1.unwrap();
    assert_eq!((checkpoint.position.next_seq, checkpoint.ids.len()), (80, 80));
    bench.done().await;
}

#[tokio::test]
#[cfg_attr(not(has_redis), ignore = "WARDHOUSE_TEST_REDIS names no server")]
async fn a_lost_answer_is_harmless() {
    // Once with one script, once in parts, whose last answer is lost.
    for part_users in [5_000, 3] {
        let bench = Bench::new().await;
        let line = Line::to(&bench.settings).await;
        let here = RedisSettings { host: line.address.ip().to_string(), port: line.address.port(), part_users, ..bench.settings.clone() };
        let mut store = RedisCheckpoints::open(&here).await.unwrap();
        let mut work = Work::new(0);
        let (epoch, _) = store.take_over(0).await.unwrap();
        // The server knows the scripts from here on: one answer a script.
        work.process(5, 20);
        store.commit(work.delta(0, epoch)).await.unwrap();
        work.kept();
        work.process(5, 50);
        let users = work.users.len();
        assert!(users > 3);
        line.way.send(Way::Deaf(if users > part_users { 1 + users.div_ceil(part_users) } else { 0 })).unwrap();
        let outcome = store.commit(work.delta(0, epoch)).await;
        assert!(matches!(outcome, Err(Reaction::Transient { .. })), "{outcome:?}");
        line.way.send(Way::Open).unwrap();
        // The same again, then one that holds it and more, as a stage sends them.
        for until in [50, 90] {
            work.process(5, until);
            while let Err(reaction) = store.commit(work.delta(0, epoch)).await {
                let Reaction::Transient { retry_after, .. } = reaction else { panic!("{reaction}") };
                tokio::time::sleep(retry_after.unwrap_or(Duration::from_millis(10))).await;
            }
        }
        let checkpoint = bench.open().await.take_over(0).await.unwrap().1.unwrap();
        assert_eq!(checkpoint.position.next_seq, 90);
        assert_eq!(checkpoint.ids.iter().map(|seen| seen.seq).collect::<Vec<_>>(), (0..90).collect::<Vec<_>>());
        bench.done().await;
    }
}

#[tokio::test]
#[cfg_attr(not(has_redis), ignore = "WARDHOUSE_TEST_REDIS names no server")]
async fn a_server_that_went_back_takes_no_delta_on_another_state() {
    let mut bench = Bench::new().await;
    let mut store = bench.open().await;
    let mut work = Work::new(0);
    let (epoch, _) = store.take_over(0).await.unwrap();
    work.process(5, 50);
    store.commit(work.delta(0, epoch)).await.unwrap();
    work.kept();
    // What a crash without a sync leaves: an older checkpoint, of the same owner.
    let checkpoint = bench.keys().checkpoint(0);
    bench.write(&["HSET", &checkpoint, "next_seq", "40", "next_offset", "40"]).await;
    work.process(5, 60);
    let outcome = store.commit(work.delta(0, epoch)).await;
    let Ok(Committed::Lost(message)) = outcome else { panic!("{outcome:?}") };
    contains(&message, "has lost what it had acknowledged (it stands at seq 40, offset 40)");
    // And one that has forgotten everything, to which the next owner comes as to an empty one.
    delete(&mut bench.raw, &bench.settings.namespace).await;
    let outcome = store.commit(work.delta(0, epoch)).await;
    let Ok(Committed::Lost(message)) = outcome else { panic!("{outcome:?}") };
    contains(&message, "nothing of this owner is there");
    let mut next = bench.open().await;
    assert!(next.take_over(0).await.unwrap().1.is_none());
    // The first owner's epoch is given again, and its name is not.
    let outcome = store.commit(work.delta(0, epoch)).await;
    let Ok(Committed::Lost(message)) = outcome else { panic!("{outcome:?}") };
    contains(&message, "was taken over");
    bench.done().await;
}

#[tokio::test]
#[cfg_attr(not(has_redis), ignore = "WARDHOUSE_TEST_REDIS names no server")]
async fn a_partition_of_which_something_is_missing_is_not_gone_on_from() {
    let mut bench = Bench::new().await;
    let mut store = bench.open().await;
    let mut work = Work::new(0);
    let (epoch, _) = store.take_over(0).await.unwrap();
    work.process(5, 50);
    store.commit(work.delta(0, epoch)).await.unwrap();
    let user = format!("{}{}", bench.keys().user_prefix(0), work.users[0]);
    bench.write(&["UNLINK", &user]).await;
    let outcome = bench.open().await.take_over(0).await;
    let Err(Reaction::Fatal(message)) = outcome else { panic!("{outcome:?}") };
    contains(&message, "a user's state is gone");
    contains(&message, &format!("--pattern '{}:{{p0}}:*'", bench.settings.namespace));
    assert!(!message.contains(&work.users[0]), "no user is named: {message}");
    bench.done().await;
}

/// Two partitions of checkpoints, the same in SQLite and in Redis.
async fn both(bench: &Bench, folder: &Path) {
    let mut embedded = SqliteCheckpoints::open(&folder.join("baselines.db")).unwrap();
    let mut server = bench.open().await;
    for (partition, count) in [(0, 120), (1, 60)] {
        let mut work = Work::new(partition);
        work.process(u64::from(partition) + 3, count);
        for store in [&mut embedded as &mut dyn CheckpointStore, &mut server] {
            let (epoch, _) = store.take_over(partition).await.unwrap();
            store.commit(work.delta(partition, epoch)).await.unwrap();
        }
    }
    server.take_over(2).await.unwrap();
    embedded.take_over(2).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(not(has_redis), ignore = "WARDHOUSE_TEST_REDIS names no server")]
async fn sql_answers_as_over_the_embedded_store() {
    let bench = Bench::new().await;
    let folder = bench.place.path();
    both(&bench, folder).await;
    // Small pages, so that an answer comes in several.
    let small = RedisSettings { page_users: 3, ..bench.settings.clone() };
    let (embedded, server) = (engine(folder), engine_with(folder, |places| places.baselines = BaselinesPlace::Redis(small)));
    let users = rows(&embedded, "SELECT DISTINCT user_id FROM baselines.users ORDER BY user_id").await;
    assert!(users.len() > 5);
    let (one, other) = (&users[1][0], &users[4][0]);
    for sql in [
        "SELECT * FROM baselines.users ORDER BY user_id, partition".to_owned(),
        "SELECT count(*) FROM baselines.users".to_owned(),
        "SELECT count(*), sum(transactions), max(last_event) FROM baselines.users WHERE alerts > 0".to_owned(),
        "SELECT user_id FROM baselines.users ORDER BY user_id DESC LIMIT 3".to_owned(),
        "SELECT user_id FROM baselines.users ORDER BY user_id LIMIT 4".to_owned(),
        format!("SELECT * FROM baselines.users WHERE user_id = '{one}' ORDER BY partition"),
        format!("SELECT user_id, partition, amount_mean FROM baselines.users WHERE user_id IN ('{one}', '{other}', 'nobody') ORDER BY user_id, partition"),
        format!("SELECT user_id, partition FROM baselines.users WHERE user_id NOT IN ('{one}', '{other}') ORDER BY user_id, partition"),
        format!("SELECT user_id, home_department FROM baselines.users WHERE user_id > '{one}' AND user_id <= '{other}' ORDER BY user_id, partition"),
        format!("SELECT count(*) FROM baselines.users WHERE user_id LIKE '{}%'", one.chars().take(3).collect::<String>()),
        "SELECT user_id FROM baselines.users WHERE partition = 1 AND transactions > 2 ORDER BY user_id".to_owned(),
        "SELECT user_id FROM baselines.users WHERE partition <> 1 AND partition < 7 ORDER BY user_id DESC".to_owned(),
        "SELECT count(*) FROM baselines.users WHERE partition = 9 OR user_id = ''".to_owned(),
        "SELECT user_id FROM baselines.users WHERE user_id IN (SELECT user_id FROM baselines.users WHERE transactions > 10) ORDER BY user_id, partition".to_owned(),
    ] {
        assert_eq!(rows(&server, &sql).await, rows(&embedded, &sql).await, "{sql}");
    }
    let found = read_partitions(&bench.settings).await.unwrap();
    assert_eq!(found, wh_scorer::state::sqlite::read_partitions(&folder.join("baselines.db")).unwrap());
    bench.done().await;
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(not(has_redis), ignore = "WARDHOUSE_TEST_REDIS names no server")]
async fn sql_over_a_server_without_baselines_says_so() {
    let bench = Bench::new().await;
    let server = engine_with(bench.place.path(), |places| places.baselines = BaselinesPlace::Redis(bench.settings.clone()));
    let error = match session(&server).query("SELECT * FROM baselines.users").await {
        Err(error) => error.to_string(),
        Ok(_) => panic!("there is nothing to read"),
    };
    contains(&error, "there are no baselines in the namespace");
    bench.done().await;
}
