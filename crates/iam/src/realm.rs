//! The names that stand in ARNs.

use fanfare_policy::Scope;

/// What ARNs of this server say, and the space whose topics they mean.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Realm {
    region: String,
    account: String,
    space: String,
}

impl Realm {
    /// Region and account are the operator's choice; policies may say `*` for either.
    #[must_use]
    pub fn new(region: impl Into<String>, account: impl Into<String>, space: impl Into<String>) -> Self {
        Self { region: region.into(), account: account.into(), space: space.into() }
    }

    /// As the policy engine takes it.
    #[must_use]
    pub fn scope(&self) -> Scope<'_> {
        Scope { region: &self.region, account: &self.account, space: &self.space }
    }

    /// The space whose topics are meant.
    #[must_use]
    pub fn space(&self) -> &str {
        &self.space
    }
}
