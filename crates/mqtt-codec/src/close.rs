//! DISCONNECT and AUTH (MQTT 5, 3.14 and 3.15).

use crate::{
    DecodeError, Diagnostics, EncodeError, Frame, Level, PacketType, ReasonCode, UserProperties,
    diagnostics::{put_tail, read_tail, tail_len},
    frame::Sender,
    property::{MISPLACED, Property, PropertySet, once},
    wire::{self, Reader},
};
use DecodeError::Protocol;

/// DISCONNECT. In MQTT 3 only clients send it, and it says nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Disconnect<'a> {
    /// Why.
    pub reason: ReasonCode,
    /// Seconds for which the session outlives the connection, if other than agreed. Only from
    /// clients.
    pub session_expiry: Option<u32>,
    /// Another server to go to. Only from servers.
    pub server_reference: Option<&'a str>,
    /// Why, in words.
    pub diagnostics: Diagnostics<'a>,
}

impl<'a> Disconnect<'a> {
    /// Without properties.
    #[must_use]
    pub fn new(reason: ReasonCode) -> Self {
        Self { reason, session_expiry: None, server_reference: None, diagnostics: Diagnostics::default() }
    }

    pub(crate) fn decode(level: Level, frame: &Frame<'a>, sender: Sender) -> Result<Self, DecodeError> {
        let body = Reader(frame.body);
        if !level.is_v5() {
            body.end()?;
            return Ok(Self::new(ReasonCode::Success));
        }
        let (reason, mut properties) = read_tail(body, PacketType::Disconnect, sender)?;
        let (mut session_expiry, mut server_reference, mut reason_string) = (None, None, None);
        while let Some(property) = properties.next()? {
            match (property, sender) {
                (Property::SessionExpiry(seconds), Sender::Client) => once(&mut session_expiry, seconds)?,
                (Property::ServerReference(text), Sender::Server) => once(&mut server_reference, text)?,
                (Property::SessionExpiry(_), _) => return Err(Protocol("a session expiry from a server")),
                (Property::ServerReference(_), _) => return Err(Protocol("a server reference from a client")),
                (Property::ReasonString(text), _) => once(&mut reason_string, text)?,
                _ => return Err(MISPLACED),
            }
        }
        let diagnostics = Diagnostics { reason_string, user: properties.user() };
        Ok(Self { reason, session_expiry, server_reference, diagnostics })
    }

    /// Appends the packet in its shortest form, and with as many words as the peer takes in
    /// `packet_max` bytes.
    ///
    /// # Errors
    /// [`EncodeError::TooLarge`], and [`EncodeError::OnlyInV5`] for MQTT 3 and any reason but a
    /// client's normal one; nothing was appended.
    pub fn encode(&self, level: Level, packet_max: u32, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        let first = PacketType::Disconnect.first();
        if !level.is_v5() {
            return match self.reason {
                ReasonCode::Success => wire::begin(out, first, 0, packet_max),
                _ => Err(EncodeError::OnlyInV5),
            };
        }
        let with = |diagnostics: &Diagnostics<'a>| Self { diagnostics: *diagnostics, ..*self };
        let body = |diagnostics: &Diagnostics<'a>| tail_len(self.reason, &with(diagnostics));
        let diagnostics = self.diagnostics.fit(packet_max, body)?;
        wire::begin(out, first, body(&diagnostics), packet_max)?;
        put_tail(out, self.reason, &with(&diagnostics));
        Ok(())
    }
}

impl<'a> PropertySet<'a> for Disconnect<'a> {
    fn list(&self) -> impl Iterator<Item = Property<'a>> {
        let list = [
            self.session_expiry.map(Property::SessionExpiry),
            self.server_reference.map(Property::ServerReference),
            self.diagnostics.reason_string.map(Property::ReasonString),
        ];
        list.into_iter().flatten()
    }

    fn user(&self) -> UserProperties<'a> {
        self.diagnostics.user
    }
}

/// AUTH: one step of an extended authentication. Only in MQTT 5.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Auth<'a> {
    /// Which step.
    pub reason: ReasonCode,
    /// The method of the CONNECT. Only a server's shortest success goes without.
    pub method: Option<&'a str>,
    /// What the method wants said.
    pub data: Option<&'a [u8]>,
    /// Why, in words.
    pub diagnostics: Diagnostics<'a>,
}

impl<'a> Auth<'a> {
    pub(crate) fn decode(level: Level, frame: &Frame<'a>, sender: Sender) -> Result<Self, DecodeError> {
        if !level.is_v5() {
            return Err(Protocol("AUTH belongs to MQTT 5"));
        }
        if sender == Sender::Client && frame.body.is_empty() {
            return Err(Protocol("a client cannot say that the authentication has succeeded"));
        }
        let (reason, mut properties) = read_tail(Reader(frame.body), PacketType::Auth, sender)?;
        let (mut method, mut data, mut reason_string) = (None, None, None);
        while let Some(property) = properties.next()? {
            match property {
                Property::AuthMethod(text) => once(&mut method, text)?,
                Property::AuthData(bytes) => once(&mut data, bytes)?,
                Property::ReasonString(text) => once(&mut reason_string, text)?,
                _ => return Err(MISPLACED),
            }
        }
        if method.is_none() && !frame.body.is_empty() {
            return Err(Protocol("an AUTH without a method"));
        }
        Ok(Self { reason, method, data, diagnostics: Diagnostics { reason_string, user: properties.user() } })
    }

    /// Appends the packet, with as many words as the peer takes in `packet_max` bytes.
    ///
    /// # Errors
    /// [`EncodeError::TooLarge`], and [`EncodeError::OnlyInV5`]; nothing was appended.
    pub fn encode(&self, level: Level, packet_max: u32, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        if !level.is_v5() {
            return Err(EncodeError::OnlyInV5);
        }
        let with = |diagnostics: &Diagnostics<'a>| Self { diagnostics: *diagnostics, ..*self };
        let body = |diagnostics: &Diagnostics<'a>| tail_len(self.reason, &with(diagnostics));
        let diagnostics = self.diagnostics.fit(packet_max, body)?;
        wire::begin(out, PacketType::Auth.first(), body(&diagnostics), packet_max)?;
        put_tail(out, self.reason, &with(&diagnostics));
        Ok(())
    }
}

impl<'a> PropertySet<'a> for Auth<'a> {
    fn list(&self) -> impl Iterator<Item = Property<'a>> {
        let list = [
            self.method.map(Property::AuthMethod),
            self.data.map(Property::AuthData),
            self.diagnostics.reason_string.map(Property::ReasonString),
        ];
        list.into_iter().flatten()
    }

    fn user(&self) -> UserProperties<'a> {
        self.diagnostics.user
    }
}
