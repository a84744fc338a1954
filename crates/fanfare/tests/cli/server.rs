//! The binary while it serves.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::Child;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use fanfare_aws::credentials::Credential;
use fanfare_aws::sigv4::{PayloadHash, Request, Signing, sign_headers};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::fanfare::Fanfare;

const DEADLINE: Duration = Duration::from_secs(20);

pub(crate) struct Server {
    child: Child,
    /// What it prints at start.
    pub(crate) page: String,
    pub(crate) address: SocketAddr,
}

impl Server {
    /// Starts with ports of its own, and waits until the page is there.
    pub(crate) fn start(fanfare: &Fanfare, arguments: &[&str]) -> Self {
        let own = ["serve", "--listen", "127.0.0.1:0", "--mqtt-listen", "127.0.0.1:0", "--shards", "1"];
        let mut child = fanfare.start(&[&own[..], arguments].concat());
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut page = String::new();
        while !page.contains("  connections  at most") {
            let Some(Ok(line)) = lines.next() else {
                let mut told = String::new();
                child.stderr.take().unwrap().read_to_string(&mut told).unwrap();
                panic!("it did not start: {page}{told}");
            };
            page += &line;
            page.push('\n');
        }
        let first = page.split("listens on ").nth(1).unwrap().split([',', '\n']).next().unwrap();
        Self { child, address: first.parse().unwrap(), page }
    }

    /// The file of the authority that the page names.
    pub(crate) fn authority(&self, fanfare: &Fanfare) -> PathBuf {
        let file = self.page.split("clients that trust ").nth(1).unwrap().lines().next().unwrap();
        fanfare.folder().join(file)
    }

    /// Sends one request and reads the answer: its status and its body.
    pub(crate) fn post(&self, path: &str, body: &str, headers: &[(&str, &str)]) -> (u16, String) {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        exchange(stream, "POST", path, body, headers)
    }

    /// Opens a WebSocket, and the status of the answer; it stays open for as long as the stream.
    pub(crate) fn upgrade(&self, path: &str) -> (u16, TcpStream) {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        let head = "host: localhost\r\nupgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-version: 13\r\n";
        let key = "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
        stream.write_all(format!("GET {path} HTTP/1.1\r\n{head}{key}\r\n").as_bytes()).unwrap();
        let mut line = String::new();
        BufReader::new(stream.try_clone().unwrap()).read_line(&mut line).unwrap();
        (line.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_default(), stream)
    }

    /// Asks for a page.
    pub(crate) fn get(&self, path: &str) -> (u16, String) {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        exchange(stream, "GET", path, "", &[])
    }

    /// The same over TLS, by a client that trusts `authority` alone.
    pub(crate) fn post_securely(&self, authority: &[u8], name: &str) -> Result<u16, String> {
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(authority) {
            roots.add(certificate.unwrap()).unwrap();
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let config = Arc::new(config.with_root_certificates(roots).with_no_client_auth());
        let name = ServerName::try_from(name.to_owned()).unwrap();
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        let mut connection = ClientConnection::new(config, name).unwrap();
        connection.complete_io(&mut stream).map_err(|error| error.to_string())?;
        Ok(exchange(StreamOwned::new(connection, stream), "POST", "/nowhere", "", &[]).0)
    }

    /// Calls a function as an SDK does.
    pub(crate) fn invoke(&self, function: &str, event: &str, key: &Credential) -> (u16, String) {
        let path = format!("/2015-03-31/functions/{function}/invocations");
        let host = self.address.to_string();
        let plain = [("host", host.as_str())];
        let payload = PayloadHash::Bytes(event.as_bytes());
        let request = Request { method: "POST", raw_path: &path, raw_query: "", headers: &plain, payload };
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64;
        let added = sign_headers(&request, &Signing::new(key, "eu-central-1", "lambda", now)).unwrap();
        let added = added.iter().map(|(name, value)| (*name, value.as_str()));
        self.post(&path, event, &plain.into_iter().chain(added).collect::<Vec<_>>())
    }

    /// Tells it to stop, and its exit code; `None` if it had to be killed.
    pub(crate) fn stop(mut self) -> Option<i32> {
        kill(Pid::from_raw(self.child.id() as i32), Signal::SIGTERM).unwrap();
        let until = Instant::now() + DEADLINE;
        while Instant::now() < until {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        None
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn exchange(
    mut stream: impl Read + Write,
    method: &str,
    path: &str,
    body: &str,
    headers: &[(&str, &str)],
) -> (u16, String) {
    let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let host = if headers.starts_with("host:") { "" } else { "host: localhost\r\n" };
    let length = body.len();
    let head =
        format!("{method} {path} HTTP/1.1\r\n{host}{headers}content-length: {length}\r\nconnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(body.as_bytes()).unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok());
    let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    (status.unwrap_or_else(|| panic!("no status: {answer:?}")), body.to_owned())
}
