//! Addresses that a webhook must never reach, whoever configured it: the cloud's metadata services hand out the
//! machine's credentials to anyone who asks from inside.

use ipnet::IpNet;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Why an address is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refused {
    #[error("{0} is {1}; webhooks reach it only if `allow_addresses` names it")]
    Address(IpAddr, &'static str),
    #[error("plain http to {0} would show the events to the network: use https, or set allow_http")]
    PlainHttp(IpAddr),
}

/// What webhooks may reach.
#[derive(Debug, Clone)]
pub(crate) struct Guard {
    /// What the administrator's file allows although it is refused otherwise.
    pub allowed: Vec<IpNet>,
    /// The endpoint is plain http and may only be on this machine.
    pub loopback_only: bool,
}

impl Guard {
    pub(crate) fn check(&self, ip: IpAddr) -> Result<(), Refused> {
        let allowed = self
            .allowed
            .iter()
            .any(|net| net.contains(&inner(ip)) || net.contains(&ip));
        if let Some(what) = forbidden(ip)
            && !allowed
        {
            return Err(Refused::Address(ip, what));
        }
        if self.loopback_only && !inner(ip).is_loopback() {
            return Err(Refused::PlainHttp(ip));
        }
        Ok(())
    }
}

/// The connection goes to exactly the addresses that were checked: a name that resolves differently a moment later
/// (DNS rebinding) gains nothing.
impl Resolve for Guard {
    fn resolve(&self, name: Name) -> Resolving {
        let guard = self.clone();
        Box::pin(async move {
            let found: Vec<SocketAddr> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            let (mut allowed, mut refused) = (Vec::new(), None);
            for address in found {
                match guard.check(address.ip()) {
                    Ok(()) => allowed.push(address),
                    Err(why) => refused = Some(why),
                }
            }
            match refused {
                Some(why) if allowed.is_empty() => Err(why.into()),
                _ => Ok(Box::new(allowed.into_iter()) as Addrs),
            }
        })
    }
}

const METADATA: &str = "a cloud metadata address";

fn forbidden(ip: IpAddr) -> Option<&'static str> {
    match inner(ip) {
        IpAddr::V4(v4) => forbidden_v4(v4),
        IpAddr::V6(v6) => forbidden_v6(v6),
    }
}

fn forbidden_v4(ip: Ipv4Addr) -> Option<&'static str> {
    match ip.octets() {
        // Services of this machine, which trust whoever reaches them.
        [127, ..] => Some("a loopback address"),
        [169, 254, ..] => Some("a link-local or cloud metadata address"),
        // Alibaba Cloud, Azure, Oracle Cloud.
        [100, 100, 100, 200] | [168, 63, 129, 16] | [192, 0, 0, 192] => Some(METADATA),
        [0, ..] => Some("an unspecified address"),
        [224..=239, ..] => Some("a multicast address"),
        [240..=255, ..] => Some("a reserved or broadcast address"),
        _ => None,
    }
}

fn forbidden_v6(ip: Ipv6Addr) -> Option<&'static str> {
    match ip.segments() {
        // AWS, Google Cloud.
        [0xfd00, 0x0ec2, 0, 0, 0, 0, 0, 0x254] | [0xfd20, 0x0ce, 0, 0, 0, 0, 0, 0x254] => Some(METADATA),
        [0, 0, 0, 0, 0, 0, 0, 1] => Some("a loopback address"),
        [0xfe80..=0xfebf, ..] => Some("a link-local address"),
        [0xff00..=0xffff, ..] => Some("a multicast address"),
        [0, 0, 0, 0, 0, 0, 0, 0] => Some("an unspecified address"),
        _ => None,
    }
}

