//! The peer of a Unix socket, as the kernel knows it, and the role that the configuration gives it.

use super::caller::{Caller, Who};
use nix::libc;
use nix::unistd::{Uid, User, geteuid};
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use wengu_config::{Api, Members};
use wengu_store::records::Role;

/// Who has which role on the socket.
#[derive(Debug, Clone)]
pub struct People {
    own: u32,
    viewers: Members,
    operators: Members,
    admins: Members,
}

impl People {
    /// The numbers behind the configuration's names. Names that the machine does not know have stopped the start before.
    pub fn new(api: &Api) -> People {
        let members = |names| Members::resolve(names, |why| tracing::error!(why, "role_given_to_nobody"));
        People {
            own: geteuid().as_raw(),
            viewers: members(&api.viewers),
            operators: members(&api.operators),
            admins: members(&api.admins),
        }
    }

    /// The highest role of a user whose process has these groups. Root and the daemon's own user can do with the daemon what
    /// they like in any case.
    pub fn role(&self, uid: u32, groups: &[u32]) -> Option<Role> {
        if uid == 0 || uid == self.own || self.admins.has(uid, groups) {
            Some(Role::Admin)
        } else if self.operators.has(uid, groups) {
            Some(Role::Operator)
        } else if self.viewers.has(uid, groups) {
            Some(Role::Viewer)
        } else {
            None
        }
    }

    /// Who is at the other end.
    pub fn caller(&self, uid: u32, groups: &[u32]) -> Caller {
        let name = User::from_uid(Uid::from_raw(uid)).ok().flatten().map(|user| user.name);
        Caller {
            who: Who::User { uid, name },
            role: self.role(uid, groups),
            domains: Vec::new(),
        }
    }
}

/// The supplementary groups that a peer's process had when it connected. SO_PEERCRED tells only its first group.
pub fn peer_groups(socket: &impl AsFd) -> io::Result<Vec<u32>> {
    let mut groups: Vec<libc::gid_t> = vec![0; 64];
    loop {
        let mut bytes = std::mem::size_of_val(groups.as_slice()) as libc::socklen_t;
        // SAFETY: the buffer has as many bytes as are said, and the kernel writes whole group ids.
        let answer = unsafe {
            libc::getsockopt(
                socket.as_fd().as_raw_fd(),
                libc::SOL_SOCKET,
                libc::SO_PEERGROUPS,
                groups.as_mut_ptr().cast(),
                &raw mut bytes,
            )
        };
        let count = bytes as usize / size_of::<libc::gid_t>();
        if answer == 0 {
            groups.truncate(count);
            return Ok(groups);
        }
        let error = io::Error::last_os_error();
        // Too little room: the kernel has said how much there must be.
        if error.raw_os_error() != Some(libc::ERANGE) || count <= groups.len() {
            return Err(error);
        }
        groups.resize(count, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_role_counts_and_nobody_has_one_unasked() {
        let list = |users: &[u32], groups: &[u32]| Members {
            users: users.into(),
            groups: groups.into(),
        };
        let people = People {
            own: 900,
            viewers: list(&[1, 2], &[50]),
            operators: list(&[2], &[60]),
            admins: list(&[3], &[70]),
        };
        for (uid, groups, role) in [
            (0, &[][..], Some(Role::Admin)),
            (900, &[], Some(Role::Admin)),
            (1, &[], Some(Role::Viewer)),
            (2, &[], Some(Role::Operator)),
            (3, &[50], Some(Role::Admin)),
            (1, &[4, 60, 50], Some(Role::Operator)),
            (8, &[70], Some(Role::Admin)),
            (8, &[0, 900, 3], None),
            (65_534, &[65_534], None),
        ] {
            assert_eq!(people.role(uid, groups), role, "{uid} {groups:?}");
        }
    }

    #[test]
    fn the_kernel_tells_a_peers_groups() {
        let (one, _other) = std::os::unix::net::UnixStream::pair().unwrap();
        let told: std::collections::BTreeSet<u32> = peer_groups(&one).unwrap().into_iter().collect();
        let own = nix::unistd::getgroups()
            .unwrap()
            .into_iter()
            .map(|group| group.as_raw());
        assert_eq!(told, own.collect());
    }
}
