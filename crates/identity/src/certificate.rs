//! The machine's own certificate authority, and the certificate that it gives the server.
//!
//! Files below `keys/`, all 0600: `ca.pem`, `ca-key.pem`, `tls.pem`, `tls-key.pem`. Clients trust `ca.pem`; it lives long and
//! keeps its key when it is made anew, so certificates made before stay good.

use std::{
    fs::{self, File, OpenOptions},
    io::Write,
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::Mutex,
    time::{Duration, SystemTime},
};

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType,
};
use x509_parser::{extensions::GeneralName, prelude::FromDer};

use crate::{IdentityError, chance};

const DAY_MS: u64 = 24 * 3600 * 1000;
const CA_LIFETIME_MS: u64 = 3650 * DAY_MS;
/// A new one is made so long before the old one ends, so that clients have time to fetch it.
const CA_RENEWED_MS: u64 = 365 * DAY_MS;
/// Verifiers refuse certificates of servers that live longer than 398 days.
const LEAF_LIFETIME_MS: u64 = 397 * DAY_MS;
const LEAF_RENEWED_MS: u64 = 30 * DAY_MS;
/// Clocks differ: what is made now is good since an hour ago.
const EARLIER_MS: u64 = 3600 * 1000;

/// A certificate with its chain, and its key.
#[derive(Clone, PartialEq, Eq)]
pub struct Leaf {
    /// PEM, the server's own certificate first.
    pub chain: String,
    /// PEM, PKCS #8.
    pub key: String,
}

/// The authority and what it made, in one directory.
pub struct Certificates {
    directory: PathBuf,
    /// Files are read, judged and replaced by one at a time.
    writing: Mutex<()>,
}

impl Certificates {
    pub(crate) fn new(directory: &Path) -> Certificates {
        Certificates { directory: directory.to_owned(), writing: Mutex::new(()) }
    }

    /// Returns the certificate (PEM) that clients have to trust, making or renewing it where needed.
    ///
    /// # Errors
    /// The files cannot be read or written.
    pub fn authority(&self, now_ms: u64) -> Result<String, IdentityError> {
        let _one = self.writing.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        Ok(self.open_authority(now_ms)?.0)
    }

    /// Returns a certificate for these names (addresses or DNS names), making or renewing it where needed.
    ///
    /// # Errors
    /// The files cannot be read or written, or a name is none.
    pub fn leaf(&self, names: &[String], now_ms: u64) -> Result<Leaf, IdentityError> {
        let _one = self.writing.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let (ca, ca_key, common_name) = self.open_authority(now_ms)?;
        if let (Some(chain), Some(key)) = (self.read("tls.pem")?, self.read("tls-key.pem")?)
            && self.is_good(&chain, &ca_key, names, now_ms)
            && KeyPair::from_pem(&key).is_ok()
        {
            return Ok(Leaf { chain, key });
        }
        let key = KeyPair::generate().map_err(IdentityError::certificate("make a key"))?;
        let mut params =
            CertificateParams::new(names).map_err(IdentityError::certificate("make a certificate for these names"))?;
        params.distinguished_name = named("Pillion");
        lasting(&mut params, now_ms, LEAF_LIFETIME_MS);
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        let issuer = Issuer::new(authority_params(&common_name, now_ms), ca_key);
        let made = params.signed_by(&key, &issuer).map_err(IdentityError::certificate("sign the server's certificate"))?;
        // Clients have the authority's certificate already; sending it along lets `openssl s_client` show it.
        let leaf = Leaf { chain: format!("{}{ca}", made.pem()), key: key.serialize_pem() };
        // The key first: a crash between leaves a pair that does not fit, which the next start sees and replaces.
        self.write("tls-key.pem", &leaf.key)?;
        self.write("tls.pem", &leaf.chain)?;
        tracing::info!(?names, "made a certificate for the server");
        Ok(leaf)
    }

    /// Reads the authority, making it where there is none and renewing it where it ends soon: its certificate, its key,
    /// its name.
    fn open_authority(&self, now_ms: u64) -> Result<(String, KeyPair, String), IdentityError> {
        let key = match self.read("ca-key.pem")? {
            Some(pem) => KeyPair::from_pem(&pem).map_err(IdentityError::certificate("read the authority's key"))?,
            None => {
                let key = KeyPair::generate().map_err(IdentityError::certificate("make the authority's key"))?;
                self.write("ca-key.pem", &key.serialize_pem())?;
                key
            }
        };
        let found = self.read("ca.pem")?.and_then(|pem| {
            let (name, not_after_ms) = with(&pem, |certificate| {
                let name = certificate.subject().iter_common_name().next()?.as_str().ok()?.to_owned();
                let fits = certificate.public_key().subject_public_key.data.as_ref() == key.public_key_raw();
                fits.then_some((name, ends_ms(certificate)))
            })??;
            Some((pem, name, not_after_ms))
        });
        let name = match found {
            Some((pem, name, not_after_ms)) if not_after_ms > now_ms + CA_RENEWED_MS => return Ok((pem, key, name)),
            // The same name and key: what it signed before still leads to it.
            Some((_, name, _)) => name,
            // Several copies on one machine, or several machines, may be trusted in one file.
            None => format!("Pillion authority {}", &chance::new_id()[..8]),
        };
        let made = authority_params(&name, now_ms)
            .self_signed(&key)
            .map_err(IdentityError::certificate("make the authority's certificate"))?;
        self.write("ca.pem", &made.pem())?;
        tracing::info!(name, "made a certificate authority");
        Ok((made.pem(), key, name))
    }

