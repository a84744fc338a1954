//! The management plane of HTTP: `@connections` as in the original, and what the original has not:
//! everybody at once, the connections of a user, and topics.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use fanfare_apigateway::frame::{ERROR_TYPE_HEADER, Refused};
use fanfare_apigateway::id::{Id, is_well_formed};
use fanfare_apigateway::management::{Managed, ManagementError, connection_json, parse, resource_arn, stageless};
use fanfare_apigateway::model::ConnectionsAuth;
use fanfare_aws::sigv4::{PayloadHash, Request as Signed, SignatureError};
use fanfare_core::{Action, Kind, Publication, Refusal, TopicName};
use fanfare_door::{Body, HttpContext, HttpResponse, HttpService, full_body};
use fanfare_functions::request_id;
use http::request::Parts;
use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use tokio::sync::oneshot;

use crate::NAME;
use crate::apis::{ServedApi, Shared, new_id};
use crate::opening::{SERVICE, grants_all};
use crate::orders::Order;
use crate::table::Connected;

/// A body must be there within this.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);
/// Bytes beyond a message that are read, so that who sends too much hears so.
const BODY_SPARE: usize = 1 << 20;
/// A session answers within this; it never waits for anybody.
const ORDER_TIMEOUT: Duration = Duration::from_secs(10);
const PLANE: &str = "/@connections";
const PLANE_ENCODED: &str = "/%40connections";
const ACTION: &str = "execute-api:ManageConnections";

/// Answers what is asked under the paths of APIs, except upgrades.
pub(crate) struct Management {
    shared: Arc<Shared>,
}

impl Management {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }
}

impl HttpService for Management {
    /// Everything under a stage, ids without one, and what can only be meant for an API that is not there.
    fn claims(&self, head: &Parts) -> bool {
        let path = head.uri.path();
        let has_apis = !self.shared.apis.is_empty();
        has_apis && (path.contains(PLANE) || path.contains(PLANE_ENCODED))
            || self.shared.locate(host(head), path).is_some()
    }

    fn call(&self, request: Request<Incoming>, context: HttpContext) -> HttpResponse {
        let shared = self.shared.clone();
        Box::pin(async move { shared.manage(request, &context).await })
    }
}

/// What a request is about.
struct Asked {
    api: usize,
    stage: String,
    /// Behind the stage, as it came on the wire.
    rest: String,
    what: Option<Managed>,
}

/// What goes well.
enum Answer {
    Empty(StatusCode),
    Json(String),
}

impl Shared {
    /// The connection that a path without API and stage names, where its API allows such paths.
    fn by_id(&self, path: &str) -> Option<(Connected, Managed)> {
        let id = stageless(path)?;
        let connected = self.table.get(Id::parse(&id)?)?;
        let is_allowed = self.apis[connected.api].options().accept_stageless_connections_path;
        is_allowed.then_some((connected, Managed::Connection(id)))
    }

    fn asked(&self, head: &Parts) -> Option<Asked> {
        let path = head.uri.path();
        if let Some(located) = self.locate(host(head), path) {
            let (stage, rest) = (located.stage.to_owned(), located.rest.to_owned());
            return Some(Asked { api: located.api, stage, what: parse(&rest), rest });
        }
        let (connected, what) = self.by_id(path)?;
        let stage = connected.facts.stage.clone();
        Some(Asked { api: connected.api, stage, rest: path.to_owned(), what: Some(what) })
    }

    async fn manage(&self, request: Request<Incoming>, context: &HttpContext) -> Response<Body> {
        let (head, body) = request.into_parts();
        // No such API or stage, or a connection that is gone without saying which.
        let Some(asked) = self.asked(&head) else { return failed(&ManagementError::Forbidden, false) };
        let served = &self.apis[asked.api];
        if asked.what.is_none() && head.method == Method::GET && matches!(&*asked.rest, "" | "/") {
            return refused(&Refused::UpgradeRequired);
        }
        let answered = self.answer(served, &asked, &head, body, context).await;
        answered.map_or_else(
            |error| {
                context.gateway.metrics.refusal(NAME, error.name());
                failed(&error, served.options().legacy_gone)
            },
            succeeded,
        )
    }

