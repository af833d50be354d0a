//! A listener that keeps every byte sent to it: on the way to a real server, or as the stranger that nobody should reach.
//!
//! It knows no HTTP beyond the one answer that it gives as a stranger.

#![allow(clippy::unwrap_used, reason = "a fixture of tests: what fails here fails the test")]

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex},
};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, copy},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

/// A tap; dropping it ends it and every connection through it that is idle.
#[derive(Debug)]
pub struct Tap {
    address: SocketAddr,
    sent: Arc<Mutex<Vec<u8>>>,
    listening: JoinHandle<()>,
}

impl Tap {
    /// A tap before the server at `target`.
    pub async fn before(target: SocketAddr) -> Self {
        Self::start(Some(target)).await
    }

    /// A server of its own, which answers everything with an empty page.
    pub async fn stranger() -> Self {
        Self::start(None).await
    }

    /// Its origin, without a slash at the end.
    #[must_use]
    pub fn origin(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Everything that was sent to it, all connections together.
    #[must_use]
    pub fn sent(&self) -> String {
        String::from_utf8_lossy(&self.sent.lock().unwrap()).into_owned()
    }

    async fn start(target: Option<SocketAddr>) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let sent = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&sent);
        let listening = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let kept = Arc::clone(&kept);
                tokio::spawn(async move {
                    match target {
                        Some(target) => forward(client, target, &kept).await,
                        None => answer(client, &kept).await,
                    }
                });
            }
        });
        Self { address, sent, listening }
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

async fn forward(client: TcpStream, target: SocketAddr, kept: &Mutex<Vec<u8>>) {
    let Ok(server) = TcpStream::connect(target).await else { return };
    let ((from_client, mut to_client), (mut from_server, to_server)) = (client.into_split(), server.into_split());
    // Whichever side ends first ends both, as a closed connection has to reach the client.
    tokio::select! {
        () = keep(from_client, to_server, kept) => {}
        _ = copy(&mut from_server, &mut to_client) => {}
    }
}

async fn answer(client: TcpStream, kept: &Mutex<Vec<u8>>) {
    let (from_client, mut to_client) = client.into_split();
    let page = b"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
    // Answered at once: who sends here is heard to the end, and told nothing.
    let _ = to_client.write_all(page).await;
    keep(from_client, tokio::io::sink(), kept).await;
}

async fn keep(mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin, kept: &Mutex<Vec<u8>>) {
    let mut piece = vec![0; PIECE_BYTES];
    while let Ok(length @ 1..) = from.read(&mut piece).await {
        kept.lock().unwrap().extend_from_slice(&piece[..length]);
        if to.write_all(&piece[..length]).await.is_err() {
            return;
        }
    }
}

/// One read of a socket.
const PIECE_BYTES: usize = 16 * 1024;
