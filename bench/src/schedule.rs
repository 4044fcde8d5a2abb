//! When transactions are meant to arrive. Pure: a schedule is a function of its shape, its rates and its seed.
//!
//! What must stay true: intended times never decrease and never depend on what became of earlier ones (open loop: Schroeder et al., "Open
//! Versus Closed: A Cautionary Tale", NSDI 2006); of a shape of a file, the mean over its length is the rate that was asked for.

use std::path::Path;
use std::time::Duration;

use chrono_tz::Tz;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha12Rng;
use serde::Deserialize;
use wh_schemas::Micros;

/// Rate at the beginning of a ramp, as a part of the rate that it ends at.
const RAMP_FROM: f64 = 0.1;
/// Every so many seconds of a burst …
const BURST_EVERY: u32 = 10;
/// … one has so many times the rate; the others share what is left, so that the mean is the rate.
const BURST_TIMES: f64 = 5.0;
/// Most arrivals in a second of a recorded shape.
const MOST: f64 = 1e7;
/// Most seconds of a recorded shape.
const LONGEST_SHAPE: usize = 7 * 86_400;

/// The shape of the arrivals.
#[derive(Clone, Debug, PartialEq)]
pub enum Arrivals {
    /// Evenly spaced.
    Constant,
    /// Exponential gaps: what many independent sources give.
    Poisson,
    /// From a tenth of the rate to all of it.
    Ramp,
    /// One second in ten has five times the rate; the mean is the rate.
    Burst,
    /// Arrivals in each second, as they were recorded; repeated where the run is longer.
    Recorded {
        /// The file's name.
        name: String,
        /// By second.
        per_second: Vec<f64>,
    },
}

impl Arrivals {
    /// The shape that a flag names: `constant`, `poisson`, `ramp`, `burst` or `file:PATH`. Reads the file.
    ///
    /// # Errors
    /// A sentence.
    pub fn named(text: &str) -> Result<Arrivals, String> {
        match text {
            "constant" => Ok(Arrivals::Constant),
            "poisson" => Ok(Arrivals::Poisson),
            "ramp" => Ok(Arrivals::Ramp),
            "burst" => Ok(Arrivals::Burst),
            other => {
                let Some(path) = other.strip_prefix("file:").filter(|path| !path.is_empty()) else {
                    return Err(format!("--arrivals {other:?}: expected constant, poisson, ramp, burst or file:PATH"));
                };
                let recorded = std::fs::read_to_string(path).map_err(|error| format!("--arrivals: {path} cannot be read: {error}"))?;
                let per_second = recorded_shape(&recorded).map_err(|why| format!("--arrivals: {path}: {why}"))?;
                let name = Path::new(path).file_name().map_or_else(|| path.to_owned(), |name| name.to_string_lossy().into_owned());
                Ok(Arrivals::Recorded { name, per_second })
            }
        }
    }

    /// The name in a report.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Arrivals::Constant => "constant".to_owned(),
            Arrivals::Poisson => "poisson".to_owned(),
            Arrivals::Ramp => "ramp".to_owned(),
            Arrivals::Burst => "burst".to_owned(),
            Arrivals::Recorded { name, .. } => format!("file:{name}"),
        }
    }

    /// The mean rate that was recorded, of a shape of a file.
    #[must_use]
    pub fn recorded_rate(&self) -> Option<f64> {
        match self {
            Arrivals::Recorded { per_second, .. } => Some(mean(per_second)),
            _ => None,
        }
    }

    /// Rate in a second of the measured time, as a multiple of the rate that was asked for. `seconds` is how long it is in all, `recorded`
    /// the mean of a shape of a file.
    fn multiple(&self, second: u32, seconds: u32, recorded: f64) -> f64 {
        match self {
            Arrivals::Constant | Arrivals::Poisson => 1.0,
            Arrivals::Ramp => {
                let along = if seconds > 1 { f64::from(second) / f64::from(seconds - 1) } else { 1.0 };
                RAMP_FROM + (1.0 - RAMP_FROM) * along
            }
            Arrivals::Burst => {
                let rest = (f64::from(BURST_EVERY) - BURST_TIMES) / f64::from(BURST_EVERY - 1);
                if second % BURST_EVERY == BURST_EVERY - 1 { BURST_TIMES } else { rest }
            }
            Arrivals::Recorded { per_second, .. } => {
                let at = usize::try_from(second).unwrap_or(0) % per_second.len().max(1);
                per_second.get(at).map_or(1.0, |arrivals| arrivals / recorded)
            }
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "a number of seconds")]
fn mean(per_second: &[f64]) -> f64 {
    per_second.iter().sum::<f64>() / per_second.len().max(1) as f64
}

