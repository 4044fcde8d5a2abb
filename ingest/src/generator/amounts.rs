//! How much: heavy-tailed amounts by type of transaction, list prices, round sums.
//!
//! What must stay true: every amount is above 0 and below [`MOST`]. The figures are made up so that a stream looks like
//! a hospital's; nothing else rests on them.

use wh_schemas::transaction::TransactionType;

use super::dice::{Dice, whole};

/// The largest amount, in cents.
pub(super) const MOST: i64 = 250_000_000;
/// The smallest amount, in cents.
const LEAST: i64 = 50;

/// Share of amounts that are a list price to the cent.
const LISTED: f64 = 0.18;
/// Share of amounts that are a round sum.
const ROUNDED: f64 = 0.14;

/// Amounts of one type: log-normal, beside a list of prices.
struct Tariff {
    /// In cents.
    median: f64,
    /// Standard deviation of the natural logarithm.
    sigma: f64,
    /// In cents, dearer ones later.
    prices: &'static [i64],
}

/// In the order of `TransactionType::ALL`.
static TARIFFS: [Tariff; 8] = [
    Tariff { median: 21_000.0, sigma: 1.10, prices: &[8_500, 12_000, 18_500, 24_000, 36_000, 75_000, 115_000, 240_000] },
    Tariff { median: 90_000.0, sigma: 1.20, prices: &[25_000, 50_000, 100_000, 180_000] },
    Tariff { median: 7_500.0, sigma: 1.00, prices: &[1_000, 2_500, 5_000, 8_500] },
    Tariff { median: 320_000.0, sigma: 1.20, prices: &[100_000, 250_000, 500_000, 1_000_000, 2_500_000] },
    Tariff { median: 6_000.0, sigma: 1.10, prices: &[500, 1_000, 2_500, 5_000] },
    Tariff { median: 125_000.0, sigma: 1.15, prices: &[35_000, 64_000, 98_000, 145_000, 320_000, 780_000] },
    Tariff { median: 290_000.0, sigma: 0.35, prices: &[15_000, 30_000, 45_000] },
    Tariff { median: 52_000.0, sigma: 1.30, prices: &[4_990, 12_900, 24_900, 89_000, 149_000, 480_000] },
];

/// What patients pay at a counter.
static COUNTER: Tariff = Tariff { median: 6_500.0, sigma: 1.05, prices: &[1_000, 1_500, 2_500, 4_000, 8_500, 12_000] };

/// An amount in cents. `retail` is someone who takes payments at a counter, `scale` how much larger than others'
/// the person's amounts are.
pub(super) fn draw(dice: &mut Dice, kind: TransactionType, retail: bool, scale: f64) -> i64 {
    let tariff = if retail && kind == TransactionType::Payment { &COUNTER } else { &TARIFFS[kind.index()] };
    let manner = dice.unit();
    if manner < LISTED {
        return tariff.prices[dice.index(tariff.prices.len())];
    }
    let cents = whole(tariff.median * scale * libm::exp(tariff.sigma * dice.normal())).clamp(LEAST, MOST);
    if manner < LISTED + ROUNDED { rounded(cents) } else { cents }
}

/// `cents` times `factor`, within the bounds of amounts.
pub(super) fn scaled(cents: i64, factor: f64) -> i64 {
    whole(libm::round(cents as f64 * factor)).clamp(LEAST, MOST)
}

/// The nearest sum that people call round at that size, never 0.
fn rounded(cents: i64) -> i64 {
    let step = match cents {
        ..10_000 => 500,
        10_000..100_000 => 5_000,
        _ => 50_000,
    };
    ((cents + step / 2) / step * step).max(step)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_above_zero_and_heavy_tailed() {
        let mut dice = Dice::new(5);
        for kind in TransactionType::ALL {
            let mut drawn: Vec<i64> = (0..20_000).map(|_| draw(&mut dice, kind, false, 1.0)).collect();
            drawn.sort_unstable();
            assert!(drawn[0] >= LEAST && drawn[19_999] <= MOST, "{kind}");
            if kind != TransactionType::Payroll {
                assert!(drawn[19_900] > 5 * drawn[10_000], "{kind}: {} and {}", drawn[10_000], drawn[19_900]);
            }
        }
    }

    #[test]
    fn round_sums_are_round() {
        assert_eq!(rounded(120), 500);
        assert_eq!(rounded(12_345), 10_000);
        assert_eq!(rounded(1_234_567), 1_250_000);
    }
}
