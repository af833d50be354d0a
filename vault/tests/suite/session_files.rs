//! A session out of the vault and into it, and its cookies.txt read by the programs that it is for.

use std::{
    fs,
    io::{Read, Write},
    net::TcpListener,
    process::Command,
    thread,
};

use latchkey_vault::{
    CheckIn, CheckOutError, Clock as _, Secret,
    model::Action,
    session_formats::{SessionFile, SessionFormat},
};
use url::Url;

use crate::common::{Folder, account, ask, verify};

#[tokio::test(flavor = "multi_thread")]
async fn an_imported_session_is_a_newer_one_and_comes_out_as_it_went_in() {
    let folder = Folder::new();
    let vault = folder.init().await;
    let id = vault.add_account(account("ann")).await.unwrap();
    let (origin, now_ms) = (origin(), folder.clock.wall_ms());
    let file = SessionFormat::StorageState.read(&Secret::copy_of(STATE), &origin, now_ms).unwrap();

    let held = vault.check_out(id, &ask(0)).await.unwrap();
    let refused = vault.import_session_file(id, &ask(0), &origin, &file).await;
    assert!(matches!(refused, Err(CheckOutError::Held { .. })), "somebody works with it: {refused:?}");
    vault.check_in(held, &CheckIn::default()).await.unwrap();
    assert_eq!(vault.import_session_file(id, &ask(0), &origin, &file).await.unwrap(), 2);

    // Web storage stays with the session while its cookies change, and ends with it.
    let mut lent = vault.check_out(id, &ask(0)).await.unwrap();
    assert_eq!(lent.login_epoch(), 2, "the lease is free again");
    let _ = lent.jar.store(&origin, b"sid=2; Path=/; Secure", now_ms);
    vault.check_in(lent, &CheckIn { flat_url: Some(origin.clone()), ..CheckIn::default() }).await.unwrap();
    let out = vault.export_session(id).await.unwrap().unwrap();
    let text = SessionFormat::StorageState.write(&out, &origin, now_ms).unwrap();
    let want = STATE.replace("sid-canary", "2");
    let json = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
    assert_eq!(json(text.expose()), json(&want));
    vault.import_session(id, &origin, &Secret::copy_of("sid=3")).await.unwrap();
    assert!(!vault.export_session(id).await.unwrap().unwrap().has_storage());

    let entries = vault.audit_entries(0, 100).await.unwrap();
    let revealed = entries.iter().filter(|entry| entry.event.action == Action::Reveal);
    assert_eq!(revealed.map(|entry| entry.event.detail.as_str()).collect::<Vec<_>>(), ["session", "session"]);
    assert_eq!(vault.owed_messages(9).await.unwrap().len(), 1, "the manager is owed the cookie, once");
    assert_eq!(verify(&vault).await, []);
    vault.close().await.unwrap();
}

#[test]
fn curl_and_python_send_what_the_jar_would_from_its_cookies_txt() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("cookies.txt");
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let url: Url = format!("http://www.x.example:{port}/p/q").parse().unwrap();
    let file: SessionFile = SessionFormat::Json.read(&Secret::copy_of(SESSION), &url, NOW_MS).unwrap();
    assert_eq!((file.jar.len(), file.left_out()), (8, 0));
    let want = file.jar.header_for(&url, NOW_MS).unwrap().expose().to_owned();
    assert_eq!(want, "deep=4; session=1; lasting=2; wide=3; empty=; quoted=\"a=b, c\"");
    // EXPOSE: made-up values, for the programs under test.
    fs::write(&path, SessionFormat::Netscape.write(&file, &url, NOW_MS).unwrap().expose()).unwrap();

    let server = thread::spawn(move || cookie_of_one_request(&listener));
    let resolve = format!("www.x.example:{port}:127.0.0.1");
    let mut curl = Command::new("curl");
    curl.args(["-sS", "-m", "30", "--noproxy", "*", "--resolve", &resolve, "-b"]);
    let status = curl.arg(&path).arg(url.as_str()).status().unwrap();
    assert!(status.success(), "curl: {status}");
    assert_eq!(sorted(&server.join().unwrap()), sorted(&want), "curl");

    let python = Command::new("python3").args(["-c", PYTHON]).arg(&path).arg(url.as_str()).output().unwrap();
    assert!(python.status.success(), "{}", String::from_utf8_lossy(&python.stderr));
    assert_eq!(sorted(String::from_utf8(python.stdout).unwrap().trim_end()), sorted(&want), "python");
}

/// What each program sends in which order is its own.
fn sorted(header: &str) -> Vec<&str> {
    let mut cookies: Vec<_> = header.split("; ").collect();
    cookies.sort_unstable();
    cookies
}

fn cookie_of_one_request(listener: &TcpListener) -> String {
    let (mut stream, _) = listener.accept().unwrap();
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        request.extend(byte);
    }
    stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").unwrap();
    let request = String::from_utf8(request).unwrap();
    request.lines().find_map(|line| line.strip_prefix("Cookie: ")).unwrap_or_default().to_owned()
}

fn origin() -> Url {
    "https://site.test/".parse().unwrap()
}

const PYTHON: &str = "\
import http.cookiejar, sys, urllib.request
jar = http.cookiejar.MozillaCookieJar(sys.argv[1])
jar.load()
request = urllib.request.Request(sys.argv[2])
jar.add_cookie_header(request)
print(request.get_header('Cookie'))
";
const STATE: &str = r#"{"cookies":[{"name":"sid","value":"sid-canary","domain":"site.test","path":"/","expires":-1,
    "httpOnly":false,"secure":true,"sameSite":"Strict","_new":[1]}],
    "origins":[{"origin":"https://site.test","localStorage":[{"name":"token","value":"local-canary"}]}],"later":{}}"#;
const SESSION: &str = r#"{"version":1,"cookies":[
    {"name":"session","value":"1","domain":"www.x.example","host_only":true,"path":"/","secure":false,"http_only":true,"expires_ms":null},
    {"name":"lasting","value":"2","domain":"www.x.example","host_only":true,"path":"/","secure":false,"http_only":false,"expires_ms":2100000000000},
    {"name":"wide","value":"3","domain":"x.example","host_only":false,"path":"/","secure":false,"http_only":false,"expires_ms":null},
    {"name":"deep","value":"4","domain":"www.x.example","host_only":true,"path":"/p","secure":false,"http_only":false,"expires_ms":null},
    {"name":"elsewhere","value":"5","domain":"www.x.example","host_only":true,"path":"/q","secure":false,"http_only":false,"expires_ms":null},
    {"name":"safe","value":"6","domain":"www.x.example","host_only":true,"path":"/","secure":true,"http_only":false,"expires_ms":null},
    {"name":"empty","value":"","domain":"www.x.example","host_only":true,"path":"/","secure":false,"http_only":false,"expires_ms":null},
    {"name":"quoted","value":"\"a=b, c\"","domain":"www.x.example","host_only":true,"path":"/","secure":false,"http_only":false,"expires_ms":null}]}"#;
/// 2023-11-14T22:13:20Z; the programs go by the machine's clock, by which the lasting one has to last.
const NOW_MS: i64 = 1_700_000_000_000;
