//! Lists inside packets. Each is either borrowed from a checked packet, and read again while it is
//! walked through, or from a slice that the caller has made.

use crate::{DecodeError, Level, ReasonCode, Subscription, wire::Reader};
use DecodeError::Protocol;

/// The filters of a SUBSCRIBE with their options.
#[derive(Clone, Copy)]
pub struct Subscriptions<'a> {
    wire: &'a [u8],
    level: Level,
    slice: &'a [Subscription<'a>],
    count: usize,
}

impl<'a> Subscriptions<'a> {
    /// Subscriptions to be asked for. MQTT wants at least one.
    #[must_use]
    pub const fn new(slice: &'a [Subscription<'a>]) -> Self {
        Self { wire: &[], level: Level::V5, slice, count: slice.len() }
    }

    pub(crate) fn read(level: Level, mut body: Reader<'a>) -> Result<Self, DecodeError> {
        let wire = body.0;
        let count = count(&mut body, |body| Subscription::read(level, body).map(drop))?;
        Ok(Self { wire, level, slice: &[], count })
    }

    /// Filters and options, in order.
    pub fn iter(&self) -> impl Iterator<Item = Subscription<'a>> + use<'a> {
        let (mut rest, level) = (Reader(self.wire), self.level);
        std::iter::from_fn(move || Subscription::read(level, &mut rest).ok()).chain(self.slice.iter().copied())
    }

    /// How many.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "a packet has at least one")]
    pub const fn len(&self) -> usize {
        self.count
    }
}

/// The filters of an UNSUBSCRIBE.
#[derive(Clone, Copy)]
pub struct Filters<'a> {
    wire: &'a [u8],
    slice: &'a [&'a str],
    count: usize,
}

impl<'a> Filters<'a> {
    /// Filters to be given up. MQTT wants at least one.
    #[must_use]
    pub const fn new(slice: &'a [&'a str]) -> Self {
        Self { wire: &[], slice, count: slice.len() }
    }

    pub(crate) fn read(mut body: Reader<'a>) -> Result<Self, DecodeError> {
        let wire = body.0;
        let count = count(&mut body, |body| body.text().map(drop))?;
        Ok(Self { wire, slice: &[], count })
    }

    /// Filters in order. Each is a text, but not yet known to be a good filter: see
    /// [`check_filter`](crate::check_filter).
    pub fn iter(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        let mut rest = Reader(self.wire);
        std::iter::from_fn(move || rest.text().ok()).chain(self.slice.iter().copied())
    }

    /// How many.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "a packet has at least one")]
    pub const fn len(&self) -> usize {
        self.count
    }
}

/// The codes of a SUBACK or UNSUBACK.
#[derive(Clone, Copy, Default)]
pub struct ReasonCodes<'a> {
    wire: &'a [u8],
    slice: &'a [ReasonCode],
}

impl<'a> ReasonCodes<'a> {
    /// Codes to be sent.
    #[must_use]
    pub const fn new(slice: &'a [ReasonCode]) -> Self {
        Self { wire: &[], slice }
    }

    pub(crate) const fn from_wire(wire: &'a [u8]) -> Self {
        Self { wire, slice: &[] }
    }

    /// One code for each filter, in order.
    pub fn iter(&self) -> impl Iterator<Item = ReasonCode> + use<'a> {
        self.wire.iter().filter_map(|code| ReasonCode::from_u8(*code)).chain(self.slice.iter().copied())
    }

    /// How many.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.wire.len() + self.slice.len()
    }

    /// Whether there is none, as in an UNSUBACK of MQTT 3.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Reads one or more of something, up to the end.
fn count<'a>(
    body: &mut Reader<'a>,
    mut read: impl FnMut(&mut Reader<'a>) -> Result<(), DecodeError>,
) -> Result<usize, DecodeError> {
    if body.is_empty() {
        return Err(Protocol("no filter"));
    }
    let mut count = 0;
    while !body.is_empty() {
        read(body)?;
        count += 1;
    }
    Ok(count)
}

macro_rules! compare_and_show {
    ($($list:ident)*) => {$(
        impl PartialEq for $list<'_> {
            fn eq(&self, other: &Self) -> bool {
                self.iter().eq(other.iter())
            }
        }

        impl Eq for $list<'_> {}

        impl std::fmt::Debug for $list<'_> {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.debug_list().entries(self.iter()).finish()
            }
        }
    )*};
}

compare_and_show!(Subscriptions Filters ReasonCodes);
