//! CONNACK: whether a client is let in, and what it may do (MQTT 5, 3.2).

use std::num::{NonZeroU16, NonZeroU32};

use crate::{
    DecodeError, Diagnostics, EncodeError, Frame, Level, PacketType, Qos, ReasonCode, UserProperties,
    diagnostics::read_reason,
    frame::Sender,
    property::{MISPLACED, Property, PropertyReader, PropertySet, once},
    wire::{self, Reader},
};
use DecodeError::{Malformed, Protocol};

/// CONNACK.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Connack<'a> {
    /// The client goes on with the state of an earlier connection. Never sent with a failure, nor
    /// to MQTT 3.1.
    pub session_present: bool,
    /// Welcome or not.
    pub reason: ReasonCode,
    /// What the client may do.
    pub properties: ConnackProperties<'a>,
    /// Why, in words.
    pub diagnostics: Diagnostics<'a>,
}

/// The properties of a CONNACK. What is absent has the default of the standard.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ConnackProperties<'a> {
    /// Seconds for which the session outlives the connection, if other than asked for.
    pub session_expiry: Option<u32>,
    /// Unacknowledged PUBLISH packets that the server can bear; absent is 65,535.
    pub receive_maximum: Option<NonZeroU16>,
    /// The best quality of service that can be published. 2 is the default and is never sent.
    pub maximum_qos: Option<Qos>,
    /// Whether messages can be retained; absent is yes.
    pub retain_available: Option<bool>,
    /// The largest packet that the server takes, in bytes; absent is without a limit.
    pub maximum_packet_size: Option<NonZeroU32>,
    /// The client id, for a client without one.
    pub assigned_client_id: Option<&'a str>,
    /// The highest topic alias that the server takes; absent is 0.
    pub topic_alias_maximum: Option<u16>,
    /// Whether filters may have wildcards; absent is yes.
    pub wildcards_available: Option<bool>,
    /// Whether subscriptions may have identifiers; absent is yes.
    pub subscription_ids_available: Option<bool>,
    /// Whether subscriptions may be shared; absent is yes.
    pub shared_available: Option<bool>,
    /// The keep alive that counts, in seconds, if other than asked for.
    pub server_keep_alive: Option<u16>,
    /// Where the topics for responses could be.
    pub response_information: Option<&'a str>,
    /// Another server to go to.
    pub server_reference: Option<&'a str>,
    /// The method of the CONNECT.
    pub auth_method: Option<&'a str>,
    /// The last step of it; never without a method.
    pub auth_data: Option<&'a [u8]>,
}

impl<'a> Connack<'a> {
    /// Without properties.
    #[must_use]
    pub fn new(session_present: bool, reason: ReasonCode) -> Self {
        let (properties, diagnostics) = Default::default();
        Self { session_present, reason, properties, diagnostics }
    }

    pub(crate) fn decode(level: Level, frame: &Frame<'a>) -> Result<Self, DecodeError> {
        let mut body = Reader(frame.body);
        let (flags, code) = (body.u8()?, body.u8()?);
        if flags > 1 {
            return Err(Malformed("reserved flags in a CONNACK"));
        }
        let session_present = flags == 1;
        let connack = if level.is_v5() {
            let reason = read_reason(code, PacketType::Connack, Sender::Server)?;
            let (properties, diagnostics) = ConnackProperties::read(PropertyReader::take(&mut body)?)?;
            Self { session_present, reason, properties, diagnostics }
        } else {
            let reason = ReasonCode::from_v3_connack(code).ok_or(Malformed("a reserved return code in a CONNACK"))?;
            Self::new(session_present, reason)
        };
        body.end()?;
        if session_present && connack.reason.is_error() {
            return Err(Protocol("a session without a connection"));
        }
        Ok(connack)
    }

