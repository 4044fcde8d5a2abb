//! From a draft to the transaction that leaves the hospital: identifiers, wording, metadata.
//!
//! What must stay true: this is the only place where a row gets its text, and it cannot tell whether the row belongs to
//! an incident. So names, descriptions and the keys of the metadata are the same for both, and no truth leaks.

use std::borrow::Cow;

use serde_json::value::RawValue;
use wh_schemas::json::{RawObject, Text};
use wh_schemas::money::Cents;
use wh_schemas::time::{DAY, HOUR, Micros};
use wh_schemas::transaction::{DEPARTMENTS, Transaction, TransactionType};

use super::accounts::{Party, push_padded, write_user};
use super::dice::mixed;

/// How a transaction was entered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Channel {
    Web,
    Desk,
    Api,
    Batch,
}

impl Channel {
    /// In the order of the weights of a trade.
    pub(super) const ALL: [Channel; 4] = [Channel::Web, Channel::Desk, Channel::Api, Channel::Batch];

    fn as_str(self) -> &'static str {
        match self {
            Channel::Web => "web",
            Channel::Desk => "desk",
            Channel::Api => "api",
            Channel::Batch => "batch",
        }
    }
}

/// Everything that is decided about a transaction, in a few words of memory: incidents keep many of them waiting.
#[derive(Clone, Copy, Debug)]
pub(super) struct Draft {
    /// Microseconds since 1970.
    pub(super) time: i64,
    /// Index of the user.
    pub(super) person: u32,
    pub(super) account: u32,
    pub(super) counterparty: Party,
    pub(super) cents: i64,
    /// Number of the voucher, below 10^7.
    pub(super) reference: u32,
    /// Number of the case or order that the description names, below 10^5.
    pub(super) subject: u32,
    /// Number of the workstation.
    pub(super) terminal: u32,
    /// Place in `DEPARTMENTS`.
    pub(super) department: u8,
    /// Place among the wordings of the type, below 4.
    pub(super) wording: u8,
    pub(super) kind: TransactionType,
    pub(super) channel: Channel,
}

/// In the order of `TransactionType::ALL`.
static WORDINGS: [[&str; 4]; 8] = [
    ["Outpatient consultation", "Inpatient stay", "Diagnostic procedure", "Follow-up treatment"],
    ["Payment of invoice", "Part payment", "Settlement of account", "Card payment"],
    ["Refund of overpayment", "Refund of deposit", "Refund after cancelled appointment", "Refund of double payment"],
    ["Transfer between cost centres", "Internal clearing", "Allocation of funds", "Cash pooling"],
    ["Write-off of balance", "Coding correction", "Tariff adjustment", "Discount granted"],
    ["Claim for inpatient treatment", "Claim for outpatient treatment", "Claim for surgery", "Supplementary claim"],
    ["Monthly salary", "Overtime pay", "On-call allowance", "Night shift bonus"],
    ["Consumables", "Medical devices", "Service contract", "Medicines and reagents"],
];

/// What a voucher's number begins with, in the order of `TransactionType::ALL`.
static VOUCHERS: [&str; 8] = ["INV-", "RCT-", "RFD-", "TRF-", "ADJ-", "CLM-", "SAL-", "PO-"];

/// Writes the drafts of one stream as transactions.
pub(super) struct Clerk {
    /// Scatters identifiers differently from those of another seed.
    salt: u64,
}

impl Clerk {
    pub(super) fn new(seed: u64) -> Clerk {
        Clerk { salt: mixed(seed) }
    }

