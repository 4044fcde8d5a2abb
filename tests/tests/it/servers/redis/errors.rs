//! Each code as Redis says it to a checkpoint, to the client that asks.

use std::time::Duration;

use wh_schemas::Reaction;
use wh_scorer::state::CheckpointStore;
use wh_scorer::state::redis::RedisCheckpoints;
use wh_stores::redis::RedisSettings;

use super::super::says::Line;
use super::{Bench, Work};

#[tokio::test]
#[cfg_attr(not(has_redis), ignore = "WARDHOUSE_TEST_REDIS names no server")]
async fn each_code_has_its_class_and_no_checkpoint_is_lost() {
    let bench = Bench::new().await;
    let line = Line::redis(format!("{}:{}", bench.settings.host, bench.settings.port)).await;
    let here = RedisSettings { host: line.address.ip().to_string(), port: line.address.port(), ..bench.settings.clone() };
    let mut store = RedisCheckpoints::open(&here).await.unwrap();
    let mut work = Work::new(0);
    let (epoch, _) = store.take_over(0).await.unwrap();
    work.process(5, 20);
    store.commit(work.delta(0, epoch)).await.unwrap();
    work.kept();
    work.process(5, 50);
    for (said, wanted) in [
        ("LOADING Redis is loading the dataset in memory", "transient"),
        ("BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.", "transient"),
        ("TRYAGAIN Multiple keys request during rehashing of slot", "transient"),
        ("CLUSTERDOWN The cluster is down", "transient"),
        ("MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.", "transient"),
        ("NOREPLICAS Not enough good replicas to write.", "transient"),
        ("READONLY You can't write against a read only replica.", "transient"),
        ("OOM command not allowed when used memory > 'maxmemory'.", "transient"),
        ("MISCONF Errors writing to the AOF file: No space left on device", "transient"),
        ("ERR max number of clients reached", "transient"),
        ("NOAUTH Authentication required.", "fatal"),
        ("WRONGPASS invalid username-password pair or user is disabled.", "fatal"),
        ("NOPERM User wardhouse has no permissions to run the 'evalsha' command", "fatal"),
        ("WRONGTYPE Operation against a key holding the wrong kind of value", "fatal"),
        ("CROSSSLOT Keys in request don't hash to the same slot", "fatal"),
        ("SOMETHING new", "fatal"),
    ] {
        line.says(move |_| format!("-{said}\r\n").into_bytes());
        // A connection that was given up is made anew after a while.
        let mut failed = store.commit(work.delta(0, epoch)).await.unwrap_err();
        for _ in 0..500 {
            if failed.class() == wanted {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
            failed = store.commit(work.delta(0, epoch)).await.unwrap_err();
        }
        assert_eq!(failed.class(), wanted, "{said}: {failed}");
    }
    line.passes();
    let back = async {
        while let Err(reaction) = store.commit(work.delta(0, epoch)).await {
            let Reaction::Transient { retry_after, .. } = reaction else { panic!("{reaction}") };
            tokio::time::sleep(retry_after.unwrap_or(Duration::from_millis(10))).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), back).await.unwrap();
    let checkpoint = bench.open().await.take_over(0).await.unwrap().1.unwrap();
    assert_eq!((checkpoint.position.next_seq, checkpoint.ids.len()), (50, 50));
    bench.done().await;
}
