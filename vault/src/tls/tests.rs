//! The client against a TLS server of its own on loopback. Knows nothing of the manager or of sites.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener},
    sync::Arc,
    thread,
    time::Duration,
};

use rustls::{
    ServerConfig, ServerConnection, Stream,
    crypto::{CryptoProvider, ring},
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};

use super::{TlsError, client_builder};

const ROOT: &[u8] = include_bytes!("testdata/root.pem");
const LOOPBACK: &[u8] = include_bytes!("testdata/loopback.pem");
const LOOPBACK_KEY: &[u8] = include_bytes!("testdata/loopback.key");

/// A server that presents a certificate of the test's root for 127.0.0.1 and answers one request.
fn serve_once() -> (SocketAddr, thread::JoinHandle<std::io::Result<()>>) {
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![CertificateDer::from_pem_slice(LOOPBACK).unwrap()],
            PrivateKeyDer::from_pem_slice(LOOPBACK_KEY).unwrap(),
        )
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let server = thread::spawn(move || {
        let (mut socket, _) = listener.accept()?;
        let mut tls = ServerConnection::new(Arc::new(config)).map_err(std::io::Error::other)?;
        let mut stream = Stream::new(&mut tls, &mut socket);
        let mut request = [0; 4096];
        let read = stream.read(&mut request)?;
        assert!(request[..read].starts_with(b"GET / HTTP/1.1"));
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok")
    });
    (address, server)
}

async fn fetch(address: SocketAddr, extra_roots_pem: Option<&[u8]>) -> Result<String, reqwest::Error> {
    let client = client_builder(extra_roots_pem).unwrap().timeout(Duration::from_secs(20)).build()?;
    client.get(format!("https://{address}/")).send().await?.text().await
}

#[tokio::test]
async fn a_server_of_a_given_private_root_is_trusted() {
    let (address, server) = serve_once();
    assert_eq!(fetch(address, Some(ROOT)).await.unwrap(), "ok");
    server.join().unwrap().unwrap();
}

#[tokio::test]
async fn a_server_of_an_unknown_root_is_refused_before_anything_is_sent() {
    let (address, server) = serve_once();
    let error = fetch(address, None).await.unwrap_err();
    assert!(error.is_connect(), "{error:?}");
    assert!(server.join().unwrap().is_err());
}

#[test]
fn building_a_client_needs_and_installs_no_process_wide_provider() {
    client_builder(None).unwrap().build().unwrap();
    assert!(CryptoProvider::get_default().is_none());
}

#[test]
fn extra_roots_that_are_no_certificates_are_refused() {
    let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    for pem in ["", "no pem at all", "-----BEGIN CERTIFICATE-----\n!!!\n-----END CERTIFICATE-----\n"] {
        assert!(matches!(client_builder(Some(pem.as_bytes())), Err(TlsError::NotPem)), "{pem}");
    }
    assert!(matches!(client_builder(Some(broken.as_bytes())), Err(TlsError::NotARoot { position: 1, .. })));
    assert!(client_builder(Some(ROOT)).is_ok());
}
