//! Properties that may be there many times: user properties and subscription identifiers.

use crate::{
    property::Property,
    wire::{self, Reader},
};

/// User properties: pairs of texts in the order in which they were sent. Either borrowed from a
/// packet, and read again while they are walked through, or from a slice of pairs.
#[derive(Clone, Copy, Default)]
pub struct UserProperties<'a> {
    /// From the first user property to the last one, perhaps with other properties between them.
    wire: &'a [u8],
    pairs: &'a [(&'a str, &'a str)],
    /// What the user properties take on the wire.
    bytes: usize,
}

impl<'a> UserProperties<'a> {
    /// None.
    pub const NONE: Self = Self { wire: &[], pairs: &[], bytes: 0 };

    /// User properties to be sent.
    #[must_use]
    pub fn new(pairs: &'a [(&'a str, &'a str)]) -> Self {
        Self { wire: &[], pairs, bytes: pairs.iter().map(|(name, value)| Property::User(name, value).len()).sum() }
    }

    /// Names and values, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&'a str, &'a str)> + use<'a> {
        let mut rest = Reader(self.wire);
        // The bytes were checked when the packet was read, so the only error is their end.
        std::iter::from_fn(move || Property::read(&mut rest).ok())
            .filter_map(|property| match property {
                Property::User(name, value) => Some((name, value)),
                _ => None,
            })
            .chain(self.pairs.iter().copied())
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.bytes == 0
    }

    /// What they take on the wire, in bytes.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.bytes
    }

    /// One more of so many bytes, at the end of `wire`, which begins with the first one.
    pub(crate) fn found(&mut self, wire: &'a [u8], bytes: usize) {
        self.wire = wire;
        self.bytes += bytes;
    }

    #[inline]
    pub(crate) fn put(&self, out: &mut Vec<u8>) {
        // Nothing else between them, and no pairs: as they came.
        if self.wire.len() == self.bytes {
            out.extend_from_slice(self.wire);
        } else {
            self.iter().for_each(|(name, value)| Property::User(name, value).put(out));
        }
    }
}

impl PartialEq for UserProperties<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for UserProperties<'_> {}

impl std::fmt::Debug for UserProperties<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// The identifiers of the subscriptions that a delivered message matches, 1 to 268,435,455 each.
#[derive(Clone, Copy, Default)]
pub struct SubscriptionIds<'a> {
    /// A whole section of properties.
    wire: &'a [u8],
    ids: &'a [u32],
}

impl<'a> SubscriptionIds<'a> {
    /// None.
    pub const NONE: Self = Self { wire: &[], ids: &[] };

    /// Identifiers to be sent. One that is 0 or above 268,435,455 is left out.
    #[must_use]
    pub const fn new(ids: &'a [u32]) -> Self {
        Self { wire: &[], ids }
    }

    pub(crate) const fn from_section(wire: &'a [u8]) -> Self {
        Self { wire, ids: &[] }
    }

    /// The identifiers, in order.
    #[inline]
    pub fn iter(&self) -> impl Iterator<Item = u32> + use<'a> {
        let mut rest = Reader(self.wire);
        std::iter::from_fn(move || Property::read(&mut rest).ok())
            .filter_map(|property| match property {
                Property::SubscriptionId(id) => Some(id),
                _ => None,
            })
            .chain(self.ids.iter().copied().filter(|id| (1..=wire::VARINT_MAX as u32).contains(id)))
    }
}

impl PartialEq for SubscriptionIds<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for SubscriptionIds<'_> {}

impl std::fmt::Debug for SubscriptionIds<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}
