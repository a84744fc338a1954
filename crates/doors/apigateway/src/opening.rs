//! An upgrade on its way to a connection: key, authorizer or signature, `$connect`.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use fanfare_apigateway::address::route_arn;
use fanfare_apigateway::authorizer::{Admitted, Verdict, judge, judge_error, missing_source};
use fanfare_apigateway::compiled::CompiledRoute;
use fanfare_apigateway::event::authorizer_event;
use fanfare_apigateway::facts::{Facts, Moment};
use fanfare_apigateway::frame::Refused;
use fanfare_apigateway::headers::header;
use fanfare_apigateway::model::{Authorization, Authorizer};
use fanfare_aws::sigv4::{PayloadHash, Request as Signed};
use fanfare_core::{Action, Filter, Grant};
use fanfare_functions::FunctionError;
use fanfare_iam::Caller;
use serde_json::{Map, Value};

use crate::apis::{ServedApi, Shared};
use crate::calling::{CallError, Request, Upgrade, What};
use crate::counts::count;

/// The route that decides.
pub(crate) const CONNECT: &str = "$connect";
/// The service that signatures are for.
pub(crate) const SERVICE: &str = "execute-api";
const FROM_AUTHORIZER: &str = "$context.authorizer.usageIdentifierKey";

/// An upgrade that is not decided yet.
pub(crate) struct Attempt {
    pub(crate) api: usize,
    pub(crate) facts: Facts,
    pub(crate) upgrade: Arc<Upgrade>,
    /// The authorizer, `$connect` and a refusal all name this request.
    pub(crate) moment: Moment,
    pub(crate) raw_path: String,
    pub(crate) address: IpAddr,
}

/// An upgrade that was not let in.
pub(crate) struct Rejected {
    pub(crate) refused: Refused,
    pub(crate) request_id: String,
}

/// An upgrade that was let in.
pub(crate) struct Opened {
    pub(crate) facts: Arc<Facts>,
    /// Who signed, whose policies are asked for every message.
    pub(crate) caller: Option<Arc<Caller>>,
    /// Number of the API key.
    pub(crate) key: Option<usize>,
    pub(crate) subprotocol: Option<String>,
    /// Topics that `$connect` has subscribed it to.
    pub(crate) subscribe: Vec<String>,
}

impl Shared {
    /// Decides about an upgrade.
    ///
    /// # Errors
    /// What the client is answered instead.
    pub(crate) async fn open(&self, mut attempt: Attempt) -> Result<Opened, Rejected> {
        let api = &self.apis[attempt.api];
        let opened = self.decide(api, &mut attempt).await;
        match &opened {
            Ok(_) => count(&api.counts.connects),
            Err(refused) if refused.is_ours() => count(&api.counts.execution_errors),
            Err(_) => count(&api.counts.client_errors),
        }
        opened.map_err(|refused| Rejected { refused, request_id: attempt.moment.request_id })
    }

    async fn decide(&self, api: &ServedApi, attempt: &mut Attempt) -> Result<Opened, Refused> {
        let Some(route) = api.compiled.route(CONNECT) else { return Ok(Opened::without_asking(attempt)) };
        let is_key_later = api.api().api_key_selection_expression == FROM_AUTHORIZER;
        let mut key = None;
        if route.route().api_key_required && !is_key_later {
            let value = header(&attempt.upgrade.headers, "x-api-key").map(str::to_owned);
            key = Some(self.take_key(api, attempt, value.as_deref())?);
        }
        let mut caller = None;
        let mut usage_key = None;
        match route.route().authorization {
            Authorization::None => {}
            Authorization::AwsIam => caller = Some(Arc::new(self.verify(api, attempt)?)),
            Authorization::Custom => usage_key = self.authorize(api, route, attempt).await?,
        }
        if route.route().api_key_required && is_key_later {
            key = Some(self.take_key(api, attempt, usage_key.as_deref())?);
        }
        check_parameters(route, attempt)?;
        let answered = self.connect(api, route, attempt).await?;
        Ok(Opened {
            facts: Arc::new(attempt.facts.clone()),
            caller,
            key,
            subprotocol: answered.0,
            subscribe: answered.1,
        })
    }

