//! When a stage stops rather than draining its topic into the dead letters. Pure: the time is given.
//!
//! What must stay true: what is over the limit is not written, so that a stage that is started again stands before the same records, and a
//! topic of nothing but bad ones is not emptied start by start; the memory is bounded by the minute and the rows that are looked at.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use tokio::time::Instant;
use wh_schemas::dead_letter as header;
use wh_schemas::position::Origin;
use wh_schemas::{Reaction, topics};

use crate::Record;

/// How far back letters are counted.
const MINUTE: Duration = Duration::from_secs(60);
/// Rows below which no share is taken.
const ROWS: u64 = 200;
/// How the sentence begins that a stage ends with.
pub(crate) const TOO_MANY: &str = "too many dead letters";

/// How many letters are too many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LimitSettings {
    /// In a minute; 0: any number.
    pub per_minute: u64,
    /// Of a hundred rows, where at least 200 are looked at: those of the last minute, or the last 200 where it had fewer. 0: any share.
    pub percent: u64,
}

impl Default for LimitSettings {
    fn default() -> Self {
        LimitSettings { per_minute: 100, percent: 5 }
    }
}

impl LimitSettings {
    /// No limit at all.
    #[must_use]
    pub fn none() -> LimitSettings {
        LimitSettings { per_minute: 0, percent: 0 }
    }
}

/// What came to pass within one second.
#[derive(Clone, Copy, Debug)]
struct Second {
    begun: Instant,
    rows: u64,
    letters: u64,
}

/// What one stage has taken and buried lately.
#[derive(Debug)]
pub struct Limit {
    settings: LimitSettings,
    /// The oldest first: those of the last minute, and as many before as hold [`ROWS`] rows together with them.
    seconds: VecDeque<Second>,
    rows: u64,
    letters: u64,
}

impl Limit {
    /// Nothing has been taken yet.
    #[must_use]
    pub fn new(settings: LimitSettings) -> Limit {
        Limit { settings, seconds: VecDeque::new(), rows: 0, letters: 0 }
    }

    /// Rows were read: once each, whatever becomes of them, and before what cannot be taken of them is buried.
    pub fn rows(&mut self, now: Instant, rows: u64) {
        self.add(now, rows, 0);
    }

    /// Letters were written.
    pub fn buried(&mut self, now: Instant, letters: u64) {
        self.add(now, 0, letters);
    }

    /// Whether letters may be written.
    ///
    /// # Errors
    /// Fatal where they would be too many: they must not be written.
    pub fn admit(&mut self, now: Instant, letters: &[Record]) -> Result<(), Reaction> {
        self.forget(now);
        let count = letters.len() as u64;
        let recent: u64 = self.seconds.iter().filter(|second| is_recent(second, now)).map(|second| second.letters).sum::<u64>() + count;
        let whole = self.letters + count;
        let LimitSettings { per_minute, percent } = self.settings;
        let over = if per_minute > 0 && recent > per_minute {
            Some(format!("{recent} in a minute, more than dead_letters.max_per_minute = {per_minute}"))
        } else if percent > 0 && self.rows >= ROWS && whole.saturating_mul(100) > percent.saturating_mul(self.rows) {
            Some(format!("{whole} of the last {} records, more than dead_letters.max_percent = {percent}", self.rows))
        } else {
            None
        };
        match over {
            Some(over) => Err(Reaction::fatal(format!("{TOO_MANY}: {over}{}", told(letters)))),
            None => Ok(()),
        }
    }

    fn add(&mut self, now: Instant, rows: u64, letters: u64) {
        self.rows += rows;
        self.letters += letters;
        match self.seconds.back_mut() {
            Some(last) if now.saturating_duration_since(last.begun) < Duration::from_secs(1) => {
                last.rows += rows;
                last.letters += letters;
            }
            _ => self.seconds.push_back(Second { begun: now, rows, letters }),
        }
        self.forget(now);
    }

    /// Drops what is older than a minute and not needed for the share.
    fn forget(&mut self, now: Instant) {
        while let Some(first) = self.seconds.front().copied() {
            if is_recent(&first, now) || (first.rows > 0 && self.rows - first.rows < ROWS) {
                break;
            }
            self.seconds.pop_front();
            self.rows -= first.rows;
            self.letters -= first.letters;
        }
        // Old ones with rows are at most so many; without any they are of no share.
        if self.seconds.len() as u64 > MINUTE.as_secs() + ROWS {
            self.seconds.retain(|second| second.rows > 0 || is_recent(second, now));
            self.letters = self.seconds.iter().map(|second| second.letters).sum();
        }
    }
}

fn is_recent(second: &Second, now: Instant) -> bool {
    now.saturating_duration_since(second.begun) < MINUTE
}

