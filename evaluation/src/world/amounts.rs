//! What things cost: tariffs of departments, prices of vendors.

use crate::dice::{Dice, whole};
use crate::transaction::Department;

/// Approval and reporting limits of this trade, in cents.
pub const LIMITS: [i64; 4] = [100_000, 500_000, 1_000_000, 5_000_000];

/// Puts the cents where a price list would have them.
pub(crate) fn list_price(dice: &mut Dice, cents: i64) -> i64 {
    let units = (cents / 100).max(1);
    match dice.below(6) {
        0 => units * 100,
        1 => units * 100 + 50,
        2 => units * 100 + 90,
        3 => (units / 10).max(1) * 1_000,
        _ => cents,
    }
}

/// A department's tariffs, the commonest first.
pub(crate) fn tariffs(dice: &mut Dice, department: Department) -> Vec<i64> {
    let level = match department {
        Department::Surgery | Department::Oncology => 6.6,
        Department::Cardiology | Department::Neurology => 5.9,
        Department::Radiology | Department::Emergency => 5.2,
        Department::Laboratory | Department::Pharmacy => 3.9,
        _ => 4.6,
    } + dice.between(-0.3, 0.3);
    let n = dice.count(40, 70);
    (0..n).map(|_| (dice.price(level, 0.8), dice.fork())).map(|(cents, mut d)| list_price(&mut d, cents)).collect()
}

/// Who sells something to the hospital.
#[derive(Clone, Debug)]
pub struct Vendor {
    /// Place in the world's accounts.
    pub account: usize,
    /// The department that buys most from it; `None`: all do.
    pub department: Option<Department>,
    /// Mean of the logarithm of an amount in units.
    pub level: f64,
    /// Its spread.
    pub spread: f64,
    /// List prices in cents, the commonest first.
    pub items: Vec<i64>,
    /// First day of business, 0 if from before the stream.
    pub since: usize,
    /// Whether its prices end just below an approval limit.
    pub below_limit: bool,
    /// Whether business grows over the first weeks.
    pub grows: bool,
    /// Only once in a while: nobody buys there in the ordinary course.
    pub seasonal: bool,
}

impl Vendor {
    pub(crate) fn draw(dice: &mut Dice, account: usize, since: usize) -> Vendor {
        let level = 5.8 + dice.normal();
        let below_limit = dice.chance(0.08);
        let n = dice.count(4, 14);
        let items = (0..n)
            .map(|_| {
                if below_limit && dice.chance(0.6) {
                    let limit = LIMITS[dice.zipf(3)];
                    limit - [100, 5_000, 1_000, 1, 10_000][dice.below(5)].min(limit / 20)
                } else {
                    let cents = dice.price(level, 0.7);
                    list_price(dice, cents)
                }
            })
            .collect();
        let department = dice.chance(0.65).then(|| Department::ALL[dice.below(12)]);
        Vendor { account, department, level, spread: dice.between(0.35, 0.9), items, since, below_limit, grows: since > 0 && dice.chance(0.6), seasonal: false }
    }

    /// An amount on that day for somebody whose orders are `scale` (in logarithms) above the common size.
    #[must_use]
    pub fn amount(&self, dice: &mut Dice, scale: f64, day: usize) -> i64 {
        let grown = if self.grows && day >= self.since { libm::log(0.5 + (day - self.since) as f64 / 12.0).min(1.6) } else { 0.0 };
        if dice.chance(0.55) {
            let item = self.items.get(dice.zipf(self.items.len())).copied().unwrap_or(10_000);
            let many = if self.grows { 1 + whole((day.saturating_sub(self.since)) as f64 / 20.0) } else { 1 };
            return if self.below_limit { item } else { item * many };
        }
        dice.price(self.level + 0.5 * scale + grown, self.spread)
    }
}
