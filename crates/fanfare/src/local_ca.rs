//! TLS without a certificate of one's own: an authority of this server, and the server's certificate.
//!
//! Both live in a folder: `ca.pem` is what clients are to trust, `server.pem` what the server shows;
//! the keys beside them are for the server's user alone. What is close to its end, or speaks for other
//! names than wanted, is made anew at the next start. Behind each certificate stand notes, which
//! readers of PEM skip, so that nothing needs to take certificates apart.

use std::fs::{self, DirBuilder};
use std::io::{self, ErrorKind};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};
use time::{Duration, OffsetDateTime};

use crate::files::{self, Readers};

/// The authority's certificate, which clients are to trust.
pub(crate) const CA_FILE: &str = "ca.pem";
const CA_KEY_FILE: &str = "ca-key.pem";
const SERVER_FILE: &str = "server.pem";
const SERVER_KEY_FILE: &str = "server-key.pem";

/// The authority is trusted by hand, so it lasts.
const CA_LASTS: Duration = Duration::days(3_650);
/// As long as all clients accept certificates of authorities that were added by hand.
const SERVER_LASTS: Duration = Duration::days(825);
/// Of what is left less than this is made anew.
const RENEW_WITHIN: Duration = Duration::days(60);
/// Clocks of other machines may be behind.
const BEFORE: Duration = Duration::days(1);

/// No authority and certificate could be had.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LocalCaError {
    /// A file cannot be read or written.
    #[error("{}: {error}; make the folder writable, configure tls.cert, or set tls.local_ca = false", file.display())]
    File {
        /// Which.
        file: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// A key or certificate could not be made.
    #[error("a certificate for this server could not be made: {0}; set tls.local_ca = false to do without")]
    Making(#[from] rcgen::Error),
}

/// What the server shows, and which file tells clients to trust it.
pub(crate) struct LocalCa {
    /// The server's certificate, PEM.
    pub(crate) certificate: String,
    /// Its key, PEM. Never to be shown.
    pub(crate) key: String,
    /// The authority's certificate, PEM.
    pub(crate) authority: String,
    /// The file that holds it.
    pub(crate) file: PathBuf,
}

impl LocalCa {
    /// Reads what is in `folder`, and makes what is missing, too old or for other `names`: DNS names,
    /// perhaps with a first `*.`, and addresses.
    ///
    /// # Errors
    /// [`LocalCaError`].
    pub(crate) fn open(folder: &Path, names: &[String], now: OffsetDateTime) -> Result<Self, LocalCaError> {
        // Clients read the authority's file; the keys have modes of their own.
        let made = DirBuilder::new().recursive(true).mode(0o755).create(folder);
        made.map_err(|error| LocalCaError::File { file: folder.to_owned(), error })?;
        let file = folder.join(CA_FILE);
        let (authority, issuer) = match Pair::read(folder, CA_FILE, CA_KEY_FILE)?.filter(|pair| pair.lasts(now)) {
            Some(pair) => (pair.certificate, Issuer::new(authority_params(&pair.key, now), pair.key)),
            None => make_authority(folder, now)?,
        };
        let served = Pair::read(folder, SERVER_FILE, SERVER_KEY_FILE)?;
        let is_ours = |pair: &Pair| {
            pair.note("issuer") == Some(&*tail(issuer.key())) && pair.note("names") == Some(&*names.join(" "))
        };
        let (certificate, key) = match served.filter(|pair| pair.lasts(now) && is_ours(pair)) {
            Some(pair) => (pair.certificate, pair.key.serialize_pem()),
            None => make_server(folder, &issuer, names, now)?,
        };
        Ok(Self { certificate, key, authority, file })
    }
}

/// A certificate that is there, with its key.
struct Pair {
    certificate: String,
    key: KeyPair,
}

impl Pair {
    /// `None` when one of them is missing, broken, or not the other's.
    fn read(folder: &Path, certificate: &str, key: &str) -> Result<Option<Self>, LocalCaError> {
        let (Some(certificate), Some(key)) = (read(folder.join(certificate))?, read(folder.join(key))?) else {
            return Ok(None);
        };
        let Ok(key) = KeyPair::from_pem(&key) else { return Ok(None) };
        let pair = Self { certificate, key };
        let is_whole = pair.note("key") == Some(&*tail(&pair.key));
        Ok(is_whole.then_some(pair))
    }

    /// A note behind the certificate: `# name = value`.
    fn note(&self, name: &str) -> Option<&str> {
        let mut notes = self.certificate.lines().filter_map(|line| line.strip_prefix("# ")?.split_once(" = "));
        notes.find(|(key, _)| *key == name).map(|(_, value)| value)
    }

    fn lasts(&self, now: OffsetDateTime) -> bool {
        let end = self.note("expires").and_then(|end| end.parse().ok());
        end.is_some_and(|end: i64| end > (now + RENEW_WITHIN).unix_timestamp())
    }
}

fn read(file: PathBuf) -> Result<Option<String>, LocalCaError> {
    match fs::read_to_string(&file) {
        Ok(text) => Ok(Some(text)),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::InvalidData) => Ok(None),
        Err(error) => Err(LocalCaError::File { file, error }),
    }
}

