//! What a client's certificate says about it (RFC 5280), for mapping it and for policies.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

use aws_lc_rs::digest::{SHA256, digest};
use fanfare_policy::Context;

use crate::der::{INTEGER, OCTETS, OID, Reader, SEQUENCE, SET};

/// Names of the parts of a distinguished name, by the last number of `2.5.4.N`.
const NAMES: &[(u8, &str)] = &[
    (3, "CommonName"),
    (4, "Surname"),
    (5, "SerialNumber"),
    (6, "Country"),
    (8, "State"),
    (10, "Organization"),
    (11, "OrganizationalUnit"),
    (12, "Title"),
    (42, "GivenName"),
    (43, "Initials"),
    (44, "GenerationQualifier"),
    (46, "DistinguishedNameQualifier"),
    (65, "Pseudonym"),
];

/// The identifier of the extension with alternative names, `2.5.29.17`.
const ALTERNATIVE_NAMES: &[u8] = &[0x55, 0x1d, 0x11];

/// Values of one certificate that are kept, at most; what follows is left out.
const VALUES_MAX: usize = 256;

/// The bytes are no certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the client's certificate cannot be read; it is not an X.509 certificate in DER")]
pub struct CertificateUnreadable;

/// A certificate whose chain was verified by TLS.
#[derive(Clone, PartialEq, Eq)]
pub struct Certificate {
    fingerprint: String,
    /// Keys of policies without `iot:Certificate.`, with their values in order.
    values: Vec<(String, Vec<String>)>,
}

impl Certificate {
    /// Reads the names in a certificate.
    ///
    /// # Errors
    /// [`CertificateUnreadable`].
    pub fn read(der: &[u8]) -> Result<Self, CertificateUnreadable> {
        let mut found = Values::default();
        found.certificate(der).ok_or(CertificateUnreadable)?;
        Ok(Self { fingerprint: hex(digest(&SHA256, der).as_ref()), values: found.values })
    }

    /// SHA-256 of the whole certificate in lower-case hexadecimal: what AWS calls its id.
    #[must_use]
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// The first common name of its subject.
    #[must_use]
    pub fn common_name(&self) -> Option<&str> {
        let (_, values) = self.values.iter().find(|(key, _)| key == "Subject.CommonName")?;
        values.first().map(String::as_str)
    }

    /// Adds what policies can know of it as `iot:Certificate.*`. Its serial number is told in
    /// lower-case hexadecimal.
    #[must_use]
    pub fn describe(&self, context: Context) -> Context {
        self.values.iter().fold(context, |context, (key, values)| {
            context.with_all(&format!("iot:Certificate.{key}"), values.iter().map(String::as_str))
        })
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_tuple("Certificate").field(&self.fingerprint).finish()
    }
}

#[derive(Default)]
struct Values {
    values: Vec<(String, Vec<String>)>,
    count: usize,
}

impl Values {
    fn add(&mut self, key: &str, value: String) {
        self.count += 1;
        if self.count > VALUES_MAX {
            return;
        }
        match self.values.iter_mut().find(|(known, _)| known == key) {
            Some((_, values)) => values.push(value),
            None => self.values.push((key.to_owned(), vec![value])),
        }
    }

    fn certificate(&mut self, der: &[u8]) -> Option<()> {
        let mut signed = Reader(Reader(der).expect(SEQUENCE)?);
        let mut body = Reader(signed.expect(SEQUENCE)?);
        let _version = body.optional(0xa0);
        let serial = body.expect(INTEGER)?;
        let serial = serial.strip_prefix(&[0]).filter(|rest| !rest.is_empty()).unwrap_or(serial);
        self.add("SerialNumber", hex(serial));
        let _algorithm = body.expect(SEQUENCE)?;
        self.name("Issuer", body.expect(SEQUENCE)?)?;
        let _validity = body.expect(SEQUENCE)?;
        self.name("Subject", body.expect(SEQUENCE)?)?;
        let _key = body.expect(SEQUENCE)?;
        let (_issuer_id, _subject_id) = (body.optional(0x81), body.optional(0x82));
        match body.optional(0xa3) {
            Some(extensions) => self.extensions(extensions),
            None => Some(()),
        }
    }

    /// A distinguished name: a sequence of sets of type and value.
    fn name(&mut self, whose: &str, name: &[u8]) -> Option<()> {
        let mut sets = Reader(name);
        while !sets.0.is_empty() {
            let mut pairs = Reader(sets.expect(SET)?);
            while !pairs.0.is_empty() {
                let mut pair = Reader(pairs.expect(SEQUENCE)?);
                let (kind, (tag, value)) = (pair.expect(OID)?, pair.next()?);
                let [0x55, 0x04, number] = kind else { continue };
                let known = NAMES.iter().find(|(known, _)| known == number);
                if let (Some((_, key)), Some(text)) = (known, text(tag, value)) {
                    self.add(&format!("{whose}.{key}"), text);
                }
            }
        }
        Some(())
    }

