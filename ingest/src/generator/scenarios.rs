//! Twelve ways in which money goes wrong, each a whole incident of several transactions.
//!
//! What must stay true: every member of an incident is an ordinary draft of a person at a plausible time (see
//! `habits`), changed only in what makes the scenario. Nothing here may set a field to a value that ordinary rows
//! cannot have, for then a single row would give the incident away.

use wh_schemas::time::{HOUR, SECOND};
use wh_schemas::transaction::TransactionType::{self, Adjustment, Billing, InsuranceClaim, Payment, Procurement, Refund, Transfer};

use super::accounts::Party;
use super::amounts::scaled;
use super::habits::Hospital;
use super::papers::{Channel, Draft};
use super::people::Role;

/// One way in which money goes wrong.
pub(super) struct Scenario {
    pub(super) name: &'static str,
    /// Appends one incident's transactions, all after the given instant, in no particular order.
    pub(super) play: fn(&mut Hospital, i64, &mut Vec<Draft>),
}

/// All of them.
pub(super) static SCENARIOS: [Scenario; 12] = [
    Scenario { name: "amount_spike", play: amount_spike },
    Scenario { name: "off_hours_run", play: off_hours_run },
    Scenario { name: "burst", play: burst },
    Scenario { name: "structuring", play: structuring },
    Scenario { name: "duplicate_claims", play: duplicate_claims },
    Scenario { name: "refund_cycle", play: refund_cycle },
    Scenario { name: "dormant_account_awakes", play: dormant_account_awakes },
    Scenario { name: "department_hop", play: department_hop },
    Scenario { name: "new_payee_escalation", play: new_payee_escalation },
    Scenario { name: "ghost_vendor", play: ghost_vendor },
    Scenario { name: "round_trip", play: round_trip },
    Scenario { name: "writeoff_cycle", play: writeoff_cycle },
];

/// Incidents begin at any time within this of the row that calls for them, in microseconds.
pub(super) const PREPARATION: f64 = 6.0 * HOUR as f64;
/// One minute in microseconds.
const MINUTE: f64 = 60.0 * SECOND as f64;

/// Someone suddenly books sums far above their own.
fn amount_spike(hospital: &mut Hospital, from: i64, script: &mut Vec<Draft>) {
    let person = hospital.staff.anyone(&mut hospital.dice);
    let factor = 15.0 + 45.0 * hospital.dice.unit();
    let mut time = from;
    for _ in 0..hospital.dice.between(4, 7) {
        time = hospital.next_work(person, time, 8.0);
        let draft = hospital.own_work(person, time);
        let floor = 1_000_000 + i64::from(hospital.dice.below(3_000_000));
        script.push(Draft { cents: scaled(draft.cents, factor).max(floor), ..draft });
    }
}

/// Someone of the day shift works through a night, on somewhat larger sums.
fn off_hours_run(hospital: &mut Hospital, from: i64, script: &mut Vec<Draft>) {
    let person = hospital.staff.office_worker(&mut hospital.dice);
    let mut time = hospital.rhythm.next_night(&mut hospital.dice, from);
    for _ in 0..hospital.dice.between(8, 16) {
        let draft = hospital.own_work(person, time);
        let factor = 1.0 + 2.0 * hospital.dice.unit();
        script.push(Draft { cents: scaled(draft.cents, factor), ..draft });
        time += hospital.dice.gap(6.0 * MINUTE);
    }
}

/// Dozens of transactions of one type within minutes.
fn burst(hospital: &mut Hospital, from: i64, script: &mut Vec<Draft>) {
    let person = hospital.staff.anyone(&mut hospital.dice);
    let kind = hospital.staff.person(person).role.trade().kind(&mut hospital.dice);
    let channel = if hospital.dice.chance(0.6) { Channel::Api } else { Channel::Web };
    let mut time = hospital.next_work(person, from, 6.0);
    for _ in 0..hospital.dice.between(18, 32) {
        script.push(Draft { channel, ..hospital.work(person, time, kind) });
        time += hospital.dice.gap(25.0 * SECOND as f64);
    }
}

