//! A TCP server for tests that answers with given bytes, or misbehaves as told. Knows HTTP only so far as to find the end
//! of a request.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

/// What becomes of one connection.
#[derive(Clone, Debug)]
pub(crate) enum Act {
    /// Reads the request, sends these bytes and closes.
    Send(Vec<u8>),
    /// Closes without reading.
    CloseBefore,
    /// Reads the request and closes.
    CloseAfter,
    /// Reads the request and says nothing until the client goes.
    Stall,
    /// Reads the request and sends this head, then spaces until the client goes.
    Endless(&'static str),
}

/// The server; it ends with the value.
pub(crate) struct RawServer {
    address: SocketAddr,
    requests: Arc<Mutex<Vec<String>>>,
    task: JoinHandle<()>,
}

impl RawServer {
    /// Listens on loopback. Connection by connection, the acts are done in order; after the last one all are closed.
    pub(crate) async fn start(acts: Vec<Act>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&requests);
        let task = tokio::spawn(async move {
            let mut acts = acts.into_iter();
            while let Ok((stream, _)) = listener.accept().await {
                // A client that goes away while it is answered is what some tests are about.
                let _ = act(stream, acts.next().unwrap_or(Act::CloseBefore), &seen).await;
            }
        });
        Self { address, requests, task }
    }

    /// A server that answers one request with this status line and JSON text.
    pub(crate) async fn json(status: &str, json: &str) -> Self {
        Self::start(vec![Act::Send(answer(status, "content-type: application/json\r\n", json))]).await
    }

    pub(crate) fn base_url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The requests so far, head and body as they came.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

impl Drop for RawServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A whole HTTP/1.1 answer whose length is announced.
pub(crate) fn answer(status: &str, headers: &str, body: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status}\r\nconnection: close\r\n{headers}content-length: {}\r\n\r\n{body}", body.len())
        .into_bytes()
}

async fn act(mut stream: TcpStream, act: Act, seen: &Mutex<Vec<String>>) -> std::io::Result<()> {
    if let Act::CloseBefore = act {
        return Ok(());
    }
    let request = read_request(&mut stream).await?;
    seen.lock().unwrap().push(request);
    match act {
        Act::Send(bytes) => stream.write_all(&bytes).await,
        Act::Endless(head) => {
            stream.write_all(head.as_bytes()).await?;
            let spaces = vec![b' '; 64 * 1024];
            loop {
                stream.write_all(&spaces).await?;
            }
        }
        Act::Stall => stream.read(&mut [0; 1]).await.map(drop),
        Act::CloseBefore | Act::CloseAfter => Ok(()),
    }
}

async fn read_request(stream: &mut TcpStream) -> std::io::Result<String> {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head
                .lines()
                .filter_map(|line| line.split_once(':'))
                .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
                .map_or(0, |(_, value)| value.trim().parse().unwrap());
            if body.len() >= length {
                return Ok(text);
            }
        }
        if stream.read_buf(&mut bytes).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
    }
}
