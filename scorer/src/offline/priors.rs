//! Fitting of priors: what amounts are like before a user's own are known, by type and by department and type.
//!
//! Location is the weighted median of ln(amount), scale 1.4826 times the weighted median of the distances from it (P. J. Rousseeuw and C. Croux,
//! "Alternatives to the median absolute deviation", 1993): a few frauds in the history move neither. The rows of one user weigh together at most
//! as much as [`A_USER`] rows, so that nobody's habits become everybody's.
//!
//! What must stay true: a group of fewer than [`LEAST`] rows or three users has no prior of its own; 16 bytes of memory a row.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::io;

use hashbrown::HashMap;
use serde::Serialize;
use wh_schemas::validate::{Reading, decode_transaction};
use wh_schemas::{AcceptedTransaction, TransactionType};

use super::source::Source;
use crate::engine::amounts::{Prior, log_amount};
use crate::engine::ruleset::Priors;

/// Rows from which on a group has a prior.
pub const LEAST: usize = 50;
/// Users from which on a group has a prior.
const LEAST_USERS: usize = 3;
/// Rows that one user counts as, at most.
pub const A_USER: u32 = 30;
/// Smallest scale: a list of prices must not make every other amount unusual.
const LEAST_SCALE: f64 = 0.3;

#[derive(Clone, Copy)]
struct Sample {
    user: u32,
    department: u16,
    kind: u8,
    log: f64,
}

/// One prior with what is behind it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Fit {
    /// The department; all where `None`.
    pub department: Option<String>,
    /// The type.
    pub transaction_type: &'static str,
    /// Rows behind it.
    pub rows: usize,
    /// Users behind it.
    pub users: usize,
    /// The prior; `None` where there is too little.
    pub prior: Option<Prior>,
}

/// What was fitted.
#[derive(Clone, Debug, PartialEq)]
pub struct Fitted {
    /// The priors: those that were given, where there is too little for another.
    pub priors: Priors,
    /// What is behind each.
    pub fits: Vec<Fit>,
    /// Transactions that were read.
    pub transactions: usize,
    /// Records that are none.
    pub unread: usize,
}

/// The value below which half of the weight lies. `values` are sorted by it.
fn weighted_median(values: &mut [(f64, f64)]) -> f64 {
    values.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
    let whole: f64 = values.iter().map(|(_, weight)| weight).sum();
    let mut below = 0.0;
    for (value, weight) in values.iter() {
        below += weight;
        if below >= whole / 2.0 {
            return *value;
        }
    }
    0.0
}

/// Location and scale of a group, and how many users it has.
fn fitted(samples: &[Sample]) -> (usize, Option<Prior>) {
    let mut rows: HashMap<u32, u32> = HashMap::new();
    for sample in samples {
        *rows.entry(sample.user).or_default() += 1;
    }
    if samples.len() < LEAST || rows.len() < LEAST_USERS {
        return (rows.len(), None);
    }
    let weight = |user: u32| {
        let count = rows.get(&user).copied().unwrap_or(1).max(1);
        f64::from(A_USER.min(count)) / f64::from(count)
    };
    let mut values: Vec<(f64, f64)> = samples.iter().map(|sample| (sample.log, weight(sample.user))).collect();
    let location = weighted_median(&mut values);
    for value in &mut values {
        value.0 = libm::fabs(value.0 - location);
    }
    let scale = (1.4826 * weighted_median(&mut values)).max(LEAST_SCALE);
    let rounded = |x: f64| libm::round(x * 1_000.0) / 1_000.0;
    (rows.len(), Some(Prior { location: rounded(location), scale: rounded(scale) }))
}

