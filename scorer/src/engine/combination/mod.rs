//! The combination: how measurements speak together. What no single rule can say, such as that a new party matters where the amount is
//! high and the user has not just moved to other work, an ensemble of small regression trees says.
//!
//! Gradient boosting (J. H. Friedman, "Greedy function approximation: a gradient boosting machine", 2001), fitted on labelled streams
//! of several generators that share nothing (docs/detection.md says how). What must stay true: the sum of the measurements'
//! contributions is the ensemble's log-odds, so that it can be shown what each gave (A. Saabas, "Interpreting random forests", 2014).

mod measures;

use std::sync::LazyLock;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use measures::{COUNT, Measures, PATTERNS, measures, name};

/// The fitted trees: see `parse`.
const TREES: &str = include_str!("trees.txt");

static ENSEMBLE: LazyLock<Ensemble> = LazyLock::new(|| parse(TREES));

/// How the combination counts.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CombinationRules {
    /// Whether it is asked.
    pub enabled: bool,
    /// Log-odds at which it confirms: 0 is even odds among rows like those that it was fitted on.
    pub confirms_at: f64,
    /// By how much a pattern's own strength may exceed the combination's.
    pub leeway: f64,
    /// Which trees: the content hash of their file, which is built in.
    pub trees: u64,
}

impl Default for CombinationRules {
    fn default() -> Self {
        CombinationRules { enabled: true, confirms_at: -0.3, leeway: 0.0, trees: ENSEMBLE.identity }
    }
}

#[derive(Clone, Copy, Debug)]
struct Node {
    /// Index of the measurement.
    measure: u16,
    /// What is above it goes right; a leaf's is above everything.
    threshold: f32,
    /// Where the left child is; the right one is behind it. A leaf leads to itself.
    left: u32,
    /// Mean log-odds of what comes here.
    value: f32,
}

#[derive(Debug)]
struct Ensemble {
    base: f32,
    /// All trees' nodes, one tree behind the other, breadth first.
    nodes: Vec<Node>,
    /// Where each tree begins.
    roots: Vec<u32>,
    /// Steps from the root of the deepest tree to its last leaf.
    depth: usize,
    identity: u64,
}

/// Trees that are walked side by side: each step waits for the one before it in its tree, and not for those of other trees.
const SIDE_BY_SIDE: usize = 8;

/// Reads trees: a line with the base log-odds, then a line a tree: its nodes, breadth first, as `measure:threshold:left:value` (`left` from the
/// tree's root on) or `value`.
fn parse(text: &str) -> Ensemble {
    let mut lines = text.lines();
    let base = lines.next().and_then(|line| line.parse().ok()).unwrap_or(0.0);
    let (mut nodes, mut roots, mut depth) = (Vec::new(), Vec::new(), 0);
    for line in lines {
        let root = nodes.len();
        let place = |index: usize| u32::try_from(root + index).unwrap_or(u32::MAX);
        roots.push(place(0));
        let count = line.split(' ').count();
        // Breadth first: a node's level is known when it is come to.
        let mut levels = vec![0_usize; count];
        for (index, node) in line.split(' ').enumerate() {
            let parts: Vec<&str> = node.split(':').collect();
            let number = |at: usize| parts.get(at).and_then(|part| part.parse::<f32>().ok()).unwrap_or(0.0);
            let whole = |at: usize| parts.get(at).and_then(|part| part.parse::<u16>().ok()).unwrap_or(0);
            let (measure, left) = (whole(0), usize::from(whole(2)));
            if parts.len() == 4 && usize::from(measure) < COUNT && left > index && left + 1 < count {
                let below = levels.get(index).map_or(0, |level| level + 1);
                levels.iter_mut().skip(left).take(2).for_each(|level| *level = below);
                nodes.push(Node { measure, threshold: number(1), left: place(left), value: number(3) });
            } else {
                nodes.push(Node { measure: 0, threshold: f32::INFINITY, left: place(index), value: number(parts.len() - 1) });
            }
        }
        depth = levels.into_iter().fold(depth, usize::max);
    }
    // 53 bits, so that every reader of the ruleset's JSON or TOML keeps it.
    Ensemble { base, nodes, roots, depth, identity: wh_schemas::ids::fingerprint(text.as_bytes()) >> 11 }
}

