use super::*;
use crate::dedup::Seen;
use crate::partition::PartitionRecord;
use wh_stores::redis::{RawRedis, RedisSettings};
use wh_stores::{Durability, ServerUrl};

fn keys() -> Keys {
    Keys::new(&RedisSettings::try_new(&ServerUrl::parse("redis://h?namespace=t").unwrap(), &RawRedis::default(), Durability::Warn).unwrap())
}

fn words(request: &Cmd) -> Vec<String> {
    let text = |arg: redis::Arg<&[u8]>| match arg {
        redis::Arg::Simple(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        _ => "cursor".to_owned(),
    };
    request.args_iter().map(text).collect()
}

fn delta() -> Delta {
    let mut state = UserState::new(wh_schemas::Micros(9));
    state.events = 7;
    Delta {
        partition: 2,
        owner_epoch: 3,
        position: Position { next_seq: 20, next_offset: 25, state_epoch: 1 },
        record: PartitionRecord::default(),
        users: vec![("U 1".to_owned(), state)],
        forgotten: vec!["gone".to_owned()],
        ids: vec![Seen { id: 1, content: 2, seq: 19 }],
        horizon: 100,
    }
}

#[test]
fn a_request_stands_as_the_script_reads_it() {
    let (keys, owner, delta) = (keys(), Owner { epoch: 3, name: "me".to_owned() }, delta());
    let requests = Requests { keys: &keys, partition: 2, owner: &owner };
    let found = words(&requests.commit(Some((10, 12)), &delta, None, 5).unwrap());
    assert_eq!(found[0], "EVALSHA");
    assert_eq!(found[2..8], ["5", "t:{p2}:checkpoint", "t:{p2}:index", "t:{p2}:ids", "t:{p2}:staged", "t:{p2}:user:U 1"]);
    assert_eq!(found[8..15], ["3", "me", "10", "12", "20", "25", "1"]);
    assert_eq!(found[16..18], ["5", "100"]);
    assert_eq!(found[19..23], ["t:{p2}:user:", "t:{p2}:next:", "", "0"]);
    assert_eq!(found[23..28], ["7", "0", "", "9", "0"]);
    assert_eq!((found[29].as_str(), found.len()), ("gone", 30));
    let staged = words(&requests.commit(None, &delta, Some(("s", 1)), 5).unwrap());
    assert_eq!((staged[2].as_str(), staged[9].as_str(), staged[10].as_str()), ("4", "", ""));
    assert_eq!((staged[20].as_str(), staged[21].as_str(), staged[22].as_str(), staged.len()), ("s", "1", "gone", 23));
    let part = words(&requests.stage("s", 20, &delta.users).unwrap());
    assert_eq!(part[2..11], ["3", "t:{p2}:checkpoint", "t:{p2}:staged", "t:{p2}:next:U 1", "3", "me", "s", "t:{p2}:next:", "20"]);
    assert_eq!(part.len(), 17);
}

#[test]
fn answers_are_read() {
    let answer = |words: &[&str]| outcome(&words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>());
    assert_eq!(answer(&["kept"]), Some(Outcome::Kept));
    assert_eq!(answer(&["left", "12"]), Some(Outcome::Left(12)));
    assert_eq!(answer(&["taken", "4"]), Some(Outcome::Taken { epoch: "4".to_owned() }));
    assert_eq!(answer(&["kept", "more"]), None);
    let fields = |fields: [&str; 6]| fields.iter().map(|field| (!field.is_empty()).then(|| (*field).to_owned())).collect::<Vec<_>>();
    let whole = stand((4, fields(["5", "6", "0", "{}", "2", ""]))).unwrap();
    assert_eq!((whole.epoch, whole.users, whole.torn), (4, 2, false));
    assert_eq!(whole.checkpoint, Some((Position { next_seq: 5, next_offset: 6, state_epoch: 0 }, "{}".to_owned())));
    assert_eq!(stand((1, fields([""; 6]))), Some(Stand { epoch: 1, checkpoint: None, users: 0, torn: false }));
    assert!(stand((1, fields(["5", "", "", "", "", "1"]))).is_none(), "half a checkpoint is none");
}

#[test]
fn what_was_refused_is_told_with_what_to_do() {
    let (keys, position) = (keys(), Position { next_seq: 20, next_offset: 25, state_epoch: 0 });
    let told = |outcome: Outcome| refused("redis://h:6379/0", &keys, 2, (3, &position), &outcome);
    let number = |text: &str| text.to_owned();
    for (outcome, part) in [
        (Outcome::Taken { epoch: number("4") }, "taken over (epoch 4, ours is 3)"),
        (Outcome::Beyond { seq: number("30"), offset: number("31") }, "beyond ours (20, 25)"),
        (Outcome::Behind { seq: number("10"), offset: number("11") }, "has lost what it had acknowledged (it stands at seq 10"),
        (Outcome::Behind { seq: String::new(), offset: String::new() }, "nothing of this owner is there"),
        (Outcome::Torn, "--pattern 't:{p2}:*'"),
    ] {
        let Reaction::Fatal(message) = told(outcome) else { panic!("{part}") };
        assert!(message.contains(part), "{message}");
    }
    assert!(matches!(told(Outcome::Unstaged), Reaction::Transient { .. }));
}

#[test]
fn pages_of_ids_are_about_as_large() {
    assert_eq!(entries_next(16, 16 * 24), 64);
    assert_eq!(entries_next(16, 16 * 480_000), 8);
    assert_eq!(entries_next(4_096, 4_096 * 24), 4_096);
    assert_eq!(entries_next(1, 100 << 20), 1);
}
