//! The command line as it is written.

use std::path::{Path, PathBuf};

use clap::{Args, Parser, Subcommand, ValueEnum};
use wh_scorer::offline::score::Order;

use crate::commands::backtest::BacktestArgs;
use crate::commands::backup::BackupArgs;
use crate::commands::bench::BenchArgs;
use crate::commands::benford::BenfordArgs;
use crate::commands::control::ReleaseArgs;
use crate::commands::dead_letters::DeadLettersCommand;
use crate::commands::evaluate::EvaluateArgs;
use crate::commands::explain::ExplainArgs;
use crate::commands::fit_priors::FitPriorsArgs;
use crate::commands::reconcile::ReconcileArgs;
use crate::commands::replay::ReplayArgs;
use crate::commands::restore::RestoreArgs;
use crate::commands::rules::RulesCommand;
use crate::commands::score::ScoreArgs;

/// Exit codes, as `--help` tells them.
const EXIT_CODES: &str = "Exit codes: 0 done · 1 a stage, a store or the input failed (the message says what to do) · 2 wrong usage or settings\n\nFirst time here? `wardhouse up` runs everything on files under ./data.";

/// Hospital transactions scored for risk with reasons, kept in five stores, queried as one SQL database.
#[derive(Debug, Parser)]
#[command(name = "wardhouse", version = crate::build::VERSION, propagate_version = true, after_help = EXIT_CODES, max_term_width = 110)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Flags of every command.
#[derive(Clone, Debug, Args)]
pub(crate) struct Global {
    /// Folder of the embedded stores [default: data].
    #[arg(long, global = true, value_name = "DIR", env = "WARDHOUSE_DATA")]
    pub(crate) data: Option<PathBuf>,
    /// Settings file [default: wardhouse.toml, where there is one].
    #[arg(long, global = true, value_name = "FILE", env = "WARDHOUSE_CONFIG")]
    pub(crate) config: Option<PathBuf>,
    /// How the log of the program itself is written to stderr; RUST_LOG sets how much.
    #[arg(long, global = true, value_enum, default_value_t = LogFormat::Text)]
    pub(crate) log_format: LogFormat,
}

