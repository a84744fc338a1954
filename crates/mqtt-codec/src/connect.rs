//! CONNECT: the first packet of every connection (MQTT 5, 3.1).

use std::num::{NonZeroU16, NonZeroU32};

use crate::{
    ConnectError, DecodeError, EncodeError, Frame, Level, PacketType, PublishProperties, Qos, UserProperties,
    check_topic,
    property::{MISPLACED, Property, PropertyReader, PropertySet, once},
    wire::{self, Reader},
};
use DecodeError::{Malformed, Protocol};

const CLEAN_START: u8 = 0x02;
const WILL: u8 = 0x04;
const WILL_RETAIN: u8 = 0x20;
const PASSWORD: u8 = 0x40;
const USER_NAME: u8 = 0x80;

/// CONNECT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Connect<'a> {
    /// The dialect of the connection.
    pub level: Level,
    /// May be empty, and then asks for one.
    pub client_id: &'a str,
    /// No state of earlier connections is wanted. In MQTT 3 also none is kept for later ones.
    pub clean_start: bool,
    /// Seconds in which the client sends at least one packet; 0 is without a promise.
    pub keep_alive: u16,
    /// What to publish when the connection breaks.
    pub will: Option<Will<'a>>,
    /// The user name.
    pub user_name: Option<&'a str>,
    /// The password, which is binary data.
    pub password: Option<&'a [u8]>,
    /// What only MQTT 5 can say.
    pub properties: ConnectProperties<'a>,
}

/// The will inside a CONNECT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Will<'a> {
    /// Where to: a name without wildcards.
    pub topic: &'a str,
    /// What.
    pub payload: &'a [u8],
    /// Quality of service.
    pub qos: Qos,
    /// To be retained.
    pub retain: bool,
    /// Will Delay Interval in seconds; 0 if absent.
    pub delay_seconds: Option<u32>,
    /// What travels with the message.
    pub properties: PublishProperties<'a>,
}

/// The properties of a CONNECT. What is absent has the default of the standard.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ConnectProperties<'a> {
    /// Seconds for which the session outlives the connection; `u32::MAX` is for ever, absent is 0.
    pub session_expiry: Option<u32>,
    /// Unacknowledged PUBLISH packets that the client can bear; absent is 65,535.
    pub receive_maximum: Option<NonZeroU16>,
    /// The largest packet that the client takes, in bytes; absent is without a limit.
    pub maximum_packet_size: Option<NonZeroU32>,
    /// The highest topic alias that the client takes; absent is 0.
    pub topic_alias_maximum: Option<u16>,
    /// Whether the CONNACK may have Response Information; absent is no.
    pub request_response_information: Option<bool>,
    /// Whether answers may have a reason string and user properties; absent is yes.
    pub request_problem_information: Option<bool>,
    /// How the client wants to prove who it is.
    pub auth_method: Option<&'a str>,
    /// The first step of that; never without a method.
    pub auth_data: Option<&'a [u8]>,
    /// Anything else.
    pub user: UserProperties<'a>,
}

/// Reads a CONNECT, the only packet that may come first.
///
/// # Errors
/// [`ConnectError`], which knows what to answer.
pub fn decode_connect<'a>(frame: &Frame<'a>) -> Result<Connect<'a>, ConnectError> {
    if frame.packet_type != PacketType::Connect {
        return Err(ConnectError { dialect: None, cause: Protocol("the first packet is not a CONNECT") });
    }
    let mut body = Reader(frame.body);
    let level = read_level(&mut body)?;
    Connect::decode(level, body).map_err(|cause| ConnectError { dialect: Some(level), cause })
}

