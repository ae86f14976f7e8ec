//! Who asks, and whether they may.

use super::routes::{Reach, Route};
use crate::api::refusal::Refusal;
use axum::http::StatusCode;
use serde_json::{Value, json};
use std::fmt;
use wengu_store::records::Role;

/// Somebody who sends a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// How they are known.
    pub who: Who,
    /// What they may do; None: nothing.
    pub role: Option<Role>,
    /// Only in these domains; empty: in all, and with the daemon as a whole.
    pub domains: Vec<String>,
}

/// How somebody is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Who {
    /// A user of this machine, as the kernel tells of a socket's peer.
    User {
        /// The user's id.
        uid: u32,
        /// Its name, if the machine knows one.
        name: Option<String>,
    },
    /// The bearer of a token.
    Token {
        /// The token's name.
        name: String,
    },
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Who::User { uid, name: Some(name) } => write!(f, "user {name} (uid {uid})"),
            Who::User { uid, name: None } => write!(f, "user {uid}"),
            Who::Token { name } => write!(f, "token {name}"),
        }
    }
}

impl Who {
    /// For the log.
    pub fn json(&self) -> Value {
        match self {
            Who::User { uid, name } => json!({"uid": uid, "user": name}),
            Who::Token { name } => json!({"token": name}),
        }
    }
}

impl Caller {
    /// Whether they have the role that a route asks for.
    pub fn has_role_for(&self, route: &Route) -> Result<(), Refusal> {
        let (who, needed) = (&self.who, route.least.name());
        let has = match self.role {
            Some(role) if role >= route.least => return Ok(()),
            Some(role) => format!("has the role {}", role.name()),
            None => "has no role".into(),
        };
        let remedy = match who {
            Who::User { .. } => format!("[api] {needed}s in the daemon's configuration names who has it"),
            Who::Token { .. } => format!("`wengu token create --role {needed}` makes one that may"),
        };
        Err(Refusal::new(
            StatusCode::FORBIDDEN,
            format!("{who} {has}; {route} needs the role {needed}: {remedy}"),
        ))
    }

    /// Whether a request of this route about `domain` is within their domains.
    pub fn reaches(&self, route: &Route, domain: Option<&str>) -> Result<(), Refusal> {
        if self.domains.is_empty() {
            return Ok(());
        }
        let missing = match (route.reach, domain) {
            (Reach::Domain | Reach::Domains, Some(domain)) if self.sees(domain) => return Ok(()),
            (Reach::Domains, None) => return Ok(()),
            (Reach::Domain | Reach::Domains, Some(domain)) => format!("this is about {domain}"),
            (Reach::Domain, None) => "this is about all domains; name one".into(),
            (Reach::Whole, _) => {
                format!("{route} is about the daemon as a whole, which needs a token without --domain")
            }
        };
        let (who, domains) = (&self.who, self.domains.join(", "));
        let error = format!("{who} is for the domains {domains} only: {missing}");
        Err(Refusal::new(StatusCode::FORBIDDEN, error))
    }

    /// Whether what is in this domain may be shown to them.
    pub fn sees(&self, domain: &str) -> bool {
        self.domains.is_empty() || self.domains.iter().any(|known| known == domain)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::Method;

    const TRAIN: Route = Route::new(Method::POST, "/v1/train", Role::Operator, Reach::Domain);
    const FILES: Route = Route::new(Method::GET, "/v1/files", Role::Viewer, Reach::Domains);
    const BACKUP: Route = Route::new(Method::POST, "/v1/store/backup", Role::Admin, Reach::Whole);

    fn caller(role: Option<Role>, domains: &[&str]) -> Caller {
        Caller {
            who: Who::Token { name: "ci".into() },
            role,
            domains: domains.iter().map(ToString::to_string).collect(),
        }
    }

    #[test]
    fn a_role_may_what_lower_ones_may_and_no_more() {
        let roles = [None, Some(Role::Viewer), Some(Role::Operator), Some(Role::Admin)];
        for (route, allowed) in [
            (&FILES, [false, true, true, true]),
            (&TRAIN, [false, false, true, true]),
            (&BACKUP, [false, false, false, true]),
        ] {
            let may = roles.map(|role| caller(role, &[]).has_role_for(route).is_ok());
            assert_eq!(may, allowed, "{route}");
        }
    }

    #[test]
    fn what_is_missing_is_named() {
        let refused = caller(Some(Role::Viewer), &[]).has_role_for(&TRAIN).unwrap_err();
        assert_eq!(refused.status, StatusCode::FORBIDDEN);
        assert_eq!(
            refused.error,
            "token ci has the role viewer; POST /v1/train needs the role operator: `wengu token create --role operator` makes one that may"
        );
        let person = Caller {
            who: Who::User {
                uid: 7,
                name: Some("zhang".into()),
            },
            role: None,
            domains: Vec::new(),
        };
        let refused = person.has_role_for(&BACKUP).unwrap_err().error;
        assert!(
            refused.starts_with("user zhang (uid 7) has no role; POST /v1/store/backup needs the role admin"),
            "{refused}"
        );
    }

    #[test]
    fn domains_bound_what_a_token_reaches() {
        let (whole, scoped) = (
            caller(Some(Role::Admin), &[]),
            caller(Some(Role::Admin), &["合同", "leaflets"]),
        );
        for (route, domain, reached) in [
            (&TRAIN, Some("合同"), true),
            (&TRAIN, Some("contracts"), false),
            (&TRAIN, Some("合"), false),
            (&TRAIN, None, false),
            (&FILES, Some("leaflets"), true),
            (&FILES, Some("contracts"), false),
            (&FILES, None, true),
            (&BACKUP, None, false),
            // What a request about the whole says of a domain is nothing.
            (&BACKUP, Some("合同"), false),
        ] {
            assert!(whole.reaches(route, domain).is_ok());
            let answer = scoped.reaches(route, domain);
            assert_eq!(answer.is_ok(), reached, "{route} {domain:?}");
            assert!(
                answer.is_ok_and(|()| true)
                    || scoped
                        .reaches(route, domain)
                        .unwrap_err()
                        .error
                        .contains("合同, leaflets")
            );
        }
        assert!(scoped.sees("合同") && !scoped.sees("contracts") && whole.sees("contracts"));
    }
}