    async fn answer(
        &self,
        served: &ServedApi,
        asked: &Asked,
        head: &Parts,
        body: Incoming,
        context: &HttpContext,
    ) -> Result<Answer, ManagementError> {
        let what = asked.what.as_ref().ok_or(ManagementError::Forbidden)?;
        let body = read(body, served.options().message_bytes).await?;
        self.may_manage(served, asked, head, &body, context.peer.ip())?;
        if !served.throttle.request(context.gateway.clock.now()) {
            return Err(ManagementError::LimitExceeded);
        }
        // Only now: strangers are not to learn how large a message may be.
        if body.len() > served.options().message_bytes {
            return Err(ManagementError::PayloadTooLarge);
        }
        match (what, &head.method) {
            (Managed::Connection(id), method) => self.manage_one(asked, id, method, body).await,
            (_, method) if *method != Method::POST => Err(ManagementError::Forbidden),
            (Managed::Connections, _) => self.send_to_all(asked, body).await,
            (Managed::User(user), _) => self.send_to_user(asked, user, body).await,
            (Managed::Topic(topic), _) => self.send_to_topic(topic, body).await,
        }
    }

    /// Whether whoever asks may.
    fn may_manage(
        &self,
        served: &ServedApi,
        asked: &Asked,
        head: &Parts,
        body: &[u8],
        address: IpAddr,
    ) -> Result<(), ManagementError> {
        if served.options().connections_auth == ConnectionsAuth::None && address.to_canonical().is_loopback() {
            return Ok(());
        }
        let mut headers: Vec<(&str, &str)> =
            head.headers.iter().filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?))).collect();
        if let Some(authority) = head.uri.authority().filter(|_| !head.headers.contains_key(http::header::HOST)) {
            headers.push(("host", authority.as_str()));
        }
        let signed = Signed {
            method: head.method.as_str(),
            raw_path: head.uri.path(),
            raw_query: head.uri.query().unwrap_or_default(),
            headers: &headers,
            payload: PayloadHash::Bytes(body),
        };
        let access = self.access.load();
        let caller =
            access.verify(&signed, &[SERVICE], self.gateway().clock.now()).map_err(|error| not_signed(&error))?;
        let caller = caller.from_ip(address);
        let (method, api) = (head.method.as_str(), &served.api().id);
        let resource = resource_arn(&self.region, &self.account, api, &asked.stage, method, &asked.rest);
        if caller.decide(ACTION, &resource, grants_all(Action::Admin)).is_allowed() {
            return Ok(());
        }
        let user = caller.principal.subject.as_deref().unwrap_or("anonymous");
        let arn = format!("arn:aws:iam::{}:user/{user}", self.account);
        Err(ManagementError::AccessDenied { arn, action: ACTION.to_owned(), resource })
    }

    async fn manage_one(
        &self,
        asked: &Asked,
        id: &str,
        method: &Method,
        body: Bytes,
    ) -> Result<Answer, ManagementError> {
        let id = Id::parse(id).ok_or_else(|| match is_well_formed(id) {
            true => ManagementError::Gone,
            false => ManagementError::BadConnectionId(id.to_owned()),
        })?;
        let connected = self.table.get(id).ok_or(ManagementError::Gone)?;
        if connected.api != asked.api || connected.facts.stage != asked.stage {
            return Err(ManagementError::Gone);
        }
        match *method {
            Method::POST => match self.order(&connected, |done| Order::Post { bytes: body, done }).await? {
                true => Ok(Answer::Empty(StatusCode::OK)),
                false => Err(ManagementError::LimitExceeded),
            },
            Method::GET => {
                let active_at = self.order(&connected, |done| Order::Describe { done }).await?;
                let facts = &connected.facts;
                let agent = facts.user_agent.as_deref();
                Ok(Answer::Json(connection_json(facts.connected_at, active_at, &facts.source_ip, agent)))
            }
            Method::DELETE => {
                self.order(&connected, |done| Order::Delete { done }).await?;
                Ok(Answer::Empty(StatusCode::NO_CONTENT))
            }
            _ => Err(ManagementError::Forbidden),
        }
    }

    /// Has a session do something. One that is gone never answers.
    async fn order<T>(
        &self,
        connected: &Connected,
        order: impl FnOnce(oneshot::Sender<T>) -> Order,
    ) -> Result<T, ManagementError> {
        let (done, answer) = oneshot::channel();
        self.gateway().tell(connected.connection, Box::new(order(done)));
        match tokio::time::timeout(ORDER_TIMEOUT, answer).await {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(_)) => Err(ManagementError::Gone),
            Err(_) => Err(ManagementError::Internal),
        }
    }

    async fn send_to_all(&self, asked: &Asked, body: Bytes) -> Result<Answer, ManagementError> {
        let stage = self.apis[asked.api].stage(&asked.stage).ok_or(ManagementError::Forbidden)?;
        let publication = self.direct(body)?;
        Ok(sent(self.gateway().send_to_group(NAME, stage.group, publication).await))
    }

    /// Somebody of that name elsewhere is none of this stage's business, nor of who may send to it.
    async fn send_to_user(&self, asked: &Asked, user: &str, body: Bytes) -> Result<Answer, ManagementError> {
        let stage = self.apis[asked.api].stage(&asked.stage).ok_or(ManagementError::Forbidden)?;
        let publication = self.direct(body)?;
        let gateway = self.gateway();
        Ok(sent(gateway.send_to_subject_of_group(NAME, stage.group, &user.into(), publication).await))
    }

    async fn send_to_topic(&self, topic: &str, body: Bytes) -> Result<Answer, ManagementError> {
        let name = TopicName::new(topic).map_err(|error| bad_request(&error))?;
        let publication = Publication::new(self.gateway().default_space().clone(), name, kind_of(&body), body);
        match self.gateway().publish(&self.application, publication, NAME).await {
            Ok(published) => {
                Ok(Answer::Json(serde_json::json!({ "position": published.position.to_string() }).to_string()))
            }
            Err(error) => Err(bad_request(&error)),
        }
    }

    /// A message outside of every topic's history. Its topic only says where it came from.
    fn direct(&self, body: Bytes) -> Result<Publication, ManagementError> {
        let topic = TopicName::new("@connections").map_err(|error| bad_request(&error))?;
        Ok(Publication::new(self.gateway().default_space().clone(), topic, kind_of(&body), body))
    }
}

