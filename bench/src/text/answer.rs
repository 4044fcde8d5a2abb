//! What a reader asks first: will it carry so much? And what was not measured, by name.
//!
//! What must stay true: no answer is a yes where a round was too short, the generator late or something lost; a quantile that rests on a
//! handful of samples is not shown as one.

use super::number::{count, latency};
use crate::report::{Latency, Report, Round, Verdict};

/// The answer in a sentence or two; `None` where several rates were measured and no limit was looked for: the rounds tell.
pub(crate) fn answer(report: &Report) -> Option<String> {
    let conditions = "on this machine, with the load generator and whatever servers run on it, and this data";
    if let Some(limit) = &report.limit {
        let short = is_short(report);
        let failed = limit.failed_rate.map_or_else(|| "more was not shown to fail".to_owned(), |rate| format!("not {}/s", count(rate)));
        return Some(match (limit.rate > 0.0, short) {
            (true, false) => format!("It carries {}/s and {failed}, {conditions}.", count(limit.rate)),
            (true, true) => {
                format!("It held {}/s for as long as it was measured, which is too short to tell whether it carries it; {failed}. Measure longer rounds.", count(limit.rate))
            }
            (false, _) => format!("No rate was carried: {failed}."),
        });
    }
    let [round] = report.rounds.as_slice() else { return None };
    let rate = count(round.rate);
    Some(match &round.verdict {
        _ if report.lost > 0 || report.doubled > 0 => format!("Will it carry {rate}/s? No: transactions were lost or doubled."),
        Verdict::Sustained => format!("Will it carry {rate}/s? Yes, for {:.0} s {conditions}.", round.seconds),
        Verdict::TooShort { needed, .. } => format!("Will it carry {rate}/s? Cannot be told from {:.0} s: measure {needed:.0} s or more.", round.seconds),
        Verdict::GeneratorLimited { .. } => format!("Will it carry {rate}/s? Cannot be told: the load generator could not send it."),
        other => format!("Will it carry {rate}/s? No: {other}."),
    })
}

/// Whether the limit rests on a round that was too short to tell.
pub(crate) fn is_short(report: &Report) -> bool {
    let Some(limit) = &report.limit else { return false };
    report.rounds.iter().any(|round| round.rate == limit.rate && round.verdict.is_too_short())
}

/// Latencies by the quantiles that their samples bear: of a hundred samples, p99 is the slowest but one.
pub(crate) fn rows(round: &Round) -> Vec<Vec<String>> {
    let row = |l: &Latency| {
        let borne = |us: u64, samples: u64| if l.count >= samples { latency(us as f64) } else { "–".to_owned() };
        vec![l.name.clone(), count(l.count as f64), borne(l.p50_us, 2), borne(l.p90_us, 10), borne(l.p99_us, 100), borne(l.p999_us, 1_000), borne(l.max_us, 1)]
    };
    round.latencies.iter().map(row).collect()
}

/// Stores whose latency was not measured, and why.
pub(crate) fn unmeasured(round: &Round) -> Vec<String> {
    let is_measured = |role: &str| round.latencies.iter().any(|latency| latency.count > 0 && latency.name.rsplit('→').next() == Some(role));
    let told = |(role, stored): (&String, &u64)| match (role.as_str(), stored) {
        ("search", 0) => "search: no alerts were raised, so nothing of it was measured".to_owned(),
        ("search", alerts) => format!("search: none of its {} alerts was of a sampled transaction, so its latency was not measured", count(*alerts as f64)),
        (role, _) => format!("{role}: no sample was seen, so its latency was not measured"),
    };
    round.stored.iter().filter(|(role, _)| !is_measured(role)).map(told).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(verdict: Verdict) -> Report {
        Report { rounds: vec![Round { rate: 1_000.0, seconds: 60.0, verdict, ..Round::default() }], ..Report::default() }
    }

    #[test]
    fn the_question_has_one_answer() {
        let told = |verdict| answer(&of(verdict)).unwrap();
        assert!(told(Verdict::Sustained).starts_with("Will it carry 1,000/s? Yes, for 60 s"));
        assert!(told(Verdict::TooShort { seconds: 10.0, needed: 30.0 }).contains("Cannot be told"));
        assert!(told(Verdict::GeneratorLimited { behind_us: 1 }).contains("Cannot be told"));
        assert!(told(Verdict::LagGrew { by_per_s: 9.0 }).contains("No: the lag grew by 9 a second"));
        assert!(answer(&Report { lost: 1, ..of(Verdict::Sustained) }).unwrap().contains("No: transactions were lost"));
        assert_eq!(answer(&Report::default()), None);
    }

    #[test]
    fn what_was_not_measured_is_named_and_few_samples_are_no_quantile() {
        let latency = |name: &str, count| Latency { name: name.into(), count, p50_us: 5, p999_us: 7, max_us: 7, ..Latency::default() };
        let round = Round {
            stored: [("ledger".to_owned(), 90), ("search".to_owned(), 0)].into(),
            latencies: vec![latency("published→ledger", 1), latency("published→scored", 5_000)],
            ..Round::default()
        };
        assert_eq!(unmeasured(&round), ["search: no alerts were raised, so nothing of it was measured"]);
        let rows = rows(&round);
        assert_eq!(rows[0][2..], ["–", "–", "–", "–", "7 µs"]);
        assert_eq!((rows[1][2].as_str(), rows[1][5].as_str()), ("5 µs", "7 µs"));
    }
}
