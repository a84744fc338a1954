//! How the bytes of a client travel.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use fanfare_mqtt::{MqttDoor, MqttOptions};
use fanfare_testkit::{TestServer, TestServerOptions};
use fanfare_websocket::handshake;

/// TCP, TLS, and WebSocket in either of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Over {
    Tcp,
    Tls,
    WebSocket,
    TlsWebSocket,
}

pub(crate) const ALL: [Over; 4] = [Over::Tcp, Over::Tls, Over::WebSocket, Over::TlsWebSocket];
pub(crate) const BOTH: [Over; 2] = [Over::Tcp, Over::WebSocket];

impl Over {
    pub(crate) fn is_websocket(self) -> bool {
        matches!(self, Self::WebSocket | Self::TlsWebSocket)
    }
}

pub(crate) trait Link: Read + Write + Send {}
impl<T: Read + Write + Send> Link for T {}

struct Certificate {
    server: Arc<rustls::ServerConfig>,
    client: Arc<rustls::ClientConfig>,
}

fn certificate() -> &'static Certificate {
    static CERTIFICATE: OnceLock<Certificate> = OnceLock::new();
    CERTIFICATE.get_or_init(|| {
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        let (pem, key) = (made.cert.pem(), made.signing_key.serialize_pem());
        let server = fanfare_door::server_config(pem.as_bytes(), key.as_bytes(), None).unwrap();
        let mut roots = rustls::RootCertStore::empty();
        roots.add(made.cert.der().clone()).unwrap();
        let client = rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        Certificate { server, client: Arc::new(client) }
    })
}

/// A server with this door, with TLS or without on the same port.
pub(crate) fn server(options: TestServerOptions) -> TestServer {
    server_with(MqttOptions::default(), options)
}

pub(crate) fn server_with(mqtt: MqttOptions, options: TestServerOptions) -> TestServer {
    let tls = Some(certificate().server.clone());
    TestServer::start(TestServerOptions { doors: vec![Arc::new(MqttDoor::new(mqtt))], tls, ..options }).unwrap()
}

/// A link that is up, as far as bytes go.
pub(crate) fn open(server: &TestServer, over: Over) -> Box<dyn Link> {
    let socket = TcpStream::connect(server.address).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    socket.set_nodelay(true).unwrap();
    match over {
        Over::Tcp | Over::WebSocket => Box::new(socket),
        Over::Tls | Over::TlsWebSocket => {
            let name = "localhost".try_into().unwrap();
            let tls = rustls::ClientConnection::new(certificate().client.clone(), name).unwrap();
            Box::new(rustls::StreamOwned::new(tls, socket))
        }
    }
}

/// Upgrades to WebSocket; says which subprotocol was chosen.
pub(crate) fn upgrade(link: &mut dyn Link, subprotocols: &[&str]) -> Option<String> {
    let key = handshake::make_key([7; 16]);
    let request = handshake::client_request("localhost", "/mqtt", &key, subprotocols, None, &[]).unwrap();
    link.write_all(request.as_ref()).unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        link.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap();
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    let mut lines = head.lines().filter_map(|line| line.split_once(": "));
    lines.find(|(name, _)| name.eq_ignore_ascii_case("sec-websocket-protocol")).map(|(_, value)| value.into())
}
