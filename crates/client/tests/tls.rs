//! TLS: whose certificates count.
#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

use std::sync::Arc;
use std::time::Duration;

use fanfare_client::{Client, Error, Options};
use fanfare_websocket::handshake::{check_request, server_response};
use fanfare_websocket::{MessageKind, encode_message};
use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

const WELCOME: &[u8] = br#"{"type":"welcome","ping_ms":25000,"resumed":[]}"#;

fn acceptor(certified: &CertifiedKey<rcgen::KeyPair>) -> TlsAcceptor {
    let key = PrivateKeyDer::try_from(certified.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certified.cert.der().clone()], key)
        .unwrap();
    TlsAcceptor::from(Arc::new(config))
}

/// Welcomes whoever gets through the TLS handshake.
async fn serve(listener: TcpListener, acceptor: TlsAcceptor) {
    while let Ok((tcp, _)) = listener.accept().await {
        let Ok(mut stream) = acceptor.accept(tcp).await else {
            continue;
        };
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            assert_ne!(stream.read_buf(&mut head).await.unwrap(), 0);
        }
        let head = String::from_utf8(head).unwrap();
        let header = |name: &str| {
            let mut pairs = head.lines().filter_map(|line| line.split_once(": "));
            pairs.find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value)
        };
        let accept = check_request(header).unwrap();
        // The welcome comes in the same packet as the handshake.
        let mut out = server_response(&accept, None, None, &[]).unwrap();
        encode_message(&mut out, MessageKind::Text, WELCOME);
        stream.write_all(&out).await.unwrap();
        stream.flush().await.unwrap();
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest).await;
    }
}

#[tokio::test]
async fn only_a_trusted_certificate_counts() {
    let certified = generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let ca_file = folder.path().join("ca.pem");
    std::fs::write(&ca_file, certified.cert.pem()).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(serve(listener, acceptor(&certified)));

    let connect = |host: &str, ca_file| {
        let mut options = Options::new(&format!("https://{host}:{port}")).unwrap();
        options.ca_file = ca_file;
        tokio::time::timeout(Duration::from_secs(20), Client::connect(options))
    };
    let trusted = connect("localhost", Some(ca_file.clone())).await.unwrap();
    assert!(trusted.is_ok(), "{:?}", trusted.err());
    drop(trusted);
    let public = connect("localhost", None).await.unwrap().err().unwrap();
    assert!(public.to_string().contains("invalid peer certificate"), "{public}");
    let other_name = connect("127.0.0.1", Some(ca_file)).await.unwrap().err().unwrap();
    assert!(other_name.to_string().contains("invalid peer certificate"), "{other_name}");
    std::fs::write(folder.path().join("empty.pem"), "").unwrap();
    let empty = connect("localhost", Some(folder.path().join("empty.pem"))).await.unwrap();
    assert!(matches!(empty.err().unwrap(), Error::Certificates { .. }));
}
