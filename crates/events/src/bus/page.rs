//! Lists a page at a time.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::error::ApiError;
use crate::limits::PAGE_MAX;

/// Cuts one page from items that come in the order of their names, and puts
/// it into `{member: [..], "NextToken"?}`. A token holds the last name seen, so a
/// page is right even if the list changed since.
pub(super) fn page<'a, T>(
    member: &str,
    items: impl Iterator<Item = (&'a str, T)>,
    limit: Option<usize>,
    token: Option<&str>,
    show: impl Fn(T) -> Value,
) -> Result<Value, ApiError> {
    let limit = limit.unwrap_or(PAGE_MAX);
    if !(1..=PAGE_MAX).contains(&limit) {
        return Err(ApiError::invalid(format!("Limit is {limit}; ask for 1 to {PAGE_MAX}")));
    }
    let after = token.map(last_seen).transpose()?;
    let mut rest = items.filter(|(name, _)| after.as_deref().is_none_or(|after| *name > after)).peekable();
    let mut shown = Vec::new();
    let mut last = None;
    while shown.len() < limit
        && let Some((name, item)) = rest.next()
    {
        shown.push(show(item));
        last = Some(name);
    }
    let mut body = json!({member: shown});
    if let (Some(last), Some(_)) = (last, rest.peek()) {
        body["NextToken"] = Value::from(URL_SAFE_NO_PAD.encode(last));
    }
    Ok(body)
}

fn last_seen(token: &str) -> Result<String, ApiError> {
    let name = URL_SAFE_NO_PAD.decode(token).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    name.ok_or_else(|| ApiError::invalid("NextToken is not one that a list returned; begin again without it"))
}
