//! How clients come to trust this server: its certificate, and the bundle of authorities for its children.

use std::fs::{self, DirBuilder};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use fanfare_door::ClientCertificates;
use time::OffsetDateTime;

use crate::config::{self, Config};
use crate::files::{self, Readers};
use crate::local_ca::LocalCa;

/// The folder of certificates in the data folder.
const FOLDER: &str = "ca";
/// All authorities that children are to trust.
const BUNDLE_FILE: &str = "ca-bundle.pem";

/// Where systems keep the authorities that they trust, in one file; the first that is there counts.
const SYSTEM_BUNDLES: [&str; 6] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/pki/tls/cacert.pem",
    "/etc/ssl/cert.pem",
];

/// How TLS is served, and by which files it is trusted.
pub(crate) struct Trust {
    /// For the listeners; `None` where they speak plain text only.
    pub(crate) tls: Option<Arc<rustls::ServerConfig>>,
    /// The certificate of the local authority, if there is one.
    pub(crate) ca: Option<PathBuf>,
    /// The authorities of the system and our own, for programs that take one file.
    pub(crate) bundle: Option<PathBuf>,
    _folder: Folder,
}

impl Trust {
    /// Reads the configured certificate, or makes one.
    ///
    /// # Errors
    /// A file cannot be read, written or used.
    pub(crate) fn open(config: &Config, more_names: &[String]) -> anyhow::Result<Self> {
        let settings = &config.tls;
        let folder = Folder::of(config)?;
        let (certificate, key, trusted, ca) = match (&settings.cert, &settings.key) {
            (Some(cert), Some(key)) => {
                let chain = read(cert)?;
                let trusted = String::from_utf8_lossy(&chain).into_owned();
                (chain, read(key)?, trusted, None)
            }
            _ if settings.local_ca == Some(false) => {
                return Ok(Self { tls: None, ca: None, bundle: None, _folder: folder });
            }
            _ => {
                let made = LocalCa::open(&folder.path, &names(config, more_names), OffsetDateTime::now_utc())?;
                (made.certificate.into_bytes(), made.key.into_bytes(), made.authority, Some(made.file))
            }
        };
        let tls = server_config(config, &certificate, &key)?;
        let bundle = keep_bundle(&folder.path, &trusted).context("the authorities for functions could not be kept")?;
        Ok(Self { tls: Some(tls), ca, bundle: Some(bundle), _folder: folder })
    }
}

/// Where certificates are kept. That of a server that keeps nothing is its own and goes with it.
struct Folder {
    path: PathBuf,
    is_temporary: bool,
}

