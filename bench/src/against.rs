//! What each store takes by its own fastest documented way, in the same run: the pipeline's rate as a part of it.
//!
//! What must stay true: it is measured when the pipeline has ended, so that neither takes the other's cores; a store that cannot be
//! measured so is told and the others are.

use std::path::Path;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use wh_stores::Role;

use crate::live::Live;
use crate::places::Places;
use crate::processes::{Watched, used};
use crate::raw::{self, Corpus, Run, ServerCpu, Target, no_server};
use crate::report::{RawRate, Report};
use crate::servers::local_servers;

/// Rows that are written into each store.
const ROWS: usize = 100_000;

/// Measures every store, and adds what was found to the report. `places` are those that the settings name; the measurement makes its own
/// beside them, and embedded ones in `folder`.
pub async fn against_raw(places: &Places, folder: &Path, report: &mut Report, live: &Live, stop: &CancellationToken) {
    live.doing("making what is written plainly");
    let corpus = match tokio::task::spawn_blocking(|| Corpus::new(ROWS)).await {
        Ok(Ok(corpus)) => corpus,
        Ok(Err(error)) => return report.faults.push(format!("nothing was measured against the stores themselves: {error}")),
        Err(error) => return report.faults.push(format!("nothing was measured against the stores themselves: {error}")),
    };
    let (servers, _) = local_servers(&report.settings.stores);
    let carried = carried(report);
    for role in Role::ALL {
        if stop.is_cancelled() {
            return report.faults.push("stopped before every store was measured plainly".to_owned());
        }
        live.doing(&format!("writing plainly into {role}"));
        let target = match role {
            Role::Log => Target::Log(&places.log),
            Role::Ledger => Target::Ledger(&places.ledger),
            Role::Documents => Target::Documents(&places.documents),
            Role::Metrics => Target::Metrics(&places.metrics),
            Role::Baselines => Target::Baselines(&places.baselines),
            Role::Search => Target::Search(&places.search),
        };
        let scheme = report.settings.stores.iter().find(|store| store.role == role.as_str()).map(|store| store.scheme.clone()).unwrap_or_default();
        let run = Run { corpus: &corpus, folder, cpu: cpu_of(&servers, &scheme), stop };
        match raw::measure(target, &run).await {
            Ok(found) => report.raw.push(compared(found, carried, role)),
            Err(error) => report.faults.push(format!("stores.{role} was not measured plainly: {error}")),
        }
    }
    live.finish();
}

/// The highest rate that the pipeline carried.
fn carried(report: &Report) -> Option<f64> {
    let held = report.rounds.iter().filter(|round| round.verdict.is_sustained()).map(|round| round.scored_rate);
    held.max_by(f64::total_cmp)
}

fn compared(found: RawRate, carried: Option<f64>, role: Role) -> RawRate {
    // Of search, units are alerts, which are some of a hundred transactions: the two rates are not of the same thing.
    let carried = carried.filter(|_| role != Role::Search);
    let ratio = carried.filter(|_| found.rows_per_s > 0.0).map(|carried| carried / found.rows_per_s);
    RawRate { pipeline_rows_per_s: carried, ratio, ..found }
}

/// CPU of a store's server so far.
fn cpu_of(servers: &[Watched], scheme: &str) -> ServerCpu {
    let of: Vec<Watched> = servers.iter().filter(|one| one.name.split([' ', '+']).any(|name| name == scheme)).cloned().collect();
    if of.is_empty() {
        return no_server();
    }
    Arc::new(move || Some(used(&of).values().map(|used| used.cpu_s).sum()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_a_part_of_what_the_store_takes() {
        let found = || RawRate { rows_per_s: 20_000.0, ..RawRate::default() };
        assert_eq!(compared(found(), Some(5_000.0), Role::Ledger).ratio, Some(0.25));
        assert_eq!(compared(found(), Some(5_000.0), Role::Search).ratio, None);
        assert_eq!(compared(found(), None, Role::Ledger).ratio, None);
    }
}