    /// Finds the API key of this value.
    fn take_key(&self, api: &ServedApi, attempt: &mut Attempt, value: Option<&str>) -> Result<usize, Refused> {
        let value = value.filter(|value| !value.is_empty()).ok_or(Refused::ApiKey)?;
        // All are compared, and all of each, so that the time says nothing about any.
        let mut found = None;
        for (number, key) in api.api().api_keys.iter().enumerate() {
            if is_equal(key.value.as_bytes(), value.as_bytes()) {
                found = Some(number);
            }
        }
        let number = found.ok_or(Refused::ApiKey)?;
        if !api.throttle.key(number, self.gateway().clock.now()) {
            return Err(Refused::Throttled);
        }
        let key = &api.api().api_keys[number];
        attempt.facts.identity.insert("apiKey".to_owned(), value.into());
        attempt.facts.identity.insert("apiKeyId".to_owned(), key.id.as_str().into());
        Ok(number)
    }

    /// Who signed the upgrade, if that one may come in.
    fn verify(&self, api: &ServedApi, attempt: &mut Attempt) -> Result<Caller, Refused> {
        let headers: Vec<(&str, &str)> =
            attempt.upgrade.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let signed = Signed {
            method: "GET",
            raw_path: &attempt.raw_path,
            raw_query: &attempt.upgrade.query,
            headers: &headers,
            payload: PayloadHash::Bytes(b""),
        };
        let access = self.access.load();
        let caller = access.verify(&signed, &[SERVICE], self.gateway().clock.now()).map_err(|error| {
            tracing::debug!(api = %api.api().id, %error, "an upgrade is not signed as it must be");
            Refused::Denied
        })?;
        let caller = caller.from_ip(attempt.address);
        if !self.may_invoke(&caller, &attempt.facts, CONNECT) {
            return Err(Refused::Denied);
        }
        describe(&caller, &self.account, &mut attempt.facts.identity);
        Ok(caller)
    }

    /// Whether a caller may use a route.
    pub(crate) fn may_invoke(&self, caller: &Caller, facts: &Facts, route_key: &str) -> bool {
        let resource = route_arn(&self.region, &self.account, &facts.api_id, &facts.stage, route_key);
        caller.decide("execute-api:Invoke", &resource, grants_all(Action::Publish)).is_allowed()
    }

    /// Asks the authorizer. Gives the API key that it names, if any.
    async fn authorize(
        &self,
        api: &ServedApi,
        route: &CompiledRoute,
        attempt: &mut Attempt,
    ) -> Result<Option<String>, Refused> {
        let found = route.route().authorizer.as_ref().and_then(|name| api.api().authorizers.get(name));
        // Compiling has seen to it that there is one.
        let authorizer = found.ok_or(Refused::AuthorizerMisconfigured)?;
        let moment = attempt.moment.clone();
        let context = attempt.facts.context(&moment, CONNECT, "CONNECT", None);
        let (headers, query) = (&attempt.upgrade.headers, &attempt.upgrade.query);
        if missing_source(authorizer, headers, query, &attempt.facts.stage_variables, &context).is_some() {
            return Err(Refused::MissingIdentity);
        }
        let arn = route_arn(&self.region, &self.account, &attempt.facts.api_id, &attempt.facts.stage, CONNECT);
        let event = authorizer_event(&attempt.facts, &attempt.upgrade.view(), &moment, &arn);
        let limit = Duration::from_millis(authorizer.timeout_ms.unwrap_or(api.options().authorizer_timeout_ms));
        let began = Instant::now();
        let called =
            tokio::time::timeout(limit, self.functions.call_in_turn(&authorizer.function, event.into(), limit));
        let verdict = match called.await.unwrap_or(Err(FunctionError::Timeout(limit))) {
            Ok(answer) => {
                let latency = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
                judge(&answer, &arn, attempt.address, api.options(), latency)
            }
            Err(FunctionError::Handler(payload)) => judge_error(&payload),
            Err(error) => {
                self.authorizer_failed(api, authorizer, &error.to_string());
                return Err(Refused::AuthorizerFailed);
            }
        };
        match verdict {
            Verdict::Allow(admitted) => Ok(self.admit(authorizer, admitted, &mut attempt.facts)),
            Verdict::Unauthorized => Err(Refused::Unauthorized),
            Verdict::Denied => Err(Refused::Denied),
            Verdict::Failed { reason } => {
                self.authorizer_failed(api, authorizer, &reason);
                Err(Refused::AuthorizerMisconfigured)
            }
        }
    }

    fn authorizer_failed(&self, api: &ServedApi, authorizer: &Authorizer, reason: &str) {
        let (api, at, function) = (&api.api().id, &authorizer.origin, &authorizer.function);
        tracing::warn!(%api, %at, %function, reason, "an authorizer failed; the upgrade is refused with 500");
    }