fn read_level(body: &mut Reader<'_>) -> Result<Level, ConnectError> {
    let unreadable = |cause| ConnectError { dialect: None, cause };
    let name = body.text().map_err(unreadable)?;
    if !matches!(name, "MQTT" | "MQIsdp") {
        return Err(unreadable(DecodeError::ProtocolName));
    }
    let level = body.u8().map_err(unreadable)?;
    match (name, level) {
        ("MQTT", 5) => Ok(Level::V5),
        ("MQTT", 4) => Ok(Level::V4),
        ("MQIsdp", 3) => Ok(Level::V3),
        _ => {
            // Bridges set the highest bit of the level that they speak. Of a level that nobody knows,
            // what follows it tells the dialect: only from 5 on are there properties.
            let is_late = name == "MQTT" && level & 0x7F >= 5;
            let is_old = level > 5 && Connect::decode(Level::V4, *body).is_ok();
            let dialect = if is_late && !is_old { Level::V5 } else { Level::V4 };
            Err(ConnectError { dialect: Some(dialect), cause: DecodeError::ProtocolLevel { level } })
        }
    }
}

fn check_flags(level: Level, flags: u8) -> Result<Qos, DecodeError> {
    let qos = Qos::from_u8(flags >> 3 & 0b11).ok_or(Malformed("a will with quality of service 3"))?;
    if flags & 0x01 != 0 {
        return Err(Malformed("the reserved flag of CONNECT is set"));
    }
    if flags & WILL == 0 && (qos != Qos::AtMostOnce || flags & WILL_RETAIN != 0) {
        return Err(Malformed("flags of a will without a will"));
    }
    if !level.is_v5() && flags & PASSWORD != 0 && flags & USER_NAME == 0 {
        return Err(Malformed("a password without a user name"));
    }
    Ok(qos)
}

impl<'a> Connect<'a> {
    /// A client without will, credentials and wishes.
    #[must_use]
    pub fn new(level: Level, client_id: &'a str) -> Self {
        let properties = ConnectProperties::default();
        Self {
            level,
            client_id,
            clean_start: true,
            keep_alive: 0,
            will: None,
            user_name: None,
            password: None,
            properties,
        }
    }

    /// Reads what follows the level.
    fn decode(level: Level, mut body: Reader<'a>) -> Result<Self, DecodeError> {
        let (flags, keep_alive) = (body.u8()?, body.u16()?);
        let will_qos = check_flags(level, flags)?;
        let is_set = |bit: u8| flags & bit != 0;
        let mut properties = ConnectProperties::default();
        if level.is_v5() {
            properties = ConnectProperties::read(PropertyReader::take(&mut body)?)?;
        }
        let client_id = body.text()?;
        let mut will = None;
        if is_set(WILL) {
            will = Some(Will::read(level, &mut body, will_qos, is_set(WILL_RETAIN))?);
        }
        let user_name = is_set(USER_NAME).then(|| body.text()).transpose()?;
        let password = is_set(PASSWORD).then(|| body.binary()).transpose()?;
        body.end()?;
        Ok(Self {
            level,
            client_id,
            clean_start: is_set(CLEAN_START),
            keep_alive,
            will,
            user_name,
            password,
            properties,
        })
    }

    fn flags(&self) -> u8 {
        let bit = |is_set: bool, bit: u8| if is_set { bit } else { 0 };
        let will = self.will.map_or(0, |will| WILL | will.qos.as_u8() << 3 | bit(will.retain, WILL_RETAIN));
        will | bit(self.clean_start, CLEAN_START)
            | bit(self.user_name.is_some(), USER_NAME)
            | bit(self.password.is_some(), PASSWORD)
    }

