//! The people who enter transactions: roles, mixes, shifts, absences, vendors.

use super::rhythm::Shift;
use crate::config::Config;
use crate::dice::Dice;
use crate::transaction::{Department as D, Kind, Kind as K};

/// What somebody is employed for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Role {
    Cashier,
    BillingClerk,
    ClaimsClerk,
    PharmacyBuyer,
    ProcurementOfficer,
    PayableClerk,
    PayrollClerk,
    Secretary,
    NightRegistrar,
    Treasury,
    Controller,
    ItBuyer,
}

struct Post {
    role: Role,
    share: f64,
    tempo: (f64, f64),
    departments: &'static [D],
    mix: &'static [(Kind, f64)],
}

const CLINICAL: &[D] = &[D::Emergency, D::Cardiology, D::Neurology, D::Oncology, D::Pediatrics, D::Surgery, D::Radiology, D::Laboratory];

const POSTS: [Post; 12] = [
    Post {
        role: Role::Cashier,
        share: 19.0,
        tempo: (9.0, 20.0),
        departments: &[D::Emergency, D::Cardiology, D::Pediatrics, D::Radiology, D::Pharmacy, D::Surgery, D::Oncology],
        mix: &[(K::Payment, 0.74), (K::Refund, 0.12), (K::Adjustment, 0.06), (K::Billing, 0.08)],
    },
    Post { role: Role::BillingClerk, share: 22.0, tempo: (11.0, 24.0), departments: CLINICAL, mix: &[(K::Billing, 0.84), (K::Adjustment, 0.1), (K::Refund, 0.06)] },
    Post { role: Role::ClaimsClerk, share: 13.0, tempo: (9.0, 20.0), departments: CLINICAL, mix: &[(K::InsuranceClaim, 0.88), (K::Adjustment, 0.12)] },
    Post { role: Role::PharmacyBuyer, share: 7.0, tempo: (5.0, 12.0), departments: &[D::Pharmacy], mix: &[(K::Procurement, 0.85), (K::Adjustment, 0.08), (K::Payment, 0.07)] },
    Post {
        role: Role::ProcurementOfficer,
        share: 9.0,
        tempo: (5.0, 12.0),
        departments: &[D::Administration, D::Surgery, D::Laboratory, D::Finance],
        mix: &[(K::Procurement, 0.9), (K::Payment, 0.1)],
    },
    Post {
        role: Role::PayableClerk,
        share: 11.0,
        tempo: (8.0, 18.0),
        departments: &[D::Finance, D::Administration],
        mix: &[(K::Payment, 0.9), (K::Adjustment, 0.05), (K::Transfer, 0.05)],
    },
    Post { role: Role::PayrollClerk, share: 5.0, tempo: (2.0, 5.0), departments: &[D::Administration, D::Finance], mix: &[(K::Payroll, 0.85), (K::Adjustment, 0.15)] },
    Post {
        role: Role::Secretary,
        share: 13.0,
        tempo: (3.0, 9.0),
        departments: &D::ALL,
        mix: &[(K::Procurement, 0.45), (K::Payment, 0.2), (K::Billing, 0.2), (K::Transfer, 0.08), (K::Adjustment, 0.07)],
    },
    Post {
        role: Role::NightRegistrar,
        share: 7.0,
        tempo: (7.0, 14.0),
        departments: &[D::Emergency, D::Pediatrics, D::Surgery],
        mix: &[(K::Billing, 0.6), (K::Payment, 0.32), (K::Refund, 0.04), (K::Adjustment, 0.04)],
    },
    Post { role: Role::Treasury, share: 5.0, tempo: (5.0, 10.0), departments: &[D::Finance], mix: &[(K::Transfer, 0.85), (K::Payment, 0.15)] },
    Post { role: Role::Controller, share: 5.0, tempo: (3.0, 8.0), departments: &[D::Finance, D::Administration], mix: &[(K::Adjustment, 0.5), (K::Transfer, 0.5)] },
    Post { role: Role::ItBuyer, share: 4.0, tempo: (3.0, 8.0), departments: &[D::IT], mix: &[(K::Procurement, 0.8), (K::Payment, 0.15), (K::Transfer, 0.05)] },
];

