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
    identity: u64,
}

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
    // 53 bits, so that every reader of the ruleset's JSON or TOML keeps it.
    Ensemble { base, nodes, roots, identity: wh_schemas::ids::fingerprint(text.as_bytes()) >> 11 }
}

impl Ensemble {
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
    f64::from(ENSEMBLE.walk(measures, |_, _| {}))
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
