//! Which cryptography HTTPS uses.

/// Makes ring the process's provider. Clients panic without one; a second call changes nothing.
pub fn install() {
    let _ = rustls::crypto::ring::default_provider().install_default();
}
