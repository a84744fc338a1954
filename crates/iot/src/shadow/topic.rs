//! Names of shadows and their topics.

/// Which shadow: a thing, and the name of one of its shadows or none for the classic one.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct ShadowName {
    thing: String,
    shadow: Option<String>,
}

/// What a client asks for.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Operation {
    /// Reads the document.
    Get,
    /// Changes it.
    Update,
    /// Deletes it.
    Delete,
}

/// A topic on which clients send requests.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ShadowTopic {
    /// Which shadow.
    pub name: ShadowName,
    /// What is asked for.
    pub operation: Operation,
}

impl ShadowName {
    /// Checks the names: a thing has 1 to 128, a shadow 1 to 64 letters, digits,
    /// `:`, `_` and `-`; a shadow's name may also have `$`. `None` if one is wrong.
    #[must_use]
    pub fn new(thing: &str, shadow: Option<&str>) -> Option<Self> {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b':' | b'_' | b'-');
        let is_thing = (1..=128).contains(&thing.len()) && thing.bytes().all(is_plain);
        let is_shadow = shadow.is_none_or(|shadow| {
            (1..=64).contains(&shadow.len()) && shadow.bytes().all(|byte| is_plain(byte) || byte == b'$')
        });
        let name = || Self { thing: thing.to_owned(), shadow: shadow.map(str::to_owned) };
        (is_thing && is_shadow).then(name)
    }

    /// The thing.
    #[must_use]
    pub fn thing(&self) -> &str {
        &self.thing
    }

    /// The shadow's name; `None` for the classic shadow.
    #[must_use]
    pub fn shadow(&self) -> Option<&str> {
        self.shadow.as_deref()
    }

    /// What error messages call it: the shadow's name, or the thing's for the classic one.
    #[must_use]
    pub fn label(&self) -> &str {
        self.shadow.as_deref().unwrap_or(&self.thing)
    }

    /// The start of all its topics, without a slash at the end.
    #[must_use]
    pub fn prefix(&self) -> String {
        match &self.shadow {
            Some(shadow) => format!("$aws/things/{}/shadow/name/{shadow}", self.thing),
            None => format!("$aws/things/{}/shadow", self.thing),
        }
    }

    /// The topic of a request.
    #[must_use]
    pub fn request(&self, operation: Operation) -> String {
        format!("{}/{}", self.prefix(), operation.word())
    }

    /// The topic on which an accepted request is answered.
    #[must_use]
    pub fn accepted(&self, operation: Operation) -> String {
        format!("{}/{}/accepted", self.prefix(), operation.word())
    }

    /// The topic on which a refused request is answered.
    #[must_use]
    pub fn rejected(&self, operation: Operation) -> String {
        format!("{}/{}/rejected", self.prefix(), operation.word())
    }

    /// The topic of differences.
    #[must_use]
    pub fn delta(&self) -> String {
        format!("{}/update/delta", self.prefix())
    }

    /// The topic of whole documents, before and after an update.
    #[must_use]
    pub fn documents(&self) -> String {
        format!("{}/update/documents", self.prefix())
    }
}

impl Operation {
    fn word(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::Update => "update",
            Self::Delete => "delete",
        }
    }
}

impl ShadowTopic {
    /// Reads a request's topic. `None` for every other one, also for those of answers.
    #[must_use]
    pub fn parse(topic: &str) -> Option<Self> {
        let (thing, rest) = topic.strip_prefix("$aws/things/")?.split_once('/')?;
        let rest = rest.strip_prefix("shadow/")?;
        // A classic shadow has no name, so "name/" can only begin a named one.
        let (shadow, word) = match rest.strip_prefix("name/") {
            Some(rest) => rest.split_once('/').map(|(shadow, word)| (Some(shadow), word))?,
            None => (None, rest),
        };
        let operations = [Operation::Get, Operation::Update, Operation::Delete];
        let operation = operations.into_iter().find(|operation| operation.word() == word)?;
        Some(Self { name: ShadowName::new(thing, shadow)?, operation })
    }

    /// The topic on which this request is answered if it is accepted.
    #[must_use]
    pub fn accepted(&self) -> String {
        self.name.accepted(self.operation)
    }

    /// The topic on which this request is answered if it is refused.
    #[must_use]
    pub fn rejected(&self) -> String {
        self.name.rejected(self.operation)
    }
}
