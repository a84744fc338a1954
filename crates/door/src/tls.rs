//! TLS: handshakes on the tasks, records on the shards.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{VerifierBuilderError, WebPkiClientVerifier};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

use crate::contract::TlsPeer;
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
    /// The PEM holds no certificate of an authority, or a broken one.
    #[error("tls.client_ca: no usable certificate: {0}")]
    ClientAuthority(String),
    /// The PEM holds a list of revoked certificates that cannot be read.
    #[error("tls.client_crl: no usable revocation list: {0}")]
    RevocationList(String),
}

/// Whether and how clients prove with a certificate who they are.
#[derive(Clone, Copy, Debug)]
pub struct ClientCertificates<'a> {
    /// Certificates of those whose signature on a client's certificate counts, PEM.
    pub authorities: &'a [u8],
    /// Lists of certificates that do not count any more (CRL), PEM. They are held against the
    /// client's own certificate; an authority without a list has revoked nothing.
    pub revoked: Option<&'a [u8]>,
    /// Clients without a certificate are refused during the handshake.
    pub is_required: bool,
}

/// Reads certificate chain and private key from PEM, and how certificates of clients are verified;
/// without that nobody is asked for one. [`crate::Server`] adds the protocols of its doors.
///
/// # Errors
/// [`TlsError`] says which of them is wrong.
pub fn server_config(
    certificates: &[u8],
    key: &[u8],
    clients: Option<&ClientCertificates<'_>>,
) -> Result<Arc<rustls::ServerConfig>, TlsError> {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(certificates).collect();
    let chain = chain.map_err(TlsError::Certificate)?;
    let key = PrivateKeyDer::from_pem_slice(key).map_err(TlsError::Key)?;
    let builder = rustls::ServerConfig::builder();
    let builder = match clients {
        None => builder.with_no_client_auth(),
        Some(clients) => builder.with_client_cert_verifier(verifier(clients)?),
    };
    builder.with_single_cert(chain, key).map(Arc::new).map_err(TlsError::Pair)
}

fn verifier(clients: &ClientCertificates<'_>) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(clients.authorities) {
        let certificate = certificate.map_err(|error| TlsError::ClientAuthority(error.to_string()))?;
        roots.add(certificate).map_err(|error| TlsError::ClientAuthority(error.to_string()))?;
    }
    let lists: Result<Vec<_>, _> =
        CertificateRevocationListDer::pem_slice_iter(clients.revoked.unwrap_or_default()).collect();
    let lists = lists.map_err(|error| TlsError::RevocationList(error.to_string()))?;
    let mut builder = WebPkiClientVerifier::builder(Arc::new(roots)).with_crls(lists);
    builder = builder.only_check_end_entity_revocation().allow_unknown_revocation_status();
    if !clients.is_required {
        builder = builder.allow_unauthenticated();
    }
    builder.build().map_err(|error| match error {
        error @ VerifierBuilderError::InvalidCrl(_) => TlsError::RevocationList(error.to_string()),
        error => TlsError::ClientAuthority(error.to_string()),
    })
}

