//! First digits of amounts against Benford's law, by user and by department: an indicator for a person who knows the books, never an
//! alert. Prices from a list do not follow the law, and honest people have such books too.
//!
//! F. Benford, "The law of anomalous numbers", 1938; the mean absolute deviation and its bounds after M. J. Nigrini, "Benford's Law", 2012.
//! What must stay true: nothing is said of fewer than [`LEAST`] amounts.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde::Serialize;
use wh_schemas::Cents;

/// Amounts from which on something is said.
pub const LEAST: u64 = 300;

/// How often each first digit occurs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Digits([u64; 9]);

impl Digits {
    /// Takes an amount in.
    pub fn add(&mut self, amount: Cents) {
        let mut digit = amount.0.unsigned_abs();
        while digit >= 10 {
            digit /= 10;
        }
        if let Some(count) = usize::try_from(digit).ok().and_then(|d| d.checked_sub(1)).and_then(|at| self.0.get_mut(at)) {
            *count += 1;
        }
    }

    /// Amounts that were taken in.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.0.iter().sum()
    }

    /// Mean absolute deviation of the shares, χ² with eight degrees of freedom, and the digit that is most too frequent; none before [`LEAST`].
    #[must_use]
    pub fn measured(&self) -> Option<Measured> {
        let count = self.count();
        if count < LEAST {
            return None;
        }
        #[expect(clippy::cast_precision_loss, reason = "counts of amounts")]
        let n = count as f64;
        let (mut deviation, mut chi, mut most) = (0.0, 0.0, (f64::MIN, 1));
        for (digit, observed) in (1_u8..).zip(self.0) {
            let expected = libm::log10(1.0 + 1.0 / f64::from(digit));
            #[expect(clippy::cast_precision_loss, reason = "counts of amounts")]
            let share = observed as f64 / n;
            deviation += libm::fabs(share - expected) / 9.0;
            chi += n * (share - expected) * (share - expected) / expected;
            if share - expected > most.0 {
                most = (share - expected, digit);
            }
        }
        Some(Measured { amounts: count, deviation, chi_squared: chi, conformity: conformity(deviation), digit: most.1, excess: most.0 })
    }
}

/// Nigrini's bounds for the first digit.
fn conformity(deviation: f64) -> &'static str {
    match deviation {
        d if d <= 0.006 => "close",
        d if d <= 0.012 => "acceptable",
        d if d <= 0.015 => "marginal",
        _ => "none",
    }
}

/// How well first digits follow the law.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Measured {
    /// Amounts behind it.
    pub amounts: u64,
    /// Mean absolute deviation of the shares from the law's.
    pub deviation: f64,
    /// χ² with eight degrees of freedom; 15.5 is exceeded by one in twenty that follow the law.
    pub chi_squared: f64,
    /// Nigrini's word for the deviation.
    pub conformity: &'static str,
    /// The digit that is most too frequent.
    pub digit: u8,
    /// By how much, as a share of all.
    pub excess: f64,
}

/// First digits by user and by department. 72 bytes and a name each.
#[derive(Clone, Debug, Default)]
pub struct Benford {
    users: BTreeMap<String, Digits>,
    departments: BTreeMap<String, Digits>,
}

/// One of them.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Line {
    /// `user` or `department`.
    pub of: &'static str,
    /// Its name.
    pub name: String,
    /// How well it follows the law.
    #[serde(flatten)]
    pub measured: Measured,
}

impl Benford {
    /// Takes a transaction in.
    pub fn add(&mut self, user: &str, department: &str, amount: Cents) {
        for (map, name) in [(&mut self.users, user), (&mut self.departments, department)] {
            match map.get_mut(name) {
                Some(digits) => digits.add(amount),
                None => map.entry(name.to_owned()).or_default().add(amount),
            }
        }
    }

    /// Departments, then users, each the furthest from the law first.
    #[must_use]
    pub fn lines(&self) -> Vec<Line> {
        let of = |of: &'static str, map: &BTreeMap<String, Digits>| {
            let mut lines: Vec<Line> = map.iter().filter_map(|(name, digits)| Some(Line { of, name: name.clone(), measured: digits.measured()? })).collect();
            lines.sort_by(|a, b| b.measured.deviation.total_cmp(&a.measured.deviation).then_with(|| a.name.cmp(&b.name)));
            lines
        };
        let mut lines = of("department", &self.departments);
        lines.extend(of("user", &self.users));
        lines
    }

    /// For people, at most so many lines of each kind.
    #[must_use]
    pub fn text(&self, most: usize) -> String {
        let mut out = format!("First digits against Benford's law, from {LEAST} amounts on (an indicator, never an alert)\n");
        // Writing to a string cannot fail, here and below.
        writeln!(out, "{:<11} {:<32} {:>9} {:>9} {:>9}  {:<11} most too frequent", "of", "name", "amounts", "deviation", "chi²", "conformity").ok();
        let lines = self.lines();
        for kind in ["department", "user"] {
            for line in lines.iter().filter(|line| line.of == kind).take(most) {
                let m = line.measured;
                let name: String = line.name.chars().take(32).collect();
                writeln!(out, "{kind:<11} {name:<32} {:>9} {:>9.4} {:>9.1}  {:<11} {} (+{:.1} %)", m.amounts, m.deviation, m.chi_squared, m.conformity, m.digit, m.excess * 100.0)
                    .ok();
            }
        }
        if lines.is_empty() {
            out.push_str("nobody has so many\n");
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn powers_follow_the_law_and_one_price_does_not() {
        let mut benford = Benford::default();
        let mut amount = 1.0_f64;
        for _ in 0..1_000 {
            amount = if amount > 1e12 { amount / 1e10 } else { amount * 1.07 };
            #[expect(clippy::cast_possible_truncation, reason = "a test's amount")]
            benford.add("growing", "A", Cents((amount * 100.0) as i64));
            benford.add("one price", "B", Cents(74_900));
            if benford.users["growing"].count() <= 200 {
                benford.add("few", "A", Cents(100));
            }
        }
        let lines = benford.lines();
        let of = |name: &str| lines.iter().find(|line| line.name == name).map(|line| line.measured);
        assert!(of("growing").unwrap().deviation < 0.006, "{lines:?}");
        let price = of("one price").unwrap();
        assert!((price.digit, price.conformity) == (7, "none") && price.chi_squared > 1_000.0, "{price:?}");
        assert_eq!(of("few"), None);
        assert!(benford.text(5).contains("one price"));
    }
}
