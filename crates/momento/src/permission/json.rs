//! Permissions in configuration, in the words of the JavaScript SDK.

use serde::Deserialize;

use super::message::{check_count, not_blank};
use super::{CacheRole, Caches, Items, Names, PermissionError, Permissions, Statement, TopicRole};

impl Permissions {
    /// Reads `{"permissions": [{"role": "subscribeonly", "cache": "websocket", "topic": "mychannel"}]}`,
    /// or `{"permissions": "superuser"}`.
    ///
    /// Roles of topics are `publishsubscribe`, `subscribeonly` and `publishonly`; of caches, without
    /// `topic`, `readwrite`, `readonly` and `writeonly`. A cache is its name, `{"name": ...}`, or
    /// `{"all": true}` for what SDKs call `AllCaches`; a topic may also be `{"prefix": ...}`, an `item`
    /// `{"key": ...}` or `{"keyPrefix": ...}`.
    ///
    /// # Errors
    /// [`PermissionError`] says what is wrong; a member of another name is refused.
    pub fn from_json(text: &str) -> Result<Self, PermissionError> {
        let document: Document =
            serde_json::from_str(text).map_err(|error| PermissionError::Json(error.to_string()))?;
        match document.permissions {
            Listed::Word(word) if word == "superuser" => Ok(Self::SuperUser),
            Listed::Word(word) => {
                Err(PermissionError::Json(format!("{word:?} stands for nothing; expected a list, or superuser")))
            }
            Listed::Statements(statements) => {
                check_count(statements.len())?;
                let read = |(index, statement): (usize, Written)| statement.read(index);
                statements.into_iter().enumerate().map(read).collect::<Result<_, _>>().map(Self::Listed)
            }
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    permissions: Listed,
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "expected a list of permissions with role, cache and topic or item, or \"superuser\"")]
enum Listed {
    Word(String),
    Statements(Vec<Written>),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    role: String,
    cache: Choice,
    topic: Option<Choice>,
    item: Option<Choice>,
}

/// A name, or an object with one member that says how to choose.
#[derive(Deserialize)]
#[serde(untagged, expecting = "expected a name, or an object with one of name, prefix, key, keyPrefix, all")]
enum Choice {
    Text(String),
    Object(How),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
enum How {
    Name(String),
    Prefix(String),
    Key(String),
    KeyPrefix(String),
    All(True),
}

/// `true` and nothing else.
struct True;

impl<'de> Deserialize<'de> for True {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if bool::deserialize(deserializer)? { Ok(Self) } else { Err(serde::de::Error::custom("all can only be true")) }
    }
}

impl Written {
    fn read(self, index: usize) -> Result<Statement, PermissionError> {
        let wrong = |what: &str| PermissionError::Json(format!("permission {index}: {what}"));
        let caches = match self.cache {
            Choice::Text(name) | Choice::Object(How::Name(name)) => Caches::Named(not_blank(index, &name)?),
            Choice::Object(How::All(True)) => Caches::All,
            Choice::Object(_) => return Err(wrong("a cache is chosen by name or all")),
        };
        match (self.topic, self.item) {
            (Some(_), Some(_)) => Err(wrong("it has both topic and item; make two of it")),
            (Some(topic), None) => {
                let topics = match topic {
                    Choice::Text(name) | Choice::Object(How::Name(name)) => Names::Named(not_blank(index, &name)?),
                    Choice::Object(How::Prefix(prefix)) => Names::Prefix(prefix),
                    Choice::Object(How::All(True)) => Names::All,
                    Choice::Object(_) => return Err(wrong("a topic is chosen by name, prefix or all")),
                };
                let role = topic_role(&self.role)
                    .ok_or_else(|| wrong("the role is not publishsubscribe, subscribeonly or publishonly"))?;
                Ok(Statement::Topics { role, caches, topics })
            }
            (None, item) => {
                let items = match item {
                    None | Some(Choice::Object(How::All(True))) => Items::All,
                    Some(Choice::Text(key) | Choice::Object(How::Key(key))) => Items::Key(key.into_bytes()),
                    Some(Choice::Object(How::KeyPrefix(prefix))) => Items::Prefix(prefix.into_bytes()),
                    Some(Choice::Object(_)) => return Err(wrong("an item is chosen by key, keyPrefix or all")),
                };
                let role = cache_role(&self.role)
                    .ok_or_else(|| wrong("without a topic the role is readwrite, readonly or writeonly"))?;
                Ok(Statement::Items { role, caches, items })
            }
        }
    }
}

fn topic_role(name: &str) -> Option<TopicRole> {
    match name {
        "publishsubscribe" => Some(TopicRole::ReadWrite),
        "subscribeonly" => Some(TopicRole::ReadOnly),
        "publishonly" => Some(TopicRole::WriteOnly),
        _ => None,
    }
}

fn cache_role(name: &str) -> Option<CacheRole> {
    match name {
        "readwrite" => Some(CacheRole::ReadWrite),
        "readonly" => Some(CacheRole::ReadOnly),
        "writeonly" => Some(CacheRole::WriteOnly),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::topics;
    use super::*;

    fn one(statement: &str) -> Result<Permissions, PermissionError> {
        Permissions::from_json(&format!(r#"{{"permissions":[{statement}]}}"#))
    }

    #[test]
    fn statements_as_javascript_has_them() {
        let named = |name: &str| Names::Named(name.to_owned());
        for (text, expected) in [
            (
                r#"{"role":"subscribeonly","cache":"websocket","topic":"mychannel"}"#,
                topics(TopicRole::ReadOnly, Some("websocket"), named("mychannel")),
            ),
            (
                r#"{"role":"publishsubscribe","cache":{"name":"c"},"topic":{"name":"t"}}"#,
                topics(TopicRole::ReadWrite, Some("c"), named("t")),
            ),
            (
                r#"{"role":"publishonly","cache":{"all":true},"topic":{"all":true}}"#,
                topics(TopicRole::WriteOnly, None, Names::All),
            ),
            (
                r#"{"role":"publishonly","cache":"*","topic":{"prefix":"a"}}"#,
                topics(TopicRole::WriteOnly, Some("*"), Names::Prefix("a".into())),
            ),
            (
                r#"{"role":"readwrite","cache":"c"}"#,
                Statement::Items { role: CacheRole::ReadWrite, caches: Caches::Named("c".into()), items: Items::All },
            ),
            (
                r#"{"role":"readonly","cache":{"all":true},"item":{"keyPrefix":"k"}}"#,
                Statement::Items { role: CacheRole::ReadOnly, caches: Caches::All, items: Items::Prefix(b"k".into()) },
            ),
        ] {
            assert_eq!(one(text), Ok(Permissions::Listed(vec![expected])), "{text}");
        }
        assert_eq!(Permissions::from_json(r#"{"permissions":"superuser"}"#), Ok(Permissions::SuperUser));
        assert_eq!(Permissions::from_json(r#"{"permissions":[]}"#), Ok(Permissions::Listed(Vec::new())));
    }

    #[test]
    fn what_is_refused() {
        for text in [
            r#"{"role":"readonly","cache":"c","topic":"t"}"#,
            r#"{"role":"subscribeonly","cache":"c"}"#,
            r#"{"role":"subscribeonly","topic":"t"}"#,
            r#"{"role":"subscribeonly","cache":"c","topic":{"all":false}}"#,
            r#"{"role":"subscribeonly","cache":"c","topic":{"name":"a","prefix":"b"}}"#,
            r#"{"role":"subscribeonly","cache":{"prefix":"c"},"topic":"t"}"#,
            r#"{"role":"subscribeonly","cache":"c","topic":"t","item":"i"}"#,
            r#"{"role":"subscribeonly","cache":"c","topic":{"key":"t"}}"#,
            r#"{"role":"subscribeonly","cache":"c","topics":"t"}"#,
            "7",
        ] {
            assert!(matches!(one(text), Err(PermissionError::Json(_))), "{text}: {:?}", one(text));
        }
        let blank = one(r#"{"role":"subscribeonly","cache":" ","topic":"t"}"#);
        assert_eq!(blank, Err(PermissionError::BlankName { index: 0 }));
        for text in ["", "{}", r#"{"permissions":"admin"}"#, r#"{"permissions":[],"more":1}"#] {
            assert!(Permissions::from_json(text).is_err(), "{text}");
        }
    }
}