/// The same for clients that ask for one of `names` by ALPN.
pub(crate) fn with_protocols(config: &rustls::ServerConfig, names: &[&'static str]) -> Arc<rustls::ServerConfig> {
    let mut config = config.clone();
    let names = ["h2", "http/1.1"].into_iter().chain(names.iter().copied());
    config.alpn_protocols = names.map(|name| name.as_bytes().to_vec()).collect();
    Arc::new(config)
}

/// Shakes hands, looks at the first plaintext, and passes the connection on: to a shard when it
/// upgrades to WebSocket or speaks a byte protocol, to hyper otherwise. `false` says that a shard has it now.
pub(crate) async fn receive(
    stream: Prefixed<TcpStream>,
    config: Arc<rustls::ServerConfig>,
    mut context: HttpContext,
    timeout: Duration,
) -> io::Result<bool> {
    let gateway = context.gateway.clone();
    let mut tls = tokio::time::timeout(timeout, TlsAcceptor::from(config).accept(stream)).await??;
    if tls.get_ref().1.alpn_protocol() == Some(b"h2") {
        context.tls = Some(Arc::new(TlsPeer::of(tls.get_ref().1)));
        http::serve(tls, context).await;
        return Ok(true);
    }
    let (bytes, sniffed) = tokio::time::timeout(timeout, first_plaintext(&mut tls, &gateway)).await??;
    match sniffed {
        Sniffed::Http => {
            context.tls = Some(Arc::new(TlsPeer::of(tls.get_ref().1)));
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

#[cfg(test)]
mod tests {
    use rcgen::{BasicConstraints, CertificateParams, CertificateRevocationListParams, IsCa, Issuer, KeyPair};
    use rcgen::{KeyIdMethod, KeyUsagePurpose, RevokedCertParams};

    use super::*;

    struct Authority {
        pem: String,
        issuer: Issuer<'static, KeyPair>,
    }

    fn authority() -> Authority {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Authority { pem, issuer: Issuer::new(params, key) }
    }

    /// Certificate and key of somebody with that serial number.
    fn somebody(authority: &Authority, serial: u8) -> (CertificateDer<'static>, PrivateKeyDer<'static>) {
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        params.serial_number = Some(vec![serial].into());
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &authority.issuer).unwrap();
        (certificate.der().clone(), PrivateKeyDer::try_from(key.serialize_der()).unwrap())
    }

    fn revoking(authority: &Authority, serial: u8) -> String {
        let time = |year| rcgen::date_time_ymd(year, 1, 1);
        let revoked = RevokedCertParams {
            serial_number: vec![serial].into(),
            revocation_time: time(2024),
            reason_code: None,
            invalidity_date: None,
        };
        let params = CertificateRevocationListParams {
            this_update: time(2024),
            next_update: time(2034),
            crl_number: vec![1].into(),
            issuing_distribution_point: None,
            revoked_certs: vec![revoked],
            key_identifier_method: KeyIdMethod::Sha256,
        };
        params.signed_by(&authority.issuer).unwrap().pem().unwrap()
    }

    /// Shakes hands in memory; what the server then knows of its peer.
    fn shake(
        clients: &ClientCertificates<'_>,
        client: Option<(CertificateDer<'static>, PrivateKeyDer<'static>)>,
    ) -> Result<TlsPeer, rustls::Error> {
        let key = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let (pem, secret) = (key.cert.pem(), key.signing_key.serialize_pem());
        let config = server_config(pem.as_bytes(), secret.as_bytes(), Some(clients)).unwrap();
        let config = with_protocols(&config, &["x-amzn-mqtt-ca"]);
        let mut roots = RootCertStore::empty();
        roots.add(key.cert.der().clone()).unwrap();
        let builder = rustls::ClientConfig::builder().with_root_certificates(roots);
        let mut wishes = match client {
            Some((certificate, key)) => builder.with_client_auth_cert(vec![certificate], key).unwrap(),
            None => builder.with_no_client_auth(),
        };
        wishes.alpn_protocols = vec![b"x-amzn-mqtt-ca".to_vec()];
        let name = "localhost".try_into().unwrap();
        let mut near = rustls::ClientConnection::new(Arc::new(wishes), name).unwrap();
        let mut far = rustls::ServerConnection::new(config).unwrap();
        while near.is_handshaking() || far.is_handshaking() {
            let mut bytes = Vec::new();
            while near.wants_write() {
                near.write_tls(&mut bytes).unwrap();
            }
            let mut rest = &bytes[..];
            while !rest.is_empty() {
                far.read_tls(&mut rest).unwrap();
                far.process_new_packets()?;
            }
            let mut bytes = Vec::new();
            while far.wants_write() {
                far.write_tls(&mut bytes).unwrap();
            }
            let mut rest = &bytes[..];
            while !rest.is_empty() {
                near.read_tls(&mut rest).unwrap();
                near.process_new_packets()?;
            }
        }
        Ok(TlsPeer::of(&far))
    }

    #[test]
    fn a_verified_certificate_is_told_and_others_are_refused() {
        let (ours, other) = (authority(), authority());
        let list = revoking(&ours, 7);
        let clients = |is_required| ClientCertificates {
            authorities: ours.pem.as_bytes(),
            revoked: Some(list.as_bytes()),
            is_required,
        };
        let shown = somebody(&ours, 6);
        let peer = shake(&clients(true), Some((shown.0.clone(), shown.1))).unwrap();
        assert_eq!(peer.certificates, [shown.0.to_vec()]);
        assert_eq!((peer.server_name.as_deref(), peer.alpn.as_deref()), (Some("localhost"), Some("x-amzn-mqtt-ca")));
        for is_required in [false, true] {
            assert!(shake(&clients(is_required), Some(somebody(&other, 6))).is_err(), "of another authority");
            assert!(shake(&clients(is_required), Some(somebody(&ours, 7))).is_err(), "revoked");
        }
        assert_eq!(shake(&clients(false), None).unwrap().certificates, Vec::<Vec<u8>>::new());
        assert!(shake(&clients(true), None).is_err());
    }

    #[test]
    fn broken_files_are_told_by_their_key() {
        let key = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let (pem, secret) = (key.cert.pem(), key.signing_key.serialize_pem());
        let ours = authority();
        let refused = |authorities: &str, revoked: Option<&str>| {
            let revoked = revoked.map(str::as_bytes);
            let clients = ClientCertificates { authorities: authorities.as_bytes(), revoked, is_required: true };
            server_config(pem.as_bytes(), secret.as_bytes(), Some(&clients)).unwrap_err().to_string()
        };
        assert!(refused("nothing", None).starts_with("tls.client_ca:"));
        let broken = "-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n";
        assert!(refused(&ours.pem, Some(broken)).starts_with("tls.client_crl:"));
    }
}