/// What most of the letters are, where the first of them stands, and what to do: no content.
fn told(letters: &[Record]) -> String {
    let text = |record: &Record, name: &str| {
        let found = record.headers.iter().find(|(of, _)| of == name);
        found.map(|(_, value)| String::from_utf8_lossy(value).into_owned()).unwrap_or_default()
    };
    let mut alike: BTreeMap<(String, String), (u64, &Record)> = BTreeMap::new();
    for letter in letters {
        let kind = (text(letter, header::ERROR_CLASS), text(letter, header::FINGERPRINT));
        alike.entry(kind).or_insert((0, letter)).0 += 1;
    }
    let mut told = String::new();
    if let Some(((class, fingerprint), (count, first))) = alike.into_iter().max_by_key(|(_, (count, _))| *count) {
        let origin = text(first, header::ORIGIN);
        told = format!("; {count} of the {} that come next are {class} (fingerprint {fingerprint}), the first stands at {origin}", letters.len());
        if let Some(Origin { topic, partition, offset }) = Origin::parse(&origin) {
            let table = topics::sql_name(&topic);
            told.push_str(&format!(": wardhouse sql 'SELECT value FROM log.{table} WHERE partition = {partition} AND \"offset\" = {offset}'"));
        }
    }
    told.push_str("; none of them was written: mend whoever sends them, or, where they are to be buried, raise the limit (0 for none), and start again");
    told
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn letters(count: usize) -> Vec<Record> {
        let letter = Record::new("k", "v").with_header(header::ERROR_CLASS, "amount:missing").with_header(header::FINGERPRINT, "00000000000000ab");
        vec![letter.with_header(header::ORIGIN, "hospital-transactions/1/17"); count]
    }

    fn limit() -> Limit {
        Limit::new(LimitSettings::default())
    }

    /// Buries so many letters, if they are admitted.
    fn bury(limit: &mut Limit, now: Instant, count: usize) -> Result<(), Reaction> {
        limit.admit(now, &letters(count))?;
        limit.buried(now, count as u64);
        Ok(())
    }

    #[test]
    fn a_hundred_in_a_minute_are_borne_and_one_more_is_not() {
        let (mut limit, begun) = (limit(), Instant::now());
        limit.rows(begun, 1_000_000);
        bury(&mut limit, begun, 60).unwrap();
        bury(&mut limit, begun + Duration::from_secs(30), 40).unwrap();
        let told = bury(&mut limit, begun + Duration::from_secs(59), 1).unwrap_err();
        assert_eq!(told.class(), "fatal");
        let told = told.to_string();
        assert!(told.starts_with("too many dead letters: 101 in a minute") && told.contains("1 of the 1 that come next are amount:missing"), "{told}");
        assert!(told.contains("FROM log.hospital_transactions WHERE partition = 1 AND \"offset\" = 17"), "{told}");
        // Those of the first second are forgotten; what was refused was not counted.
        bury(&mut limit, begun + Duration::from_secs(61), 60).unwrap();
        assert!(bury(&mut limit, begun + Duration::from_secs(61), 1).is_err());
    }

    #[test]
    fn a_share_counts_from_two_hundred_rows_on_however_slowly_they_come() {
        let (mut limit, mut now) = (limit(), Instant::now());
        let stopped = (0..400).find(|_| {
            // A row every ten seconds, each of them bad.
            now += Duration::from_secs(10);
            limit.rows(now, 1);
            bury(&mut limit, now, 1).is_err()
        });
        assert_eq!(stopped, Some(199), "before 200 rows there is no share");
        let (mut calm, now) = (Limit::new(LimitSettings::default()), Instant::now());
        calm.rows(now, 200);
        bury(&mut calm, now, 10).unwrap();
        let told = bury(&mut calm, now, 1).unwrap_err().to_string();
        assert!(told.contains("11 of the last 200 records, more than dead_letters.max_percent = 5"), "{told}");
    }

    #[test]
    fn without_a_limit_everything_is_admitted() {
        let (mut limit, now) = (Limit::new(LimitSettings::none()), Instant::now());
        limit.rows(now, 1_000);
        bury(&mut limit, now, 1_000).unwrap();
    }

    proptest! {
        #[test]
        fn the_sums_are_those_of_what_is_kept_and_that_is_bounded(steps in proptest::collection::vec((0u64..90, 0u64..300, 0usize..20), 1..300)) {
            let (mut limit, mut now) = (limit(), Instant::now());
            for (seconds, rows, count) in steps {
                now += Duration::from_secs(seconds);
                limit.rows(now, rows);
                let recent: u64 = limit.seconds.iter().filter(|second| is_recent(second, now)).map(|second| second.letters).sum();
                let admitted = bury(&mut limit, now, count).is_ok();
                prop_assert!(!admitted || recent + count as u64 <= 100);
                prop_assert_eq!(limit.rows, limit.seconds.iter().map(|second| second.rows).sum::<u64>());
                prop_assert_eq!(limit.letters, limit.seconds.iter().map(|second| second.letters).sum::<u64>());
                prop_assert!(limit.seconds.len() as u64 <= 61 + ROWS, "{} seconds", limit.seconds.len());
            }
        }
    }
}
