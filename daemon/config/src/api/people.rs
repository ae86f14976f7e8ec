//! From the names in `[api]` to the numbers that the kernel tells of a peer.

use super::Who;
use crate::problem::Problem;
use crate::types::Config;
use nix::unistd::{Group, User};

/// The users and groups of one list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Members {
    /// User ids.
    pub users: Vec<u32>,
    /// Group ids.
    pub groups: Vec<u32>,
}

impl Members {
    /// Whether the list names this user, or a group that its process has.
    pub fn has(&self, user: u32, groups: &[u32]) -> bool {
        self.users.contains(&user) || groups.iter().any(|group| self.groups.contains(group))
    }

    /// The numbers of these names. Names that the system does not know are handed to `unknown`, with the reason.
    pub fn resolve(names: &[Who], mut unknown: impl FnMut(String)) -> Members {
        let mut members = Members::default();
        for who in names {
            let found = match who {
                Who::User(name) => User::from_name(name).map(|user| user.map(|user| user.uid.as_raw())),
                Who::Group(name) => Group::from_name(name).map(|group| group.map(|group| group.gid.as_raw())),
            };
            let (kind, name, overflow) = match who {
                Who::User(name) => ("user", name, overflow("uid")),
                Who::Group(name) => ("group", name, overflow("gid")),
            };
            match found {
                Ok(Some(id)) if id == overflow => unknown(format!(
                    "the {kind} {name} is what the kernel calls everyone whom this process may not know"
                )),
                Ok(Some(id)) => match who {
                    Who::User(_) => members.users.push(id),
                    Who::Group(_) => members.groups.push(id),
                },
                Ok(None) => unknown(format!("this machine has no {kind} {name}")),
                Err(error) => unknown(format!("the {kind} {name} cannot be looked up: {}", error.desc())),
            }
        }
        members
    }
}

/// The number that stands for ids that a user namespace does not know (user_namespaces(7)); who has it must have no role.
fn overflow(kind: &str) -> u32 {
    let said = std::fs::read_to_string(format!("/proc/sys/kernel/overflow{kind}"));
    said.ok().and_then(|id| id.trim().parse().ok()).unwrap_or(65_534)
}

/// Ids that this process knows. A container knows 65,536 at least; under `PrivateUsers=yes` a service knows root and itself.
fn known_ids(map: &str) -> u64 {
    let counts = map
        .lines()
        .filter_map(|line| line.split_whitespace().nth(2)?.parse::<u64>().ok());
    counts.sum()
}

/// Every name in the lists of roles that cannot have one.
pub fn check_people(config: &Config) -> Vec<Problem> {
    let mut problems = Vec::new();
    let api = &config.api;
    let named = !(api.viewers.is_empty() && api.operators.is_empty() && api.admins.is_empty());
    let hidden = std::fs::read_to_string("/proc/self/uid_map").is_ok_and(|map| known_ids(&map) < 1 << 16);
    if named && hidden {
        let message = "this process is in a user namespace in which the kernel does not tell it who asks".into();
        let remedy = "set `PrivateUsers=no` in a drop-in of the unit: roles.conf among its examples";
        problems.push(config.error_at("api", message, remedy));
        return problems;
    }
    for (key, names) in [
        ("api.viewers", &api.viewers),
        ("api.operators", &api.operators),
        ("api.admins", &api.admins),
    ] {
        Members::resolve(names, |why| {
            let remedy = "name users as `getent passwd` lists them, groups as `@GROUP`";
            problems.push(config.error_at(key, why, remedy));
        });
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolved(names: &[Who]) -> (Members, Vec<String>) {
        let mut unknown = Vec::new();
        let members = Members::resolve(names, |why| unknown.push(why));
        (members, unknown)
    }

    #[test]
    fn names_become_numbers_and_every_unknown_one_is_told() {
        let (user, group) = (
            |name: &str| Who::User(name.into()),
            |name: &str| Who::Group(name.into()),
        );
        let (members, unknown) = resolved(&[
            user("root"),
            user("no-such-user"),
            group("root"),
            group("no-such-group"),
        ]);
        assert_eq!((members.users, members.groups), (vec![0], vec![0]));
        assert_eq!(
            unknown,
            [
                "this machine has no user no-such-user",
                "this machine has no group no-such-group"
            ]
        );
    }

    #[test]
    fn nobody_has_no_role() {
        let (members, unknown) = resolved(&[Who::User("nobody".into())]);
        assert_eq!((members, unknown.len()), (Members::default(), 1));
    }

    #[test]
    fn a_list_has_its_users_and_those_whose_process_is_in_its_groups() {
        let members = Members {
            users: vec![7],
            groups: vec![20],
        };
        assert!(members.has(7, &[]) && members.has(8, &[100, 20]));
        assert!(!members.has(8, &[7, 100]) && !members.has(20, &[]));
    }

    #[test]
    fn a_namespace_that_hides_users_is_told_from_one_that_does_not() {
        assert_eq!(known_ids("         0          0 4294967295\n"), 4_294_967_295);
        assert_eq!(known_ids("0 0 1\n999 999 1\n"), 2);
        assert_eq!(known_ids("0 100000 65536\n"), 65_536);
    }
}
