//! Records made by chance: valid ones, of which a part was replaced by what does not belong there, or some bytes were altered. The same in each run.

use wh_eventlog::{Bytes, Record};
use wh_schemas::json;

use crate::mutation::{Dice, alter};

const SEED: u64 = 20_260_105;

/// What a value is replaced by. Some of it is as it should be.
const VALUES: &[&str] = &[
    "null",
    "true",
    "0",
    "-0",
    "-1",
    "1e400",
    "1e-7",
    "99999999999999999999",
    "0.1",
    "12.345",
    "\"\"",
    "\" \"",
    "\"x\"",
    "\"\\u0000\"",
    "\"\\ud800\"",
    "\"\\ud83e\\ude7a\"",
    "\"\u{feff}x\"",
    "\"NaN\"",
    "\"12.50\"",
    "\"-5\"",
    "\"1,000\"",
    "[]",
    "[1,[2]]",
    "{}",
    "{\"a\":1,\"a\":2}",
    "{\"is_fraud\":true}",
    "{\"_extra\":1}",
    "NaN",
    "'x'",
    "01",
    "\"2026-02-30T00:00:00Z\"",
    "\"2016-12-31T23:59:60Z\"",
    "\"9999-12-31T23:59:59-01:00\"",
    "\"0001-01-01T00:00:00Z\"",
    "\"2026-01-09 11:00\"",
    "\"refund\"",
    "\"REFUND\"",
    "\"transfer\"",
    "9999999999999.99",
    "0.01",
];

/// Keys that are put in, or take another's place.
const KEYS: &[&str] =
    &["amount", "Amount", "user_id", "metadata", "_extra", "_labels", "is_anomaly", "ward", "", "a.b", "$set", "schema_version", "content_hash", "\\u0061mount", "x\\u0000"];

/// One record, chosen by its number. `lines` are valid ones.
pub(super) fn record(lines: &[Vec<u8>], number: u64) -> Record {
    let mut dice = Dice::new(SEED, number);
    let (line, other) = (dice.pick(lines), dice.pick(lines));
    let value = match dice.below(100) {
        // Sent again, as it is or under the same id with another amount.
        0 => line.clone(),
        1 => String::from_utf8(line.clone()).unwrap().replacen("\"amount\":", "\"amount\":7", 1).into_bytes(),
        _ => altered(line, other, &mut dice),
    };
    let key = match dice.below(12) {
        0 => None,
        1 => Some(Bytes::from(dice.noise(8))),
        _ => Some(Bytes::from(format!("generated {number}"))),
    };
    let headers = if dice.percent(5) { vec![("trace".to_owned(), Bytes::from(dice.noise(16)))] } else { Vec::new() };
    Record { key, value: Bytes::from(value), headers }
}

/// The record under an id of its own, so that not all that is read is a conflict; in its members, in its bytes, or in both it is another.
fn altered(line: &[u8], other: &[u8], dice: &mut Dice) -> Vec<u8> {
    let text = std::str::from_utf8(line).unwrap();
    let mut members: Vec<(String, String)> = json::members(text).unwrap().into_iter().map(|(key, value)| (key.to_string(), value.get().to_owned())).collect();
    let digits: String = dice.noise(6).iter().map(|byte| format!("{byte:02x}")).collect();
    members[0] = ("transaction_id".to_owned(), format!("\"G-{digits}\""));
    let in_members = dice.percent(55);
    if in_members {
        exchange(&mut members, dice);
    }
    let members: Vec<String> = members.iter().map(|(key, value)| format!("\"{key}\":{value}")).collect();
    let mut value = format!("{{{}}}", members.join(if dice.percent(90) { "," } else { " ,\n" })).into_bytes();
    if !in_members || dice.percent(75) {
        for _ in 0..=dice.below(4) {
            alter(&mut value, other, dice);
        }
    }
    value
}

/// Values replaced, keys renamed, members doubled, left out or in another order.
fn exchange(members: &mut Vec<(String, String)>, dice: &mut Dice) {
    for _ in 0..=dice.below(3) {
        let at = dice.below(members.len().max(1));
        let value = *dice.pick(VALUES);
        match dice.below(8) {
            0..=3 => {
                // One id for all would make of most a conflict.
                if let Some((key, old)) = members.get_mut(at)
                    && (key != "transaction_id" || !value.starts_with('"'))
                {
                    value.clone_into(old);
                }
            }
            4 => {
                let key = *dice.pick(KEYS);
                if let Some((old, _)) = members.get_mut(at) {
                    key.clone_into(old);
                }
            }
            5 => members.insert(at, ((*dice.pick(KEYS)).to_owned(), value.to_owned())),
            6 => drop((at < members.len()).then(|| members.remove(at))),
            _ => {
                let by = at.min(members.len());
                members.rotate_left(by);
            }
        }
    }
}
