//! TLS: handshakes on the tasks, records on the shards.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

use crate::gateway::Gateway;
use crate::greeting::{Sniffed, sniff};
use crate::http::{self, HttpContext, Prefixed};
use crate::inbox::Command;
use crate::link::{Link, TlsLink};

/// A certificate or key that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The PEM holds no certificate, or a broken one.
    #[error("tls.cert: no usable certificate: {0}")]
    Certificate(rustls::pki_types::pem::Error),
    /// The PEM holds no private key, or a broken one.
    #[error("tls.key: no usable private key: {0}")]
    Key(rustls::pki_types::pem::Error),
    /// Certificate and key do not fit together.
    #[error("tls.cert and tls.key cannot be used together: {0}")]
    Pair(rustls::Error),
}

/// Reads certificate chain and private key from PEM.
///
/// # Errors
/// [`TlsError`] says which of them is wrong.
pub fn server_config(certificates: &[u8], key: &[u8]) -> Result<Arc<rustls::ServerConfig>, TlsError> {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(certificates).collect();
    let chain = chain.map_err(TlsError::Certificate)?;
    let key = PrivateKeyDer::from_pem_slice(key).map_err(TlsError::Key)?;
    let mut config =
        rustls::ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key).map_err(TlsError::Pair)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec(), b"mqtt".to_vec()];
    Ok(Arc::new(config))
}

/// Shakes hands, looks at the first plaintext, and passes the connection on: to a shard when it
/// upgrades to WebSocket or speaks a byte protocol, to hyper otherwise. `false` says that a shard has it now.
pub(crate) async fn receive(
    stream: Prefixed<TcpStream>,
    config: Arc<rustls::ServerConfig>,
    context: HttpContext,
    timeout: Duration,
) -> io::Result<bool> {
    let gateway = context.gateway.clone();
    let mut tls = tokio::time::timeout(timeout, TlsAcceptor::from(config).accept(stream)).await??;
    if tls.get_ref().1.alpn_protocol() == Some(b"h2") {
        http::serve(tls, context).await;
        return Ok(true);
    }
    let (bytes, sniffed) = tokio::time::timeout(timeout, first_plaintext(&mut tls, &gateway)).await??;
    match sniffed {
        Sniffed::Http => {
            http::serve(Prefixed::new(bytes, tls), context).await;
            Ok(true)
        }
        Sniffed::Stream | Sniffed::Upgrade(..) | Sniffed::TooLong => {
            let (stream, connection) = tls.into_inner();
            let (_, socket) = stream.into_parts();
            let socket = mio::net::TcpStream::from_std(socket.into_std()?);
            let link = Link::Tls(Box::new(TlsLink { socket, tls: connection }));
            let command = Command::Adopt { link, peer: context.peer, prefix: bytes, is_secure: true };
            gateway.least_loaded().command(command);
            Ok(false)
        }
        Sniffed::Partial | Sniffed::Tls | Sniffed::Unknown => Ok(true),
    }
}

async fn first_plaintext(
    tls: &mut (impl tokio::io::AsyncRead + Unpin),
    gateway: &Gateway,
) -> io::Result<(Vec<u8>, Sniffed)> {
    let head_bytes = gateway.limits().head_bytes;
    let mut bytes = Vec::with_capacity(1_024);
    loop {
        if tls.read_buf(&mut bytes).await? == 0 {
            return Ok((bytes, Sniffed::Partial));
        }
        match sniff(&bytes, head_bytes, |first| gateway.routes.stream(first).is_some()) {
            Sniffed::Partial => {}
            sniffed => return Ok((bytes, sniffed)),
        }
    }
}