/// Somebody who enters transactions.
#[derive(Clone, Debug)]
pub struct Person {
    /// Employed as.
    pub role: Role,
    /// Department at the start.
    pub home: D,
    /// From that day on in another department.
    pub moved: Option<(usize, D)>,
    /// First day of work; 0 for those already there.
    pub hired: usize,
    /// First day after the last one; the number of days for those who stay.
    pub left: usize,
    /// Absences, first day and first day back.
    pub absences: Vec<(usize, usize)>,
    /// When on duty.
    pub shift: Shift,
    /// Entries on a usual day.
    pub tempo: f64,
    /// Kinds by weight.
    pub mix: Vec<(Kind, f64)>,
    /// Size of this person's amounts against others', in logarithms.
    pub scale: f64,
    /// Vendors (places in the world's list) and the first day with each, the most used first.
    pub vendors: Vec<(usize, usize)>,
    /// The own bank account.
    pub bank: usize,
}

impl Person {
    /// Department on that day.
    #[must_use]
    pub fn department(&self, day: usize) -> D {
        match self.moved {
            Some((from, department)) if day >= from => department,
            _ => self.home,
        }
    }

    /// Whether employed and not absent.
    #[must_use]
    pub fn available(&self, day: usize) -> bool {
        day >= self.hired && day < self.left && !self.absences.iter().any(|&(from, back)| (from..back).contains(&day))
    }
}

/// Draws the staff; bank accounts and vendors are given later.
pub(crate) fn staff(config: &Config, dice: &mut Dice) -> Vec<Person> {
    let total: f64 = POSTS.iter().map(|p| p.share).sum();
    let mut people: Vec<Person> = (0..config.users)
        .map(|i| {
            // The first ones fill every post once, the others by share.
            let post = &POSTS[if i < POSTS.len() * 2 { i % POSTS.len() } else { dice.weighted(POSTS.iter().map(|p| p.share / total)) }];
            let shift = match post.role {
                Role::NightRegistrar => Shift::night(dice),
                Role::Cashier => Shift::desk(dice),
                _ => Shift::office(dice),
            };
            let mix = post.mix.iter().map(|&(kind, weight)| (kind, weight * dice.between(0.5, 1.6))).collect();
            Person {
                role: post.role,
                home: post.departments[dice.below(post.departments.len())],
                moved: None,
                hired: 0,
                left: config.days,
                absences: Vec::new(),
                shift,
                tempo: 1.24 * dice.between(post.tempo.0, post.tempo.1),
                mix,
                scale: 0.45 * dice.normal(),
                vendors: Vec::new(),
                bank: 0,
            }
        })
        .collect();
    dice.shuffle(&mut people);
    careers(config.days, &mut people, dice);
    people
}

fn careers(days: usize, people: &mut [Person], dice: &mut Dice) {
    let n = people.len();
    let some = |share: f64, dice: &mut Dice| -> Vec<usize> { (0..n).filter(|_| dice.chance(share)).collect() };
    for i in some(0.07, dice) {
        people[i].hired = dice.count(days / 5, days * 17 / 20);
    }
    for i in some(0.06, dice) {
        people[i].moved = Some((dice.count(days * 3 / 10, days * 17 / 20), D::ALL[dice.below(12)]));
    }
    let mut leavers = some(0.03, dice);
    leavers.extend([dice.below(n), dice.below(n)]);
    for i in leavers {
        if people[i].hired == 0 {
            people[i].left = dice.count(days / 5, days * 2 / 5);
        }
    }
    let mut long = some(0.05, dice);
    long.extend([dice.below(n), dice.below(n), dice.below(n)]);
    for i in long {
        if people[i].hired == 0 && people[i].left == days {
            let from = if dice.chance(0.3) { 0 } else { dice.count(days / 8, days * 3 / 10) };
            people[i].absences.push((from, from + dice.count(days * 3 / 10, days * 11 / 20)));
        }
    }
    for person in people {
        for _ in 0..dice.poisson(days as f64 / 60.0) {
            let from = dice.below(days);
            person.absences.push((from, from + dice.count(2, 11)));
        }
    }
}