impl Ensemble {
    /// Where the way goes on from a place.
    fn step(&self, place: u32, measures: &Measures) -> u32 {
        let Some(node) = self.nodes.get(place as usize) else { return place };
        let measure = measures.get(usize::from(node.measure)).copied().unwrap_or(0.0);
        node.left + u32::from(measure > node.threshold)
    }

    fn value(&self, place: u32) -> f32 {
        self.nodes.get(place as usize).map_or(0.0, |node| node.value)
    }

    /// What [`Ensemble::walk`] gives, several trees at a time; added up in the same order, so that it is the same to the bit.
    fn sum(&self, measures: &Measures) -> f32 {
        let mut sum = self.base;
        for trees in self.roots.chunks(SIDE_BY_SIDE) {
            let mut places = [0_u32; SIDE_BY_SIDE];
            for (place, root) in places.iter_mut().zip(trees) {
                *place = *root;
            }
            for _ in 0..self.depth {
                for place in &mut places {
                    *place = self.step(*place, measures);
                }
            }
            for (place, _) in places.iter().zip(trees) {
                sum += self.value(*place);
            }
        }
        sum
    }

    /// One tree after the other; `step` is told of each step's measurement, and by how much it changed the log-odds.
    fn walk(&self, measures: &Measures, mut step: impl FnMut(usize, f32)) -> f32 {
        let mut sum = self.base;
        for root in &self.roots {
            let mut place = *root;
            loop {
                let next = self.step(place, measures);
                if next == place {
                    break;
                }
                let measure = self.nodes.get(place as usize).map_or(0, |node| node.measure);
                step(usize::from(measure), self.value(next) - self.value(place));
                place = next;
            }
            sum += self.value(place);
        }
        sum
    }
}

/// Log-odds of the ensemble.
#[must_use]
pub fn log_odds(measures: &Measures) -> f64 {
    f64::from(ENSEMBLE.sum(measures))
}

/// The strength of log-odds above those that confirm: a sixth for each unit down to what is half seen, and ever less below, so that what is
/// ordinary stays in order.
#[must_use]
pub fn strength(above: f64) -> f64 {
    const HALF: f64 = 0.45;
    let even = 1.0 + above / 6.0;
    if even >= HALF { even } else { HALF * libm::exp((even - HALF) / HALF) }
}

/// What each measurement gave to the log-odds, the largest first; those that gave nothing are left out.
#[must_use]
pub fn contributions(measures: &Measures) -> Vec<(usize, f64)> {
    let mut given = vec![0.0; COUNT];
    ENSEMBLE.walk(measures, |measure, change| given[measure] += f64::from(change));
    let mut given: Vec<(usize, f64)> = given.into_iter().enumerate().filter(|(_, change)| *change != 0.0).collect();
    given.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    given
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn side_by_side_is_the_same_to_the_bit() {
        let mut state = 1_u64;
        for round in 0..2_000 {
            let mut measures = [0.0; COUNT];
            for m in &mut measures {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                let unit = (state >> 40) as f32 / (1_u32 << 24) as f32;
                *m = if round % 3 == 0 && unit < 0.5 { 0.0 } else { unit * 6.0 - 1.0 };
            }
            if round % 100 == 0 {
                measures[round / 100] = f32::INFINITY;
                measures[COUNT - 1 - round / 100] = f32::NAN;
            }
            assert_eq!(ENSEMBLE.sum(&measures).to_bits(), ENSEMBLE.walk(&measures, |_, _| {}).to_bits(), "{measures:?}");
        }
    }

    #[test]
    fn contributions_add_up_to_the_log_odds() {
        let mut measures = [0.0; COUNT];
        for (i, m) in measures.iter_mut().enumerate() {
            *m = if i % 3 == 0 { 1.5 } else { 0.0 };
        }
        let roots: f64 = ENSEMBLE.roots.iter().map(|root| f64::from(ENSEMBLE.value(*root))).sum();
        let sum: f64 = f64::from(ENSEMBLE.base) + roots + contributions(&measures).iter().map(|(_, c)| c).sum::<f64>();
        assert!((sum - log_odds(&measures)).abs() < 1e-3, "{sum} {}", log_odds(&measures));
        assert!(ENSEMBLE.roots.len() > 50);
    }
}
