//! `wardhouse import`: a file or stdin into the log.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio_util::sync::CancellationToken;
use wh_eventlog::Log;
use wh_ingest::import::{self, Format, ImportSettings, Input, Progress};

use crate::args::{ImportArgs, InputFormat};
use crate::commands::{asked_to_stop, runtime};
use crate::failure::Failure;
use crate::settings::Settings;
use crate::stores;

/// Where rejected lines go: the file that was named, else one in the data folder. They are never dropped.
pub(crate) fn rejects_file(settings: &Settings, file: &Path, named: Option<&Path>) -> PathBuf {
    let name = if file == Path::new("-") { "stdin".into() } else { file.file_name().unwrap_or_default().to_string_lossy() };
    named.map_or_else(|| settings.data.join("import").join(format!("{name}.rejects.ndjson")), Path::to_owned)
}

/// The settings of an import of `file`.
pub(crate) fn import_settings(settings: &Settings, file: &Path, format: InputFormat, rejects: Option<&Path>, restart: bool) -> ImportSettings {
    let stdin = file == Path::new("-");
    ImportSettings {
        input: if stdin { Input::Stdin } else { Input::Path(file.to_owned()) },
        format: match format {
            InputFormat::Auto => Format::Auto,
            InputFormat::Ndjson => Format::Ndjson,
            InputFormat::Csv => Format::Csv,
        },
        rejects: Some(rejects_file(settings, file, rejects)),
        state_folder: (!stdin).then(|| settings.data.join("import")),
        reading: settings.reading.clone(),
        batch_records: 2_000,
        restart,
    }
}

/// Imports with a bar; on no terminal, without.
pub(crate) async fn import(log: Arc<dyn Log>, import: ImportSettings, stop: CancellationToken) -> Result<Progress, Failure> {
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
    bar.set_style(ProgressStyle::with_template("importing {wide_bar} {bytes}/{total_bytes} {msg} {eta}").unwrap_or_else(|_| ProgressStyle::default_bar()));
    let mut told = |progress: Progress| {
        if let Some(total) = progress.bytes_total {
            bar.set_length(total);
        }
        bar.set_position(progress.bytes_read);
        bar.set_message(format!("{} lines", progress.lines));
    };
    let done = import::import(&*log, &import, &mut told, stop).await;
    bar.finish_and_clear();
    done.map_err(|e| Failure::Failed(e.to_string()))
}

/// What an import did, as a line.
pub(crate) fn told(progress: &Progress, rejects: &Path) -> String {
    if progress.already {
        return format!("this file was imported before ({} lines); --restart imports it again", progress.lines);
    }
    let where_to = if progress.rejected == 0 { String::new() } else { format!(" (see {})", rejects.display()) };
    // The sum of what is told is the number of lines.
    let between = match (progress.between(), progress.format) {
        (0, _) => String::new(),
        (some, Format::Csv) => format!(" + {some} of the header, blank, or within a row"),
        (some, _) => format!(" + {some} blank"),
    };
    format!("{} lines read: {} accepted, {} rejected{where_to}{between}", progress.lines, progress.accepted, progress.rejected)
}

pub(crate) fn run(settings: &Settings, args: &ImportArgs) -> Result<(), Failure> {
    let runtime = runtime("import")?;
    let import_settings = import_settings(settings, &args.file, args.format, args.rejects.as_deref(), args.restart);
    let outcome = runtime.block_on(async {
        std::fs::create_dir_all(settings.data.join("import")).map_err(|e| format!("cannot create {}: {e}", settings.data.join("import").display()))?;
        let log = stores::open_log(settings).await?;
        let stop = CancellationToken::new();
        let asked = stop.clone();
        tokio::spawn(async move {
            asked_to_stop().await;
            asked.cancel();
        });
        let done = import(log, import_settings, stop.clone()).await?;
        anstream::println!("{}", told(&done, &rejects_file(settings, &args.file, args.rejects.as_deref())));
        if stop.is_cancelled() {
            anstream::println!("stopped; the same command goes on from here");
        }
        Ok(())
    });
    // Reading stdin cannot be interrupted: do not wait for it.
    runtime.shutdown_background();
    outcome
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_of_an_import_adds_up_to_its_lines() {
        let told = |progress: Progress| super::told(&progress, Path::new("r.ndjson"));
        let some = Progress { lines: 9, accepted: 3, rejected: 4, finished: true, format: Format::Ndjson, ..Progress::default() };
        assert_eq!(told(some), "9 lines read: 3 accepted, 4 rejected (see r.ndjson) + 2 blank");
        assert_eq!(told(Progress { lines: 7, ..some }), "7 lines read: 3 accepted, 4 rejected (see r.ndjson)");
        let csv = Progress { lines: 4, accepted: 3, rejected: 0, format: Format::Csv, ..some };
        assert_eq!(told(csv), "4 lines read: 3 accepted, 0 rejected + 1 of the header, blank, or within a row");
    }
}