fn kind_of(body: &[u8]) -> Kind {
    match std::str::from_utf8(body) {
        Err(_) => Kind::Binary,
        Ok(text) if serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok() => Kind::Json,
        Ok(_) => Kind::Text,
    }
}

fn sent(count: usize) -> Answer {
    Answer::Json(serde_json::json!({ "connections": count }).to_string())
}

fn bad_request(refusal: &Refusal) -> ManagementError {
    ManagementError::BadRequest(refusal.to_string())
}

fn not_signed(error: &SignatureError) -> ManagementError {
    match error {
        SignatureError::Missing => ManagementError::MissingToken,
        SignatureError::UnknownKey | SignatureError::TokenWrong => ManagementError::UnknownKey,
        // Some senders look for AWS's words.
        error @ SignatureError::Expired { .. } => ManagementError::Signature(format!("Signature expired: {error}")),
        error @ SignatureError::NotYetValid { .. } => {
            ManagementError::Signature(format!("Signature not yet current: {error}"))
        }
        other => ManagementError::Signature(other.to_string()),
    }
}

fn host(head: &Parts) -> Option<&str> {
    let host = head.headers.get(http::header::HOST).and_then(|host| host.to_str().ok());
    host.or_else(|| head.uri.authority().map(|authority| authority.as_str()))
}

async fn read(body: Incoming, message_bytes: usize) -> Result<Bytes, ManagementError> {
    match tokio::time::timeout(BODY_TIMEOUT, Limited::new(body, message_bytes + BODY_SPARE).collect()).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(_)) => Err(ManagementError::PayloadTooLarge),
        Err(_) => Err(ManagementError::BadRequest("The body did not come within 30 seconds.".to_owned())),
    }
}

fn succeeded(answer: Answer) -> Response<Body> {
    let (status, body) = match answer {
        Answer::Empty(status) => (status, String::new()),
        Answer::Json(json) => (StatusCode::OK, json),
    };
    let json = (!body.is_empty()).then_some(("content-type", "application/json"));
    response(status.as_u16(), json.into_iter(), body.into_bytes())
}

fn failed(error: &ManagementError, legacy_gone: bool) -> Response<Body> {
    let (status, error_type, body) = error.response(legacy_gone);
    let json = (!body.is_empty()).then_some(("content-type", "application/json"));
    response(status, error_type.map(|name| (ERROR_TYPE_HEADER, name)).into_iter().chain(json), body)
}

fn refused(refused: &Refused) -> Response<Body> {
    let (status, headers, body) = refused.response("", "");
    // What makes an upgrade is between this server and its client's next request.
    let headers = headers.iter().filter(|(name, _)| *name != "connection");
    response(status, headers.map(|(name, value)| (*name, value.as_str())), body)
}

fn response<'a>(status: u16, headers: impl Iterator<Item = (&'a str, &'a str)>, body: Vec<u8>) -> Response<Body> {
    let mut response = Response::new(full_body(body));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut put = |name: &str, value: &str| {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::from_str(value)) {
            response.headers_mut().insert(name, value);
        }
    };
    put("x-amzn-RequestId", &request_id());
    put("x-amz-apigw-id", &new_id().to_string());
    headers.for_each(|(name, value)| put(name, value));
    response
}
