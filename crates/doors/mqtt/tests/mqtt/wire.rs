//! Packets as clients write them.

/// What a client says when it connects.
#[derive(Clone, Debug)]
pub(crate) struct Hello {
    pub(crate) name: &'static str,
    pub(crate) level: u8,
    pub(crate) client_id: String,
    pub(crate) is_clean: bool,
    pub(crate) keep_alive: u16,
    pub(crate) will: Option<(String, Vec<u8>)>,
    pub(crate) user: Option<String>,
    pub(crate) password: Option<Vec<u8>>,
}

impl Default for Hello {
    fn default() -> Self {
        Self {
            name: "MQTT",
            level: 4,
            client_id: String::new(),
            is_clean: true,
            keep_alive: 0,
            will: None,
            user: None,
            password: None,
        }
    }
}

impl Hello {
    pub(crate) fn with_token(token: &str) -> Self {
        Self { user: Some("jwt".into()), password: Some(token.into()), ..Self::default() }
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut body = string(self.name);
        let flags = [
            (self.is_clean, 0x02),
            (self.will.is_some(), 0x04),
            (self.password.is_some(), 0x40),
            (self.user.is_some(), 0x80),
        ];
        body.push(self.level);
        body.push(flags.iter().filter(|(is_set, _)| *is_set).map(|(_, bit)| bit).sum());
        body.extend_from_slice(&self.keep_alive.to_be_bytes());
        body.extend(string(&self.client_id));
        if let Some((topic, payload)) = &self.will {
            body.extend(string(topic));
            body.extend(binary(payload));
        }
        body.extend(self.user.iter().flat_map(|user| string(user)));
        body.extend(self.password.iter().flat_map(|password| binary(password)));
        packet(0x10, &body)
    }
}

fn string(text: &str) -> Vec<u8> {
    binary(text.as_bytes())
}

fn binary(bytes: &[u8]) -> Vec<u8> {
    let mut out = (bytes.len() as u16).to_be_bytes().to_vec();
    out.extend_from_slice(bytes);
    out
}

pub(crate) fn packet(first: u8, body: &[u8]) -> Vec<u8> {
    let mut out = vec![first];
    let mut length = body.len();
    while length > 0x7F {
        out.push(length as u8 | 0x80);
        length >>= 7;
    }
    out.push(length as u8);
    out.extend_from_slice(body);
    out
}

/// `id` above 0 makes it quality of service 1.
pub(crate) fn publish(topic: &str, payload: &[u8], retain: bool, id: u16) -> Vec<u8> {
    let mut body = string(topic);
    if id > 0 {
        body.extend_from_slice(&id.to_be_bytes());
    }
    body.extend_from_slice(payload);
    packet(0x30 | u8::from(id > 0) << 1 | u8::from(retain), &body)
}

pub(crate) fn subscribe(id: u16, filters: &[&str]) -> Vec<u8> {
    let mut body = id.to_be_bytes().to_vec();
    for filter in filters {
        body.extend(string(filter));
        body.push(1);
    }
    packet(0x82, &body)
}

pub(crate) fn unsubscribe(id: u16, filters: &[&str]) -> Vec<u8> {
    let mut body = id.to_be_bytes().to_vec();
    filters.iter().for_each(|filter| body.extend(string(filter)));
    packet(0xA2, &body)
}

pub(crate) const PING: [u8; 2] = [0xC0, 0];
pub(crate) const DISCONNECT: [u8; 2] = [0xE0, 0];