/// Many payments to one counterparty in a few days, each just below the 10,000 that have to be reported.
fn structuring(hospital: &mut Hospital, from: i64, script: &mut Vec<Draft>) {
    let person = hospital.staff.someone(&mut hospital.dice, &[Role::Accountant, Role::Treasurer, Role::Buyer, Role::PayrollOfficer]);
    let vendor = if hospital.dice.chance(0.5) { hospital.market.new_vendor() } else { hospital.market.known_vendor(&mut hospital.dice) };
    let mut time = from;
    for _ in 0..hospital.dice.between(8, 14) {
        time = hospital.next_work(person, time, 5.0);
        let cents = 900_000 + i64::from(hospital.dice.below(99_500));
        script.push(Draft { cents, counterparty: Party::Vendor(vendor), ..hospital.work(person, time, Payment) });
    }
}

/// The same claims sent again under other numbers.
fn duplicate_claims(hospital: &mut Hospital, from: i64, script: &mut Vec<Draft>) {
    let person = hospital.staff.someone(&mut hospital.dice, &[Role::ClaimsOfficer]);
    let mut first = from;
    for _ in 0..hospital.dice.between(2, 3) {
        first = hospital.next_work(person, first, 12.0);
        let claim = hospital.work(person, first, InsuranceClaim);
        script.push(claim);
        let mut time = first;
        for _ in 0..hospital.dice.between(2, 4) {
            time = hospital.next_work(person, time, 6.0);
            let again = hospital.work(person, time, InsuranceClaim);
            script.push(Draft { time, reference: again.reference, terminal: again.terminal, channel: again.channel, ..claim });
        }
    }
}

/// Payments of patients, each refunded soon after to the cashier's own account.
fn refund_cycle(hospital: &mut Hospital, from: i64, script: &mut Vec<Draft>) {
    let person = hospital.staff.someone(&mut hospital.dice, &[Role::Cashier, Role::AdmissionsDesk, Role::BillingClerk]);
    let mut time = from;
    for _ in 0..hospital.dice.between(4, 8) {
        time = hospital.next_work(person, time, 6.0);
        let paid = hospital.work(person, time, Payment);
        let cents = scaled(paid.cents, 2.0 + 4.0 * hospital.dice.unit());
        script.push(Draft { cents, ..paid });
        time += hospital.dice.gap(40.0 * MINUTE);
        let refund = hospital.work(person, time, Refund);
        let account = paid.account;
        script.push(Draft { cents, account, counterparty: Party::Employee(person), ..refund });
    }
}

/// An account that nobody used for long is emptied.
fn dormant_account_awakes(hospital: &mut Hospital, from: i64, script: &mut Vec<Draft>) {
    let person = hospital.staff.someone(&mut hospital.dice, &[Role::Accountant, Role::Treasurer]);
    let account = hospital.market.wake_dormant();
    let vendor = Party::Vendor(hospital.market.known_vendor(&mut hospital.dice));
    let mut time = from;
    for _ in 0..hospital.dice.between(6, 11) {
        time = hospital.next_work(person, time, 10.0);
        let cents = 250_000 + i64::from(hospital.dice.below(1_250_000));
        let draft = if hospital.dice.chance(0.5) { hospital.work(person, time, Transfer) } else { Draft { counterparty: vendor, ..hospital.work(person, time, Payment) } };
        script.push(Draft { account, cents, ..draft });
    }
}

/// Someone does other people's work in departments that are not theirs.
fn department_hop(hospital: &mut Hospital, from: i64, script: &mut Vec<Draft>) {
    let person = hospital.staff.anyone(&mut hospital.dice);
    let (home, trade) = (hospital.staff.person(person).department, hospital.staff.person(person).role.trade());
    let foreign: Vec<TransactionType> = TransactionType::ALL.into_iter().filter(|kind| trade.mix[kind.index()] < 0.02).collect();
    let mut time = from;
    for _ in 0..hospital.dice.between(9, 16) {
        time = hospital.next_work(person, time, 12.0);
        let kind = if foreign.is_empty() { Transfer } else { foreign[hospital.dice.index(foreign.len())] };
        let mut department = hospital.dice.department();
        if department == home {
            department = (department + 1) % 12;
        }
        let account = hospital.market.house(&mut hospital.dice, department);
        script.push(Draft { department, account, ..hospital.work(person, time, kind) });
    }
}

