//! Where connections come from: the control socket, and TCP with TLS where it is configured.

use super::admit::{Arrival, Door, admit};
use super::connection::{serve as answer, turn_away};
use super::limits::{Full, Peer, Slot, Slots};
use super::people::peer_groups;
use super::routes::{Row, assemble};
use super::wire::{Head, read_head, refuse};
use crate::api::refusal::Refusal;
use crate::engine::Engine;
use crate::tls;
use anyhow::{Context, Result};
use axum::http::StatusCode;
use axum::{Router, middleware};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsAcceptor;

/// Connections that are turned away in so many words; beyond that they are closed.
const TURNED_AWAY: usize = 32;
/// After the system could not give a connection: it has no descriptors left.
const BREATH: Duration = Duration::from_millis(200);
/// The first byte of a TLS record that begins a handshake (RFC 8446, 5.1).
const HANDSHAKE: u8 = 22;

/// Where the daemon listens.
pub struct Listeners {
    socket: UnixListener,
    tcp: Option<(TcpListener, TlsAcceptor)>,
}

/// Binds the control socket, and TCP where it is configured. A socket that a dead daemon left is replaced; the store's lock
/// says that it is dead.
pub fn bind(engine: &Engine) -> Result<Listeners> {
    let path = &engine.config.socket;
    match std::fs::remove_file(path) {
        Ok(()) => {}
        Err(e) if e.kind() == io::ErrorKind::NotFound => {}
        Err(e) => return Err(e).with_context(|| path.display().to_string()),
    }
    let socket = UnixListener::bind(path).with_context(|| format!("control socket {}", path.display()))?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o660))?;
    let tcp = match &engine.config.api.tcp {
        None => None,
        Some(tcp) => {
            let acceptor = TlsAcceptor::from(tls::server(tcp)?);
            let listener =
                std::net::TcpListener::bind(tcp.listen).with_context(|| format!("listening on {}", tcp.listen))?;
            listener.set_nonblocking(true)?;
            tracing::info!(listen = %listener.local_addr()?, "api_listens_on_tcp");
            Some((TcpListener::from_std(listener)?, acceptor))
        }
    };
    Ok(Listeners { socket, tcp })
}

/// Serves until the daemon stops; then requests that have come in whole are answered, and others are not waited for.
pub async fn serve(engine: Arc<Engine>, listeners: Listeners, rows: Vec<Row>) -> Result<()> {
    let (routes, router) = assemble(rows);
    let door = Arc::new(Door::new(engine.clone(), routes));
    let router = router
        .layer(middleware::from_fn_with_state(door.clone(), admit))
        .with_state(engine);
    let Listeners { socket, tcp } = listeners;
    let on_socket = Counter::new(door.clone(), router.clone());
    let on_tcp = Counter::new(door.clone(), router);
    tokio::join!(on_socket.socket(socket), async {
        if let Some((listener, acceptor)) = tcp {
            on_tcp.tcp(listener, acceptor).await;
        }
    });
    Ok(())
}

/// One way in, with room of its own: who fills it up holds up nobody who comes another way.
struct Counter {
    door: Arc<Door>,
    router: Router,
    slots: Arc<Slots>,
    turned_away: Arc<Slots>,
}

impl Counter {
    fn new(door: Arc<Door>, router: Router) -> Counter {
        let limits = door.limits;
        Counter {
            door,
            router,
            slots: Slots::new(limits.connections, limits.connections_of_peer),
            turned_away: Slots::new(TURNED_AWAY, TURNED_AWAY / 4),
        }
    }

    /// A place for the connection: one to be served in, or one to be turned away in. None: there is neither.
    fn place(&self, peer: Peer) -> Option<(Slot, Option<Full>)> {
        match self.slots.take(peer) {
            Ok(slot) => Some((slot, None)),
            Err(full) => Some((self.turned_away.take(peer).ok()?, Some(full))),
        }
    }

    async fn socket(&self, listener: UnixListener) {
        self.accept(
            || async { Ok(listener.accept().await?.0) },
            |stream: UnixStream| {
                let peer = Peer::User(stream.peer_cred().ok()?.uid());
                let (slot, full) = self.place(peer)?;
                let (door, router) = (self.door.clone(), self.router.clone());
                Some(async move { from_socket(stream, slot, &door, &router, full).await })
            },
        )
        .await;
    }

