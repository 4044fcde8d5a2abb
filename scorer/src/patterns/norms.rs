//! What is usual in the whole stream: amounts by department and type, how often a type goes to new payees, and which amounts are list prices.
//!
//! What must stay true: some 20 KB serialised at most; what one event can move is bounded, so that a scheme does not make itself usual.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use wh_schemas::time::{DAY, HOUR};

use super::account::day_of;

/// Departments × types with amounts of their own; beyond it the type's amounts speak.
const TABLES: usize = 512;
/// Cells of a row of the price sketch.
const CELLS: usize = 2_048;
/// Weight beyond which a mean moves no slower.
const MEMORY: f64 = 5_000.0;

/// Mean and spread of log amounts, slowly forgetting.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Amounts {
    weight: f64,
    mean: f64,
    variance: f64,
}

impl Amounts {
    fn learn(&mut self, log: f64) {
        // A single event counts as three deviations at most once the spread is known.
        let log = if self.weight >= 30.0 {
            let sd = self.variance.sqrt().max(0.2);
            log.clamp(self.mean - 3.0 * sd, self.mean + 3.0 * sd)
        } else {
            log
        };
        self.weight = (self.weight + 1.0).min(MEMORY);
        let off = log - self.mean;
        self.mean += off / self.weight;
        self.variance += (off * (log - self.mean) - self.variance) / self.weight;
    }
}

/// A share of events, slowly forgetting.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Share {
    weight: f64,
    share: f64,
}

impl Share {
    pub(super) fn learn(&mut self, yes: bool) {
        self.weight = (self.weight + 1.0).min(1_000.0);
        self.share += (f64::from(u8::from(yes)) - self.share) / self.weight;
    }

    /// The share, with a prior worth forty events.
    pub(super) fn of(self, prior: f64) -> f64 {
        (self.share * self.weight + prior * 40.0) / (self.weight + 40.0)
    }
}

/// What the whole stream is like.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Norms {
    /// Time of the first event.
    pub(super) start: i64,
    types: [Amounts; 8],
    tables: BTreeMap<(u32, u8), Amounts>,
    /// By type: events that went to a payee never seen before.
    pub(super) to_new: [Share; 8],
    /// By type: events to a new payee that came from another account than its money before.
    pub(super) other_source: [Share; 8],
    /// By type: events to a new payee that another user made than its events before.
    pub(super) other_user: [Share; 8],
    /// Payroll: events that lie in a run, at least eight within the hour before.
    pub(super) in_run: Share,
    /// Payroll: events to a payee that got wages within nine days before.
    pub(super) wages_again: Share,
    payroll: std::collections::VecDeque<i64>,
    prices: Vec<u8>,
    priced: u32,
    priced_day: i32,
}

impl Norms {
    pub(super) fn new() -> Norms {
        Norms {
            start: i64::MIN,
            types: [Amounts::default(); 8],
            tables: BTreeMap::new(),
            to_new: [Share::default(); 8],
            other_source: [Share::default(); 8],
            other_user: [Share::default(); 8],
            in_run: Share::default(),
            wages_again: Share::default(),
            payroll: std::collections::VecDeque::new(),
            prices: vec![0; 2 * CELLS],
            priced: 0,
            priced_day: 0,
        }
    }

    /// Deviations of a log amount from what department and type are like; 0 while little is known.
    pub(super) fn deviation(&self, department: u32, kind: u8, cents: i64) -> f64 {
        let Some(all) = self.types.get(usize::from(kind)) else { return 0.0 };
        if all.weight < 30.0 {
            return 0.0;
        }
        let own = self.tables.get(&(department, kind)).copied().unwrap_or_default();
        let weight = own.weight.min(200.0);
        let mean = (own.mean * weight + all.mean * 20.0) / (weight + 20.0);
        let variance = (own.variance * weight + all.variance * 20.0) / (weight + 20.0);
        ((log_of(cents) - mean) / variance.sqrt().max(0.3)).clamp(-12.0, 12.0)
    }

    /// What a department usually pays for a type, in currency units.
    pub(super) fn usual(&self, department: u32, kind: u8) -> f64 {
        let all = self.types.get(usize::from(kind)).copied().unwrap_or_default();
        let own = self.tables.get(&(department, kind)).copied().unwrap_or_default();
        let weight = own.weight.min(200.0);
        libm::exp((own.mean * weight + all.mean * 20.0) / (weight + 20.0)) / 100.0
    }

    pub(super) fn learn_amount(&mut self, department: u32, kind: u8, cents: i64) {
        let log = log_of(cents);
        if let Some(all) = self.types.get_mut(usize::from(kind)) {
            all.learn(log);
        }
        if self.tables.len() < TABLES || self.tables.contains_key(&(department, kind)) {
            self.tables.entry((department, kind)).or_default().learn(log);
        }
    }

    /// Counts a payroll event; whether it lies in a pay run.
    pub(super) fn learn_payroll(&mut self, at: i64) -> bool {
        while self.payroll.len() >= 8 {
            self.payroll.pop_front();
        }
        let run = self.payroll.len() >= 7 && self.payroll.front().is_some_and(|first| at - first <= HOUR);
        self.payroll.push_back(at);
        self.in_run.learn(run);
        run
    }

    /// How often this amount of this type was seen with whatever parties, at most 255, halved about weekly.
    /// A count-min sketch (G. Cormode, S. Muthukrishnan, "An improved data stream summary", 2005): never too low, seldom too high.
    pub(super) fn price(&self, kind: u8, cents: i64) -> u8 {
        cells(kind, cents).iter().filter_map(|at| self.prices.get(*at)).copied().min().unwrap_or(0)
    }

    pub(super) fn learn_price(&mut self, kind: u8, cents: i64, at: i64) {
        let day = day_of(at);
        self.priced += 1;
        if self.priced > 4_000 || day - self.priced_day > 28 {
            self.priced = 0;
            self.priced_day = day;
            for cell in &mut self.prices {
                *cell /= 2;
            }
        }
        for cell in cells(kind, cents) {
            if let Some(count) = self.prices.get_mut(cell) {
                *count = count.saturating_add(1);
            }
        }
    }

    /// Days since the stream's first event.
    pub(super) fn age_days(&self, at: i64) -> i64 {
        if self.start == i64::MIN { 0 } else { at.saturating_sub(self.start) / DAY }
    }
}

fn cells(kind: u8, cents: i64) -> [usize; 2] {
    // Multiplicative hashing (D. E. Knuth, The Art of Computer Programming, volume 3, section 6.4).
    let x = cents.cast_unsigned().wrapping_mul(8).wrapping_add(u64::from(kind));
    let first = usize::try_from(x.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 53).unwrap_or(0);
    let second = usize::try_from((x ^ (x >> 17)).wrapping_mul(0xd6e8_feb8_6659_fd93) >> 53).unwrap_or(0);
    [first % CELLS, CELLS + second % CELLS]
}

#[expect(clippy::cast_precision_loss, reason = "DECIMAL(15,2) stays below 2^53 cents")]
fn log_of(cents: i64) -> f64 {
    libm::log(cents.max(1) as f64)
}
