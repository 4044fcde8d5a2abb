//! Golden files: whatever is sent or kept, as committed bytes, so that what one version wrote the next one reads.
//!
//! Each format has two tests. What was committed is read, to the committed text beside it: for every version that there was. What is written
//! today of the same fixed input is what was committed last, to the byte, and reads back.
//!
//! What must stay true: a committed file is never changed; inputs are fixed, without clock and chance, and name no score that the engine is free
//! to give otherwise; the run that writes a file fails, so that nothing passes on a file that nobody committed.
//!
//! A form that is changed on purpose: raise the format's version below, have what is missing written by
//! `WARDHOUSE_WRITE_GOLDEN=1 cargo test -p wh-tests --test it golden`, look at it, and commit it. The earlier version's files stay.

mod backup;
mod committed;
mod letters;
mod log;
mod record_text;
mod sqlite_text;
mod state;
mod stores;
mod wire;

/// Something that is sent or kept.
#[derive(Clone, Copy)]
struct Format {
    /// Name of its file; what is read of it is in `NAME.read`.
    name: &'static str,
    /// Its form: version n is in the folder `vn`. Those from 1 on are read, the last is written.
    version: u32,
    /// What is written of the fixed input.
    write: fn() -> Vec<u8>,
    /// What the code that reads it finds in it, as text.
    read: fn(&[u8]) -> String,
    /// What of the bytes must be the same each time they are written.
    lasting: fn(&[u8]) -> Vec<u8>,
}

impl Format {
    const fn new(name: &'static str, version: u32, write: fn() -> Vec<u8>, read: fn(&[u8]) -> String) -> Format {
        Format { name, version, write, read, lasting: whole }
    }
}

fn whole(bytes: &[u8]) -> Vec<u8> {
    bytes.to_vec()
}

macro_rules! golden {
    ($($test:ident: $module:ident::$format:ident;)*) => {
        /// Every format.
        const ALL: &[Format] = &[$($module::$format),*];
        $(
            mod $test {
                #[test]
                fn what_was_committed_is_read() {
                    super::committed::is_read(&super::$module::$format);
                }
                #[test]
                fn what_is_written_is_what_was_committed() {
                    super::committed::is_written(&super::$module::$format);
                }
            }
        )*
    };
}

golden! {
    transaction: wire::TRANSACTION;
    accepted_record: wire::ACCEPTED;
    scored_record: wire::SCORED;
    duplicate_record: wire::DUPLICATE;
    alert: wire::ALERT;
    pattern_alert: wire::PATTERN_ALERT;
    account_activity: wire::ACTIVITY;
    scorer_control: wire::CONTROL;
    system_event: wire::EVENT;
    dead_letter: letters::LETTERS;
    letter_sent_again: letters::SENT_AGAIN;
    plain_block: log::PLAIN;
    compressed_block: log::COMPRESSED;
    log_file: log::FILE;
    user_state: state::USER;
    ruleset_in_force: state::RULESET;
    scorer_snapshot: state::SNAPSHOT;
    account_state: state::ACCOUNTS;
    baselines_file: state::BASELINES;
    ledger_file: stores::LEDGER;
    documents_file: stores::DOCUMENTS;
    metrics_file: stores::METRICS;
    search_positions: stores::SEARCH;
    elasticsearch_positions: stores::ELASTICSEARCH;
    mongodb_position: stores::MONGODB;
    backup_manifest: backup::MANIFEST;
}

#[test]
fn every_committed_file_is_of_a_format() {
    committed::are_all_known(ALL);
}

/// Runs what needs a runtime.
fn wait<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap().block_on(future)
}
