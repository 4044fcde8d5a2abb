//! From rows to records: ids, time stamps, devices, metadata, descriptions, order of arrival.
//!
//! What must stay true: nothing here looks at whether a row is fraudulent, save that numbers local to an incident (fresh
//! accounts, strange devices) are resolved first. So no mark of fraud can come from ids, formats, words or order.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, SecondsFormat, TimeDelta, TimeZone, Utc};

use crate::config::Grade;
use crate::dice::{Dice, index, whole};
use crate::row::{DAY, Device, Party, Row};
use crate::transaction::{Generated, Kind, Label, Transaction};
use crate::world::World;
use crate::world::accounts::Owner;

/// A row with what is known about it.
#[derive(Clone, Debug)]
pub(crate) struct Marked {
    pub(crate) row: Row,
    pub(crate) incident: Option<(u32, Grade)>,
}

/// Mixes numbers into one that looks random; equal numbers give equal results.
fn mix(salt: u64, parts: [usize; 3]) -> u64 {
    let mut x = salt;
    for part in parts {
        x = (x ^ part as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        x = (x ^ (x >> 29)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        x ^= x >> 32;
    }
    x
}

fn share(x: u64) -> f64 {
    (x >> 11) as f64 / (1u64 << 53) as f64
}

/// Different numbers for `n` things, in one notation.
fn names(dice: &mut Dice, n: usize, notation: usize) -> Vec<String> {
    let mut seen = HashSet::new();
    let mut out = Vec::with_capacity(n);
    while out.len() < n {
        let bits = dice.bits();
        let name = match notation {
            0 => format!("{:010}", bits % 10_000_000_000),
            1 => format!("AC{:08X}", bits % (1 << 32)),
            2 => format!("{:04}-{:06}", bits % 10_000, (bits >> 20) % 1_000_000),
            3 => format!("u{:05}", bits % 100_000),
            4 => format!("EMP-{:04}", bits % 10_000),
            5 => format!("{:08x}", bits % (1 << 32)),
            _ => format!("{:016x}", bits),
        };
        if seen.insert(name.clone()) {
            out.push(name);
        }
    }
    out
}

struct Seat {
    terminal: String,
    ip: String,
    channel: &'static str,
}

fn seat(world: &World, salt: u64, marked: &Marked) -> Seat {
    let row = &marked.row;
    let day = row.day();
    let inside = |key: [usize; 3]| {
        let h = mix(salt ^ 11, key);
        Seat { terminal: format!("WS{:05}", h % 100_000), ip: format!("10.{}.{}.{}", (h >> 17) % 8 + 16, (h >> 24) % 200, (h >> 40) % 250 + 2), channel: "desk" }
    };
    let outside = |key: [usize; 3]| {
        let h = mix(salt ^ 12, key);
        let ip = format!("{}.{}.{}.{}", [81, 87, 91, 95, 109, 178][index((h % 6) as i64)], (h >> 9) % 250, (h >> 24) % 250, (h >> 40) % 250 + 2);
        Seat { terminal: format!("WS{:05}", (h >> 5) % 100_000), ip, channel: "web" }
    };
    match row.device {
        Device::Batch(file) => Seat { channel: "import", ..inside([1_000_000 + file % 8, 0, 0]) },
        Device::Strange(n) => {
            let key = [2_000_000 + marked.incident.map_or(0, |i| i.0 as usize), n, 1];
            if share(mix(salt ^ 13, key)) < 0.75 { inside(key) } else { outside(key) }
        }
        Device::Usual => {
            let h = share(mix(salt ^ 14, [row.user, day, index(row.at / 10_000)]));
            if h < 0.05 {
                // A colleague's desk, or any free one.
                inside([index(whole(h * 20.0 * 400.0)) % (world.people.len() + 40), 0, 0])
            } else if h < 0.15 {
                // From home; providers change addresses now and then.
                outside([row.user, day / 9, 0])
            } else {
                let replaced = share(mix(salt ^ 15, [row.user, 0, 0])) * 8.0 * world.days as f64;
                inside([row.user, usize::from(day as f64 > replaced), 0])
            }
        }
    }
}

const WORDS: [&[&str]; 8] = [
    &["Consultation", "Ward stay", "Imaging", "Lab panel", "Day surgery", "Follow-up", "Emergency care"],
    &["Invoice settled", "Paid at desk", "Card payment", "Payment on account", "Monthly invoice", "Co-payment"],
    &["Overpaid", "Cancelled visit", "Returned", "Double payment", "Insurer paid"],
    &["Cost centre", "Liquidity", "Project funds", "Internal", "Reallocation"],
    &["Tariff correction", "Rounding", "Write-off", "Late entry", "Contract discount"],
    &["Inpatient", "Outpatient", "Diagnostics", "Procedure", "Medication"],
    &["Wages", "Overtime", "Night supplement", "Per diem", "On-call"],
    &["Supplies", "Consumables", "Devices", "Service", "Licences", "Medication", "Maintenance"],
];

/// Gives rows everything that makes them records, and puts them in order of arrival.
pub(crate) fn finish(world: &mut World, mut rows: Vec<Marked>, dice: &mut Dice) -> Generated {
    settle(world, &mut rows);
    let salt = dice.bits();
    let notation = dice.below(3);
    let accounts = names(dice, world.accounts.len(), notation);
    let notation = 3 + dice.below(3);
    let users = names(dice, world.people.len(), notation);
    let local = dice.chance(0.5);
    let counted = dice.chance(0.5);
    let midnight = world.calendar.start.and_hms_opt(0, 0, 0).unwrap_or_default();
    let mut order: Vec<(i64, u64, i64, DateTime<chrono_tz::Tz>, usize)> = Vec::with_capacity(rows.len());
    for (i, marked) in rows.iter().enumerate() {
        let wall = midnight + TimeDelta::seconds(marked.row.at);
        let zoned = match world.zone.from_local_datetime(&wall).earliest() {
            Some(zoned) => zoned,
            None => Utc.from_utc_datetime(&wall).with_timezone(&world.zone),
        };
        let fraction = match marked.row.device {
            Device::Batch(_) => 0,
            _ => dice.from_to(0, 999_999),
        };
        let zoned = zoned + TimeDelta::microseconds(fraction);
        let micros = zoned.timestamp_micros();
        let late = if dice.chance(0.004) { whole(1_000_000.0 * libm::exp(dice.between(1.0, 10.0))) } else { 0 };
        order.push((micros + late, dice.bits(), micros, zoned, i));
    }
    order.sort_unstable_by_key(|o| (o.0, o.1));
    let ids = if counted {
        let mut number = dice.from_to(1_000_000, 9_000_000);
        (0..order.len())
            .map(|_| {
                number += 1 + whole(dice.waiting(0.7));
                format!("TX{number:010}")
            })
            .collect()
    } else {
        names(dice, order.len(), 6)
    };
    let mut generated = Generated { transactions: Vec::with_capacity(rows.len()), labels: Vec::with_capacity(rows.len()) };
    for ((_, _, micros, zoned, i), id) in order.into_iter().zip(ids) {
        let marked = &rows[i];
        let row = &marked.row;
        let seat = seat(world, salt, marked);
        let precision = if seat.channel == "desk" { SecondsFormat::Micros } else { SecondsFormat::Millis };
        let timestamp = if local && seat.channel != "import" { zoned.to_rfc3339_opts(precision, true) } else { zoned.with_timezone(&Utc).to_rfc3339_opts(precision, true) };
        let micros = if precision == SecondsFormat::Millis { micros.div_euclid(1_000) * 1_000 } else { micros };
        let department = row.department.unwrap_or_else(|| world.people[row.user].department(row.day().min(world.days - 1)));
        let own = |party: Party| match party {
            Party::Known(account) | Party::Fresh(account) => account,
        };
        let counterparty = row.counterparty.map(own);
        let metadata = metadata(world, salt, row, seat, counterparty);
        let habit = share(mix(salt ^ 21, [row.user, row.kind as usize, 0]));
        let words = WORDS[row.kind as usize];
        let description = dice.chance(0.35 + 0.6 * habit).then(|| words[(dice.zipf(words.len()) + row.user) % words.len()].to_owned());
        generated.transactions.push(Transaction {
            transaction_id: id,
            timestamp,
            micros,
            user_id: users[row.user].clone(),
            account_id: accounts[own(row.account)].clone(),
            department: department.as_str(),
            transaction_type: row.kind.as_str(),
            cents: row.cents,
            description,
            counterparty_account: counterparty.map(|c| accounts[c].clone()),
            metadata,
        });
        generated.labels.push(Label { fraud: marked.incident.is_some(), incident: marked.incident.map(|i| i.0), scenario: row.scenario, grade: marked.incident.map(|i| i.1) });
    }
    generated
}

/// Opens the accounts of incidents and gives every row a number.
fn settle(world: &mut World, rows: &mut [Marked]) {
    let mut opened: HashMap<(u32, usize), usize> = HashMap::new();
    for marked in rows {
        let incident = marked.incident.map_or(0, |i| i.0);
        for party in [Some(&mut marked.row.account), marked.row.counterparty.as_mut()].into_iter().flatten() {
            if let Party::Fresh(n) = *party {
                *party = Party::Known(*opened.entry((incident, n)).or_insert_with(|| world.open(Owner::Fresh)));
            }
        }
        if marked.row.reference.is_none() {
            marked.row.reference = Some(world.reference());
        }
    }
}

fn metadata(world: &World, salt: u64, row: &Row, seat: Seat, counterparty: Option<usize>) -> Vec<(&'static str, String)> {
    let mut out = Vec::with_capacity(7);
    let number = mix(salt ^ 31, [row.reference.unwrap_or(0), 0, 0]);
    let slot = index(row.at / (4 * 3_600));
    let session = mix(salt ^ 32, [row.user, slot, seat.terminal.len() + seat.terminal.bytes().map(usize::from).sum::<usize>()]);
    out.push(("channel", seat.channel.to_owned()));
    if share(mix(salt ^ 33, [row.user, index(row.at / DAY), 1])) < 0.96 {
        out.push(("ip", seat.ip));
    }
    out.push(("terminal", seat.terminal));
    out.push(("session", format!("{:010x}", session % (1 << 40))));
    let key = match row.kind {
        Kind::Billing | Kind::Refund | Kind::Adjustment => "bill_no",
        Kind::Payment | Kind::Procurement => "invoice_no",
        Kind::InsuranceClaim => "claim_no",
        Kind::Payroll | Kind::Transfer => "document_no",
    };
    if share(mix(salt ^ 34, [row.user, row.kind as usize, slot])) < 0.85 {
        out.push((key, format!("{:08}", number % 100_000_000)));
    }
    if matches!(row.kind, Kind::Payment | Kind::Refund) {
        let method = match counterparty {
            Some(c) if world.wards.iter().any(|w| w.desk == c) => "cash",
            Some(c) if mix(salt ^ 35, [c, 0, 0]).is_multiple_of(3) => "card",
            _ => "bank",
        };
        out.push(("method", method.to_owned()));
    }
    if share(mix(salt ^ 36, [row.user, 0, 0])) < 0.5 {
        out.push(("cost_center", format!("{}", 1_000 + mix(salt ^ 37, [row.user, row.kind as usize, 0]) % 9_000)));
    }
    out
}