    fn extensions(&mut self, extensions: &[u8]) -> Option<()> {
        let mut list = Reader(Reader(extensions).expect(SEQUENCE)?);
        while !list.0.is_empty() {
            let mut extension = Reader(list.expect(SEQUENCE)?);
            let id = extension.expect(OID)?;
            let _is_critical = extension.optional(0x01);
            if id == ALTERNATIVE_NAMES {
                self.alternative_names(Reader(extension.expect(OCTETS)?).expect(SEQUENCE)?)?;
            }
        }
        Some(())
    }

    fn alternative_names(&mut self, names: &[u8]) -> Option<()> {
        let mut names = Reader(names);
        while !names.0.is_empty() {
            let (tag, value) = names.next()?;
            let plain = || std::str::from_utf8(value).ok().map(str::to_owned);
            let (key, text) = match tag {
                0x81 => ("RFC822Name", plain()),
                0x82 => ("DNSName", plain()),
                0x86 => ("UniformResourceIdentifier", plain()),
                0x87 => ("IPAddress", address(value)),
                _ => continue,
            };
            if let Some(text) = text {
                self.add(&format!("Subject.AlternativeName.{key}"), text);
            }
        }
        Some(())
    }
}

/// The text types of ASN.1 that certificates use.
fn text(tag: u8, value: &[u8]) -> Option<String> {
    match tag {
        // UTF8String, NumericString, PrintableString, IA5String, VisibleString.
        0x0c | 0x12 | 0x13 | 0x16 | 0x1a => std::str::from_utf8(value).ok().map(str::to_owned),
        // TeletexString, which in practice is Latin-1.
        0x14 => Some(value.iter().map(|byte| char::from(*byte)).collect()),
        // BMPString.
        0x1e => {
            let units: Vec<u16> = value.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]])).collect();
            String::from_utf16(&units).ok()
        }
        _ => None,
    }
}

fn address(value: &[u8]) -> Option<String> {
    let four = || <[u8; 4]>::try_from(value).ok().map(|bytes| Ipv4Addr::from(bytes).to_string());
    let sixteen = || <[u8; 16]>::try_from(value).ok().map(|bytes| Ipv6Addr::from(bytes).to_string());
    four().or_else(sixteen)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use fanfare_policy::{Document, PolicySet};
    use rcgen::{CertificateParams, DnType, KeyPair};

    use super::*;

    fn der() -> Vec<u8> {
        let mut params = CertificateParams::new(vec!["lamp.example".to_owned(), "10.0.0.7".to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, "lamp7");
        params.distinguished_name.push(DnType::OrganizationName, "Lamps");
        params.serial_number = Some(vec![0xab, 0xcd].into());
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().to_vec()
    }

    #[test]
    fn names_are_read() {
        let certificate = Certificate::read(&der()).unwrap();
        assert_eq!(certificate.common_name(), Some("lamp7"));
        assert_eq!(certificate.fingerprint().len(), 64);
        let value = |key: &str| certificate.values.iter().find(|(known, _)| known == key).map(|(_, all)| all.join(","));
        assert_eq!(value("SerialNumber").as_deref(), Some("abcd"));
        assert_eq!(value("Issuer.Organization").as_deref(), Some("Lamps"));
        assert_eq!(value("Subject.AlternativeName.DNSName").as_deref(), Some("lamp.example"));
        assert_eq!(value("Subject.AlternativeName.IPAddress").as_deref(), Some("10.0.0.7"));
    }

    #[test]
    fn policies_see_the_names() {
        let text = r#"{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "iot:Publish",
            "Resource": "arn:aws:iot:*:*:topic/${iot:Certificate.Subject.CommonName}/on"}]}"#;
        let mut policies = PolicySet::new();
        policies.attach("p", Arc::new(Document::parse(text).unwrap())).unwrap();
        let context = Certificate::read(&der()).unwrap().describe(Context::new());
        let decide = |topic: &str| {
            let arn = format!("arn:aws:iot:local:000000000000:topic/{topic}");
            policies.decide("iot:Publish", &arn, &context).is_allowed()
        };
        assert!(decide("lamp7/on") && !decide("lamp8/on"));
    }

    #[test]
    fn broken_bytes_are_refused_wherever_they_break() {
        let whole = der();
        for length in 0..whole.len().min(200) {
            assert_eq!(Certificate::read(&whole[..length]), Err(CertificateUnreadable));
        }
        for at in 0..whole.len() {
            let mut changed = whole.clone();
            changed[at] ^= 0xff;
            // Whatever it says then, it must say it without a panic.
            let _ = Certificate::read(&changed);
        }
    }
}
