//! How much one peer may take, and all of them together. Pure: time is an argument.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

/// Addresses whose refused tokens are remembered; beyond that, the ones that wait no more are forgotten first.
const REMEMBERED: usize = 4096;

/// Whom a connection is counted for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Peer {
    /// A user of this machine.
    User(u32),
    /// An address; of IPv6 its /64, which is what one customer of a network gets.
    Address(IpAddr),
}

impl Peer {
    /// The peer at an address.
    pub fn at(address: IpAddr) -> Peer {
        match address.to_canonical() {
            IpAddr::V6(six) => {
                let network = u128::from(six) & !u128::from(u64::MAX);
                Peer::Address(Ipv6Addr::from(network).into())
            }
            four => Peer::Address(four),
        }
    }
}

/// Connections that are open.
#[derive(Debug)]
pub struct Slots {
    in_all: usize,
    of_peer: usize,
    taken: Mutex<HashMap<Peer, usize>>,
}

/// Why there is no room for a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Full {
    /// There are too many in all.
    All,
    /// There are too many of this peer.
    Peer,
}

/// A connection's place, until it is dropped.
#[derive(Debug)]
pub struct Slot {
    slots: Arc<Slots>,
    peer: Peer,
}

impl Slots {
    /// Room for so many connections, and so many of one peer.
    pub fn new(in_all: usize, of_peer: usize) -> Arc<Slots> {
        Arc::new(Slots {
            in_all,
            of_peer,
            taken: Mutex::default(),
        })
    }

    /// A place for one more.
    pub fn take(self: &Arc<Slots>, peer: Peer) -> Result<Slot, Full> {
        let mut taken = self.taken();
        let own = taken.get(&peer).copied().unwrap_or(0);
        if own >= self.of_peer {
            return Err(Full::Peer);
        }
        if taken.values().sum::<usize>() >= self.in_all {
            return Err(Full::All);
        }
        taken.insert(peer, own + 1);
        drop(taken);
        Ok(Slot {
            slots: self.clone(),
            peer,
        })
    }

    fn taken(&self) -> MutexGuard<'_, HashMap<Peer, usize>> {
        self.taken.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut taken = self.slots.taken();
        if let Some(own) = taken.get_mut(&self.peer) {
            *own -= 1;
            if *own == 0 {
                taken.remove(&self.peer);
            }
        }
    }
}

/// Who has shown tokens that were refused, and has to wait.
#[derive(Debug)]
pub struct Backoff {
    free: u32,
    longest: Duration,
    of: HashMap<Peer, Refused>,
}

#[derive(Debug, Clone, Copy)]
struct Refused {
    count: u32,
    until: Instant,
}

impl Backoff {
    /// After `free` refusals a peer waits a second, after each further one twice as long, and never longer than `longest`.
    pub fn new(free: u32, longest: Duration) -> Backoff {
        Backoff {
            free,
            longest,
            of: HashMap::new(),
        }
    }

    /// How long a peer has to wait; None: it may try.
    pub fn wait(&self, peer: Peer, now: Instant) -> Option<Duration> {
        let wait = self.of.get(&peer)?.until.saturating_duration_since(now);
        (!wait.is_zero()).then_some(wait)
    }