/// Payments to one new vendor that grow as long as nobody asks.
fn new_payee_escalation(hospital: &mut Hospital, from: i64, script: &mut Vec<Draft>) {
    let person = hospital.staff.someone(&mut hospital.dice, &[Role::Buyer, Role::Pharmacist, Role::NurseManager, Role::Accountant, Role::ItAdministrator]);
    let counterparty = Party::Vendor(hospital.market.new_vendor());
    let growth = 1.35 + 0.3 * hospital.dice.unit();
    let mut cents = 40_000 + i64::from(hospital.dice.below(80_000));
    let mut time = from;
    for _ in 0..hospital.dice.between(7, 10) {
        time = hospital.next_work(person, time, 3.0);
        script.push(Draft { cents, counterparty, ..hospital.work(person, time, Procurement) });
        cents = scaled(cents, growth * (0.95 + 0.1 * hospital.dice.unit()));
    }
}

/// Several people who have nothing in common pay one new vendor round sums.
fn ghost_vendor(hospital: &mut Hospital, from: i64, script: &mut Vec<Draft>) {
    let counterparty = Party::Vendor(hospital.market.new_vendor());
    for _ in 0..hospital.dice.between(3, 5) {
        let person = hospital.staff.someone(&mut hospital.dice, &[Role::Buyer, Role::NurseManager, Role::Pharmacist, Role::LabManager, Role::ItAdministrator, Role::Accountant]);
        let mut time = from;
        for _ in 0..hospital.dice.between(2, 4) {
            time = hospital.next_work(person, time, 2.5);
            let cents = i64::from(hospital.dice.between(4, 19)) * 50_000;
            let kind = if hospital.dice.chance(0.7) { Procurement } else { Payment };
            script.push(Draft { cents, counterparty, ..hospital.work(person, time, kind) });
        }
    }
}

/// Money goes from one own account to a second, a third and back, losing a little each time.
fn round_trip(hospital: &mut Hospital, from: i64, script: &mut Vec<Draft>) {
    let person = hospital.staff.someone(&mut hospital.dice, &[Role::Treasurer, Role::Accountant]);
    let department = hospital.dice.department();
    let first = hospital.market.house(&mut hospital.dice, department);
    let second = hospital.market.another_house(first, hospital.dice.between(1, 20));
    let third = hospital.market.another_house(second, hospital.dice.between(21, 40));
    let mut cents = 800_000 + i64::from(hospital.dice.below(3_700_000));
    let mut time = from;
    for _ in 0..hospital.dice.between(3, 5) {
        for (account, to) in [(first, second), (second, third), (third, first)] {
            time = hospital.next_work(person, time, 14.0);
            script.push(Draft { cents, account, counterparty: Party::House(to), ..hospital.work(person, time, Transfer) });
            cents = scaled(cents, 1.0 - 0.015 * hospital.dice.unit());
        }
    }
}

/// A few patients' bills are written off to the cent soon after they were made.
fn writeoff_cycle(hospital: &mut Hospital, from: i64, script: &mut Vec<Draft>) {
    let person = hospital.staff.someone(&mut hospital.dice, &[Role::BillingClerk, Role::AdmissionsDesk]);
    let patients = [hospital.market.patient(&mut hospital.dice), hospital.market.patient(&mut hospital.dice)];
    let mut time = from;
    for _ in 0..hospital.dice.between(4, 8) {
        time = hospital.next_work(person, time, 8.0);
        let counterparty = patients[hospital.dice.index(patients.len())];
        let cents = 50_000 + i64::from(hospital.dice.below(350_000));
        let bill = hospital.work(person, time, Billing);
        script.push(Draft { cents, counterparty, ..bill });
        time += hospital.dice.gap(90.0 * MINUTE);
        let writeoff = hospital.work(person, time, Adjustment);
        script.push(Draft { cents, counterparty, account: bill.account, subject: bill.subject, ..writeoff });
    }
}