    /// The `number`th transaction of the stream. `local` is what the hospital's clock shows at the draft's time, in
    /// microseconds.
    pub(super) fn transaction(&self, draft: &Draft, number: u64, local: i64) -> Transaction<'static> {
        let mut id = String::with_capacity(12);
        id.push_str("TXN-");
        push_padded::<36>(&mut id, self.scattered(number), 8);
        let mut user = String::with_capacity(10);
        write_user(draft.person, &mut user);
        let mut account = String::with_capacity(12);
        Party::House(draft.account).write(&mut account);
        let mut counterparty = String::with_capacity(12);
        draft.counterparty.write(&mut counterparty);
        let department = DEPARTMENTS[usize::from(draft.department)];
        Transaction {
            transaction_id: Text::from(id),
            timestamp: Micros(draft.time),
            user_id: Text::from(user),
            account_id: Text::from(account),
            department: Text::from(department),
            transaction_type: draft.kind,
            amount: Cents(draft.cents),
            // Now and then nobody filled in the field.
            description: (!draft.subject.is_multiple_of(32)).then(|| Text::from(description(draft, department))),
            counterparty_account: (draft.counterparty != Party::Nobody).then(|| Text::from(counterparty)),
            metadata: self.metadata(draft, local),
        }
    }

    /// A bijection of numbers below 2^40, all of which have eight digits in base 36: unique for 10^12 rows.
    fn scattered(&self, number: u64) -> u64 {
        const BITS: u64 = (1 << 40) - 1;
        let mut value = number.wrapping_mul(0x9E37_79B9_7F4A_7C15).wrapping_add(self.salt) & BITS;
        value ^= value >> 20;
        value = value.wrapping_mul(0xD6E8_FEB8_6659_FD93) & BITS;
        value ^ (value >> 23)
    }

    /// In canonical form: keys sorted, no blanks.
    fn metadata(&self, draft: &Draft, local: i64) -> RawObject<'static> {
        let [_, second, third, fourth] = draft.terminal.wrapping_mul(2_654_435_761).to_be_bytes();
        // One session a working day; a night shift's ends in the morning.
        let workday = (local - 7 * HOUR).div_euclid(DAY);
        let session = mixed(self.salt ^ (u64::from(draft.person) << 24) ^ workday.unsigned_abs());
        let mut json = String::with_capacity(136);
        json.push_str("{\"channel\":\"");
        json.push_str(draft.channel.as_str());
        json.push_str("\",\"ip\":\"10.");
        push_octet(&mut json, second);
        json.push('.');
        push_octet(&mut json, third);
        json.push('.');
        push_octet(&mut json, fourth);
        json.push_str("\",\"reference\":\"");
        json.push_str(VOUCHERS[draft.kind.index()]);
        push_padded::<10>(&mut json, u64::from(draft.reference), 7);
        json.push_str("\",\"session\":\"");
        push_padded::<16>(&mut json, session, 12);
        json.push_str("\",\"terminal\":\"WS-");
        push_padded::<10>(&mut json, u64::from(draft.terminal), 6);
        json.push_str("\"}");
        // Letters, digits and dots between quotes are always an object.
        RawValue::from_string(json).map_or_else(|_| RawObject::empty(), |raw| RawObject(Cow::Owned(raw)))
    }
}

fn description(draft: &Draft, department: &str) -> String {
    let words = WORDINGS[draft.kind.index()][usize::from(draft.wording)];
    let mut text = String::with_capacity(words.len() + department.len() + 13);
    text.push_str(words);
    text.push_str(", ");
    text.push_str(department);
    text.push_str(", no. ");
    push_padded::<10>(&mut text, u64::from(draft.subject), 5);
    text
}

fn push_octet(out: &mut String, octet: u8) {
    if octet >= 100 {
        out.push(char::from(b'0' + octet / 100));
    }
    if octet >= 10 {
        out.push(char::from(b'0' + octet / 10 % 10));
    }
    out.push(char::from(b'0' + octet % 10));
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn identifiers_do_not_repeat_and_have_twelve_characters() {
        let clerk = Clerk::new(1);
        let near = 0..100_000;
        let far = 1_000_000_000..1_000_100_000;
        let scattered: HashSet<u64> = near.chain(far).map(|number| clerk.scattered(number)).collect();
        assert_eq!(scattered.len(), 200_000);
        assert!(scattered.iter().all(|value| *value < 36_u64.pow(8)));
    }

    #[test]
    fn octets_are_written_without_leading_zeros() {
        let mut out = String::new();
        for octet in [0, 9, 10, 99, 100, 109, 255] {
            push_octet(&mut out, octet);
            out.push(' ');
        }
        assert_eq!(out, "0 9 10 99 100 109 255 ");
    }
}
