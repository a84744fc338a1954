//! Services of AWS, or servers that speak as they do, to which integrations of kind `aws` send.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use fanfare_apigateway::mapping::AwsRequest;
use fanfare_aws::credentials::Credential;
use fanfare_aws::sigv4::{self, PayloadHash, Signing, sign_headers};
use fanfare_functions::{CallerError, HttpCaller};
use http::{Request, Response, Uri};

/// The largest answer of a service, in bytes.
const ANSWER_BYTES_MAX: usize = 1 << 20;

/// Where a service is, and who asks there.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// Scheme, host and port, such as `http://127.0.0.1:9324`.
    pub url: Uri,
    /// Signs the requests; without it they are not signed.
    pub credential: Option<Credential>,
    /// The region that signatures are for; that of the integration where nothing is said.
    pub region: Option<String>,
}

/// Endpoints by the service's name, such as `sqs`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Endpoints(pub(crate) BTreeMap<String, Endpoint>);

/// Why a service was not reached.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EndpointError {
    #[error("it is not said where the service {0:?} is; set apigateway.endpoints.{0}.url")]
    Unknown(String),
    #[error("the request cannot be made: {0}")]
    Request(String),
    #[error("{0}")]
    Caller(#[from] CallerError),
}

impl Endpoints {
    /// Sends a request to its service, signed.
    pub(crate) async fn send(
        &self,
        http: &HttpCaller,
        request: AwsRequest,
        timeout: Duration,
    ) -> Result<Response<Bytes>, EndpointError> {
        let endpoint = self.0.get(&request.service).ok_or_else(|| EndpointError::Unknown(request.service.clone()))?;
        Ok(http.send(endpoint.request(request)?, timeout, ANSWER_BYTES_MAX).await?)
    }
}

impl Endpoint {
    fn request(&self, request: AwsRequest) -> Result<Request<Bytes>, EndpointError> {
        let wrong = |text: String| EndpointError::Request(text);
        let authority = self.url.authority().ok_or_else(|| wrong("the endpoint has no host".to_owned()))?.as_str();
        let (path, query) = request.path.split_once('?').unwrap_or((&request.path, ""));
        let mut headers = vec![("host", authority)];
        headers.extend(request.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())));
        let signed = match &self.credential {
            None => Vec::new(),
            Some(credential) => {
                let payload = PayloadHash::Bytes(&request.body);
                let to_sign = sigv4::Request {
                    method: &request.method,
                    raw_path: path,
                    raw_query: query,
                    headers: &headers,
                    payload,
                };
                let region = self.region.as_deref().unwrap_or(&request.region);
                let signing = Signing::new(credential, region, &request.service, now_ms());
                sign_headers(&to_sign, &signing).map_err(|error| wrong(error.to_string()))?
            }
        };
        let scheme = self.url.scheme_str().unwrap_or("https");
        let mut built = Request::builder()
            .method(request.method.as_str())
            .uri(format!("{scheme}://{authority}{}", request.path))
            .header(http::header::HOST, authority);
        for (name, value) in headers.iter().skip(1).copied().chain(signed.iter().map(|(n, v)| (*n, v.as_str()))) {
            built = built.header(name, value);
        }
        built.body(request.body.clone()).map_err(|error| wrong(error.to_string()))
    }
}

fn now_ms() -> u64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX)
}
