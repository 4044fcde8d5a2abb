//! `wardhouse doctor`: looks at every store and the log, and says what to do.

use anstream::println;
use wh_ops::doctor::{self, Examined};
use wh_stores::Level;

use crate::commands::runtime;
use crate::failure::Failure;
use crate::settings::Settings;

pub(crate) fn run(settings: &Settings, json: bool) -> Result<(), Failure> {
    let places = &settings.places;
    let examined: Vec<Examined> = runtime("doctor")?.block_on(async {
        let (log, ledger, documents, metrics, baselines, search) = tokio::join!(
            doctor::log(&places.log, settings.partitions),
            doctor::ledger(&places.ledger),
            doctor::documents(&places.documents),
            doctor::metrics(&places.metrics),
            doctor::baselines(&places.baselines),
            doctor::search(&places.search),
        );
        vec![log, ledger, documents, metrics, baselines, search]
    });
    if json {
        let told: Vec<_> = examined.iter().map(Examined::told).collect();
        println!("{}", serde_json::to_string_pretty(&told).map_err(|e| e.to_string())?);
    } else {
        examined.iter().for_each(|role| print(role, &places.shown(role.role)));
    }
    let faulty: Vec<&str> = examined.iter().filter(|role| role.worst() == Level::Fault).map(|role| role.role.as_str()).collect();
    let warned: Vec<&str> = examined.iter().filter(|role| role.worst() == Level::Warning).map(|role| role.role.as_str()).collect();
    if !json {
        println!();
    }
    match (faulty.as_slice(), warned.as_slice()) {
        ([], []) if json => Ok(()),
        ([], []) => {
            println!("all six are fine");
            Ok(())
        }
        ([], warned) => {
            if !json {
                println!("it will run; see the warnings of {}", warned.join(", "));
            }
            Ok(())
        }
        (faulty, _) => Err(Failure::Failed(format!("{} must be mended first", faulty.join(", ")))),
    }
}

fn print(examined: &Examined, place: &str) {
    let bold = anstyle::Style::new().bold();
    println!("{bold}{}{bold:#}  {place}", examined.role);
    for finding in &examined.findings {
        let (mark, colour) = match finding.level {
            Level::Fine => ("ok     ", anstyle::AnsiColor::Green),
            Level::Warning => ("warning", anstyle::AnsiColor::Yellow),
            Level::Fault => ("fault  ", anstyle::AnsiColor::Red),
        };
        let style = anstyle::Style::new().fg_color(Some(colour.into()));
        println!("  {style}{mark}{style:#}  {finding}");
    }
}
