//! Resources of statements: patterns over ARNs.

use crate::context::{CLIENT_ID_KEYS, Context};
use crate::error::{Place, PolicyError};
use crate::glob::Glob;
use crate::template::{Template, Wildcards};

/// Fields of an ARN before the name: `arn`, partition, service, region, account.
const FIELDS: usize = 5;

/// A pattern over ARNs.
///
/// If it has all fields of an ARN, a wildcard in one of them stays within it, as colons are no part
/// of a region or an account; in the name it goes across everything. A shorter pattern, such as `*`
/// or `arn:aws:iot:*`, is compared with the ARN as one text.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Resource {
    /// Five, or none for a shorter pattern.
    fields: Box<[Template]>,
    name: Template,
}

impl Resource {
    pub(crate) fn parse(text: &str, place: &Place) -> Result<Self, PolicyError> {
        if !text.starts_with("arn:") && !text.starts_with('*') {
            return Err(PolicyError::Resource { place: place.clone(), resource: text.to_owned() });
        }
        let error = |variable| PolicyError::Variable { place: place.clone(), variable };
        let template = |text: &str| Template::parse(text, Wildcards::Apply).map_err(error);
        let text = in_one_partition(text);
        let Some((fields, name)) = split_pattern(&text) else {
            return Ok(Self { fields: Box::default(), name: template(&text)? });
        };
        Ok(Self { fields: fields.into_iter().map(template).collect::<Result<_, _>>()?, name: template(name)? })
    }

    /// Whether it covers a resource, which went through [`in_one_partition`].
    pub(crate) fn covers(&self, resource: &str, context: &Context) -> bool {
        let name = self.behind_fields(resource, context);
        name.is_some_and(|name| self.name.expand(context).is_some_and(|pattern| pattern.matches(name)))
    }

    /// What may follow `prefix`, which has all fields of an ARN and the beginning of the name.
    pub(crate) fn after(&self, prefix: &str, context: &Context) -> Vec<Glob> {
        let name = self.behind_fields(prefix, context);
        let found = name.and_then(|name| Some(self.name.expand(context)?.after(name)));
        found.unwrap_or_default()
    }

    /// Whether it holds what the client calls itself.
    pub(crate) fn uses_client_id(&self) -> bool {
        self.fields.iter().chain([&self.name]).any(|template| template.uses(&CLIENT_ID_KEYS))
    }

    /// The part of `resource` that the pattern of the name is compared with, if the fields match.
    fn behind_fields<'a>(&self, resource: &'a str, context: &Context) -> Option<&'a str> {
        let mut rest = resource;
        for field in &self.fields {
            let (found, behind) = rest.split_once(':')?;
            rest = field.expand(context)?.matches(found).then_some(behind)?;
        }
        Some(rest)
    }
}

/// The three partitions of AWS are one here: `arn:aws-cn:` and `arn:aws-us-gov:` become `arn:aws:`.
pub(crate) fn in_one_partition(resource: &str) -> String {
    let rest = resource.strip_prefix("arn:aws-cn:").or_else(|| resource.strip_prefix("arn:aws-us-gov:"));
    rest.map_or_else(|| resource.to_owned(), |rest| format!("arn:aws:{rest}"))
}

/// The fields and the name; colons in `${...}` do not count.
fn split_pattern(text: &str) -> Option<(Vec<&str>, &str)> {
    let mut fields = Vec::with_capacity(FIELDS);
    let mut start = 0;
    let mut is_in_variable = false;
    for (at, c) in text.char_indices() {
        match c {
            '{' => is_in_variable |= text[..at].ends_with('$'),
            '}' => is_in_variable = false,
            ':' if !is_in_variable => {
                fields.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
        if fields.len() == FIELDS {
            return text.starts_with("arn:").then(|| (fields, &text[start..]));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_of_fields_stay_in_their_field() {
        let context = Context::new().client_id("c:1");
        for (pattern, resource, expected) in [
            ("arn:aws:iot:*:*:topic/a", "arn:aws:iot:r:1:topic/a", true),
            ("arn:aws:iot:*:*:topic/a", "arn:aws:iot:r:1:topic/x:topic/a", false),
            ("arn:aws:iot:*:topic/a", "arn:aws:iot:r:1:topic/a", true),
            ("arn:aws:iot:*:?:topic/*", "arn:aws:iot:r:1:topic/a:b/c", true),
            ("arn:aws:iot:${iot:ClientId}:1:topic/a", "arn:aws:iot:c:1:1:topic/a", false),
            ("arn:aws:iot:r:1:topic/${iot:ClientId}", "arn:aws:iot:r:1:topic/c:1", true),
            ("arn:aws:iot:r:1:*", "*", false),
            ("arn:aws:iot:r:1:*", "arn:aws:iot:r", false),
            ("*", "*", true),
        ] {
            let pattern_parsed = Resource::parse(pattern, &Place::default()).unwrap();
            assert_eq!(pattern_parsed.covers(resource, &context), expected, "{pattern} on {resource}");
        }
    }
}