    /// Appends the packet, with as many words as the client takes in `packet_max` bytes.
    ///
    /// # Errors
    /// [`EncodeError::TooLarge`], and [`EncodeError::OnlyInV5`] for a reason that MQTT 3 closes the
    /// connection for; nothing was appended.
    pub fn encode(&self, level: Level, packet_max: u32, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        let flags = u8::from(self.session_present && !self.reason.is_error() && level != Level::V3);
        let first = PacketType::Connack.first();
        if !level.is_v5() {
            let code = self.reason.to_v3_connack().ok_or(EncodeError::OnlyInV5)?;
            wire::begin(out, first, 2, packet_max)?;
            out.extend_from_slice(&[flags, code]);
            return Ok(());
        }
        let section =
            |diagnostics: &Diagnostics<'a>| Section { properties: self.properties, diagnostics: *diagnostics };
        let body = |diagnostics: &Diagnostics<'a>| 2 + section(diagnostics).section_len();
        let diagnostics = self.diagnostics.fit(packet_max, body)?;
        wire::begin(out, first, body(&diagnostics), packet_max)?;
        out.extend_from_slice(&[flags, self.reason.as_u8()]);
        section(&diagnostics).put_section(out);
        Ok(())
    }
}

impl<'a> ConnackProperties<'a> {
    fn read(mut reader: PropertyReader<'a>) -> Result<(Self, Diagnostics<'a>), DecodeError> {
        let (mut this, mut reason_string) = (Self::default(), None);
        while let Some(property) = reader.next()? {
            match property {
                Property::SessionExpiry(seconds) => once(&mut this.session_expiry, seconds)?,
                Property::ReceiveMaximum(count) => once(&mut this.receive_maximum, count)?,
                Property::MaximumQos(qos) => once(&mut this.maximum_qos, qos)?,
                Property::RetainAvailable(is) => once(&mut this.retain_available, is)?,
                Property::MaximumPacketSize(bytes) => once(&mut this.maximum_packet_size, bytes)?,
                Property::AssignedClientId(id) => once(&mut this.assigned_client_id, id)?,
                Property::TopicAliasMaximum(count) => once(&mut this.topic_alias_maximum, count)?,
                Property::ReasonString(text) => once(&mut reason_string, text)?,
                Property::WildcardsAvailable(is) => once(&mut this.wildcards_available, is)?,
                Property::SubscriptionIdsAvailable(is) => once(&mut this.subscription_ids_available, is)?,
                Property::SharedAvailable(is) => once(&mut this.shared_available, is)?,
                Property::ServerKeepAlive(seconds) => once(&mut this.server_keep_alive, seconds)?,
                Property::ResponseInformation(text) => once(&mut this.response_information, text)?,
                Property::ServerReference(text) => once(&mut this.server_reference, text)?,
                Property::AuthMethod(method) => once(&mut this.auth_method, method)?,
                Property::AuthData(data) => once(&mut this.auth_data, data)?,
                _ => return Err(MISPLACED),
            }
        }
        if this.auth_data.is_some() && this.auth_method.is_none() {
            return Err(Protocol("authentication data without a method"));
        }
        Ok((this, Diagnostics { reason_string, user: reader.user() }))
    }
}

/// The properties and the words, which share one section.
struct Section<'a> {
    properties: ConnackProperties<'a>,
    diagnostics: Diagnostics<'a>,
}

impl<'a> PropertySet<'a> for Section<'a> {
    fn list(&self) -> impl Iterator<Item = Property<'a>> {
        let from = &self.properties;
        let list = [
            from.session_expiry.map(Property::SessionExpiry),
            from.receive_maximum.map(Property::ReceiveMaximum),
            from.maximum_qos.filter(|qos| *qos < Qos::ExactlyOnce).map(Property::MaximumQos),
            from.retain_available.map(Property::RetainAvailable),
            from.maximum_packet_size.map(Property::MaximumPacketSize),
            from.assigned_client_id.map(Property::AssignedClientId),
            from.topic_alias_maximum.map(Property::TopicAliasMaximum),
            from.wildcards_available.map(Property::WildcardsAvailable),
            from.subscription_ids_available.map(Property::SubscriptionIdsAvailable),
            from.shared_available.map(Property::SharedAvailable),
            from.server_keep_alive.map(Property::ServerKeepAlive),
            from.response_information.map(Property::ResponseInformation),
            from.server_reference.map(Property::ServerReference),
            from.auth_method.map(Property::AuthMethod),
            from.auth_data.map(Property::AuthData),
            self.diagnostics.reason_string.map(Property::ReasonString),
        ];
        list.into_iter().flatten()
    }

    fn user(&self) -> UserProperties<'a> {
        self.diagnostics.user
    }
}
