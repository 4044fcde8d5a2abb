//! Each fuzz target some thousand times: its seeds, seeds that were altered, and noise. `fuzz/` runs the same bodies under libFuzzer, for as long as one likes.

#[expect(unreachable_pub, reason = "it is a crate of its own too, whose targets call these")]
#[path = "../../../fuzz/src/lib.rs"]
mod targets;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use crate::mutation::{Dice, alter};

/// The same inputs in each run.
const SEED: u64 = 20_260_301;
/// The longest that altering makes an input.
const LONGEST: usize = 16 * 1024;

fn seeds(target: &str) -> Vec<Vec<u8>> {
    // Asked while running: clones that share a target folder share the compiled test.
    let crate_folder = PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR").unwrap());
    let folder = crate_folder.parent().unwrap_or(Path::new("/")).join("fuzz/seeds").join(target);
    let mut paths: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let seeds: Vec<Vec<u8>> = paths.iter().map(|path| std::fs::read(path).unwrap()).collect();
    assert!(!seeds.is_empty() && seeds.iter().all(|seed| seed.len() <= LONGEST), "{target}: {} seeds", seeds.len());
    seeds
}

fn input(seeds: &[Vec<u8>], number: u64) -> Vec<u8> {
    let mut dice = Dice::new(SEED, number);
    if dice.percent(5) {
        let length = dice.below(400);
        return dice.noise(length);
    }
    let (mut bytes, other) = (dice.pick(seeds).clone(), dice.pick(seeds));
    // A few alterations leave most of an input readable.
    for _ in 0..=dice.below(6) {
        alter(&mut bytes, other, &mut dice);
    }
    bytes.truncate(LONGEST);
    bytes
}

fn run(target: &str, count: u64, body: fn(&[u8])) {
    let seeds = seeds(target);
    seeds.iter().for_each(|seed| body(seed));
    body(&[]);
    for number in 0..count {
        let input = input(&seeds, number);
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| body(&input))) {
            eprintln!("{target}: input {number} failed; put it into fuzz/seeds/{target} once it is mended:\n{:?}", String::from_utf8_lossy(&input));
            eprintln!("{}", input.iter().map(|byte| format!("\\x{byte:02x}")).collect::<String>());
            std::panic::resume_unwind(panic);
        }
    }
}

#[test]
fn records() {
    run("records", 4_000, targets::records::run);
}

#[test]
fn blocks() {
    run("blocks", 4_000, targets::blocks::run);
}

#[test]
fn checkpoints() {
    run("checkpoints", 4_000, targets::checkpoints::run);
}

#[test]
fn csv() {
    run("csv", 4_000, targets::csv::run);
}

#[test]
fn matching() {
    run("matching", 4_000, targets::matching::run);
}

#[test]
fn delivery() {
    run("delivery", 1_500, targets::delivery::run);
}