/// Arrivals by second: of one number a line, or of transactions as NDJSON, whose timestamps are counted.
///
/// # Errors
/// Which line is neither, or that there is nothing to go by.
pub fn recorded_shape(text: &str) -> Result<Vec<f64>, String> {
    let lines = || text.lines().zip(1_u64..).map(|(line, number)| (line.trim(), number)).filter(|(line, _)| !line.is_empty() && !line.starts_with('#'));
    let is_json = lines().next().is_some_and(|(line, _)| line.starts_with('{'));
    let shape = if is_json { counted(lines())? } else { numbers(lines())? };
    if shape.iter().sum::<f64>() <= 0.0 {
        return Err("it holds no arrivals: expected one number a line (arrivals in each second), or transactions as NDJSON".to_owned());
    }
    if shape.len() > LONGEST_SHAPE {
        return Err(format!("it spans {} seconds: expected at most {LONGEST_SHAPE}", shape.len()));
    }
    Ok(shape)
}

fn numbers<'a>(lines: impl Iterator<Item = (&'a str, u64)>) -> Result<Vec<f64>, String> {
    lines
        .map(|(line, number)| match line.parse::<f64>() {
            Ok(rate) if (0.0..=MOST).contains(&rate) => Ok(rate),
            _ => Err(format!("line {number}: expected a number of arrivals from 0 to {MOST}, found {:?}", line.chars().take(40).collect::<String>())),
        })
        .collect()
}

fn counted<'a>(lines: impl Iterator<Item = (&'a str, u64)>) -> Result<Vec<f64>, String> {
    #[derive(Deserialize)]
    struct Row {
        timestamp: String,
    }
    let mut seconds = Vec::new();
    for (line, number) in lines {
        let row: Row = serde_json::from_str(line).map_err(|_| format!("line {number}: expected a transaction with a timestamp"))?;
        let at = Micros::parse(&row.timestamp, Tz::UTC).ok_or_else(|| format!("line {number}: {:?} is no time", row.timestamp))?;
        seconds.push(at.0.div_euclid(1_000_000));
    }
    let (Some(first), Some(last)) = (seconds.iter().min().copied(), seconds.iter().max().copied()) else { return Ok(Vec::new()) };
    let length = usize::try_from(last - first + 1).unwrap_or(usize::MAX);
    if length > LONGEST_SHAPE {
        return Err(format!("its timestamps span {length} seconds: expected at most {LONGEST_SHAPE}; count them by second yourself, one number a line"));
    }
    let mut shape = vec![0.0; length];
    for second in seconds {
        if let Some(count) = usize::try_from(second - first).ok().and_then(|at| shape.get_mut(at)) {
            *count += 1.0;
        }
    }
    Ok(shape)
}

/// Intended times of one round: microseconds from its beginning, the warm-up first.
#[derive(Clone, Debug)]
pub struct Schedule {
    /// Length in seconds and rate of each part.
    parts: Vec<(f64, f64)>,
    /// The part that is at, when it begins, and how many arrivals the parts before it have.
    at: usize,
    begins: f64,
    before: f64,
    /// The next arrival, counted in arrivals.
    next: f64,
    chance: Option<ChaCha12Rng>,
}

impl Schedule {
    /// A schedule of `rate` transactions a second in the mean (of a ramp: at its end) over `duration`, behind a warm-up at that rate (of a
    /// ramp: at the one that it begins with).
    #[must_use]
    pub fn new(arrivals: &Arrivals, rate: f64, warmup: Duration, duration: Duration, seed: u64) -> Schedule {
        let seconds = whole_seconds(duration);
        let recorded = arrivals.recorded_rate().unwrap_or(1.0);
        let mut parts = Vec::new();
        if !warmup.is_zero() {
            let first = if matches!(arrivals, Arrivals::Ramp) { RAMP_FROM } else { 1.0 };
            parts.push((warmup.as_secs_f64(), rate * first));
        }
        for second in 0..seconds {
            let length = (duration.as_secs_f64() - f64::from(second)).min(1.0);
            parts.push((length, rate * arrivals.multiple(second, seconds, recorded)));
        }
        let chance = matches!(arrivals, Arrivals::Poisson).then(|| ChaCha12Rng::seed_from_u64(seed));
        let mut schedule = Schedule { parts, at: 0, begins: 0.0, before: 0.0, next: 0.0, chance };
        if schedule.chance.is_some() {
            schedule.next = schedule.gap();
        }
        schedule
    }

    /// How many arrivals it has in the mean.
    #[must_use]
    pub fn expected(&self) -> f64 {
        self.parts.iter().map(|(length, rate)| length * rate).sum()
    }

    /// Gap to the next arrival, in arrivals.
    fn gap(&mut self) -> f64 {
        // Never 0, so that its logarithm is finite.
        self.chance.as_mut().map_or(1.0, |chance| -((f64::from(chance.next_u32()) + 0.5) / 4_294_967_296.0).ln())
    }
}

fn whole_seconds(duration: Duration) -> u32 {
    u32::try_from(duration.as_millis().div_ceil(1_000)).unwrap_or(u32::MAX)
}

