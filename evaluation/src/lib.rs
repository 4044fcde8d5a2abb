//! A stream of a hospital's financial transactions with hidden fraud, for measuring how well a scorer finds it.
//!
//! [`generate`] draws a hospital from a seed, lets its people work for some months, and hides incidents of fraud in their
//! books. The truth is beside the stream, never in it. [`generate_with`] takes further schemes; what one must do is written at
//! [`schemes::Scheme`]. [`baseline`] is a plain detector that shows how hard the stream is, [`figures`] measures any detector,
//! and [`plot`] draws what it measured.
//!
//! What must stay true: no clock, no I/O, no dependence on any detector. The same [`Config`] and seed give the same stream.

pub mod baseline;
pub mod config;
pub mod confusers;
pub mod dice;
pub mod figures;
mod finish;
pub mod plot;
pub mod row;
pub mod schemes;
#[cfg(test)]
mod tests;
pub mod transaction;
pub mod unseen;
mod work;
pub mod world;

pub use config::{Config, Grade};
pub use dice::Dice;
pub use row::{Device, Party, Row};
pub use schemes::{STANDARD, Scheme, Stage};
pub use transaction::{Department, Generated, Kind, Label, Transaction};

use finish::Marked;
use row::DAY;
use world::World;

/// A stream with incidents of the [`STANDARD`] schemes.
#[must_use]
pub fn generate(config: &Config, seed: u64) -> Generated {
    let standard: Vec<&dyn Scheme> = STANDARD.iter().map(|s| s as &dyn Scheme).collect();
    generate_with(config, seed, &standard)
}

/// A stream with incidents of these schemes, in about equal numbers by scheme and grade. For the same configuration and seed the
/// honest part is the same whatever the schemes are (but for the digits of ids).
#[must_use]
pub fn generate_with(config: &Config, seed: u64, schemes: &[&dyn Scheme]) -> Generated {
    let mut dice = Dice::new(seed);
    let config = Config { users: config.users.max(12), days: config.days.max(14), ..config.clone() };
    let mut world = World::new(&config, &mut dice.fork());
    let end = config.days as i64 * DAY;
    let mut honest = work::honest(&mut world, &mut dice.fork());
    honest.retain(|row| (0..end).contains(&row.at));
    honest.sort_by_key(|row| row.at);
    for row in &mut honest {
        // Numbered before fraud is added, so that a copy can carry its original's number.
        row.reference = row.reference.or_else(|| Some(world.reference()));
    }
    let fraud = incidents(&config, &world, &honest, schemes, &mut dice.fork());
    let mut rows: Vec<Marked> = honest.into_iter().map(|row| Marked { row, incident: None }).collect();
    rows.extend(fraud);
    finish::finish(&mut world, rows, &mut dice.fork())
}

/// Deals schemes and grades like cards, deck after deck, until the share of fraud is reached.
fn incidents(config: &Config, world: &World, honest: &[Row], schemes: &[&dyn Scheme], dice: &mut Dice) -> Vec<Marked> {
    let stage = Stage::new(world, honest);
    let share = config.fraud_share.clamp(0.0, 0.5);
    let target = dice::index(dice::whole(honest.len() as f64 * share / (1.0 - share)));
    let (from, to) = (world.warm_up as i64 * DAY, config.days as i64 * DAY);
    let mut out: Vec<Marked> = Vec::with_capacity(target + 40);
    let mut number = 0;
    // Ends also when nobody can commit any of the schemes.
    for _ in 0..1 + target {
        let mut deck: Vec<(&dyn Scheme, Grade)> = schemes.iter().flat_map(|&s| s.grades().iter().filter(|g| config.grades.contains(g)).map(move |&g| (s, g))).collect();
        dice.shuffle(&mut deck);
        let before = out.len();
        for (scheme, grade) in deck {
            if out.len() >= target {
                return out;
            }
            let found = (0..12).find_map(|_| {
                let rows = scheme.incident(&stage, &mut dice.fork(), grade)?;
                let kept: Vec<Row> = rows.into_iter().filter(|row| (from..to).contains(&row.at)).collect();
                (!kept.is_empty()).then_some(kept)
            });
            if let Some(rows) = found {
                out.extend(rows.into_iter().map(|row| Marked { row: row.named(scheme.name()), incident: Some((number, grade)) }));
                number += 1;
            }
        }
        if out.len() == before {
            return out;
        }
    }
    out
}