    async fn tcp(&self, listener: TcpListener, acceptor: TlsAcceptor) {
        self.accept(
            || listener.accept(),
            |(stream, address)| {
                let peer = Peer::at(address.ip());
                let (slot, full) = self.place(peer)?;
                let (door, router, acceptor) = (self.door.clone(), self.router.clone(), acceptor.clone());
                Some(async move { from_tcp(stream, (peer, slot), &door, &router, &acceptor, full).await })
            },
        )
        .await;
    }

    /// Takes connections until the daemon stops, then waits for those that are being answered.
    async fn accept<S, N, W>(&self, mut next: impl FnMut() -> N, work: impl Fn(S) -> Option<W>)
    where
        N: Future<Output = io::Result<S>>,
        W: Future<Output = ()> + Send + 'static,
    {
        let mut open = JoinSet::new();
        loop {
            tokio::select! {
                () = self.door.engine.stopped() => break,
                Some(_) = open.join_next() => {}
                accepted = next() => match accepted {
                    Ok(stream) => {
                        if let Some(work) = work(stream) {
                            open.spawn(work);
                        }
                    }
                    Err(error) => {
                        tracing::warn!(%error, "api_cannot_accept");
                        tokio::time::sleep(BREATH).await;
                    }
                },
            }
        }
        while open.join_next().await.is_some() {}
    }
}

async fn from_socket(stream: UnixStream, slot: Slot, door: &Arc<Door>, router: &Router, full: Option<Full>) {
    let began = Instant::now();
    if let Some(full) = full {
        return turn_away(stream, door, full).await;
    }
    let Ok(credentials) = stream.peer_cred() else { return };
    let uid = credentials.uid();
    let mut groups = peer_groups(&stream).unwrap_or_else(|error| {
        tracing::warn!(%error, uid, "groups_of_peer_unknown");
        Vec::new()
    });
    groups.push(credentials.gid());
    // The name may be asked of a directory elsewhere.
    let knows = door.clone();
    let Ok(caller) = tokio::task::spawn_blocking(move || knows.people.caller(uid, &groups)).await else {
        return;
    };
    let arrival = Arrival {
        peer: Peer::User(uid),
        caller: Some(caller),
        deadline: began + door.limits.request_time,
        slot: Arc::new(slot),
    };
    answer(stream, door, router, arrival, began + door.limits.head_time).await;
}

async fn from_tcp(
    mut stream: TcpStream,
    (peer, slot): (Peer, Slot),
    door: &Arc<Door>,
    router: &Router,
    acceptor: &TlsAcceptor,
    full: Option<Full>,
) {
    let began = Instant::now();
    let head_deadline = began + door.limits.head_time;
    let _ = stream.set_nodelay(true);
    let mut first = [0];
    let peeked = tokio::select! {
        peeked = timeout_at(head_deadline, stream.peek(&mut first)) => peeked,
        () = door.engine.stopped() => return,
    };
    match peeked {
        Ok(Ok(1)) if first[0] == HANDSHAKE => {}
        Ok(Ok(1)) => {
            let refusal = Refusal::new(
                StatusCode::BAD_REQUEST,
                "this port speaks HTTPS and nothing else: ask for https://",
            );
            if let Head::Whole(_) = read_head(&mut stream, door.limits.head_bytes, head_deadline).await {
                refuse(&mut stream, &refusal).await;
            }
            return;
        }
        _ => return,
    }
    let shaken = tokio::select! {
        shaken = timeout_at(head_deadline, acceptor.accept(stream)) => shaken,
        () = door.engine.stopped() => return,
    };
    let stream = match shaken {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return tracing::debug!(?peer, %error, "tls_handshake_failed"),
        Err(_) => return,
    };
    if let Some(full) = full {
        return turn_away(stream, door, full).await;
    }
    let arrival = Arrival {
        peer,
        caller: None,
        deadline: began + door.limits.request_time,
        slot: Arc::new(slot),
    };
    answer(stream, door, router, arrival, head_deadline).await;
}
