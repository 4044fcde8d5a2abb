//! The highest rate that holds: which rate to try next, and when enough is known. Pure; `why` says what stands in the way.
//!
//! What must stay true: a rate counts as carried only by a round that carried it; what the generator could not send is never told as the
//! pipeline's limit.

pub mod why;

use crate::report::Verdict;

/// The search ends when what failed is at most so many times what held.
const CLOSE: f64 = 1.10;
/// Below it there is nothing to find.
const LEAST: f64 = 1.0;
/// Rates that are tried at most.
const ROUNDS: usize = 16;

/// A search for the highest rate that holds: doubling until one fails (halving until one holds), then the middle between the two.
#[derive(Clone, Debug, PartialEq)]
pub struct Search {
    next: Option<f64>,
    held: Option<f64>,
    failed: Option<f64>,
    tried: usize,
    by_generator: Option<f64>,
}

impl Search {
    /// Begins at a rate.
    #[must_use]
    pub fn new(rate: f64) -> Search {
        Search { next: Some(rate.max(LEAST)), held: None, failed: None, tried: 0, by_generator: None }
    }

    /// The rate to try next; `None` once enough is known.
    #[must_use]
    pub fn next(&self) -> Option<f64> {
        self.next
    }

    /// The highest rate that held.
    #[must_use]
    pub fn held(&self) -> Option<f64> {
        self.held
    }

    /// The lowest rate that did not.
    #[must_use]
    pub fn failed(&self) -> Option<f64> {
        self.failed
    }

    /// The rate that the generator could not send, which ended it.
    #[must_use]
    pub fn by_generator(&self) -> Option<f64> {
        self.by_generator
    }

    /// Takes in what the rate that was tried came to.
    pub fn learn(&mut self, verdict: &Verdict) {
        let Some(rate) = self.next else { return };
        self.tried += 1;
        match verdict {
            Verdict::Sustained | Verdict::TooShort { .. } => self.held = Some(self.held.map_or(rate, |held| held.max(rate))),
            Verdict::LagGrew { .. } | Verdict::Slow { .. } | Verdict::Failed { .. } => self.failed = Some(self.failed.map_or(rate, |failed| failed.min(rate))),
            Verdict::GeneratorLimited { .. } => self.by_generator = Some(rate),
        }
        let over = self.by_generator.is_some() || self.tried >= ROUNDS || matches!(verdict, Verdict::Failed { .. });
        self.next = match (self.held, self.failed) {
            _ if over => None,
            (None, None) => None,
            (Some(held), None) => Some(held * 2.0),
            (None, Some(failed)) if failed > LEAST => Some((failed / 2.0).max(LEAST)),
            (None, Some(_)) => None,
            (Some(held), Some(failed)) if failed / held <= CLOSE => None,
            (Some(held), Some(failed)) => Some(middle(held, failed)),
        };
    }
}

/// The rate in the middle by ratio, in round figures where they are large.
fn middle(held: f64, failed: f64) -> f64 {
    let exact = (held * failed).sqrt();
    let step = if exact >= 1_000.0 { 50.0 } else { 1.0 };
    let rounded = (exact / step).round() * step;
    if rounded > held && rounded < failed { rounded } else { exact }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Searches against a pipeline that carries so much; the rates tried, and what was found.
    fn search(from: f64, carries: f64) -> (Vec<f64>, Search) {
        let (mut search, mut tried) = (Search::new(from), Vec::new());
        while let Some(rate) = search.next() {
            tried.push(rate);
            search.learn(&if rate <= carries { Verdict::Sustained } else { Verdict::LagGrew { by_per_s: rate - carries } });
        }
        (tried, search)
    }

    #[test]
    fn it_doubles_and_then_halves_the_distance() {
        let (tried, found) = search(1_000.0, 6_300.0);
        assert_eq!(tried[..4], [1_000.0, 2_000.0, 4_000.0, 8_000.0]);
        let held = found.held().unwrap();
        assert!(held <= 6_300.0 && held > 6_300.0 / 1.1 && found.failed().unwrap() > 6_300.0, "{tried:?}");
        assert!(tried.len() <= 8, "{tried:?}");
    }

    #[test]
    fn where_the_first_rate_is_too_high_it_goes_down() {
        let (tried, found) = search(10_000.0, 700.0);
        assert!(tried[1] == 5_000.0 && found.held().is_some_and(|held| held <= 700.0 && held > 600.0), "{tried:?}");
        let (tried, found) = search(4.0, 0.0);
        assert!(found.held().is_none() && tried == [4.0, 2.0, 1.0], "{tried:?}");
    }

    #[test]
    fn a_generator_at_its_end_ends_the_search_and_is_no_limit() {
        let mut search = Search::new(1_000.0);
        search.learn(&Verdict::Sustained);
        search.learn(&Verdict::GeneratorLimited { behind_us: 1 });
        assert_eq!((search.next(), search.held(), search.failed(), search.by_generator()), (None, Some(1_000.0), None, Some(2_000.0)));
    }

    #[test]
    fn what_fails_ends_the_search() {
        let mut search = Search::new(1_000.0);
        search.learn(&Verdict::Failed { why: "x".to_owned() });
        assert_eq!((search.next(), search.held()), (None, None));
    }
}