    /// A token of this peer was refused. What was longer ago than the longest wait is forgotten.
    pub fn refused(&mut self, peer: Peer, now: Instant) {
        let longest = self.longest;
        if self.of.len() >= REMEMBERED && !self.of.contains_key(&peer) {
            self.of.retain(|_, refused| now < refused.until + longest);
            if self.of.len() >= REMEMBERED {
                let first = self.of.iter().min_by_key(|(_, refused)| refused.until);
                let first = first.map(|(peer, _)| *peer);
                first.and_then(|peer| self.of.remove(&peer));
            }
        }
        let before = self.of.get(&peer).filter(|refused| now < refused.until + longest);
        let count = before.map_or(0, |refused| refused.count).saturating_add(1);
        let wait = match count.checked_sub(self.free) {
            None | Some(0) => Duration::ZERO,
            Some(over) => Duration::from_secs(1 << (over - 1).min(32)).min(longest),
        };
        self.of.insert(
            peer,
            Refused {
                count,
                until: now + wait,
            },
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn address(text: &str) -> Peer {
        Peer::at(text.parse().unwrap())
    }

    #[test]
    fn a_network_of_ipv6_is_one_peer_and_a_mapped_address_is_its_ipv4() {
        assert_eq!(address("2001:db8:1:2::1"), address("2001:db8:1:2:ffff::9"));
        assert_ne!(address("2001:db8:1:2::1"), address("2001:db8:1:3::1"));
        assert_eq!(address("::ffff:192.0.2.7"), address("192.0.2.7"));
        assert_ne!(address("192.0.2.8"), address("192.0.2.7"));
    }

    #[test]
    fn a_peer_that_takes_all_it_may_leaves_room_for_others() {
        let slots = Slots::new(4, 3);
        let held: Vec<Slot> = (0..3).map(|_| slots.take(Peer::User(1)).unwrap()).collect();
        assert_eq!(slots.take(Peer::User(1)).unwrap_err(), Full::Peer);
        let other = slots.take(Peer::User(2)).unwrap();
        assert_eq!(slots.take(Peer::User(3)).unwrap_err(), Full::All);
        drop(other);
        assert!(slots.take(Peer::User(3)).is_ok());
        drop(held);
        assert!(slots.taken().is_empty());
    }

    #[test]
    fn waits_double_from_the_first_refusal_too_many_and_are_forgotten() {
        let mut backoff = Backoff::new(2, Duration::from_secs(5));
        let (peer, start) = (address("192.0.2.7"), Instant::now());
        let mut now = start;
        let mut waits = Vec::new();
        for _ in 0..6 {
            backoff.refused(peer, now);
            let wait = backoff.wait(peer, now).unwrap_or_default();
            waits.push(wait.as_secs());
            now += wait;
            assert_eq!(backoff.wait(peer, now), None, "it may try after its wait");
        }
        assert_eq!(waits, [0, 0, 1, 2, 4, 5]);
        assert_eq!(
            backoff.wait(address("192.0.2.8"), start),
            None,
            "others are not held up"
        );
        backoff.refused(peer, now + Duration::from_secs(5));
        assert_eq!(
            backoff.wait(peer, now + Duration::from_secs(5)),
            None,
            "a new beginning"
        );
    }

    #[test]
    fn what_is_remembered_is_bounded_and_who_waits_is_not_forgotten_for_who_does_not() {
        let mut backoff = Backoff::new(1, Duration::from_secs(60));
        let now = Instant::now();
        let waits = address("192.0.2.7");
        for _ in 0..4 {
            backoff.refused(waits, now);
        }
        for n in 0..2 * REMEMBERED as u32 {
            backoff.refused(Peer::at(std::net::Ipv4Addr::from(n).into()), now);
        }
        assert!(backoff.of.len() <= REMEMBERED);
        assert_eq!(backoff.wait(waits, now), Some(Duration::from_secs(4)));
    }

    proptest! {
        #[test]
        fn slots_are_never_more_than_there_are_and_all_come_back(
            steps in prop::collection::vec((any::<bool>(), 0..4u32, any::<prop::sample::Index>()), 0..200),
        ) {
            let slots = Slots::new(5, 2);
            let mut held: Vec<Slot> = Vec::new();
            for (take, user, which) in steps {
                if take {
                    let own = held.iter().filter(|slot| slot.peer == Peer::User(user)).count();
                    let expected = match (own, held.len()) {
                        (2.., _) => Some(Full::Peer),
                        (_, 5..) => Some(Full::All),
                        _ => None,
                    };
                    match slots.take(Peer::User(user)) {
                        Ok(slot) => { prop_assert_eq!(expected, None); held.push(slot); }
                        Err(full) => prop_assert_eq!(expected, Some(full)),
                    }
                } else if !held.is_empty() {
                    held.swap_remove(which.index(held.len()));
                }
            }
            held.clear();
            prop_assert!(slots.taken().is_empty());
        }
    }
}
