//! `permission_messages`. What they mean is in [`crate::permission`].

/// What a cache permission gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
pub enum CacheRole {
    /// Nothing.
    None = 0,
    /// Reading and writing.
    ReadWrite = 1,
    /// Reading.
    ReadOnly = 2,
    /// Writing.
    WriteOnly = 3,
}

/// What a topic permission gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
pub enum TopicRole {
    /// Nothing.
    None = 0,
    /// Subscribing and publishing.
    ReadWrite = 1,
    /// Subscribing.
    ReadOnly = 2,
    /// Publishing.
    WriteOnly = 3,
}

/// What a function permission gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
pub enum FunctionRole {
    /// Nothing.
    None = 0,
    /// Calling.
    Invoke = 1,
}

/// The one value of the permission to do everything. It is 0, so that its presence counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
pub enum SuperUserPermissions {
    /// Everything.
    SuperUser = 0,
}

/// `Permissions`.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Permissions {
    /// Which kind.
    #[prost(oneof = "permissions::Kind", tags = "1, 2")]
    pub kind: Option<permissions::Kind>,
}

/// Inside [`Permissions`].
pub mod permissions {
    /// Everything, or what is listed.
    #[derive(Clone, PartialEq, prost::Oneof)]
    pub enum Kind {
        /// Everything.
        #[prost(enumeration = "super::SuperUserPermissions", tag = "1")]
        SuperUser(i32),
        /// What is listed.
        #[prost(message, tag = "2")]
        Explicit(super::ExplicitPermissions),
    }
}

/// `ExplicitPermissions`.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ExplicitPermissions {
    /// Any of them suffices.
    #[prost(message, repeated, tag = "1")]
    pub permissions: Vec<PermissionsType>,
}

/// `PermissionsType`: one statement.
#[derive(Clone, PartialEq, prost::Message)]
pub struct PermissionsType {
    /// What it is about.
    #[prost(oneof = "permissions_type::Kind", tags = "1, 2, 3")]
    pub kind: Option<permissions_type::Kind>,
}

/// Inside [`PermissionsType`].
pub mod permissions_type {
    /// What a statement is about.
    #[derive(Clone, PartialEq, prost::Oneof)]
    pub enum Kind {
        /// Items of caches.
        #[prost(message, tag = "1")]
        Cache(super::CachePermissions),
        /// Topics.
        #[prost(message, tag = "2")]
        Topic(super::TopicPermissions),
        /// Functions.
        #[prost(message, tag = "3")]
        Function(super::FunctionPermissions),
    }
}

/// `PermissionsType.All`.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub struct All {}

/// `PermissionsType.CacheSelector`.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct CacheSelector {
    /// How.
    #[prost(oneof = "cache_selector::Kind", tags = "1")]
    pub kind: Option<cache_selector::Kind>,
}

/// Inside [`CacheSelector`].
pub mod cache_selector {
    /// How a cache is picked.
    #[derive(Clone, PartialEq, Eq, prost::Oneof)]
    pub enum Kind {
        /// By name.
        #[prost(string, tag = "1")]
        CacheName(String),
    }
}

/// The oneof `cache`, which is the same in the permissions of all three kinds.
#[derive(Clone, PartialEq, Eq, prost::Oneof)]
pub enum CacheChoice {
    /// Every one.
    #[prost(message, tag = "2")]
    AllCaches(All),
    /// One.
    #[prost(message, tag = "3")]
    Selector(CacheSelector),
}

/// `PermissionsType.CacheItemSelector`.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct CacheItemSelector {
    /// How.
    #[prost(oneof = "cache_item_selector::Kind", tags = "1, 2")]
    pub kind: Option<cache_item_selector::Kind>,
}

/// Inside [`CacheItemSelector`].
pub mod cache_item_selector {
    /// How items are picked.
    #[derive(Clone, PartialEq, Eq, prost::Oneof)]
    pub enum Kind {
        /// One.
        #[prost(bytes = "vec", tag = "1")]
        Key(Vec<u8>),
        /// All whose key begins so.
        #[prost(bytes = "vec", tag = "2")]
        KeyPrefix(Vec<u8>),
    }
}

