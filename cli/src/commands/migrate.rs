//! `wardhouse migrate`: makes what a server lacks, and changes nothing that is there.

use anstream::println;
use wh_stores::Role;

use crate::commands::runtime;
use crate::failure::Failure;
use crate::settings::Settings;
use crate::stores;

pub(crate) fn run(settings: &Settings) -> Result<(), Failure> {
    let runtime = runtime("migrate")?;
    let mut failed = Vec::new();
    for role in Role::ALL {
        let place = settings.places.shown(role);
        match runtime.block_on(stores::migrate(settings, role)) {
            Ok(done) if done.is_empty() => println!("{role}: {place}: nothing to do"),
            Ok(done) => {
                println!("{role}: {place}");
                done.iter().for_each(|sentence| println!("  {sentence}"));
            }
            Err(reaction) => {
                println!("{role}: {place}: not done");
                failed.push(reaction.to_string());
            }
        }
    }
    if failed.is_empty() { Ok(()) } else { Err(Failure::Failed(failed.join("\n"))) }
}
