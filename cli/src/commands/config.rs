//! `wardhouse config`: whether the settings are valid, and what they are.

use crate::args::ConfigCommand;
use crate::failure::Failure;
use crate::settings::Settings;

pub(crate) fn run(settings: &Settings, command: ConfigCommand) -> Result<(), Failure> {
    match command {
        ConfigCommand::Check => anstream::println!("the settings are valid; data in {}", settings.data.display()),
        ConfigCommand::Show => anstream::print!("{}", settings.to_toml()),
    }
    Ok(())
}
