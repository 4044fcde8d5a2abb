//! Work that is not one's own.

use super::Stage;
use crate::config::Grade;
use crate::dice::Dice;
use crate::row::{Party, Row};
use crate::world::World;

fn far(world: &World, user: usize, other: usize) -> bool {
    let shared = world.people[other].mix.iter().any(|&(k, _)| world.does(user, k));
    world.people[user].role != world.people[other].role && !shared
}

/// Entries of a kind and a department that the user has nothing to do with. Blatant: a foreign kind in a foreign department,
/// a dozen in days. Medium: foreign kinds in the own department. Subtle: own kinds, now and then, on accounts of another department
/// to its vendors or patients.
pub fn outside_role(stage: &Stage<'_>, dice: &mut Dice, grade: Grade) -> Option<Vec<Row>> {
    let world = stage.world;
    let n = dice.count(grade.of(8, 5, 5), grade.of(13, 8, 8));
    let (user, other) = (0..200).find_map(|_| {
        let (user, other) = (dice.below(world.people.len()), dice.below(world.people.len()));
        let away = world.people[user].home != world.people[other].home;
        let same = world.people[user].role == world.people[other].role;
        let fits = if grade == Grade::Subtle { same && away } else { far(world, user, other) && away };
        (fits && stage.workdays(user).len() > 20 && stage.rows_of(other).count() > 60).then_some((user, other))
    })?;
    let days = stage.days(dice, user, n, grade.of(4, 12, 35))?;
    let mut rows = Vec::new();
    for day in days {
        let kind = world.people[other].mix[0].0;
        let row = stage.entry(dice, other, kind, day)?;
        let department = match grade {
            Grade::Medium => None,
            _ => Some(world.people[other].department(day)),
        };
        let cents = stage.amount(dice, other, kind, grade.of(0.6, 0.3, 0.1), 1.0);
        let to = if grade == Grade::Subtle { row.counterparty } else { row.counterparty.map(|c| if dice.chance(0.5) { Party::Fresh(0) } else { c }) };
        let at = stage.moment(dice, user, day);
        rows.push(Row { user, department, counterparty: to, cents, at, ..row });
    }
    Some(rows)
}