/// Form of the program's own log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// Lines for people.
    Text,
    /// One JSON object a line.
    Json,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run everything in this process: the whole pipeline, on embedded stores unless the settings name servers.
    #[command(after_help = "Example: wardhouse up --rate 100\n         wardhouse up --input my.ndjson --rate 0 --until-idle")]
    Up(UpArgs),
    /// Run some roles in this process: intake, scorer, ledger, documents, metrics, search, http, sql.
    #[command(after_help = "Example: wardhouse run intake scorer\n         wardhouse run ledger documents metrics search\n         wardhouse run sql")]
    Run(RunArgs),
    /// Score NDJSON offline, from an empty state: lines in, lines out. No store is touched.
    #[command(after_help = "Example: wardhouse score my.ndjson --rejects bad.ndjson > scores.ndjson\n         wardhouse generate --count 1000 | wardhouse score | head")]
    Score(ScoreArgs),
    /// Tell how a score came about: the record, the baseline as it was, each reason, and what would have changed its level.
    #[command(
        after_help = "Example: wardhouse explain TXN-CX143JSJ\n         wardhouse explain 0b0e7e0a-5b1f-5f0e-9a53-1d0a9c6b8e21   # an alert by its id\n         wardhouse explain TXN-CX143JSJ --input my.ndjson   # of a file, without a pipeline"
    )]
    Explain(ExplainArgs),
    /// Replay history under another ruleset, and show which alerts would be gained and lost.
    #[command(after_help = "Example: wardhouse backtest candidate.toml\n         wardhouse backtest candidate.toml --input history.ndjson --labels truth.csv")]
    Backtest(BacktestArgs),
    /// Measure how well fraud is found, on made-up streams whose truth is hidden, or on a labelled file of your own.
    #[command(after_help = "Example: wardhouse evaluate --seeds 1001-1005 --plots plots\n         wardhouse evaluate --input my.ndjson --labels truth.csv")]
    Evaluate(EvaluateArgs),
    /// Fit what amounts are usual by type and department, before a user's own are known.
    #[command(after_help = "Example: wardhouse fit-priors --input history.ndjson --output rules.toml")]
    FitPriors(FitPriorsArgs),
    /// Compare first digits with Benford's law by user and department: an indicator for a batch, never an alert.
    #[command(after_help = "Example: wardhouse benford --input history.ndjson")]
    Benford(BenfordArgs),
    /// Measure what the pipeline carries on these stores: rates, latencies read back from each, the limit and what is in its way.
    #[command(
        after_help = "Everything is measured on places of its own (topics, tables, indexes, a folder), which are removed at the end; what is there is not touched.\n\nExample: wardhouse bench --rate 2000 --duration 30s\n         wardhouse bench --find-limit --against raw --report out\n         wardhouse bench --arrivals file:arrivals.txt --json\n         wardhouse bench compare before/report.json after/report.json\n         wardhouse bench plan --target 10000 --check 2500 --report out"
    )]
    Bench(Box<BenchArgs>),
    /// Make transactions of a hospital that does not exist, as NDJSON or into the log.
    #[command(after_help = "Example: wardhouse generate --seed 7 --count 100000 --labels truth.ndjson > my.ndjson")]
    Generate(GenerateArgs),
    /// Import NDJSON or CSV (plain, gzip, zstd) into the log; goes on where it was stopped.
    #[command(after_help = "Example: wardhouse import export.csv.gz --rejects bad.ndjson")]
    Import(ImportArgs),
    /// Tell how far every stage and store is, in lines that add up.
    #[command(after_help = "Example: wardhouse status --json")]
    Status {
        /// One JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Look at every store and the log: version, rights, durability, clocks, layout; and say what to do. Changes nothing.
    #[command(after_help = "Example: wardhouse doctor --config wardhouse.toml")]
    Doctor {
        /// One JSON array.
        #[arg(long)]
        json: bool,
    },
    /// Make what the servers lack: topics, tables, indexes, collections, buckets. Changes nothing that is there.
    #[command(after_help = "Example: wardhouse migrate\n         WARDHOUSE_POSTGRES__USER=owner wardhouse migrate   # as a user who may")]
    Migrate,
    /// Ask all stores in SQL: one statement, or a shell without one.
    #[command(
        after_help = "Example: wardhouse sql \"SELECT user_id, count(*) FROM risk_alerts GROUP BY 1 ORDER BY 2 DESC LIMIT 5\"\n         wardhouse sql --format csv \"SELECT * FROM transactions\" > all.csv\n         wardhouse sql --format parquet --output all.parquet \"SELECT * FROM transactions\""
    )]
    Sql(SqlArgs),
    /// Write what was recorded into stores again, by seq or by time, also while the stages run; changes nothing where it is there already.
    #[command(
        after_help = "Example: wardhouse replay --store documents --partition 0 --from 1000 --to 2000\n         wardhouse replay --since 2026-03-01 --until 2026-03-02\n         wardhouse replay --store search --begin newest   # a store that was added later"
    )]
    Replay(ReplayArgs),
    /// Prove each store equal to the log, by count and checksum of each range of rows; tell each row that is not, and put it right.
    #[command(
        after_help = "Exit codes: 0 equal, or put right · 1 a store or the log failed · 2 wrong usage or settings · 3 rows are not as the log says\n\nExample: wardhouse reconcile\n         wardhouse reconcile --store ledger --partition 0 --from 0 --to 100000 --json\n         wardhouse reconcile --store documents --repair\n         wardhouse reconcile --watch --rate 500"
    )]
    Reconcile(ReconcileArgs),
    /// Copy everything that is in files into a folder, while the stages run.
    #[command(after_help = "Example: wardhouse backup /backups/2026-03-01")]
    Backup(BackupArgs),
    /// Copy a backup into a data folder that is not there yet, and prove that it is what was backed up.
    #[command(after_help = "Example: wardhouse restore /backups/2026-03-01 --data restored")]
    Restore(RestoreArgs),
    /// List, show, send again or discard the records that a stage could not take.
    #[command(
        subcommand,
        after_help = "Example: wardhouse dead-letters list --class amount\n         wardhouse dead-letters show 0/17\n         wardhouse dead-letters retry 0/17\n         wardhouse dead-letters discard --fingerprint 1f0c9a53d20b6e8d --since 2h --all --reason \"a test\""
    )]
    DeadLetters(DeadLettersCommand),
    /// Show the ruleset in force, check a ruleset file, compare two, or apply one to the scorer that runs.
    #[command(
        subcommand,
        after_help = "Example: wardhouse rules show > rules.toml\n         wardhouse rules check rules.toml\n         wardhouse rules diff rules.toml candidate.toml\n         wardhouse rules apply candidate.toml"
    )]
    Rules(RulesCommand),
    /// Let the baseline learn from a transaction that was quarantined as an alert and turned out benign; alerts of patterns by account hold none back.
    #[command(after_help = "Example: wardhouse release TXN-CX143JSJ --reason \"confirmed by the department\"")]
    Release(ReleaseArgs),
    /// Check or show the settings in force.
    #[command(subcommand, after_help = "Example: wardhouse config check --config my.toml")]
    Config(ConfigCommand),
    /// Write a completion script for a shell.
    #[command(after_help = "Example: wardhouse completions bash > /etc/bash_completion.d/wardhouse")]
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
}

