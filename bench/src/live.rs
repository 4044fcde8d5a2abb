//! What is told while it measures: on a terminal rates, lag and latencies, once a second; elsewhere a line now and then, so that a file or
//! another program's window shows that it goes on.
//!
//! What must stay true: it costs nothing that is measured, and nothing here is in the report only by being shown.

use std::collections::BTreeMap;
use std::io::{IsTerminal, Write};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use wh_stores::Role;

use crate::report::Second;

/// How often a line is written where there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(10);

/// The display.
#[derive(Debug)]
pub struct Live {
    bar: ProgressBar,
    /// Where lines are written: when the last was.
    lines: Option<Mutex<Option<Instant>>>,
}

impl Live {
    /// On standard error: moving where that is a terminal, else by lines.
    #[must_use]
    pub fn on_stderr() -> Live {
        if std::io::stderr().is_terminal() { Live::on(ProgressDrawTarget::stderr(), None) } else { Live::on(ProgressDrawTarget::hidden(), Some(Mutex::default())) }
    }

    /// Shows nothing.
    #[must_use]
    pub fn hidden() -> Live {
        Live::on(ProgressDrawTarget::hidden(), None)
    }

    fn on(target: ProgressDrawTarget, lines: Option<Mutex<Option<Instant>>>) -> Live {
        let bar = ProgressBar::with_draw_target(None, target);
        bar.set_style(ProgressStyle::with_template("{spinner} {msg}").unwrap_or_else(|_| ProgressStyle::default_spinner()));
        bar.enable_steady_tick(Duration::from_millis(500));
        Live { bar, lines }
    }

    /// A line that stays.
    pub fn say(&self, line: &str) {
        if self.lines.is_some() {
            self.write(line);
        } else if !self.bar.is_hidden() {
            self.bar.println(line);
        }
    }

    /// What is going on.
    pub fn doing(&self, what: &str) {
        self.bar.set_message(what.to_owned());
        self.write(what);
    }

    /// What is still going on; of several that come fast, one is a line.
    pub fn going_on(&self, what: impl FnOnce() -> String) {
        if !self.bar.is_hidden() {
            self.bar.set_message(what());
        } else if self.is_due() {
            self.write(&what());
        }
    }

    /// A second of a round.
    pub fn show(&self, rate: f64, second: &Second, of_s: f64, p99: &BTreeMap<&'static str, u64>) {
        if self.bar.is_hidden() {
            self.going_on(|| line(rate, second, of_s, p99));
        } else {
            self.bar.set_message(lines(rate, second, of_s, p99));
        }
    }

    /// Clears the display.
    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }

    fn is_due(&self) -> bool {
        self.lines.as_ref().is_some_and(|last| last.lock().unwrap_or_else(PoisonError::into_inner).is_none_or(|last| last.elapsed() >= LINE_EVERY))
    }

    fn write(&self, line: &str) {
        let Some(last) = &self.lines else { return };
        *last.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
        // That nobody reads it is no reason to stop.
        let _written = writeln!(std::io::stderr(), "{line}");
    }
}

/// The head of what is shown of a second.
fn head(rate: f64, second: &Second, of_s: f64) -> String {
    let Second { t_s, sent, scored, lag, cpu_ours, cpu_servers, .. } = second;
    let phase = if *t_s < 0.0 { "warming up".to_owned() } else { format!("{t_s:.0} of {of_s:.0} s") };
    format!("{rate:.0} tx/s, {phase}: sent {sent}, scored {scored} in the last second; lag {lag:.0}; cores: ours {cpu_ours:.2}, servers {cpu_servers:.2}")
}

fn store(name: &str) -> &str {
    name.rsplit('→').next().unwrap_or(name)
}

#[expect(clippy::cast_precision_loss, reason = "a latency for people")]
fn millis(micros: u64) -> f64 {
    micros as f64 / 1e3
}

/// What is shown of a second where there is one line for it.
fn line(rate: f64, second: &Second, of_s: f64, p99: &BTreeMap<&'static str, u64>) -> String {
    let slowest = p99.iter().max_by_key(|(_, micros)| **micros);
    let told = slowest.map_or_else(String::new, |(name, micros)| format!("; slowest {} p99 {:.0} ms", store(name), millis(*micros)));
    format!("{}{told}", head(rate, second, of_s))
}

/// What is shown of a second.
fn lines(rate: f64, second: &Second, of_s: f64, p99: &BTreeMap<&'static str, u64>) -> String {
    let mut shown = head(rate, second, of_s);
    for (name, micros) in p99 {
        let store = store(name);
        // Of search, positions are what it has passed, which are no alerts.
        let visible = second.by_store.get(store).filter(|_| store != Role::Search.as_str()).map(|count| format!("{count} a second, ")).unwrap_or_default();
        shown.push_str(&format!("\n    {store:<10} {visible}p99 {:.0} ms", millis(*micros)));
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_is_shown_with_each_store() {
        let second = Second { t_s: 3.0, sent: 99, by_store: BTreeMap::from([("ledger".to_owned(), 98), ("search".to_owned(), 98)]), ..Second::default() };
        let p99 = BTreeMap::from([("published→ledger", 12_345), ("published→scored", 900), ("published→search", 5_000)]);
        let shown = lines(100.0, &second, 60.0, &p99);
        assert!(shown.contains("3 of 60 s") && shown.contains("ledger     98 a second, p99 12 ms") && shown.contains("scored     p99 1 ms"), "{shown}");
        assert!(shown.contains("search     p99 5 ms"), "{shown}");
        let line = line(100.0, &second, 60.0, &p99);
        assert!(line.ends_with("slowest ledger p99 12 ms") && !line.contains('\n'), "{line}");
    }

    #[test]
    fn of_what_comes_fast_one_is_a_line() {
        let live = Live::on(ProgressDrawTarget::hidden(), Some(Mutex::default()));
        assert!(live.is_due());
        live.doing("something");
        assert!(!live.is_due());
        live.going_on(|| panic!("it was told a moment ago"));
        Live::hidden().going_on(|| panic!("nothing is shown"));
    }
}
