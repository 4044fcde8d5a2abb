//! A vendor's open invoices are paid, but not to the vendor.

use std::collections::HashSet;

use super::complete;
use crate::config::Grade;
use crate::dice::Dice;
use crate::row::{Party, Row};
use crate::schemes::{Scheme, Stage};
use crate::transaction::Kind;
use crate::world::accounts::Owner;
use crate::world::people::Role;

/// Invoices of real orders that nobody has paid are settled by a payables clerk to another account. Blatant: large ones of
/// a few vendors to one new account within days. Medium: some of a few vendors to a new account in two weeks. Subtle: some of many
/// vendors in six weeks to another vendor that this clerk pays anyway, in sums that are usual there.
#[derive(Clone, Copy, Debug)]
pub struct Diversion;

/// Days between an order and its payment.
const TERM: (usize, usize) = (2, 28);

fn vendor(stage: &Stage<'_>, row: &Row) -> Option<Party> {
    row.counterparty.filter(|c| matches!(c, Party::Known(a) if stage.world.accounts[*a] == Owner::Vendor))
}

/// Orders that are due on that day and never paid.
fn open<'a>(stage: &Stage<'a>, paid: &HashSet<usize>, day: usize) -> Vec<&'a Row> {
    let unpaid = |row: &Row| row.reference.is_some_and(|r| !paid.contains(&r));
    stage.between(day.saturating_sub(TERM.1), (day + 1).saturating_sub(TERM.0), |row| row.kind == Kind::Procurement && unpaid(row) && vendor(stage, row).is_some())
}

impl Scheme for Diversion {
    fn name(&self) -> &'static str {
        "diverted_invoice"
    }

    fn incident(&self, stage: &Stage<'_>, dice: &mut Dice, grade: Grade) -> Option<Vec<Row>> {
        let user = (0..60).find_map(|_| stage.doer(dice, Kind::Payment, 60).filter(|&u| stage.world.people[u].role == Role::PayableClerk))?;
        let n = dice.count(grade.of(5, 5, 4), grade.of(9, 7, 7));
        let days = stage.days(dice, user, n, grade.of(3, 14, 40))?;
        let paid: HashSet<usize> = stage.rows.iter().filter(|r| r.kind == Kind::Payment).filter_map(|r| r.reference).collect();
        let got = |party: Party| -> Vec<i64> { stage.rows_of(user).filter(|r| r.day() < days[0] && r.counterparty == Some(party)).map(|r| r.cents).collect() };
        let mut known: Vec<Party> = stage.vendors(user, days[0]).into_iter().filter(|&v| got(v).len() >= 3).collect();
        dice.shuffle(&mut known);
        let usual = got(*known.first()?);
        let (low, high) = (*usual.iter().min()?, *usual.iter().max()?);
        // Whose invoices: as few vendors as have enough of them.
        let (due, mut enough) = (open(stage, &paid, days[0]), 0);
        let robbed = known.iter().take_while(|&&v| {
            let before = enough;
            enough += due.iter().filter(|o| o.counterparty == Some(v)).count();
            before < n + 1
        });
        let robbed: Vec<Party> = robbed.copied().collect();
        let payee = if grade == Grade::Subtle { known[0] } else { Party::Fresh(0) };
        let mut rows: Vec<Row> = Vec::new();
        for day in days {
            let mut due = open(stage, &paid, day);
            due.retain(|order| {
                let fits = match grade {
                    Grade::Subtle => order.counterparty != Some(payee) && (low..=high).contains(&order.cents) && rows.iter().filter(|r| r.account == order.account).count() < 2,
                    _ => order.counterparty.is_some_and(|v| robbed.contains(&v)),
                };
                fits && order.user != user && !rows.iter().any(|r| r.reference == order.reference)
            });
            let Some(order) = (0..grade.of(3, 2, 1)).filter_map(|_| dice.pick(&due).copied()).max_by_key(|o| o.cents) else { continue };
            rows.push(stage.entry(dice, user, Kind::Payment, day)?.on(order.account).to(payee).cents(order.cents).about(order.reference));
        }
        complete(stage, rows)
    }
}
