//! A shadow's document and what requests do to it.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json, json};

use super::STATE_BYTES_MAX;
use super::merge::{difference, merge, stamped};
use super::request::{Change, Rejection, Update, plain, with_token};
use super::topic::ShadowName;

type Fields = Map<String, Json>;

/// One shadow. The default is one that was never written.
#[derive(Clone, Default, PartialEq, Debug, Serialize, Deserialize)]
pub struct Shadow {
    state: Sections,
    metadata: Sections,
    /// Of the last accepted update; 0 before the first.
    version: u64,
    is_deleted: bool,
}

/// The two sections of a document; a deleted section is not written.
#[derive(Clone, Default, PartialEq, Debug, Serialize, Deserialize)]
struct Sections {
    #[serde(skip_serializing_if = "Option::is_none")]
    desired: Option<Fields>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reported: Option<Fields>,
}

/// What an accepted update has to be answered and told.
#[derive(Clone, PartialEq, Debug)]
pub struct Updated {
    /// For `update/accepted` and HTTP: the fields of the request only.
    pub accepted: Json,
    /// For `update/delta`, if desired and reported differ.
    pub delta: Option<Json>,
    /// For `update/documents`: the whole document before and after.
    pub documents: Json,
}

/// Stored bytes that are no shadow.
#[derive(Debug, thiserror::Error)]
#[error("the stored shadow cannot be read: {0}")]
pub struct StoredError(#[from] serde_json::Error);

impl Shadow {
    /// Reads what [`Shadow::to_bytes`] wrote.
    ///
    /// # Errors
    /// [`StoredError`] if it is something else.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, StoredError> {
        Ok(serde_json::from_slice(bytes)?)
    }

    /// The bytes to store. A deleted shadow is stored too: its version must not come back.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        json!(self).to_string().into_bytes()
    }

    /// The version of the last accepted update; 0 before the first.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.version
    }

    /// Whether there is a document: written, and not deleted since.
    #[must_use]
    pub fn exists(&self) -> bool {
        self.version > 0 && !self.is_deleted
    }

    /// Whether it was deleted after its last update.
    #[must_use]
    pub fn is_deleted(&self) -> bool {
        self.is_deleted
    }

    /// Answers a request to read it, at `now_s` seconds since 1970: state with
    /// the difference, metadata, version. `name` is for the error message only.
    ///
    /// # Errors
    /// 404 if there is no document; 400, 413 and 415 for a bad request.
    pub fn get(&self, name: &ShadowName, request: &[u8], now_s: u64) -> Result<Json, Rejection> {
        let token = self.existing(name, request)?;
        let mut state = json!(self.state);
        let (delta, _) = self.delta();
        if !delta.is_empty() {
            state["delta"] = Json::Object(delta);
        }
        let body = json!({"state": state, "metadata": self.metadata, "version": self.version, "timestamp": now_s});
        Ok(with_token(body, token.as_deref()))
    }

    /// Deletes the document; the version stays.
    ///
    /// # Errors
    /// 404 if there is no document; 400, 413 and 415 for a bad request.
    pub fn delete(&mut self, name: &ShadowName, request: &[u8], now_s: u64) -> Result<Json, Rejection> {
        let token = self.existing(name, request)?;
        *self = Self { version: self.version, is_deleted: true, ..Self::default() };
        Ok(with_token(json!({"version": self.version, "timestamp": now_s}), token.as_deref()))
    }

    /// Merges a request into the document, at `now_s` seconds since 1970.
    ///
    /// # Errors
    /// 400 for a bad request, 409 if it names another version than the present
    /// one, 413 if the document would grow beyond [`STATE_BYTES_MAX`], 415 if it
    /// is not UTF-8. The shadow is unchanged then.
    pub fn update(&mut self, request: &[u8], now_s: u64) -> Result<Updated, Rejection> {
        let update = Update::parse(request)?;
        let token = update.token.as_deref();
        let refuse = |code, message: &str| {
            Err(Rejection { code, message: message.to_owned(), client_token: token.map(str::to_owned) })
        };
        if update.version.is_some_and(|version| version != self.version) {
            return refuse(409, "Version conflict");
        }
        let mut next = Self { version: self.version + 1, is_deleted: false, ..self.clone() };
        let Sections { desired, reported } = &mut next.state;
        apply(desired, &mut next.metadata.desired, update.desired.as_ref(), now_s);
        apply(reported, &mut next.metadata.reported, update.reported.as_ref(), now_s);
        if json!(next.state).to_string().len() > STATE_BYTES_MAX {
            return refuse(413, "The payload exceeds the maximum size allowed");
        }
        let previous = std::mem::replace(self, next);
        Ok(self.updated(&previous, &update, now_s))
    }

    fn updated(&self, previous: &Self, update: &Update, now_s: u64) -> Updated {
        let token = update.token.as_deref();
        let (mut state, mut metadata) = (Fields::new(), Fields::new());
        for (name, change) in [("desired", &update.desired), ("reported", &update.reported)] {
            match change {
                None => {}
                Some(Change::Delete) => drop(state.insert(name.to_owned(), Json::Null)),
                Some(Change::Merge(fields)) => {
                    let fields = Json::Object(fields.clone());
                    metadata.insert(name.to_owned(), stamped(&fields, now_s));
                    state.insert(name.to_owned(), fields);
                }
            }
        }
        let version = self.version;
        let accepted = json!({"state": state, "metadata": metadata, "version": version, "timestamp": now_s});
        let (delta, stamps) = self.delta();
        let delta = (!delta.is_empty()).then(|| {
            let body = json!({"version": version, "timestamp": now_s, "state": delta, "metadata": stamps});
            with_token(body, token)
        });
        let documents = json!({"previous": previous.whole(), "current": self.whole(), "timestamp": now_s});
        Updated { accepted: with_token(accepted, token), delta, documents: with_token(documents, token) }
    }

    fn whole(&self) -> Json {
        json!({"state": self.state, "metadata": self.metadata, "version": self.version})
    }

    /// The difference between desired and reported, and its metadata.
    fn delta(&self) -> (Fields, Fields) {
        let nothing = Fields::new();
        let section = |section: &'_ Option<Fields>| section.clone().unwrap_or_default();
        match &self.state.desired {
            None => (Fields::new(), Fields::new()),
            Some(desired) => {
                difference(desired, &section(&self.metadata.desired), self.state.reported.as_ref().unwrap_or(&nothing))
            }
        }
    }

    /// The request's token, if there is a document to do something with.
    fn existing(&self, name: &ShadowName, request: &[u8]) -> Result<Option<String>, Rejection> {
        let client_token = plain(request)?;
        if self.exists() {
            return Ok(client_token);
        }
        Err(Rejection { code: 404, message: format!("No shadow exists with name: '{}'", name.label()), client_token })
    }
}

fn apply(state: &mut Option<Fields>, metadata: &mut Option<Fields>, change: Option<&Change>, now_s: u64) {
    match change {
        None => {}
        Some(Change::Delete) => (*state, *metadata) = (None, None),
        Some(Change::Merge(fields)) => {
            let (state, metadata) = (state.get_or_insert_default(), metadata.get_or_insert_default());
            merge(state, metadata, fields, now_s);
        }
    }
}