impl Iterator for Schedule {
    type Item = u64;

    fn next(&mut self) -> Option<u64> {
        loop {
            let (length, rate) = *self.parts.get(self.at)?;
            let has = length * rate;
            if self.next < self.before + has {
                let seconds = self.begins + (self.next - self.before) / rate;
                let gap = self.gap();
                self.next += gap;
                #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "microseconds of a run")]
                return Some((seconds * 1e6) as u64);
            }
            self.before += has;
            self.begins += length;
            self.at += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times(arrivals: &Arrivals, rate: f64, seconds: u64) -> Vec<u64> {
        Schedule::new(arrivals, rate, Duration::ZERO, Duration::from_secs(seconds), 7).collect()
    }

    fn in_second(times: &[u64], second: u64) -> usize {
        times.iter().filter(|at| (second * 1_000_000..(second + 1) * 1_000_000).contains(*at)).count()
    }

    #[test]
    fn a_constant_load_is_evenly_spaced() {
        let times = times(&Arrivals::Constant, 200.0, 3);
        assert_eq!(times.len(), 600);
        assert!(times.windows(2).all(|pair| (4_999..=5_001).contains(&(pair[1] - pair[0]))), "{times:?}");
    }

    #[test]
    fn random_arrivals_have_the_rate_and_the_spread_of_poisson() {
        let arrivals = times(&Arrivals::Poisson, 1_000.0, 100);
        assert!(arrivals.len().abs_diff(100_000) < 1_500, "{}", arrivals.len());
        assert!(arrivals.windows(2).all(|pair| pair[0] <= pair[1]));
        let counts: Vec<f64> = (0..100).map(|second| in_second(&arrivals, second) as f64).collect();
        let mean = counts.iter().sum::<f64>() / 100.0;
        let variance = counts.iter().map(|count| (count - mean).powi(2)).sum::<f64>() / 99.0;
        assert!((0.6..1.6).contains(&(variance / mean)), "{}", variance / mean);
        assert_eq!(arrivals, times(&Arrivals::Poisson, 1_000.0, 100));
    }

    #[test]
    fn a_ramp_rises_and_bursts_keep_the_mean() {
        let ramp = times(&Arrivals::Ramp, 1_000.0, 10);
        assert!(in_second(&ramp, 0).abs_diff(100) <= 1 && in_second(&ramp, 9).abs_diff(1_000) <= 1);
        let burst = times(&Arrivals::Burst, 900.0, 20);
        assert!(burst.len().abs_diff(18_000) <= 2, "{}", burst.len());
        assert!(in_second(&burst, 9).abs_diff(4_500) <= 1 && in_second(&burst, 10).abs_diff(500) <= 1);
    }

    #[test]
    fn a_warm_up_comes_before_what_is_measured() {
        let schedule = Schedule::new(&Arrivals::Burst, 100.0, Duration::from_secs(2), Duration::from_millis(500), 1);
        let (expected, times) = (schedule.expected(), schedule.collect::<Vec<_>>());
        assert_eq!(in_second(&times, 0) + in_second(&times, 1), 200);
        assert!(times.last().is_some_and(|last| (2_400_000..2_500_000).contains(last)) && (expected - times.len() as f64).abs() < 1.0);
    }

    #[test]
    fn a_recorded_shape_is_read_from_numbers_and_from_transactions() {
        assert_eq!(recorded_shape("# a morning\n10\n\n0\n30.5\n").unwrap(), [10.0, 0.0, 30.5]);
        let rows = "{\"timestamp\":\"2026-01-01T00:00:00.9Z\"}\n{\"timestamp\":\"2026-01-01T00:00:02Z\"}\n{\"timestamp\":\"2026-01-01T01:00:02+01:00\"}\n";
        assert_eq!(recorded_shape(rows).unwrap(), [1.0, 0.0, 2.0]);
        for (text, told) in [
            ("", "no arrivals"),
            ("0\n0\n", "no arrivals"),
            ("5\nx\n", "line 2"),
            ("-1\n", "line 1"),
            ("7\n1e300\n", "line 2"),
            ("NaN\n", "line 1"),
            ("{\"timestamp\":\"never\"}\n", "no time"),
        ] {
            assert!(recorded_shape(text).unwrap_err().contains(told), "{text}");
        }
        let arrivals = Arrivals::Recorded { name: "x".to_owned(), per_second: vec![1.0, 3.0] };
        let times = times(&arrivals, 100.0, 4);
        assert_eq!([0, 1, 2, 3].map(|second| in_second(&times, second)), [50, 150, 50, 150]);
        assert_eq!(arrivals.recorded_rate(), Some(2.0));
        assert!(Arrivals::named("often").unwrap_err().contains("file:PATH"));
        assert!(Arrivals::named("file:/nowhere/at/all").unwrap_err().contains("cannot be read"));
    }
}