/// `up`
#[derive(Debug, Args)]
pub(crate) struct UpArgs {
    /// Live transactions a second from the generator; 0 for none.
    #[arg(long, default_value_t = 10.0, value_name = "TX_PER_SECOND")]
    pub(crate) rate: f64,
    /// Do not make a history on the first start.
    #[arg(long)]
    pub(crate) no_history: bool,
    /// Import this file (or - for stdin) in place of a history.
    #[arg(long, value_name = "FILE")]
    pub(crate) input: Option<PathBuf>,
    /// Where rejected lines of --input go.
    #[arg(long, value_name = "FILE", requires = "input")]
    pub(crate) rejects: Option<PathBuf>,
    /// End when the input is in every store.
    #[arg(long)]
    pub(crate) until_idle: bool,
    /// Score by this ruleset file, in place of the one that the settings name.
    #[arg(long, value_name = "FILE")]
    pub(crate) rules: Option<PathBuf>,
}

/// `run`
#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// The roles.
    #[arg(required = true, value_enum)]
    pub(crate) roles: Vec<RoleName>,
    /// Where neither the baselines store nor the log reaches back far enough, let the scorer begin with empty baselines.
    #[arg(long)]
    pub(crate) cold_start: bool,
    /// Score by this ruleset file, in place of the one that the settings name.
    #[arg(long, value_name = "FILE")]
    pub(crate) rules: Option<PathBuf>,
    /// End as soon as standard input does: for whoever started this process to measure it, and must not outlive it.
    #[arg(long, hide = true)]
    pub(crate) until_input_ends: bool,
}

/// A role that a process can run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum RoleName {
    /// Validate and repartition.
    Intake,
    /// Score.
    Scorer,
    /// Find patterns over several accounts; one instance works, others stand by.
    Patterns,
    /// Write the ledger.
    Ledger,
    /// Write the documents.
    Documents,
    /// Write the metrics.
    Metrics,
    /// Write the search index.
    Search,
    /// Take transactions over HTTP.
    Http,
    /// Answer SQL: PostgreSQL's protocol, Flight SQL, HTTP.
    Sql,
}

/// Order of offline scoring.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum OrderName {
    /// As the lines stand.
    File,
    /// By event time.
    EventTime,
}

impl From<OrderName> for Order {
    fn from(name: OrderName) -> Order {
        match name {
            OrderName::File => Order::File,
            OrderName::EventTime => Order::EventTime,
        }
    }
}

