//! The gate: a listener whose connections can be cut for real, one by one or all at once.
//!
//! A cut stream fails every read and write from then on, which makes the HTTP server drop it without
//! another byte: the client sees a closed connection, not an answer. While the gate is shut new
//! connections are closed as soon as they are accepted. Deliberately knows nothing of HTTP.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use crate::limits::MAX_CONNECTIONS;

/// Lets connections in or not; cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Gate {
    /// The parent of all connections that were let in since it was opened; `None` while it is shut.
    open: Arc<Mutex<Option<CancellationToken>>>,
}

impl Gate {
    pub(crate) fn new() -> Self {
        Self { open: Arc::new(Mutex::new(Some(CancellationToken::new()))) }
    }

    /// Cuts every connection and lets no new one in.
    pub(crate) fn shut(&self) {
        if let Some(connections) = self.lock().take() {
            connections.cancel();
        }
    }

    /// Lets connections in again.
    pub(crate) fn open(&self) {
        self.lock().get_or_insert_with(CancellationToken::new);
    }

    pub(crate) fn is_open(&self) -> bool {
        self.lock().is_some()
    }

    fn admit(&self) -> Option<Connection> {
        self.lock().as_ref().map(|connections| Connection(connections.child_token()))
    }

    fn lock(&self) -> MutexGuard<'_, Option<CancellationToken>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The right to cut one connection, in the hands of the call that came over it.
#[derive(Debug, Clone)]
pub(crate) struct Connection(CancellationToken);

impl Connection {
    /// Closes the connection; what has not left yet never will.
    pub(crate) fn cut(&self) {
        self.0.cancel();
    }

    /// Waits; false, and at once, where the connection is cut meanwhile.
    pub(crate) async fn outlives(&self, wait: Duration) -> bool {
        tokio::select! {
            () = self.0.cancelled() => false,
            () = tokio::time::sleep(wait) => true,
        }
    }
}

impl Connected<IncomingStream<'_, GatedListener>> for Connection {
    fn connect_info(stream: IncomingStream<'_, GatedListener>) -> Self {
        stream.io().connection.clone()
    }
}

/// A TCP listener behind a gate.
pub(crate) struct GatedListener {
    tcp: TcpListener,
    gate: Gate,
    places: Arc<Semaphore>,
}

impl GatedListener {
    pub(crate) fn new(tcp: TcpListener, gate: Gate) -> Self {
        Self { tcp, gate, places: Arc::new(Semaphore::new(MAX_CONNECTIONS)) }
    }
}

impl Listener for GatedListener {
    type Io = CuttableStream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (CuttableStream, SocketAddr) {
        loop {
            // The semaphore is never closed; should it be, connections are let in uncounted.
            let place = Arc::clone(&self.places).acquire_owned().await.ok();
            let (tcp, address) = Listener::accept(&mut self.tcp).await;
            let Some(connection) = self.gate.admit() else {
                continue;
            };
            if let Err(error) = tcp.set_nodelay(true) {
                tracing::debug!(%error, "the connection stays with Nagle's algorithm");
            }
            let cut = Box::pin(connection.0.clone().cancelled_owned());
            return (CuttableStream { tcp, connection, cut, _place: place }, address);
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.tcp.local_addr()
    }
}

/// A TCP stream that fails once its connection is cut.
pub(crate) struct CuttableStream {
    tcp: TcpStream,
    connection: Connection,
    /// Wakes a reader that waits on an idle connection when it is cut.
    cut: Pin<Box<WaitForCancellationFutureOwned>>,
    _place: Option<OwnedSemaphorePermit>,
}

impl CuttableStream {
    fn poll_cut(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        match self.cut.as_mut().poll(cx) {
            Poll::Ready(()) => Err(io::ErrorKind::ConnectionAborted.into()),
            Poll::Pending => Ok(()),
        }
    }
}

impl AsyncRead for CuttableStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.poll_cut(cx)?;
        Pin::new(&mut self.tcp).poll_read(cx, buffer)
    }
}

impl AsyncWrite for CuttableStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_cut(cx)?;
        Pin::new(&mut self.tcp).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_cut(cx)?;
        Pin::new(&mut self.tcp).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_shutdown(cx)
    }
}
