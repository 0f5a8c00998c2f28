//! Certificates and keys: PEM files, and the self-signed pair of test mode.

use std::path::Path;

use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

use super::TlsError;

/// Bytes of a PEM file at most: a long chain has some tens of KiB.
const PEM_BYTES_MAX: u64 = 1024 * 1024;

pub(super) fn certificates(key: &'static str, path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let text = read(key, path)?;
    let certs: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    match certs {
        Ok(certs) if !certs.is_empty() => Ok(certs),
        Ok(_) => Err(content(key, path, "no certificate in it, a PEM file with BEGIN CERTIFICATE is needed")),
        Err(e) => Err(content(key, path, &format!("not a PEM certificate: {e}"))),
    }
}

pub(super) fn private_key(key: &'static str, path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    let text = read(key, path)?;
    let printed = String::from_utf8_lossy(&text);
    if printed.contains("ENCRYPTED PRIVATE KEY") || printed.contains("Proc-Type: 4,ENCRYPTED") {
        let problem = "the key is encrypted, which is not supported; decrypt it with \
                       `openssl pkcs8 -topk8 -nocrypt -in KEY -out KEY.plain` and protect the file instead";
        return Err(content(key, path, problem));
    }
    PrivateKeyDer::from_pem_slice(&text)
        .map_err(|e| content(key, path, &format!("not a PEM private key (PKCS#8, PKCS#1 or SEC1): {e}")))
}

/// A certificate for localhost, valid as long as rcgen's default (to the year 4096).
pub(super) fn self_signed() -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), TlsError> {
    let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
    let pair = rcgen::generate_simple_self_signed(names).map_err(TlsError::SelfSigned)?;
    let key = PrivatePkcs8KeyDer::from(pair.signing_key.serialize_der());
    Ok((vec![pair.cert.der().clone()], key.into()))
}

fn read(key: &'static str, path: &Path) -> Result<Vec<u8>, TlsError> {
    let failed = |source| TlsError::Read { key, path: path.to_owned(), source };
    if std::fs::metadata(path).map_err(failed)?.len() > PEM_BYTES_MAX {
        return Err(content(key, path, "larger than 1 MiB, not a PEM file"));
    }
    std::fs::read(path).map_err(failed)
}

fn content(key: &'static str, path: &Path, problem: &str) -> TlsError {
    TlsError::Content { key, path: path.to_owned(), problem: problem.to_owned() }
}
