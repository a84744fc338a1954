//! One WebSocket connection: TCP, TLS where asked for, and the opening handshake.

use std::io;
use std::path::Path;
use std::sync::Arc;

use fanfare_websocket::handshake::{check_response, client_request, make_key};
use hyper_rustls::ConfigBuilderExt;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::error::{Error, Refusal};
use crate::options::Options;
use crate::url::ServerUrl;

const PATH: &str = "/v1/connect";
const SUBPROTOCOL: &str = "fanfare.v1";
/// An answer to the handshake is shorter than this.
const HEAD_BYTES_MAX: usize = 16 << 10;
/// Of a refusal's body, this much is read.
const BODY_BYTES_MAX: usize = 16 << 10;
const HEADERS_MAX: usize = 64;

/// A byte stream, encrypted or not.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// An open WebSocket.
pub(crate) struct Link {
    pub(crate) stream: Box<dyn Stream>,
    /// What came right behind the handshake.
    pub(crate) early: Vec<u8>,
}

/// Opens links to one server.
pub(crate) struct Opener {
    url: ServerUrl,
    tls: Option<TlsConnector>,
}

impl Opener {
    pub(crate) fn new(options: &Options) -> Result<Self, Error> {
        let tls = match options.url.is_tls {
            true => Some(tls(options.ca_file.as_deref())?),
            false => None,
        };
        Ok(Self { url: options.url.clone(), tls })
    }

    /// Connects.
    pub(crate) async fn open(&self) -> Result<Link, Error> {
        let stream = self
            .stream()
            .await
            .map_err(|reason| Error::Unreachable { server: self.url.authority(), reason: Arc::new(reason) })?;
        self.upgrade(stream).await
    }

    async fn stream(&self) -> io::Result<Box<dyn Stream>> {
        let tcp = TcpStream::connect((self.url.host.as_str(), self.url.port)).await?;
        // Frames are small and someone waits for each.
        tcp.set_nodelay(true)?;
        let Some(tls) = &self.tls else {
            return Ok(Box::new(tcp));
        };
        let name = ServerName::try_from(self.url.host.clone()).map_err(io::Error::other)?;
        Ok(Box::new(tls.connect(name, tcp).await?))
    }

    async fn upgrade(&self, mut stream: Box<dyn Stream>) -> Result<Link, Error> {
        let nonce: [u8; 16] = fastrand::u128(..).to_ne_bytes();
        let key = make_key(nonce);
        let (host, path) = (self.url.authority(), self.url.path(PATH));
        let request = client_request(&host, &path, &key, &[SUBPROTOCOL], None, &[]);
        let request = request.map_err(|error| self.unexpected(error.to_string()))?;
        let lost = |error: io::Error| self.unexpected(error.to_string());
        stream.write_all(&request).await.map_err(lost)?;
        stream.flush().await.map_err(lost)?;
        let mut bytes = Vec::new();
        loop {
            if stream.read_buf(&mut bytes).await.map_err(lost)? == 0 {
                return Err(self.unexpected("the connection ended in the handshake"));
            }
            if let Some(head) = self.read_head(&bytes, &key)? {
                return match head {
                    Head::Open { length } => Ok(Link { stream, early: bytes.split_off(length) }),
                    Head::Refused(answer) => Err(self.refused(stream, bytes, answer).await),
                };
            }
            if bytes.len() > HEAD_BYTES_MAX {
                return Err(self.unexpected("the answer to the handshake is too long"));
            }
        }
    }

    /// Reads the head of the answer, if it is complete.
    fn read_head(&self, bytes: &[u8], key: &str) -> Result<Option<Head>, Error> {
        let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
        let mut response = httparse::Response::new(&mut headers);
        let status = response.parse(bytes);
        let status = status.map_err(|_| self.unexpected("it does not speak HTTP"))?;
        let httparse::Status::Complete(length) = status else {
            return Ok(None);
        };
        let code = response.code.unwrap_or(0);
        let header = |name: &str| {
            let found = response.headers.iter().find(|h| h.name.eq_ignore_ascii_case(name));
            found.and_then(|header| std::str::from_utf8(header.value).ok())
        };
        if code == 101 {
            let checked = check_response(code, header, key, &[SUBPROTOCOL], None);
            checked.map_err(|error| self.unexpected(error.to_string()))?;
            return Ok(Some(Head::Open { length }));
        }
        Ok(Some(Head::Refused(Answer {
            code,
            length,
            body_bytes: header("content-length").and_then(|n| n.trim().parse().ok()),
            retry_ms: header("retry-after")
                .and_then(|s| s.trim().parse::<u64>().ok())
                .map(|seconds| seconds.saturating_mul(1_000)),
        })))
    }

    async fn refused(&self, mut stream: Box<dyn Stream>, bytes: Vec<u8>, answer: Answer) -> Error {
        let mut body = bytes.get(answer.length..).unwrap_or_default().to_vec();
        let wanted = answer.body_bytes.unwrap_or(0).min(BODY_BYTES_MAX);
        while body.len() < wanted {
            match stream.read_buf(&mut body).await {
                Ok(0) | Err(_) => break,
                Ok(_) => {}
            }
        }
        let said: Option<crate::wire::ServerFrame> = serde_json::from_slice(&body).ok();
        let mut refusal = match said.filter(|said| said.code.is_some()) {
            Some(said) => said.refusal(),
            None if matches!(answer.code, 429 | 500..=599) => Refusal {
                code: "unavailable".to_owned(),
                message: format!("{} answers {}", self.url.authority(), answer.code),
                retry: true,
                retry_ms: None,
            },
            None => return self.unexpected(format!("HTTP status {}", answer.code)),
        };
        refusal.retry_ms = refusal.retry_ms.or(answer.retry_ms);
        Error::Refused(refusal)
    }

    fn unexpected(&self, reason: impl Into<String>) -> Error {
        Error::Unexpected { server: self.url.authority(), reason: reason.into() }
    }
}

enum Head {
    Open { length: usize },
    Refused(Answer),
}

struct Answer {
    code: u16,
    length: usize,
    body_bytes: Option<usize>,
    retry_ms: Option<u64>,
}

fn tls(ca_file: Option<&Path>) -> Result<TlsConnector, Error> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let wrong = |reason: String| Error::Certificates {
        file: ca_file.map_or_else(String::new, |file| file.display().to_string()),
        reason,
    };
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| wrong(error.to_string()))?;
    let builder = match ca_file {
        None => builder.with_webpki_roots(),
        Some(file) => {
            let mut roots = RootCertStore::empty();
            let found = CertificateDer::pem_file_iter(file).map_err(|e| wrong(e.to_string()))?;
            for certificate in found {
                let certificate = certificate.map_err(|error| wrong(error.to_string()))?;
                roots.add(certificate).map_err(|error| wrong(error.to_string()))?;
            }
            if roots.is_empty() {
                return Err(wrong("there is no certificate in it".to_owned()));
            }
            builder.with_root_certificates(roots)
        }
    };
    let mut config = builder.with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsConnector::from(Arc::new(config)))
}
