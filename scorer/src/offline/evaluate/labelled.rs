//! A file of one's own, measured against labels beside it.
//!
//! What must stay true: no figure is shown for labels and a file that do not belong together; what fits in part is told with its counts.

use std::io;

use wh_evaluation::{Label, Transaction};

use super::measure::{self, Measured};
use super::{EvaluateSettings, HONEST, judge};
use crate::offline::labels::Labels;

/// How labels and a file fit together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fit {
    /// The file.
    pub name: String,
    /// Its lines that are not blank.
    pub lines: u64,
    /// Of them rejected.
    pub rejected: u64,
    /// Rows scored.
    pub rows: usize,
    /// Transactions that the labels name.
    pub labels: usize,
    /// Of them as fraud.
    pub fraud_labels: usize,
    /// Labels that name a row.
    pub matched: usize,
    /// Of them as fraud.
    pub fraud_matched: usize,
}

impl Fit {
    /// Why nothing can be measured, where that is so.
    fn refusal(&self) -> Option<String> {
        let Fit { name, lines, rows, labels, matched, .. } = self;
        if *lines == 0 {
            Some(format!("{name} holds no line: there is no transaction to score"))
        } else if *rows == 0 {
            Some(format!("none of the {lines} lines of {name} is a transaction: `wardhouse score {name} --rejects rejects.ndjson` tells why"))
        } else if *labels == 0 {
            Some("the labels name no transaction: there is nothing to measure against".to_owned())
        } else if *matched == 0 {
            Some(format!(
                "none of the {labels} transactions that the labels name is among the {rows} rows of {name}: the labels are of another file, or write transaction_id otherwise"
            ))
        } else if self.fraud_matched == 0 {
            Some(format!("the labels name {matched} of the {rows} rows of {name}, none of them as fraud: there is nothing to find"))
        } else {
            None
        }
    }

    /// What fits in part only, a sentence each.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        let Fit { name, lines, rejected, rows, labels, fraud_labels, matched, fraud_matched } = self;
        let mut told = Vec::new();
        if matched < labels {
            told.push(format!(
                "{} of {labels} labels ({} of them fraud) name no row of {name} and count for nothing; {} of its {rows} rows have no label and count as honest",
                labels - matched,
                fraud_labels - fraud_matched,
                rows - matched
            ));
        }
        if *rejected > 0 {
            told.push(format!("{rejected} of {lines} lines of {name} were rejected: `wardhouse score {name} --rejects rejects.ndjson` tells why"));
        }
        told
    }
}

/// Scores and measures a file with labels beside it, and tells how the two fit together.
///
/// # Errors
/// Where the file cannot be read, or it and the labels do not belong together.
pub fn labelled(name: &str, input: &mut dyn io::BufRead, truth: &Labels, settings: &EvaluateSettings) -> io::Result<(Measured, Fit)> {
    let (rows, passed) = judge(input, settings, settings.threads)?;
    let mut fit =
        Fit { name: name.to_owned(), lines: passed.records, rejected: passed.rejected, rows: rows.len(), labels: truth.len(), fraud_labels: truth.fraud(), ..Fit::default() };
    for row in rows.iter().filter(|row| truth.names(&row.id)) {
        fit.matched += 1;
        fit.fraud_matched += usize::from(truth.of(&row.id).fraud);
    }
    if let Some(refusal) = fit.refusal() {
        return Err(io::Error::other(refusal));
    }
    // A fraudulent row of no named incident is an incident of its own.
    let mut next = truth.incidents();
    let labels: Vec<Label> = rows
        .iter()
        .map(|row| {
            let of = truth.of(&row.id);
            if !of.fraud {
                return HONEST;
            }
            let incident = of.incident.unwrap_or_else(|| {
                next += 1;
                next - 1
            });
            Label { fraud: true, incident: Some(incident), scenario: "fraud", grade: None }
        })
        .collect();
    let transactions: Vec<Transaction> = rows
        .iter()
        .map(|row| Transaction {
            transaction_id: String::new(),
            timestamp: String::new(),
            micros: row.micros,
            user_id: row.user.clone(),
            account_id: String::new(),
            department: "",
            transaction_type: row.kind,
            cents: row.cents,
            description: None,
            counterparty_account: None,
            metadata: Vec::new(),
        })
        .collect();
    let plain = wh_evaluation::baseline::scores(&transactions);
    Ok((measure::measure(name, &rows, &labels, plain), fit))
}