    fn admit(&self, authorizer: &Authorizer, admitted: Admitted, facts: &mut Facts) -> Option<String> {
        for warning in &admitted.warnings {
            tracing::warn!(function = %authorizer.function, at = %authorizer.origin, "{warning}");
        }
        facts.authorizer = Some(admitted.authorizer);
        admitted.usage_key
    }

    /// Asks `$connect`. Gives the subprotocol and topics that it names.
    async fn connect(
        &self,
        api: &ServedApi,
        route: &CompiledRoute,
        attempt: &Attempt,
    ) -> Result<(Option<String>, Vec<String>), Refused> {
        let facts = Arc::new(attempt.facts.clone());
        let (moment, what) = (attempt.moment.clone(), What::Connect(attempt.upgrade.clone()));
        let request = Request { facts, moment, what };
        let called = self.call(api, route, &request).await;
        let status = called.as_ref().map_or_else(CallError::status, |answered| answered.status.unwrap_or(502));
        self.log_access(api, CONNECT, &request, status);
        match called {
            Ok(answered) => match answered.status {
                Some(status) if is_success(status) => {
                    Ok((offered(attempt, answered.subprotocol), answered.subscribe)) //
                }
                Some(status) => Err(Refused::ConnectStatus { status, body: answered.body.unwrap_or_default() }),
                None => {
                    let function = route.route().integration.as_ref().and_then(|i| i.function.as_deref());
                    tracing::warn!(api = %api.api().id, function, at = %route.route().origin, "$connect gave no statusCode");
                    Err(Refused::ConnectFailed)
                }
            },
            Err(error) if error.is_timeout() => Err(Refused::ConnectTimeout),
            Err(_) => Err(Refused::ConnectFailed),
        }
    }
}

impl Opened {
    /// There is no `$connect`: everybody may come in.
    fn without_asking(attempt: &Attempt) -> Self {
        let facts = Arc::new(attempt.facts.clone());
        Self { facts, caller: None, key: None, subprotocol: None, subscribe: Vec::new() }
    }
}

pub(crate) fn is_success(status: u16) -> bool {
    (200..300).contains(&status)
}

/// What an ordinary grant must allow everywhere where there are no policies that speak of APIs.
pub(crate) fn grants_all(action: Action) -> impl FnOnce(&Grant) -> bool {
    move |grant| Filter::new("#").is_ok_and(|all| grant.allows_filter(action, "default", &all))
}

/// Parameters of the upgrade that the route demands.
fn check_parameters(route: &CompiledRoute, attempt: &Attempt) -> Result<(), Refused> {
    let query = attempt.upgrade.query_pairs();
    for (name, _) in route.route().request_parameters.iter().filter(|(_, is_required)| **is_required) {
        let is_there = match name.strip_prefix("route.request.").and_then(|rest| rest.split_once('.')) {
            Some(("querystring", name)) => query.iter().any(|(n, _)| n == name),
            Some(("header", name)) => header(&attempt.upgrade.headers, name).is_some(),
            _ => true,
        };
        if !is_there {
            return Err(Refused::BadParameters);
        }
    }
    Ok(())
}

/// A subprotocol that the client has offered; another would make it end the connection.
fn offered(attempt: &Attempt, chosen: Option<String>) -> Option<String> {
    let chosen = chosen?;
    let mut lists = attempt.upgrade.headers.iter().filter(|(n, _)| n.eq_ignore_ascii_case("sec-websocket-protocol"));
    if lists.any(|(_, list)| list.split(',').any(|offer| offer.trim() == chosen)) {
        return Some(chosen);
    }
    tracing::warn!(api = %attempt.facts.api_id, subprotocol = %chosen, "$connect chose a subprotocol that the client has not offered; it is left out");
    None
}

fn describe(caller: &Caller, account: &str, identity: &mut Map<String, Value>) {
    let Some(key) = &caller.access_key else { return };
    let user = caller.principal.subject.as_deref().unwrap_or(key);
    for (name, value) in [
        ("accessKey", key.to_string()),
        ("accountId", account.to_owned()),
        ("caller", key.to_string()),
        ("user", key.to_string()),
        ("userArn", format!("arn:aws:iam::{account}:user/{user}")),
    ] {
        identity.insert(name.to_owned(), value.into());
    }
}

/// Compares in a time that depends on the lengths alone.
fn is_equal(a: &[u8], b: &[u8]) -> bool {
    aws_lc_rs::constant_time::verify_slices_are_equal(a, b).is_ok()
}
