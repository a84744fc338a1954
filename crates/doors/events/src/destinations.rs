//! API destinations: web servers by name.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Request, Uri};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

/// A web server that rules send to. Its address and headers are the operator's word.
#[derive(Clone, Debug)]
pub struct ApiDestination {
    /// The address; each `*` in it stands for one of a target's `PathParameterValues`.
    pub url: String,
    /// Such as `POST`.
    pub method: Method,
    /// Headers of every request, such as those that carry a key.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// How long one try may take.
    pub timeout: Duration,
}

impl ApiDestination {
    /// The request that brings `input`, with a target's `HttpParameters`.
    ///
    /// # Errors
    /// What of them cannot be used.
    pub(crate) fn request(&self, input: Bytes, parameters: Option<&Value>) -> Result<Request<Bytes>, String> {
        let none = Value::Null;
        let parameters = parameters.unwrap_or(&none);
        let uri = self.address(parameters)?;
        let mut request = Request::new(input);
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = uri;
        let headers = request.headers_mut();
        headers.insert(http::header::CONTENT_TYPE, HeaderValue::from_static("application/json; charset=utf-8"));
        headers.insert(http::header::USER_AGENT, HeaderValue::from_static("Amazon/EventBridge/ApiDestinations"));
        for (name, value) in members(&parameters["HeaderParameters"]) {
            let wrong = || format!("the header parameter {name:?} is no header");
            let (name, value): (HeaderName, HeaderValue) =
                (name.parse().map_err(|_| wrong())?, value.parse().map_err(|_| wrong())?);
            headers.insert(name, value);
        }
        // What the operator says counts more than what a rule says.
        for (name, value) in &self.headers {
            headers.insert(name.clone(), value.clone());
        }
        for name in [http::header::HOST, http::header::CONTENT_LENGTH, http::header::TRANSFER_ENCODING] {
            headers.remove(name);
        }
        Ok(request)
    }

    fn address(&self, parameters: &Value) -> Result<Uri, String> {
        let escape = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
        let (origin, path) =
            match self.url.find("://").and_then(|at| self.url[at + 3..].find('/').map(|end| at + 3 + end)) {
                Some(at) => self.url.split_at(at),
                None => (self.url.as_str(), "/"),
            };
        let mut values = parameters["PathParameterValues"].as_array().map_or(&[][..], Vec::as_slice).iter();
        let mut address = origin.to_owned();
        for (at, piece) in path.split('*').enumerate() {
            if at > 0 {
                let value = values.next().and_then(Value::as_str).ok_or("a '*' of the address has no value")?;
                address.push_str(&escape(value));
            }
            address.push_str(piece);
        }
        for (name, value) in members(&parameters["QueryStringParameters"]) {
            address.push(if address.contains('?') { '&' } else { '?' });
            address.push_str(&format!("{}={}", escape(name), escape(value)));
        }
        address.parse().map_err(|_| format!("{address:?} is no address"))
    }
}

fn members(object: &Value) -> impl Iterator<Item = (&str, &str)> {
    object.as_object().into_iter().flatten().filter_map(|(name, value)| Some((name.as_str(), value.as_str()?)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn destination(url: &str) -> ApiDestination {
        let headers = vec![(HeaderName::from_static("x-key"), HeaderValue::from_static("secret"))];
        ApiDestination { url: url.to_owned(), method: Method::POST, headers, timeout: Duration::from_secs(5) }
    }

    #[test]
    fn parameters_go_into_path_query_and_headers() {
        let parameters = json!({
            "PathParameterValues": ["a/b"],
            "QueryStringParameters": {"q": "x y"},
            "HeaderParameters": {"x-mine": "1", "x-key": "other", "host": "elsewhere"},
        });
        let request = destination("http://h:1/v1/*/end").request(Bytes::new(), Some(&parameters)).unwrap();
        assert_eq!(request.uri().to_string(), "http://h:1/v1/a%2Fb/end?q=x%20y");
        assert_eq!(
            (&request.headers()["x-mine"], &request.headers()["x-key"]),
            (&"1".parse().unwrap(), &"secret".parse().unwrap())
        );
        assert!(!request.headers().contains_key("host"));
    }

    #[test]
    fn a_parameter_cannot_choose_the_host() {
        let parameters = json!({"PathParameterValues": ["@evil.example"]});
        let request = destination("http://h/*").request(Bytes::new(), Some(&parameters)).unwrap();
        assert_eq!(request.uri().host(), Some("h"));
        assert!(destination("http://h/*").request(Bytes::new(), None).is_err());
    }
}