/// `generate`
#[derive(Debug, Args)]
pub(crate) struct GenerateArgs {
    /// The same seed gives the same bytes.
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// How many transactions.
    #[arg(long, default_value_t = 10_000)]
    pub(crate) count: u64,
    /// Over how many days, from --start on.
    #[arg(long, default_value_t = 30)]
    pub(crate) days: u32,
    /// By how many users.
    #[arg(long, default_value_t = 50)]
    pub(crate) users: u32,
    /// Share of transactions that belong to incidents of fraud, 0 to 0.5.
    #[arg(long, default_value_t = 0.15, value_name = "F")]
    pub(crate) anomaly_rate: f64,
    /// First day.
    #[arg(long, default_value = "2026-01-01T00:00:00Z", value_name = "TIME")]
    pub(crate) start: String,
    /// Write which transactions belong to which incident here; never into the stream.
    #[arg(long, value_name = "FILE")]
    pub(crate) labels: Option<PathBuf>,
    /// Where to: stdout, or the log of the data folder.
    #[arg(long, value_enum, default_value_t = Target::Stdout)]
    pub(crate) to: Target,
}

/// Where generated transactions go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Target {
    /// NDJSON.
    Stdout,
    /// `hospital-transactions`.
    Log,
}

/// `import`
#[derive(Debug, Args)]
pub(crate) struct ImportArgs {
    /// The file, or - for stdin.
    pub(crate) file: PathBuf,
    /// Form of the lines.
    #[arg(long, value_enum, default_value_t = InputFormat::Auto)]
    pub(crate) format: InputFormat,
    /// Where rejected lines go, with line number and reason.
    #[arg(long, value_name = "FILE")]
    pub(crate) rejects: Option<PathBuf>,
    /// Begin anew though the file was imported before, or has changed.
    #[arg(long)]
    pub(crate) restart: bool,
}

/// Form of imported lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum InputFormat {
    /// By name and content.
    Auto,
    /// One JSON object a line.
    Ndjson,
    /// With a header row.
    Csv,
}

/// `sql`
#[derive(Debug, Args)]
pub(crate) struct SqlArgs {
    /// One statement; a shell where none is given.
    pub(crate) statement: Option<String>,
    /// Form of the answer.
    #[arg(long, value_enum, default_value_t = crate::sql::Format::Table)]
    pub(crate) format: crate::sql::Format,
    /// Write the answer here.
    #[arg(long, short, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// Tell how long it took.
    #[arg(long)]
    pub(crate) timing: bool,
    /// Ask this server, as in http://127.0.0.1:8081, with WARDHOUSE_SQL_USER and WARDHOUSE_SQL_PASSWORD where it wants them
    /// (WARDHOUSE_SQL_CA_FILE: who may vouch for its certificate) [default: the one that runs on this data folder, else none].
    #[arg(long, value_name = "URL", conflicts_with = "embedded")]
    pub(crate) server: Option<String>,
    /// Open the stores here, whether a server runs or not.
    #[arg(long)]
    pub(crate) embedded: bool,
}

/// A store that a sink writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum StoreName {
    /// Transactions, alerts, profiles.
    Ledger,
    /// Metadata and explanations.
    Documents,
    /// Aggregates.
    Metrics,
    /// Alert text.
    Search,
}

impl From<StoreName> for RoleName {
    fn from(store: StoreName) -> Self {
        match store {
            StoreName::Ledger => RoleName::Ledger,
            StoreName::Documents => RoleName::Documents,
            StoreName::Metrics => RoleName::Metrics,
            StoreName::Search => RoleName::Search,
        }
    }
}

/// `config`
#[derive(Clone, Copy, Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Say whether the settings are valid, every fault at once.
    Check,
    /// Print the settings in force.
    Show,
}

impl Command {
    /// The ruleset file that the command line names.
    pub(crate) fn rules(&self) -> Option<&Path> {
        match self {
            Command::Up(args) => args.rules.as_deref(),
            Command::Run(args) => args.rules.as_deref(),
            Command::Score(args) => args.rules.as_deref(),
            Command::Explain(args) => args.rules.as_deref(),
            Command::Backtest(args) => args.rules.as_deref(),
            Command::Evaluate(args) => args.rules.as_deref(),
            Command::FitPriors(args) => args.rules.as_deref(),
            Command::Rules(RulesCommand::Show { rules, .. }) => rules.as_deref(),
            Command::Rules(RulesCommand::Check { file, .. }) => Some(file.as_path()),
            _ => None,
        }
    }
}
