//! HTTP towards others: bounds on time, size and where to. Redirects are not followed.

use std::net::IpAddr;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use crate::reach::{Reach, Resolver};

/// How long a connection that nobody uses is kept.
const IDLE: Duration = Duration::from_secs(60);
/// Connections to one server that are kept while nobody uses them.
const IDLE_PER_HOST: usize = 32;

/// Sends requests and keeps connections alive between them. Cheap to clone.
#[derive(Clone)]
pub struct HttpCaller {
    client: Client<HttpsConnector<HttpConnector<Resolver>>, Full<Bytes>>,
    reach: Reach,
}

/// Why a request brought no response.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CallerError {
    /// No whole response in time.
    #[error("no answer within {} ms", .0.as_millis())]
    Timeout(Duration),
    /// The body of the response is larger than allowed, in bytes.
    #[error("the answer has more than {0} bytes")]
    TooLarge(usize),
    /// The address is none, or one of this machine or its network.
    #[error("the address is not allowed: {0}")]
    Address(&'static str),
    /// The certificates of `ca` cannot be used.
    #[error("the certificates cannot be used: {0}")]
    Certificates(String),
    /// The connection could not be made or broke.
    #[error("{0}")]
    Connection(String),
}

impl HttpCaller {
    /// A caller that trusts the public certificate authorities, or only those of `ca` (PEM).
    ///
    /// # Errors
    /// [`CallerError::Certificates`].
    pub fn new(reach: Reach, ca: Option<&[u8]>) -> Result<Self, CallerError> {
        let mut connector = HttpConnector::new_with_resolver(Resolver(reach));
        connector.enforce_http(false);
        connector.set_nodelay(true);
        let builder = HttpsConnectorBuilder::new();
        let builder = match ca {
            None => builder.with_webpki_roots(),
            Some(pem) => builder.with_tls_config(trusting(pem)?),
        };
        let connector = builder.https_or_http().enable_http1().wrap_connector(connector);
        let client = Client::builder(TokioExecutor::new())
            .pool_idle_timeout(IDLE)
            .pool_max_idle_per_host(IDLE_PER_HOST)
            .pool_timer(TokioTimer::new())
            .build(connector);
        Ok(Self { client, reach })
    }

    /// Sends `request` and reads the response, of at most `answer_bytes_max` bytes, within `timeout`.
    ///
    /// # Errors
    /// [`CallerError`]; a status is never one.
    pub async fn send(
        &self,
        request: Request<Bytes>,
        timeout: Duration,
        answer_bytes_max: usize,
    ) -> Result<Response<Bytes>, CallerError> {
        self.check(request.uri())?;
        let exchange = async {
            let response = self.client.request(request.map(Full::new)).await.map_err(|error| connection(&error))?;
            let (head, body) = response.into_parts();
            let whole = Limited::new(body, answer_bytes_max).collect().await.map_err(|error| {
                if error.is::<LengthLimitError>() {
                    CallerError::TooLarge(answer_bytes_max)
                } else {
                    connection(&*error)
                }
            })?;
            Ok(Response::from_parts(head, whole.to_bytes()))
        };
        tokio::time::timeout(timeout, exchange).await.unwrap_or(Err(CallerError::Timeout(timeout)))
    }

    /// Numbers in place of a name are not resolved, so they are looked at here.
    fn check(&self, uri: &http::Uri) -> Result<(), CallerError> {
        let host = uri.host().ok_or(CallerError::Address("it has no host"))?;
        if uri.authority().is_some_and(|authority| authority.as_str().contains('@')) {
            return Err(CallerError::Address("a user or password in it is not supported"));
        }
        let number: Option<IpAddr> = host.trim_matches(['[', ']']).parse().ok();
        match number {
            Some(number) if !self.reach.allows(number) => Err(CallerError::Address("it is not of the public internet")),
            _ => Ok(()),
        }
    }
}

fn trusting(pem: &[u8]) -> Result<rustls::ClientConfig, CallerError> {
    let mut roots = rustls::RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let added = certificate.map_err(|error| error.to_string()).and_then(|certificate| {
            roots.add(certificate).map_err(|error| error.to_string()) //
        });
        added.map_err(CallerError::Certificates)?;
    }
    if roots.is_empty() {
        return Err(CallerError::Certificates("there are none in the file".to_owned()));
    }
    Ok(rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth())
}

/// What went wrong, with the causes behind it, of which the last one says most.
fn connection(error: &(dyn std::error::Error + 'static)) -> CallerError {
    let mut text = error.to_string();
    let mut cause = error.source();
    for _ in 0..8 {
        let Some(error) = cause else { break };
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    CallerError::Connection(text)
}
