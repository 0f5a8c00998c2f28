//! TLS on the server's ports and from the client: modes, certificates, the keys that configure them.
//!
//! A server peeks at the first byte: 0x16 begins a TLS handshake. By default both kinds of connection are taken, with
//! a certificate made at start, as Apache's `TlsMode.PERMISSIVE` and `tls.test.mode.enable` do.

mod client;
mod pem;
mod settings;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use parking_lot::Mutex;
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio_rustls::TlsAcceptor;

pub use client::TlsClient;
pub use settings::{ClientAuth, TlsSettings};

/// Which connections a server takes (`tls.server.mode`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TlsMode {
    /// Plain ones only.
    Disabled,
    /// Both.
    #[default]
    Permissive,
    /// TLS only.
    Enforcing,
}

/// Why TLS cannot be set up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// A configured file cannot be read.
    #[error("read {key}={}", path.display())]
    Read {
        /// The key that names the file.
        key: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file holds nothing usable.
    #[error("{key}={}: {problem}", path.display())]
    Content {
        /// The key that names the file.
        key: &'static str,
        /// The file.
        path: PathBuf,
        /// What is wrong and what would be right.
        problem: String,
    },
    /// A key's value is none of those allowed.
    #[error("{key}={value}: allowed are {allowed}")]
    Value {
        /// The key.
        key: &'static str,
        /// What was read.
        value: String,
        /// What may stand there.
        allowed: &'static str,
    },
    /// A key that another one needs is missing.
    #[error("{key} is missing: {why}")]
    Missing {
        /// The key.
        key: &'static str,
        /// Who needs it.
        why: &'static str,
    },
    /// The certificate of test mode cannot be made.
    #[error("make a self-signed certificate")]
    SelfSigned(#[source] rcgen::Error),
    /// rustls doesn't take what the files hold.
    #[error("certificate and key don't make a TLS configuration")]
    Config(#[from] rustls::Error),
    /// The client certificates' authority is unusable.
    #[error("trusted certificates are unusable")]
    Verifier(#[from] rustls::server::VerifierBuilderError),
}

/// A server's TLS, cheap to clone. Its certificate files are read again when they change.
#[derive(Clone)]
pub struct Tls {
    mode: TlsMode,
    shared: Option<Arc<Shared>>,
}

struct Shared {
    settings: TlsSettings,
    current: Mutex<Current>,
}

struct Current {
    config: Arc<ServerConfig>,
    /// Modification times of the files that `config` was made from, or last tried.
    stamps: Vec<Option<SystemTime>>,
}

impl Tls {
    /// Plain connections only.
    pub fn disabled() -> Self {
        Self { mode: TlsMode::Disabled, shared: None }
    }

    /// Reads certificates, or makes one in test mode.
    pub fn new(settings: TlsSettings) -> Result<Self, TlsError> {
        if settings.mode == TlsMode::Disabled {
            return Ok(Self::disabled());
        }
        let stamps = settings.stamps();
        let config = Arc::new(server_config(&settings)?);
        let mode = settings.mode;
        let shared = Shared { settings, current: Mutex::new(Current { config, stamps }) };
        Ok(Self { mode, shared: Some(Arc::new(shared)) })
    }

    /// Which connections are taken.
    pub fn mode(&self) -> TlsMode {
        self.mode
    }

    pub(crate) fn acceptor(&self) -> Option<TlsAcceptor> {
        self.shared.as_ref().map(|s| TlsAcceptor::from(s.current.lock().config.clone()))
    }

    /// Takes changed certificate files into use; what is wrong with them is logged once and the old ones stay.
    pub(crate) fn reload_if_changed(&self) {
        let Some(shared) = &self.shared else { return };
        let stamps = shared.settings.stamps();
        if shared.current.lock().stamps == stamps {
            return;
        }
        let loaded = server_config(&shared.settings);
        let mut current = shared.current.lock();
        current.stamps = stamps;
        match loaded {
            Ok(config) => {
                current.config = Arc::new(config);
                tracing::info!("TLS certificate files changed, new connections use them");
            }
            Err(e) => {
                tracing::error!(error = %e, "TLS certificate files changed but cannot be used, the old ones stay");
            }
        }
    }
}

fn server_config(settings: &TlsSettings) -> Result<ServerConfig, TlsError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder =
        ServerConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions()?;
    if settings.test_mode {
        // Apache asks for a client certificate here but checks none that its own test clients have; so none is asked.
        let (certs, key) = pem::self_signed()?;
        return Ok(builder.with_no_client_auth().with_single_cert(certs, key)?);
    }
    let certs = pem::certificates(
        "tls.server.certPath",
        settings.cert_path.as_ref().ok_or(TlsError::Missing {
            key: "tls.server.certPath",
            why: "tls.test.mode.enable=false needs a certificate",
        })?,
    )?;
    let key = pem::private_key(
        "tls.server.keyPath",
        settings.key_path.as_ref().ok_or(TlsError::Missing {
            key: "tls.server.keyPath",
            why: "tls.test.mode.enable=false needs a private key",
        })?,
    )?;
    // Apache: with authClient=false any client certificate is trusted, so asking for one would prove nothing.
    if settings.client_auth == ClientAuth::None || !settings.auth_client {
        return Ok(builder.with_no_client_auth().with_single_cert(certs, key)?);
    }
    let trust_path = settings.trust_cert_path.as_ref().ok_or(TlsError::Missing {
        key: "tls.server.trustCertPath",
        why: "tls.server.need.client.auth needs the authority of the clients' certificates",
    })?;
    let mut roots = RootCertStore::empty();
    for cert in pem::certificates("tls.server.trustCertPath", trust_path)? {
        roots.add(cert)?;
    }
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
    let verifier = match settings.client_auth {
        ClientAuth::Optional => verifier.allow_unauthenticated().build()?,
        _ => verifier.build()?,
    };
    Ok(builder.with_client_cert_verifier(verifier).with_single_cert(certs, key)?)
}
