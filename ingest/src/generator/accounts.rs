//! Who money comes from and goes to: the hospital's own accounts, vendors, insurers, patients and employees.
//!
//! What must stay true: a name says of which kind an account is and nothing else. A vendor that an incident made up is
//! named from the same sequence as one that the hospital began to buy from in good faith, and numbers are scattered so
//! that neither age nor popularity shows.

use super::dice::Dice;

/// One account, as small as it can be; [`Party::write`] gives its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Party {
    /// The transaction has no other side.
    Nobody,
    House(u32),
    Vendor(u32),
    Insurer(u32),
    Patient(u32),
    Employee(u32),
}

impl Party {
    /// Appends the account's name; nothing for [`Party::Nobody`].
    pub(super) fn write(self, out: &mut String) {
        let (prefix, number, width) = match self {
            Party::Nobody => return,
            Party::House(n) => ("ACC-", scattered(n, 104_729, SIX), 6),
            Party::Vendor(n) => ("VND-", scattered(n, 611_953, SIX), 6),
            Party::Insurer(n) => ("INS-", scattered(n, 7_919, FOUR), 4),
            Party::Patient(n) => ("PAT-", scattered(n, 15_485_863, EIGHT), 8),
            Party::Employee(n) => ("EMP-", scattered(n, 32_452_843, EIGHT), 8),
        };
        out.push_str(prefix);
        push_padded::<10>(out, number, width);
    }
}

// How many numbers of four, six and eight digits there are that do not begin with 0.
const FOUR: u64 = 9_000;
const SIX: u64 = 900_000;
const EIGHT: u64 = 90_000_000;

/// Appends the name of the user with that index.
pub(super) fn write_user(person: u32, out: &mut String) {
    out.push_str("USR-");
    push_padded::<10>(out, scattered(person, 7_919, SIX), 6);
}

/// A number of the full width for each index below `span`, no two the same: all factors are primes above 5, so they
/// share no divisor with 9 × 10^n.
fn scattered(index: u32, factor: u64, span: u64) -> u64 {
    (u64::from(index) * factor + factor / 3) % span + span / 9
}

/// Appends `value` in `BASE` with leading zeros, its last `width` digits (at most 16).
pub(super) fn push_padded<const BASE: u64>(out: &mut String, value: u64, width: usize) {
    const DIGITS: &[u8; 36] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ";
    let mut digits = [b'0'; 16];
    let mut rest = value;
    for digit in digits[..width].iter_mut().rev() {
        *digit = DIGITS[usize::try_from(rest % BASE).unwrap_or(0)];
        rest /= BASE;
    }
    for digit in &digits[..width] {
        out.push(char::from(*digit));
    }
}

/// All accounts that there are, by number: how many of each kind, and which are new.
pub(super) struct Market {
    /// The hospital's own accounts of each department.
    house_each: u32,
    /// Own accounts beyond those, which nobody uses any more.
    dormant: u32,
    /// How many dormant accounts incidents have taken so far.
    woken: u32,
    /// Vendors that were known from the beginning.
    vendors: u32,
    /// The number that the next new vendor gets.
    next_vendor: u32,
    insurers: u32,
    patients: u32,
    employees: u32,
}

impl Market {
    /// A market that suits a hospital with that many users.
    pub(super) fn new(users: u32) -> Market {
        let vendors = 120 + users / 2;
        Market {
            house_each: 6 + users / 100,
            dormant: 64 + users / 10,
            woken: 0,
            vendors,
            next_vendor: vendors,
            insurers: 24 + users / 1_000,
            patients: 20_000 + users * 100,
            employees: 200 + users * 8,
        }
    }

    /// One of the department's own accounts, some much used.
    pub(super) fn house(&self, dice: &mut Dice, department: u8) -> u32 {
        u32::from(department) * self.house_each + dice.popular(self.house_each)
    }

    /// Another of the hospital's own accounts, `steps` further.
    pub(super) fn another_house(&self, house: u32, steps: u32) -> u32 {
        (house + steps) % (12 * self.house_each)
    }

    /// The dormant account that no incident has used for the longest time.
    pub(super) fn wake_dormant(&mut self) -> u32 {
        let account = 12 * self.house_each + self.woken % self.dormant;
        self.woken = self.woken.wrapping_add(1);
        account
    }

    /// Any dormant account: what an honest correction of an old booking touches.
    pub(super) fn any_dormant(&self, dice: &mut Dice) -> u32 {
        12 * self.house_each + dice.below(self.dormant)
    }

    pub(super) fn known_vendor(&self, dice: &mut Dice) -> u32 {
        dice.popular(self.vendors)
    }

    /// A vendor that nobody has paid before.
    pub(super) fn new_vendor(&mut self) -> u32 {
        let vendor = self.next_vendor;
        self.next_vendor = self.next_vendor.wrapping_add(1);
        vendor
    }

    pub(super) fn insurer(&self, dice: &mut Dice) -> u32 {
        dice.popular(self.insurers)
    }

    pub(super) fn patient(&self, dice: &mut Dice) -> Party {
        Party::Patient(dice.popular(self.patients))
    }

    pub(super) fn employee(&self, dice: &mut Dice) -> Party {
        Party::Employee(dice.below(self.employees))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn no_two_accounts_share_a_name() {
        let mut names = HashSet::new();
        for n in 0..100_000 {
            for party in [Party::House(n), Party::Vendor(n), Party::Patient(n), Party::Employee(n)] {
                let mut name = String::new();
                party.write(&mut name);
                assert!(names.insert(name), "{party:?}");
            }
            let mut name = String::new();
            write_user(n, &mut name);
            assert!(names.insert(name));
        }
    }

    #[test]
    fn numbers_are_padded_to_their_width() {
        let mut out = String::new();
        push_padded::<10>(&mut out, 42, 5);
        push_padded::<36>(&mut out, 36 * 36 - 1, 4);
        push_padded::<16>(&mut out, 0xAB, 2);
        assert_eq!(out, "0004200ZZAB");
    }
}