    /// Appends the packet.
    ///
    /// # Errors
    /// [`EncodeError::TooLarge`]; nothing was appended.
    pub fn encode(&self, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        let is_v5 = self.level.is_v5();
        let name = if self.level == Level::V3 { "MQIsdp" } else { "MQTT" };
        let field = |bytes: Option<usize>| bytes.map_or(0, wire::field_len);
        let length = wire::field_len(name.len())
            + 4
            + if is_v5 { self.properties.section_len() } else { 0 }
            + wire::field_len(self.client_id.len())
            + self.will.map_or(0, |will| will.len(is_v5))
            + field(self.user_name.map(str::len))
            + field(self.password.map(<[u8]>::len));
        wire::begin(out, PacketType::Connect.first(), length, u32::MAX)?;
        wire::put_field(out, name.as_bytes());
        out.extend_from_slice(&[self.level as u8, self.flags()]);
        wire::put_u16(out, self.keep_alive);
        if is_v5 {
            self.properties.put_section(out);
        }
        wire::put_field(out, self.client_id.as_bytes());
        if let Some(will) = self.will {
            if is_v5 {
                will.put_section(out);
            }
            wire::put_field(out, will.topic.as_bytes());
            wire::put_field(out, will.payload);
        }
        self.user_name.iter().for_each(|name| wire::put_field(out, name.as_bytes()));
        self.password.iter().for_each(|password| wire::put_field(out, password));
        Ok(())
    }
}

impl<'a> Will<'a> {
    fn read(level: Level, body: &mut Reader<'a>, qos: Qos, retain: bool) -> Result<Self, DecodeError> {
        let (mut delay_seconds, mut properties) = (None, PublishProperties::default());
        if level.is_v5() {
            let mut reader = PropertyReader::take(body)?;
            while let Some(property) = reader.next()? {
                match property {
                    Property::WillDelay(seconds) => once(&mut delay_seconds, seconds)?,
                    _ => properties.accept(property)?,
                }
            }
            properties.user = reader.user();
        }
        let topic = body.text()?;
        check_topic(topic)?;
        Ok(Self { topic, payload: body.binary()?, qos, retain, delay_seconds, properties })
    }

    fn len(&self, is_v5: bool) -> usize {
        let section = if is_v5 { self.section_len() } else { 0 };
        section + wire::field_len(self.topic.len()) + wire::field_len(self.payload.len())
    }
}

impl<'a> PropertySet<'a> for Will<'a> {
    fn list(&self) -> impl Iterator<Item = Property<'a>> {
        self.delay_seconds.map(Property::WillDelay).into_iter().chain(self.properties.list())
    }

    fn user(&self) -> UserProperties<'a> {
        self.properties.user
    }
}

impl<'a> ConnectProperties<'a> {
    fn read(mut reader: PropertyReader<'a>) -> Result<Self, DecodeError> {
        let mut this = Self::default();
        while let Some(property) = reader.next()? {
            match property {
                Property::SessionExpiry(seconds) => once(&mut this.session_expiry, seconds)?,
                Property::ReceiveMaximum(count) => once(&mut this.receive_maximum, count)?,
                Property::MaximumPacketSize(bytes) => once(&mut this.maximum_packet_size, bytes)?,
                Property::TopicAliasMaximum(count) => once(&mut this.topic_alias_maximum, count)?,
                Property::RequestResponseInformation(is) => once(&mut this.request_response_information, is)?,
                Property::RequestProblemInformation(is) => once(&mut this.request_problem_information, is)?,
                Property::AuthMethod(method) => once(&mut this.auth_method, method)?,
                Property::AuthData(data) => once(&mut this.auth_data, data)?,
                _ => return Err(MISPLACED),
            }
        }
        this.user = reader.user();
        if this.auth_data.is_some() && this.auth_method.is_none() {
            return Err(Protocol("authentication data without a method"));
        }
        Ok(this)
    }
}

impl<'a> PropertySet<'a> for ConnectProperties<'a> {
    fn list(&self) -> impl Iterator<Item = Property<'a>> {
        let list = [
            self.session_expiry.map(Property::SessionExpiry),
            self.receive_maximum.map(Property::ReceiveMaximum),
            self.maximum_packet_size.map(Property::MaximumPacketSize),
            self.topic_alias_maximum.map(Property::TopicAliasMaximum),
            self.request_response_information.map(Property::RequestResponseInformation),
            self.request_problem_information.map(Property::RequestProblemInformation),
            self.auth_method.map(Property::AuthMethod),
            self.auth_data.map(Property::AuthData),
        ];
        list.into_iter().flatten()
    }

    fn user(&self) -> UserProperties<'a> {
        self.user
    }
}