impl Folder {
    fn of(config: &Config) -> anyhow::Result<Self> {
        if !config.in_memory {
            return Ok(Self { path: config.data.join(FOLDER), is_temporary: false });
        }
        let name = format!("fanfare-{}-{:016x}", std::process::id(), fastrand::u64(..));
        let path = std::env::temp_dir().join(name);
        // Not recursive: what is there already may be somebody else's.
        let made = DirBuilder::new().mode(0o700).create(&path);
        made.with_context(|| format!("the folder {} for certificates cannot be made", path.display()))?;
        Ok(Self { path, is_temporary: true })
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if self.is_temporary {
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}

fn server_config(config: &Config, cert: &[u8], key: &[u8]) -> anyhow::Result<Arc<rustls::ServerConfig>> {
    let is_required = match config.tls.client_certificates {
        config::ClientCertificates::Off => return Ok(fanfare_door::server_config(cert, key, None)?),
        config::ClientCertificates::Optional => false,
        config::ClientCertificates::Required => true,
    };
    let authorities = config.tls.client_ca.as_deref().map(read).transpose()?.unwrap_or_default();
    let revoked = config.tls.client_crl.as_deref().map(read).transpose()?;
    let clients = ClientCertificates { authorities: &authorities, revoked: revoked.as_deref(), is_required };
    Ok(fanfare_door::server_config(cert, key, Some(&clients))?)
}

fn read(file: &Path) -> anyhow::Result<Vec<u8>> {
    fs::read(file).with_context(|| format!("{} cannot be read", file.display()))
}

/// The names that the server is reached by, each once.
fn names(config: &Config, more: &[String]) -> Vec<String> {
    let apis = format!("*.execute-api.{}.localhost", config.aws.region);
    let mut names: Vec<String> =
        ["localhost", "*.localhost", &apis, "127.0.0.1", "::1"].into_iter().map(str::to_owned).collect();
    names.extend(nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok()));
    let addresses = config.listen.iter().chain(&config.mqtt_listen).map(SocketAddr::ip);
    names.extend(addresses.filter(|address| !address.is_unspecified()).map(|address| address.to_string()));
    names.extend(config.tls.local_names.iter().chain(more).map(|name| name.to_ascii_lowercase()));
    let mut kept: Vec<String> = Vec::new();
    for name in names {
        if is_name(&name) && !kept.contains(&name) {
            kept.push(name);
        }
    }
    kept
}

/// Whether a certificate can stand for it: an address, or a DNS name that may begin with `*.`.
pub(crate) fn is_name(name: &str) -> bool {
    let is_label = |label: &str| {
        let is_dull = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
        (1..=63).contains(&label.len()) && label.bytes().all(is_dull)
    };
    let host = name.strip_prefix("*.").unwrap_or(name);
    name.parse::<IpAddr>().is_ok() || (host.len() <= 253 && host.split('.').all(is_label))
}

/// Writes the authorities of the system and `ours` as one file, if that is not what it holds already.
fn keep_bundle(folder: &Path, ours: &str) -> io::Result<PathBuf> {
    fs::create_dir_all(folder)?;
    let named = std::env::var_os("SSL_CERT_FILE").map(PathBuf::from);
    let mut places = named.into_iter().chain(SYSTEM_BUNDLES.iter().map(PathBuf::from));
    let system = places.find_map(|place| fs::read_to_string(place).ok()).unwrap_or_default();
    let line_end = if system.is_empty() || system.ends_with('\n') { "" } else { "\n" };
    let (file, text) = (folder.join(BUNDLE_FILE), format!("{system}{line_end}{ours}"));
    if fs::read_to_string(&file).ok().as_deref() != Some(&text) {
        files::write(&file, &text, Readers::Everybody)?;
    }
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_from_everywhere_and_once() {
        let listen = ["0.0.0.0:8080", "10.1.2.3:8080"].map(|address| address.parse().unwrap());
        let mut config = Config { listen: listen.to_vec(), ..Config::default() };
        config.tls.local_names = vec!["Build.Example".to_owned(), "localhost".to_owned()];
        let names = names(&config, &["ws.example".to_owned(), "not a name".to_owned()]);
        for name in ["localhost", "*.execute-api.local.localhost", "::1", "10.1.2.3", "build.example", "ws.example"] {
            assert_eq!(names.iter().filter(|known| *known == name).count(), 1, "{name}: {names:?}");
        }
        assert!(!names.iter().any(|name| name == "0.0.0.0" || name.contains(' ')), "{names:?}");
    }

    #[test]
    fn a_server_that_keeps_nothing_leaves_no_folder() {
        let config = Config { in_memory: true, ..Config::default() };
        let trust = Trust::open(&config, &[]).unwrap();
        let (ca, bundle) = (trust.ca.clone().unwrap(), trust.bundle.clone().unwrap());
        let ours = fs::read_to_string(&ca).unwrap();
        assert!(trust.tls.is_some() && fs::read_to_string(&bundle).unwrap().ends_with(&ours));
        drop(trust);
        assert!(!ca.exists() && !bundle.exists() && !ca.parent().unwrap().exists());
    }

    #[test]
    fn without_a_local_authority_there_is_no_tls() {
        let mut config = Config { data: "/nowhere".into(), ..Config::default() };
        config.tls.local_ca = Some(false);
        let trust = Trust::open(&config, &[]).unwrap();
        assert!(trust.tls.is_none() && trust.bundle.is_none());
    }
}