/// An IPv4 address inside an IPv6 one (mapped, compatible, NAT64, 6to4) is judged as what it leads to.
fn inner(ip: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = ip else { return ip };
    let v4 = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        IpAddr::V4(Ipv4Addr::new(a, b, c, d))
    };
    match v6.segments() {
        [0, 0, 0, 0, 0, 0xffff, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => v4(high, low),
        [0, 0, 0, 0, 0, 0, high, low] if high != 0 => v4(high, low),
        [0x2002, high, low, ..] => v4(high, low),
        _ => ip,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guard(allowed: &[&str], loopback_only: bool) -> Guard {
        Guard {
            allowed: allowed.iter().map(|net| net.parse().unwrap()).collect(),
            loopback_only,
        }
    }

    #[test]
    fn what_is_never_reached() {
        let guard = guard(&[], false);
        for address in [
            "127.0.0.1",
            "127.8.8.8",
            "::1",
            "::ffff:127.0.0.1",
            "169.254.169.254",
            "169.254.0.1",
            "100.100.100.200",
            "168.63.129.16",
            "192.0.0.192",
            "0.0.0.0",
            "224.0.0.1",
            "255.255.255.255",
            "fe80::1",
            "fd00:ec2::254",
            "fd20:ce::254",
            "ff02::1",
            "::",
            "::ffff:169.254.169.254",
            "::169.254.169.254",
            "64:ff9b::a9fe:a9fe",
            "2002:a9fe:a9fe::1",
            "::ffff:100.100.100.200",
        ] {
            assert!(guard.check(address.parse().unwrap()).is_err(), "{address}");
        }
        // A hospital's receiver is on its private network.
        for address in [
            "10.0.0.5",
            "192.168.1.9",
            "172.16.0.1",
            "fd12::1",
            "8.8.8.8",
            "2001:db8::1",
        ] {
            assert_eq!(guard.check(address.parse().unwrap()), Ok(()), "{address}");
        }
    }

    #[test]
    fn plain_http_stays_on_this_machine() {
        let guard = guard(&["127.0.0.0/8", "::1/128"], true);
        for address in ["127.0.0.1", "127.8.8.8", "::1", "::ffff:127.0.0.1"] {
            assert_eq!(guard.check(address.parse().unwrap()), Ok(()), "{address}");
        }
        for address in ["10.0.0.5", "8.8.8.8", "::ffff:10.0.0.5", "2001:db8::1"] {
            assert!(
                matches!(guard.check(address.parse().unwrap()), Err(Refused::PlainHttp(_))),
                "{address}"
            );
        }
    }

    #[test]
    fn the_administrator_allows_addresses_and_no_others() {
        let guard = guard(&["127.0.0.1/32", "169.254.169.254/32"], false);
        for address in ["127.0.0.1", "::ffff:127.0.0.1", "169.254.169.254"] {
            assert_eq!(guard.check(address.parse().unwrap()), Ok(()), "{address}");
        }
        for address in ["127.0.0.2", "::1", "169.254.169.253", "100.100.100.200"] {
            let refused = guard.check(address.parse().unwrap());
            assert!(matches!(refused, Err(Refused::Address(..))), "{address}");
        }
    }

    #[tokio::test]
    async fn what_a_name_leads_to_is_checked() {
        let resolve = async |loopback_only, name: &str| {
            let found = guard(&["127.0.0.0/8", "::1/128"], loopback_only)
                .resolve(name.parse().unwrap())
                .await;
            found
                .map(|addresses| addresses.count())
                .map_err(|e| e.downcast_ref::<Refused>().cloned())
        };
        assert!(matches!(
            resolve(false, "169.254.169.254").await,
            Err(Some(Refused::Address(..)))
        ));
        assert!(matches!(
            resolve(true, "10.0.0.5").await,
            Err(Some(Refused::PlainHttp(_)))
        ));
        assert_eq!(resolve(false, "10.0.0.5").await, Ok(1));
        assert!(resolve(true, "localhost").await.is_ok_and(|n| n > 0));
        // A name that leads to this machine is no way around the list.
        let found = guard(&[], false).resolve("localhost".parse().unwrap()).await;
        assert!(found.is_err_and(|e| e.downcast_ref::<Refused>().is_some()));
    }
}
