//! The table of keys. One `sections!` block states a key once (name, type, default, what is
//! allowed, meaning); the structs of [`Config`](super::Config), the detection of unknown keys, the
//! environment variables and the printed reference all come from it and so cannot drift apart.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use fanfare_core::{Effect, Rule};

use fanfare_identity::Secret;

/// One key of a section.
#[derive(Clone, Debug)]
pub(super) struct Key {
    /// Its name within the section.
    pub name: &'static str,
    /// Its doc comment, one line for each line.
    pub doc: &'static str,
    /// What counts when it is absent; `None` where that is nothing at all.
    pub default: Option<toml::Value>,
    /// Its section cannot be without it.
    pub is_required: bool,
    /// What may stand there.
    pub kind: Kind,
}

/// The keys of a section.
pub(super) type Keys = fn() -> Vec<Key>;

/// What may stand at a key.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    /// `true` or `false`.
    Switch,
    /// A whole number within bounds, both included.
    Count(u64, u64),
    /// A number within bounds, both included.
    Number(f64, f64),
    /// A text.
    Text(Form),
    /// A list of texts.
    Texts(Form),
    /// A table with known keys.
    Section(Keys),
    /// A list of such tables.
    Sections(Keys),
    /// Such tables under names that the user chooses.
    Named(Keys),
    /// The same, where a name may hold any characters.
    Keyed(Keys),
    /// Values under names that the user chooses.
    Map(&'static Kind),
    /// A list of tables that another room knows how to read.
    Tables,
    /// Whatever another room knows how to read.
    Any,
}

/// What a text says.
#[derive(Clone, Copy, Debug)]
pub(super) enum Form {
    /// Anything but nothing.
    Plain,
    /// Anything.
    Free,
    /// Something that must not be shown.
    Secret,
    /// A path; nothing needs to be there yet.
    Path,
    /// A file that can be read.
    File,
    /// One of these words.
    OneOf(&'static [&'static str]),
    /// Address and port to listen on.
    Address,
    /// An `http://` or `https://` URL.
    Url,
    /// `action:space/topic-pattern`.
    Rule,
    /// An origin of web pages, or `*`.
    WebOrigin,
}

impl Form {
    /// Whether `text` has this form. Files are looked at elsewhere.
    pub(super) fn accepts(self, text: &str) -> bool {
        match self {
            Self::Free => true,
            Self::Plain | Self::Secret | Self::Path | Self::File => !text.is_empty(),
            Self::OneOf(words) => words.contains(&text),
            Self::Address => text.parse::<SocketAddr>().is_ok(),
            Self::Url => is_url(text),
            Self::Rule => Rule::parse(Effect::Allow, text, Some("user")).is_ok(),
            Self::WebOrigin => text == "*" || (is_url(text) && text.matches('/').count() == 2),
        }
    }

    /// What is allowed, to follow "expected".
    pub(super) fn allowed(self) -> String {
        match self {
            Self::Plain => "a text that is not empty".to_owned(),
            Self::Free => "a text".to_owned(),
            Self::Secret => "a secret text that is not empty".to_owned(),
            Self::Path => "a path".to_owned(),
            Self::File => "the path of a file".to_owned(),
            Self::OneOf(words) => one_of(words),
            Self::Address => "address:port, such as 127.0.0.1:8080 or [::]:8080".to_owned(),
            Self::Url => "a URL such as https://example.com/keys.json".to_owned(),
            Self::Rule => "action:space/topic-pattern, such as subscribe:default/room-*".to_owned(),
            Self::WebOrigin => "an origin such as https://example.com, or *".to_owned(),
        }
    }
}

impl Kind {
    /// What is allowed, to follow "expected".
    pub(super) fn allowed(self) -> String {
        match self {
            Self::Switch => "true or false".to_owned(),
            Self::Count(min, max) => format!("a whole number from {min} to {max}"),
            Self::Number(min, max) => format!("a number from {min} to {max}"),
            Self::Text(form) => form.allowed(),
            Self::Texts(form) => format!("a list, each entry {}", form.allowed()),
            Self::Section(_) => "a table".to_owned(),
            Self::Sections(_) | Self::Tables => "a list of tables".to_owned(),
            Self::Named(_) | Self::Keyed(_) => "a table of tables".to_owned(),
            Self::Map(of) => format!("a table, each value {}", of.allowed()),
            Self::Any => "any value".to_owned(),
        }
    }

    /// Whether values here must not be shown.
    pub(super) fn is_secret(self) -> bool {
        matches!(self, Self::Text(Form::Secret) | Self::Texts(Form::Secret))
    }
}

