//! `wardhouse evaluate`: how well the scorer finds fraud, on generated streams or on a labelled file.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use wh_evaluation::unseen::UNSEEN;
use wh_evaluation::{Config, Generated, Grade, Scheme};
use wh_scorer::offline::evaluate::{self, EvaluateSettings, Wanted};
use wh_scorer::offline::labels::Labels;

use crate::commands::input;
use crate::failure::Failure;
use crate::settings::Settings;

/// `evaluate`
#[derive(Debug, Args)]
pub(crate) struct EvaluateArgs {
    /// Streams to generate: how many (seeds 1, 2, …), one seed as 7-7, or a range of seeds.
    #[arg(long, default_value = "5", value_name = "N|FROM-TO", value_parser = seeds, conflicts_with = "input")]
    seeds: Seeds,
    /// Grades of the incidents, separated by commas.
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = [GradeName::Blatant, GradeName::Medium, GradeName::Subtle])]
    grades: Vec<GradeName>,
    /// Incidents of the schemes that were held back only, each in streams of its own.
    #[arg(long, conflicts_with = "input")]
    unseen: bool,
    /// NDJSON of your own, with --labels, in place of generated streams.
    #[arg(long, value_name = "FILE", requires = "labels")]
    input: Option<PathBuf>,
    /// Which of its transactions were fraud: NDJSON or CSV with transaction_id, fraud and, if known, incident.
    #[arg(long, value_name = "FILE", requires = "input")]
    labels: Option<PathBuf>,
    /// Score by this ruleset file, in place of the one that the settings name.
    #[arg(long, value_name = "FILE")]
    pub(crate) rules: Option<PathBuf>,
    /// One JSON object.
    #[arg(long)]
    json: bool,
    /// Write the precision–recall curve and the calibration plot into this folder, as SVG [default where no folder is named: docs/figures].
    #[arg(long, value_name = "DIR", num_args = 0..=1, default_missing_value = "docs/figures")]
    plots: Option<PathBuf>,
    /// Write the generated streams and their labels into this folder.
    #[arg(long, value_name = "DIR", conflicts_with = "input")]
    write: Option<PathBuf>,
    /// Score each stream without labels in its rows, with the true ones and with those of other rows; every byte must be the same.
    #[arg(long, conflicts_with = "input")]
    check_labels: bool,
    /// Threads; the figures do not depend on it [default: one a core].
    #[arg(long)]
    threads: Option<usize>,
}

/// First and last seed.
#[derive(Clone, Copy, Debug)]
struct Seeds(u64, u64);

fn seeds(text: &str) -> Result<Seeds, String> {
    let number = |text: &str| text.trim().parse::<u64>().map_err(|_| format!("expected a number such as 5, or a range such as 1001-1005, found {text:?}"));
    let seeds = match text.split_once('-') {
        Some((from, to)) => Seeds(number(from)?, number(to)?),
        None => Seeds(1, number(text)?),
    };
    if seeds.1 < seeds.0 || seeds.1 - seeds.0 >= 1_000 { Err("expected 1 to 1,000 seeds, the lower first".to_owned()) } else { Ok(seeds) }
}

/// A grade on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum GradeName {
    /// A careful clerk sees it at once.
    Blatant,
    /// Hidden in one or two aspects.
    Medium,
    /// Only relations between rows tell.
    Subtle,
}

impl From<GradeName> for Grade {
    fn from(name: GradeName) -> Grade {
        match name {
            GradeName::Blatant => Grade::Blatant,
            GradeName::Medium => Grade::Medium,
            GradeName::Subtle => Grade::Subtle,
        }
    }
}

fn cannot_write(path: &Path) -> impl Fn(std::io::Error) -> Failure + '_ {
    move |e| Failure::Failed(format!("cannot write {}: {e}", path.display()))
}

pub(crate) fn run(settings: &Settings, args: &EvaluateArgs) -> Result<(), Failure> {
    let evaluate = EvaluateSettings {
        ruleset: settings.ruleset.clone(),
        reading: settings.reading.clone(),
        partitions: settings.partitions,
        threads: args.threads.unwrap_or_else(input::cores).max(1),
    };
    let measured = match (&args.input, &args.labels) {
        (Some(input), Some(labels)) => {
            let truth = Labels::read(input::open(labels, None)?).map_err(|why| format!("{}: {why}", labels.display()))?;
            let bar = input::bar("scoring");
            let measured = evaluate::labelled(&input.display().to_string(), &mut *input::open(input, Some(&bar))?, &truth, &evaluate);
            bar.finish_and_clear();
            let (measured, fit) = measured?;
            for sentence in fit.warnings() {
                anstream::eprintln!("warning: {sentence}");
            }
            vec![measured]
        }
        _ => generated(args, &evaluate)?,
    };
    if args.json {
        anstream::println!("{:#}", evaluate::json(&measured));
    } else {
        anstream::println!("ruleset {} ({:?})", settings.ruleset.content_hash(), settings.ruleset.name);
        anstream::print!("{}", evaluate::text(&measured));
    }
    if let Some(folder) = &args.plots {
        std::fs::create_dir_all(folder).map_err(cannot_write(folder))?;
        for (name, svg) in evaluate::plots(&measured) {
            let path = folder.join(name);
            std::fs::write(&path, svg).map_err(cannot_write(&path))?;
            anstream::eprintln!("wrote {}", path.display());
        }
    }
    Ok(())
}

fn generated(args: &EvaluateArgs, evaluate: &EvaluateSettings) -> Result<Vec<evaluate::Measured>, Failure> {
    let config = Config { grades: args.grades.iter().map(|grade| Grade::from(*grade)).collect(), ..Config::default() };
    let schemes: Vec<Option<&dyn Scheme>> = if args.unseen { UNSEEN.iter().map(|scheme| Some(*scheme)).collect() } else { vec![None] };
    let Seeds(from, to) = args.seeds;
    let wanted: Vec<Wanted<'_>> = schemes.into_iter().flat_map(|scheme| (from..=to).map(move |seed| Wanted { seed, scheme })).collect();
    if let Some(folder) = &args.write {
        std::fs::create_dir_all(folder).map_err(cannot_write(folder))?;
    }
    let made = |stream: &Wanted<'_>, generated: &Generated| -> std::io::Result<()> {
        if let Some(folder) = &args.write {
            let name = stream.name().replace(' ', "-");
            std::fs::write(folder.join(format!("{name}.ndjson")), generated.ndjson())?;
            std::fs::write(folder.join(format!("{name}.labels.ndjson")), evaluate::labels_file(generated))?;
        }
        if args.check_labels {
            let one = EvaluateSettings { threads: 1, ..evaluate.clone() };
            match evaluate::labels_matter(generated, &one)? {
                None => anstream::eprintln!("{}: the same bytes without labels, with the true ones and with those of other rows", stream.name()),
                Some(differs) => return Err(std::io::Error::other(format!("{}: labels in the rows change what is scored:\n{differs}", stream.name()))),
            }
        }
        Ok(())
    };
    let bar = input::counting_bar("streams", wanted.len() as u64);
    let measured = evaluate::streams(&wanted, &config, evaluate, &made, &|| bar.inc(1));
    bar.finish_and_clear();
    Ok(measured?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_are_a_number_or_a_range() {
        let read = |text| seeds(text).map(|Seeds(from, to)| (from, to));
        assert_eq!((read("5"), read("1001-1005"), read("7-7")), (Ok((1, 5)), Ok((1001, 1005)), Ok((7, 7))));
        assert!(read("0").is_err() && read("5-1").is_err() && read("many").is_err() && read("1-9999").is_err());
    }
}
