//! Who may do what over the control API, by the socket and by TCP, and how much they may take.

mod client;
mod limits;
mod roles;
mod tls;
mod tokens;