/// The end of a public key in hexadecimal, which names it well enough.
fn tail(key: &KeyPair) -> String {
    let bytes = key.public_key_raw();
    bytes[bytes.len().saturating_sub(4)..].iter().map(|byte| format!("{byte:02x}")).collect()
}

fn authority_params(key: &KeyPair, now: OffsetDateTime) -> CertificateParams {
    let mut params = CertificateParams::default();
    // Two authorities on one machine are not to have one name.
    params.distinguished_name.push(DnType::CommonName, format!("Fanfare local CA {}", tail(key)));
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    (params.not_before, params.not_after) = (now - BEFORE, now + CA_LASTS);
    params
}

fn make_authority(folder: &Path, now: OffsetDateTime) -> Result<(String, Issuer<'static, KeyPair>), LocalCaError> {
    let key = KeyPair::generate()?;
    let params = authority_params(&key, now);
    let notes = format!("# key = {}\n# expires = {}\n", tail(&key), params.not_after.unix_timestamp());
    let certificate = params.self_signed(&key)?.pem() + &notes;
    keep(folder, (CA_FILE, &certificate), (CA_KEY_FILE, &key.serialize_pem()))?;
    tracing::debug!(file = %folder.join(CA_FILE).display(), "a certificate authority was made; clients that trust it can use TLS");
    Ok((certificate, Issuer::new(params, key)))
}

fn make_server(
    folder: &Path,
    issuer: &Issuer<'_, KeyPair>,
    names: &[String],
    now: OffsetDateTime,
) -> Result<(String, String), LocalCaError> {
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::new(names)?;
    params.distinguished_name.push(DnType::CommonName, "Fanfare");
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    (params.not_before, params.not_after) = (now - BEFORE, now + SERVER_LASTS);
    let (end, issued_by, own) = (params.not_after.unix_timestamp(), tail(issuer.key()), tail(&key));
    let notes = format!("# key = {own}\n# issuer = {issued_by}\n# expires = {end}\n# names = {}\n", names.join(" "));
    let certificate = params.signed_by(&key, issuer)?.pem() + &notes;
    let secret = key.serialize_pem();
    keep(folder, (SERVER_FILE, &certificate), (SERVER_KEY_FILE, &secret))?;
    Ok((certificate, secret))
}