    /// Returns true if the certificate is the authority's, for exactly these names, and does not end soon.
    fn is_good(&self, chain: &str, ca_key: &KeyPair, names: &[String], now_ms: u64) -> bool {
        let Ok(own) = fs::read_to_string(self.directory.join("tls-key.pem")) else { return false };
        let Ok(own) = KeyPair::from_pem(&own) else { return false };
        let judged = with(chain, |certificate| {
            let fits = certificate.public_key().subject_public_key.data.as_ref() == own.public_key_raw();
            let authority = authority_params("", now_ms).key_identifier(ca_key);
            let ours = certificate.iter_extensions().any(|extension| match extension.parsed_extension() {
                x509_parser::extensions::ParsedExtension::AuthorityKeyIdentifier(found) => {
                    found.key_identifier.as_ref().is_some_and(|id| id.0 == authority)
                }
                _ => false,
            });
            let mut found: Vec<SanType> = Vec::new();
            if let Ok(Some(all)) = certificate.subject_alternative_name() {
                found.extend(all.value.general_names.iter().filter_map(san));
            }
            let wanted = CertificateParams::new(names).map(|params| params.subject_alt_names).unwrap_or_default();
            fits && ours && found == wanted && ends_ms(certificate) > now_ms + LEAF_RENEWED_MS
        });
        judged == Some(true)
    }

    fn read(&self, name: &str) -> Result<Option<String>, IdentityError> {
        let path = self.directory.join(name);
        let failed = |source| IdentityError::File { doing: "read", path: path.clone(), source };
        let mode = match fs::metadata(&path) {
            Ok(metadata) => metadata.mode(),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(failed(source)),
        };
        if mode & 0o077 != 0 {
            return Err(IdentityError::Exposed { path, mode: mode & 0o7777 });
        }
        fs::read_to_string(&path).map(Some).map_err(failed)
    }

    fn write(&self, name: &str, text: &str) -> Result<(), IdentityError> {
        let path = self.directory.join(name);
        let fresh = self.directory.join(format!("{name}.new"));
        let write = || -> std::io::Result<()> {
            let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&fresh)?;
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            fs::rename(&fresh, &path)?;
            File::open(&self.directory)?.sync_all()
        };
        write().map_err(|source| IdentityError::File { doing: "write", path: path.clone(), source })
    }
}

fn authority_params(name: &str, now_ms: u64) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = named(name);
    lasting(&mut params, now_ms, CA_LIFETIME_MS);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.use_authority_key_identifier_extension = true;
    params
}

fn named(common_name: &str) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, common_name);
    name
}

fn lasting(params: &mut CertificateParams, now_ms: u64, lifetime_ms: u64) {
    let at = |ms: u64| SystemTime::UNIX_EPOCH + Duration::from_millis(ms);
    params.not_before = at(now_ms.saturating_sub(EARLIER_MS)).into();
    params.not_after = at(now_ms + lifetime_ms).into();
}

/// Gives the first certificate in the text to `look`; none where there is none.
fn with<T>(pem: &str, look: impl FnOnce(&x509_parser::certificate::X509Certificate<'_>) -> T) -> Option<T> {
    use rustls_pki_types::pem::PemObject;
    let der = rustls_pki_types::CertificateDer::from_pem_slice(pem.as_bytes()).ok()?;
    let (_, certificate) = x509_parser::certificate::X509Certificate::from_der(&der).ok()?;
    Some(look(&certificate))
}

fn ends_ms(certificate: &x509_parser::certificate::X509Certificate<'_>) -> u64 {
    u64::try_from(certificate.validity().not_after.timestamp()).unwrap_or(0) * 1000
}

fn san(name: &GeneralName<'_>) -> Option<SanType> {
    match name {
        GeneralName::DNSName(name) => (*name).to_owned().try_into().ok().map(SanType::DnsName),
        GeneralName::IPAddress(bytes) => {
            let v4 = <[u8; 4]>::try_from(*bytes).map(std::net::IpAddr::from);
            v4.or_else(|_| <[u8; 16]>::try_from(*bytes).map(std::net::IpAddr::from)).ok().map(SanType::IpAddress)
        }
        _ => None,
    }
}
