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
    /// Index of the measurement; `u16::MAX` for a leaf.
    measure: u16,
    threshold: f32,
    /// The left child, from the tree's root on; the right one is behind it.
    left: u16,
    /// Mean log-odds of what comes here.
    value: f32,
}

#[derive(Debug)]
struct Ensemble {
    base: f32,
    /// All trees' nodes, one tree behind the other; children are named by their place in here.
    nodes: Vec<Node>,
    /// Where each tree begins.
    roots: Vec<usize>,
    /// As many trees as are walked side by side, and the deepest one's levels.
    groups: Vec<(Vec<u32>, usize)>,
    /// The nodes as they are walked side by side: a leaf leads to itself.
    steps: Vec<Step>,
    identity: u64,
}

/// A node without what only contributions need.
#[derive(Clone, Copy, Debug)]
struct Step {
    threshold: f32,
    /// The left child, from the first tree's root on.
    left: u32,
    measure: u16,
}

/// Trees that are walked side by side: each step waits for the one before it in its tree, and not for those of other trees.
const SIDE_BY_SIDE: usize = 8;

/// Reads trees: a line with the base log-odds, then a line a tree: its nodes, breadth first, as `measure:threshold:left:value` or `value`.
fn parse(text: &str) -> Ensemble {
    let mut lines = text.lines();
    let base = lines.next().and_then(|line| line.parse().ok()).unwrap_or(0.0);
    let (mut nodes, mut roots) = (Vec::new(), Vec::new());
    for line in lines {
        roots.push(nodes.len());
        nodes.extend(line.split(' ').map(|node| {
            let parts: Vec<&str> = node.split(':').collect();
            let number = |at: usize| parts.get(at).and_then(|p| p.parse::<f32>().ok()).unwrap_or(0.0);
            let index = |at: usize| parts.get(at).and_then(|p| p.parse::<u16>().ok()).unwrap_or(0);
            match parts.len() {
                4 => Node { measure: index(0), threshold: number(1), left: index(2), value: number(3) },
                _ => Node { measure: u16::MAX, threshold: 0.0, left: 0, value: number(0) },
            }
        }));
    }
    let mut steps = Vec::with_capacity(nodes.len());
    let mut groups: Vec<(Vec<u32>, usize)> = Vec::new();
    for (number, root) in roots.iter().enumerate() {
        let tree = nodes.get(*root..roots.get(number + 1).copied().unwrap_or(nodes.len())).unwrap_or_default();
        let place = |index: usize| u32::try_from(root + index).unwrap_or(u32::MAX);
        // Breadth first: a child's level is known when it is come to.
        let mut levels = vec![0_usize; tree.len()];
        for (index, node) in tree.iter().enumerate() {
            let left = usize::from(node.left);
            if usize::from(node.measure) < COUNT && left > index && left + 1 < tree.len() {
                steps.push(Step { threshold: node.threshold, left: place(left), measure: node.measure });
                let below = levels.get(index).map_or(0, |level| level + 1);
                levels.iter_mut().skip(left).take(2).for_each(|level| *level = below);
            } else {
                steps.push(Step { threshold: f32::INFINITY, left: place(index), measure: 0 });
            }
        }
        let depth = levels.into_iter().max().unwrap_or(0);
        match groups.last_mut().filter(|(trees, _)| trees.len() < SIDE_BY_SIDE) {
            Some((trees, deepest)) => {
                trees.push(place(0));
                *deepest = depth.max(*deepest);
            }
            None => groups.push((vec![place(0)], depth)),
        }
    }
    // 53 bits, so that every reader of the ruleset's JSON or TOML keeps it.
    Ensemble { base, nodes, roots, groups, steps, identity: wh_schemas::ids::fingerprint(text.as_bytes()) >> 11 }
}

impl Ensemble {
    /// What [`Ensemble::walk`] gives, several trees at a time; added up in the same order, so that it is the same to the bit.
    fn sum(&self, measures: &Measures) -> f32 {
        let mut sum = self.base;
        for (trees, depth) in &self.groups {
            let mut places = [0_u32; SIDE_BY_SIDE];
            for (place, root) in places.iter_mut().zip(trees) {
                *place = *root;
            }
            for _ in 0..*depth {
                for place in &mut places {
                    let Some(step) = self.steps.get(*place as usize) else { continue };
                    let measure = measures.get(usize::from(step.measure)).copied().unwrap_or(0.0);
                    *place = step.left + u32::from(measure > step.threshold);
                }
            }
            for (place, _) in places.iter().zip(trees) {
                sum += self.nodes.get(*place as usize).map_or(0.0, |node| node.value);
            }
        }
        sum
    }

    fn walk(&self, measures: &Measures, mut step: impl FnMut(usize, f32)) -> f32 {
        let mut sum = self.base;
        for root in &self.roots {
            let Some(mut node) = self.nodes.get(*root) else { continue };
            while let Some(measure) = measures.get(usize::from(node.measure)) {
                let Some(child) = self.nodes.get(root + usize::from(node.left) + usize::from(*measure > node.threshold)) else { break };
                step(usize::from(node.measure), child.value - node.value);
                node = child;
            }
            sum += node.value;
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
        let roots: f64 = ENSEMBLE.roots.iter().map(|root| f64::from(ENSEMBLE.nodes[*root].value)).sum();
        let sum: f64 = f64::from(ENSEMBLE.base) + roots + contributions(&measures).iter().map(|(_, c)| c).sum::<f64>();
        assert!((sum - log_odds(&measures)).abs() < 1e-3, "{sum} {}", log_odds(&measures));
        assert!(ENSEMBLE.roots.len() > 50);
    }
}