/// Writes both. Whatever stops this half-way, [`Pair::read`] notices.
fn keep(folder: &Path, certificate: (&str, &str), key: (&str, &str)) -> Result<(), LocalCaError> {
    for ((name, text), readers) in [(key, Readers::Owner), (certificate, Readers::Everybody)] {
        let file = folder.join(name);
        files::write(&file, text, readers).map_err(|error| LocalCaError::File { file, error })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::sync::Arc;

    use rustls::pki_types::pem::PemObject;
    use rustls::pki_types::{CertificateDer, ServerName, UnixTime};

    use super::*;

    fn names(all: &[&str]) -> Vec<String> {
        all.iter().map(|&name| name.to_owned()).collect()
    }

    /// Whether a client that trusts `made.authority` takes the certificate for `name`.
    fn is_trusted(made: &LocalCa, name: &str, now: OffsetDateTime) -> bool {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(made.authority.as_bytes()).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let verifier = rustls::client::WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider);
        let shown = CertificateDer::from_pem_slice(made.certificate.as_bytes()).unwrap();
        let at = UnixTime::since_unix_epoch(std::time::Duration::from_secs(now.unix_timestamp().unsigned_abs()));
        let name = ServerName::try_from(name.to_owned()).unwrap();
        let verifier = verifier.build().unwrap();
        rustls::client::danger::ServerCertVerifier::verify_server_cert(&*verifier, &shown, &[], &name, &[], at).is_ok()
    }

    #[test]
    fn the_certificate_stands_for_its_names_and_no_others() {
        let folder = tempfile::tempdir().unwrap();
        let now = OffsetDateTime::now_utc();
        let wanted = names(&["localhost", "*.execute-api.local.localhost", "127.0.0.1", "::1", "ws.example"]);
        let made = LocalCa::open(&folder.path().join("ca"), &wanted, now).unwrap();
        for name in ["localhost", "abc.execute-api.local.localhost", "127.0.0.1", "::1", "ws.example"] {
            assert!(is_trusted(&made, name, now), "{name}");
        }
        for name in ["example", "a.b.execute-api.local.localhost", "127.0.0.2", "other.example"] {
            assert!(!is_trusted(&made, name, now), "{name}");
        }
        let mode = |name: &str| fs::metadata(folder.path().join("ca").join(name)).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(CA_KEY_FILE), mode(SERVER_KEY_FILE), mode(CA_FILE)), (0o600, 0o600, 0o644));
        assert!(fanfare_door::server_config(made.certificate.as_bytes(), made.key.as_bytes(), None).is_ok());
    }

    #[test]
    fn what_is_good_is_kept_and_what_is_not_is_made_anew() {
        let folder = tempfile::tempdir().unwrap();
        let now = OffsetDateTime::now_utc();
        let open = |wanted: &[&str], now| LocalCa::open(folder.path(), &names(wanted), now).unwrap();
        let first = open(&["localhost"], now);
        let again = open(&["localhost"], now + Duration::days(700));
        assert_eq!((&again.certificate, &again.key), (&first.certificate, &first.key));

        let renamed = open(&["localhost", "two"], now);
        assert!(renamed.certificate != first.certificate && renamed.authority == first.authority);
        assert!(is_trusted(&renamed, "two", now));

        let later = now + Duration::days(800);
        let renewed = open(&["localhost", "two"], later);
        assert!(renewed.certificate != renamed.certificate && renewed.authority == first.authority);
        assert!(is_trusted(&renewed, "two", later + Duration::days(100)));

        let at_the_end = open(&["localhost", "two"], now + Duration::days(3_600));
        assert!(at_the_end.authority != first.authority);
    }

    #[test]
    fn halves_and_ruins_are_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let now = OffsetDateTime::now_utc();
        let open = || LocalCa::open(folder.path(), &names(&["localhost"]), now).unwrap();
        let first = open();
        // As if a crash had come between the two files of the server.
        fs::write(folder.path().join(SERVER_KEY_FILE), KeyPair::generate().unwrap().serialize_pem()).unwrap();
        let second = open();
        assert!(second.authority == first.authority && second.key != first.key);
        fs::write(folder.path().join(CA_KEY_FILE), "nothing").unwrap();
        let third = open();
        assert!(third.authority != first.authority && is_trusted(&third, "localhost", now));
    }
}
