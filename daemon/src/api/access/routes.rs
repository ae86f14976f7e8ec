//! What can be asked, and the least that one must be to ask it. The router is made from these rows and from nothing else.

use crate::api::refusal::Refusal;
use crate::engine::Engine;
use axum::Router;
use axum::handler::Handler;
use axum::http::{Method, StatusCode};
use axum::routing::{MethodRouter, get, post};
use std::fmt;
use std::sync::Arc;
use wengu_store::records::Role;

/// A method on a path, and who may use it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// GET reads; POST changes something, and is recorded.
    pub method: Method,
    /// The path.
    pub path: &'static str,
    /// The least role that it needs.
    pub least: Role,
    /// What it is about.
    pub reach: Reach,
    /// The request has the text of a case, or names what is to be forgotten: the record tells who asked and when, and not what.
    pub is_private: bool,
}

/// What a request is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// The domain that it names.
    Domain,
    /// The domain that it names, or else every one that the caller may see.
    Domains,
    /// The daemon as a whole.
    Whole,
}

impl Route {
    /// A route.
    pub const fn new(method: Method, path: &'static str, least: Role, reach: Reach) -> Route {
        Route {
            method,
            path,
            least,
            reach,
            is_private: false,
        }
    }

    /// Whether it changes something.
    pub fn changes(&self) -> bool {
        self.method == Method::POST
    }
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method, self.path)
    }
}

/// A route and what answers it.
pub struct Row {
    /// The route.
    pub route: Route,
    answer: MethodRouter<Arc<Engine>>,
}

/// What is read: `least` role, and what it is about.
pub fn read<T: 'static>(path: &'static str, least: Role, reach: Reach, handler: impl Handler<T, Arc<Engine>>) -> Row {
    Row {
        route: Route::new(Method::GET, path, least, reach),
        answer: get(handler),
    }
}

/// What is changed.
pub fn change<T: 'static>(path: &'static str, least: Role, reach: Reach, handler: impl Handler<T, Arc<Engine>>) -> Row {
    Row {
        route: Route::new(Method::POST, path, least, reach),
        answer: post(handler),
    }
}

impl Row {
    /// As [`Route::is_private`].
    pub fn private(mut self) -> Row {
        self.route.is_private = true;
        self
    }
}

/// The rows' routes, and the router that answers them.
pub fn assemble(rows: Vec<Row>) -> (Vec<Route>, Router<Arc<Engine>>) {
    let mut routes = Vec::new();
    let mut router = Router::new();
    for Row { route, answer } in rows {
        router = router.route(route.path, answer);
        routes.push(route);
    }
    (routes, router)
}

/// The route of a request.
pub fn find<'r>(routes: &'r [Route], method: &Method, path: &str) -> Result<&'r Route, Refusal> {
    let mut here = routes.iter().filter(|route| route.path == path).peekable();
    if here.peek().is_none() {
        let error = format!("there is no {path}; this daemon may be older than who asks it");
        return Err(Refusal::new(StatusCode::NOT_FOUND, error));
    }
    let methods: Vec<&str> = here.clone().map(|route| route.method.as_str()).collect();
    here.find(|route| route.method == method).ok_or_else(|| {
        let error = format!("{path} takes {} and not {method}", methods.join(" and "));
        Refusal::new(StatusCode::METHOD_NOT_ALLOWED, error)
    })
}