/// `PermissionsType.CachePermissions`.
#[derive(Clone, PartialEq, prost::Message)]
pub struct CachePermissions {
    /// What is given.
    #[prost(enumeration = "CacheRole", tag = "1")]
    pub role: i32,
    /// In which caches.
    #[prost(oneof = "CacheChoice", tags = "2, 3")]
    pub cache: Option<CacheChoice>,
    /// On which items.
    #[prost(oneof = "cache_permissions::CacheItem", tags = "4, 5")]
    pub cache_item: Option<cache_permissions::CacheItem>,
}

/// Inside [`CachePermissions`].
pub mod cache_permissions {
    /// Which items.
    #[derive(Clone, PartialEq, Eq, prost::Oneof)]
    pub enum CacheItem {
        /// Every one.
        #[prost(message, tag = "4")]
        AllItems(super::All),
        /// Some.
        #[prost(message, tag = "5")]
        Selector(super::CacheItemSelector),
    }
}

/// `PermissionsType.TopicSelector`.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct TopicSelector {
    /// How.
    #[prost(oneof = "topic_selector::Kind", tags = "1, 2")]
    pub kind: Option<topic_selector::Kind>,
}

/// Inside [`TopicSelector`].
pub mod topic_selector {
    /// How topics are picked.
    #[derive(Clone, PartialEq, Eq, prost::Oneof)]
    pub enum Kind {
        /// One.
        #[prost(string, tag = "1")]
        TopicName(String),
        /// All whose name begins so.
        #[prost(string, tag = "2")]
        TopicNamePrefix(String),
    }
}

/// `PermissionsType.TopicPermissions`.
#[derive(Clone, PartialEq, prost::Message)]
pub struct TopicPermissions {
    /// What is given.
    #[prost(enumeration = "TopicRole", tag = "1")]
    pub role: i32,
    /// In which caches.
    #[prost(oneof = "CacheChoice", tags = "2, 3")]
    pub cache: Option<CacheChoice>,
    /// On which topics.
    #[prost(oneof = "topic_permissions::Topic", tags = "4, 5")]
    pub topic: Option<topic_permissions::Topic>,
}

/// Inside [`TopicPermissions`].
pub mod topic_permissions {
    /// Which topics.
    #[derive(Clone, PartialEq, Eq, prost::Oneof)]
    pub enum Topic {
        /// Every one.
        #[prost(message, tag = "4")]
        AllTopics(super::All),
        /// Some.
        #[prost(message, tag = "5")]
        Selector(super::TopicSelector),
    }
}

/// `PermissionsType.FunctionSelector`.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct FunctionSelector {
    /// How.
    #[prost(oneof = "function_selector::Kind", tags = "1, 2")]
    pub kind: Option<function_selector::Kind>,
}

/// Inside [`FunctionSelector`].
pub mod function_selector {
    /// How functions are picked.
    #[derive(Clone, PartialEq, Eq, prost::Oneof)]
    pub enum Kind {
        /// One.
        #[prost(string, tag = "1")]
        FunctionName(String),
        /// All whose name begins so.
        #[prost(string, tag = "2")]
        FunctionNamePrefix(String),
    }
}

/// `PermissionsType.FunctionPermissions`.
#[derive(Clone, PartialEq, prost::Message)]
pub struct FunctionPermissions {
    /// What is given.
    #[prost(enumeration = "FunctionRole", tag = "1")]
    pub role: i32,
    /// In which caches.
    #[prost(oneof = "CacheChoice", tags = "2, 3")]
    pub cache: Option<CacheChoice>,
    /// On which functions.
    #[prost(oneof = "function_permissions::Function", tags = "4, 5")]
    pub function: Option<function_permissions::Function>,
}

/// Inside [`FunctionPermissions`].
pub mod function_permissions {
    /// Which functions.
    #[derive(Clone, PartialEq, Eq, prost::Oneof)]
    pub enum Function {
        /// Every one.
        #[prost(message, tag = "4")]
        AllFunctions(super::All),
        /// Some.
        #[prost(message, tag = "5")]
        Selector(super::FunctionSelector),
    }
}