/// Fits priors to a history; where there is too little, those of `present` stay.
///
/// # Errors
/// Where the history cannot be read.
pub fn fit(source: &mut dyn Source, reading: &Reading, present: &Priors) -> io::Result<Fitted> {
    let mut samples: Vec<Sample> = Vec::new();
    let mut unread = 0;
    let (mut users, mut departments): (HashMap<String, u32>, BTreeMap<String, u16>) = (HashMap::new(), BTreeMap::new());
    loop {
        let read = source.read(4_096)?;
        if read.is_empty() {
            break;
        }
        for input in read {
            let transaction = match input.logged {
                None => decode_transaction(&input.text, reading).ok().map(AcceptedTransaction::new),
                Some(_) => serde_json::from_slice(&input.text).ok(),
            };
            let Some(transaction) = transaction else {
                unread += 1;
                continue;
            };
            let next = u32::try_from(users.len()).unwrap_or(u32::MAX);
            let user = match users.get(transaction.user_id.as_str()) {
                Some(user) => *user,
                None => *users.entry(transaction.user_id.as_str().to_owned()).or_insert(next),
            };
            // Beyond 65,535 departments, rows count for their type only.
            let next = u16::try_from(departments.len()).unwrap_or(u16::MAX);
            let department = match departments.get(transaction.department.as_str()) {
                Some(department) => *department,
                None if next == u16::MAX => next,
                None => *departments.entry(transaction.department.as_str().to_owned()).or_insert(next),
            };
            let kind = u8::try_from(transaction.transaction_type.index()).unwrap_or(0);
            samples.push(Sample { user, department, kind, log: log_amount(transaction.amount) });
        }
    }
    let mut fitted_to = Fitted { priors: Priors { overall: present.overall.clone(), departments: BTreeMap::new() }, fits: Vec::new(), transactions: samples.len(), unread };
    samples.sort_by_key(|sample| sample.kind);
    for of_type in samples.chunk_by_mut(|a, b| a.kind == b.kind) {
        let Some(name) = of_type.first().and_then(|sample| TransactionType::ALL.get(usize::from(sample.kind))).map(|kind| kind.as_str()) else { continue };
        let (users, prior) = fitted(of_type);
        fitted_to.fits.push(Fit { department: None, transaction_type: name, rows: of_type.len(), users, prior });
        if let Some(prior) = prior {
            fitted_to.priors.overall.insert(name.to_owned(), prior);
        }
        of_type.sort_by_key(|sample| sample.department);
        for group in of_type.chunk_by(|a, b| a.department == b.department) {
            let number = group.first().map(|sample| sample.department);
            let Some(department) = departments.iter().find(|(_, of)| Some(**of) == number).map(|(name, _)| name) else { continue };
            let (users, prior) = fitted(group);
            fitted_to.fits.push(Fit { department: Some(department.clone()), transaction_type: name, rows: group.len(), users, prior });
            if let Some(prior) = prior {
                fitted_to.priors.departments.entry(department.clone()).or_default().insert(name.to_owned(), prior);
            }
        }
    }
    fitted_to.fits.sort_by(|a, b| a.department.cmp(&b.department).then(a.transaction_type.cmp(b.transaction_type)));
    Ok(fitted_to)
}

/// The fits for people: the usual amount, and the factor within which two of three lie.
#[must_use]
pub fn text(fitted: &Fitted) -> String {
    let mut out = String::new();
    // Writing to a string cannot fail, here and below.
    writeln!(out, "{:<20} {:<16} {:>9} {:>7} {:>12} {:>8}", "department", "type", "rows", "users", "usual", "× or ÷").ok();
    for fit in &fitted.fits {
        let department: String = fit.department.as_deref().unwrap_or("all").chars().take(20).collect();
        write!(out, "{department:<20} {:<16} {:>9} {:>7} ", fit.transaction_type, fit.rows, fit.users).ok();
        match fit.prior {
            Some(Prior { location, scale }) => writeln!(out, "{:>12.2} {:>8.2}", libm::exp(location), libm::exp(scale)).ok(),
            None => writeln!(out, "{:>12} {:>8}   fewer than {LEAST} rows or {LEAST_USERS} users", "-", "-").ok(),
        };
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::offline::source::Lines;

    fn line(id: usize, user: &str, department: &str, kind: &str, amount: f64) -> String {
        format!(
            "{{\"transaction_id\":\"T{id}\",\"timestamp\":\"2026-03-01T08:00:00Z\",\"user_id\":\"{user}\",\"account_id\":\"A\",\"department\":\"{department}\",\"transaction_type\":\"{kind}\",\"amount\":{amount:.2}}}\n"
        )
    }

    #[test]
    fn a_busy_user_and_a_few_large_amounts_do_not_decide() {
        let mut text = String::new();
        for i in 0..600_usize {
            // Ten clerks pay about 100; one with as many rows as all of them pays 5,000; a few rows are a million.
            let amount = if i % 100 == 0 { 1e6 } else { 80.0 + (i * 7919 % 45) as f64 };
            text.push_str(&line(i, &format!("U{}", i % 10), "Finance", "payment", amount));
            text.push_str(&line(10_000 + i, "busy", "Finance", "payment", 5_000.0));
        }
        for i in 0..20 {
            text.push_str(&line(50_000 + i, "U1", "IT", "refund", 10.0));
        }
        text.push_str("nothing\n");
        let present = Priors::default();
        let fitted = fit(&mut Lines::new(text.as_bytes()), &Reading::default(), &present).unwrap();
        let prior = fitted.priors.overall["payment"];
        assert!((80.0..=130.0).contains(&libm::exp(prior.location)) && (LEAST_SCALE..0.6).contains(&prior.scale), "{prior:?}");
        assert_eq!(fitted.priors.departments["Finance"]["payment"], prior);
        assert_eq!(fitted.priors.overall["refund"], present.overall["refund"], "too few rows change nothing");
        assert!(!fitted.priors.departments.contains_key("IT"));
        assert_eq!((fitted.transactions, fitted.unread), (1_220, 1));
        assert!(super::text(&fitted).contains("fewer than 50 rows"));
    }
}