fn is_url(text: &str) -> bool {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    rest.is_some_and(|rest| {
        !rest.is_empty() && !rest.starts_with(['/', ':']) && rest.bytes().all(|b| b.is_ascii_graphic())
    })
}

fn one_of(words: &[&str]) -> String {
    let quoted: Vec<String> = words.iter().map(|word| format!("\"{word}\"")).collect();
    match quoted.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
        _ => quoted.concat(),
    }
}

/// A default as it is written in a file.
pub(super) trait Shown {
    /// `None` where the default is that nothing is set.
    fn shown(&self) -> Option<toml::Value>;
}

impl Shown for bool {
    fn shown(&self) -> Option<toml::Value> {
        Some((*self).into())
    }
}

macro_rules! shown_counts {
    ($($type:ty),*) => {$(
        impl Shown for $type {
            fn shown(&self) -> Option<toml::Value> {
                i64::try_from(*self).ok().map(toml::Value::Integer)
            }
        }
    )*};
}

shown_counts!(u16, u32, u64, usize);

impl Shown for String {
    fn shown(&self) -> Option<toml::Value> {
        (!self.is_empty()).then(|| self.clone().into())
    }
}

impl Shown for std::path::PathBuf {
    fn shown(&self) -> Option<toml::Value> {
        Some(self.to_string_lossy().into_owned().into())
    }
}

macro_rules! shown_texts {
    ($($type:ty),*) => {$(
        impl Shown for Vec<$type> {
            fn shown(&self) -> Option<toml::Value> {
                Some(self.iter().map(ToString::to_string).collect::<Vec<_>>().into())
            }
        }
    )*};
}

shown_texts!(String, SocketAddr);

impl Shown for Vec<toml::Table> {
    fn shown(&self) -> Option<toml::Value> {
        None
    }
}

impl Shown for Vec<Secret> {
    fn shown(&self) -> Option<toml::Value> {
        Some(toml::Value::Array(Vec::new()))
    }
}

impl<T> Shown for Option<T> {
    fn shown(&self) -> Option<toml::Value> {
        None
    }
}

impl<T> Shown for BTreeMap<String, T> {
    fn shown(&self) -> Option<toml::Value> {
        None
    }
}

/// States sections: for each the struct, its defaults and its keys.
macro_rules! sections {
    ($(
        $(#[doc = $about:literal])*
        $section:ident {
            $( $(#[doc = $doc:literal])* $key:ident: $type:ty = $default:expr => $kind:expr; )*
        }
    )*) => {$(
        $(#[doc = $about])*
        #[derive(Clone, Debug, serde::Deserialize, PartialEq)]
        #[serde(deny_unknown_fields, default)]
        pub struct $section {
            $( $(#[doc = $doc])* pub $key: $type, )*
        }

        impl Default for $section {
            fn default() -> Self {
                Self { $( $key: $default, )* }
            }
        }

        impl $crate::config::schema::Shown for $section {
            fn shown(&self) -> Option<toml::Value> {
                None
            }
        }

        impl $section {
            /// Its keys, in the order of the printed reference.
            pub(super) fn keys() -> Vec<$crate::config::schema::Key> {
                Self::default().keys_of()
            }

            /// Its keys, where what is set counts as the default.
            pub(super) fn keys_of(&self) -> Vec<$crate::config::schema::Key> {
                vec![$( $crate::config::schema::Key {
                    name: stringify!($key),
                    doc: concat!($($doc, "\n"),*),
                    default: $crate::config::schema::Shown::shown(&self.$key),
                    is_required: false,
                    kind: $kind,
                } ),*]
            }
        }
    )*};
}

/// States the keys of structs that live in another room: for each a function that lists them. A key
/// without a default is required.
macro_rules! described {
    (@default) => { None };
    (@default $default:expr) => { $crate::config::schema::Shown::shown(&$default) };
    (@is_required) => { true };
    (@is_required $default:expr) => { false };
    ($(
        $(#[doc = $about:literal])*
        $keys:ident {
            $( $(#[doc = $doc:literal])* $key:ident $(= $default:expr)? => $kind:expr; )*
        }
    )*) => {$(
        $(#[doc = $about])*
        pub(super) fn $keys() -> Vec<$crate::config::schema::Key> {
            vec![$( $crate::config::schema::Key {
                name: stringify!($key),
                doc: concat!($($doc, "\n"),*),
                default: $crate::config::schema::described!(@default $($default)?),
                is_required: $crate::config::schema::described!(@is_required $($default)?),
                kind: $kind,
            } ),*]
        }
    )*};
}

pub(super) use {described, sections};
