//! Apache's `tls.*` keys.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use oxmq_base::properties;

use super::{TlsError, TlsMode};

/// Whether clients show a certificate (`tls.server.need.client.auth`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ClientAuth {
    /// Not asked for.
    #[default]
    None,
    /// Asked for, and checked where one is shown.
    Optional,
    /// Asked for; no certificate, no connection.
    Require,
}

/// A server's TLS keys. Apache: `TlsSystemConfig`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsSettings {
    /// `tls.server.mode`, permissive by default.
    pub mode: TlsMode,
    /// `tls.test.mode.enable`, true by default: a self-signed certificate made at start.
    pub test_mode: bool,
    /// `tls.server.certPath`: PEM, the chain with the server's own first.
    pub cert_path: Option<PathBuf>,
    /// `tls.server.keyPath`: PEM, not encrypted.
    pub key_path: Option<PathBuf>,
    /// `tls.server.need.client.auth`, none by default.
    pub client_auth: ClientAuth,
    /// `tls.server.authClient`, false by default: whether a client's certificate must be one of the trusted.
    pub auth_client: bool,
    /// `tls.server.trustCertPath`: PEM, authorities of the clients' certificates.
    pub trust_cert_path: Option<PathBuf>,
}

impl Default for TlsSettings {
    fn default() -> Self {
        Self {
            mode: TlsMode::Permissive,
            test_mode: true,
            cert_path: None,
            key_path: None,
            client_auth: ClientAuth::None,
            auth_client: false,
            trust_cert_path: None,
        }
    }
}

/// Where Apache looks for a TLS properties file when `tls.config.file` names none.
const CONFIG_FILE_DEFAULT: &str = "/etc/rocketmq/tls.properties";

impl TlsSettings {
    /// Reads the keys through `get` (a broker.conf, an environment), then those of the file that `tls.config.file`
    /// names, which win as they do with Apache. A file named otherwise than the
    /// default must exist.
    pub fn read(get: impl Fn(&str) -> Option<String>) -> Result<Self, TlsError> {
        const FILE_KEY: &str = "tls.config.file";
        let mut settings = Self::default();
        settings.apply(&get)?;
        let named = get(FILE_KEY).filter(|p| !p.trim().is_empty());
        let path = PathBuf::from(named.as_deref().unwrap_or(CONFIG_FILE_DEFAULT));
        match properties::read_file(&path) {
            Ok(text) => {
                let entries = properties::parse(&text).map_err(|e| TlsError::Content {
                    key: FILE_KEY,
                    path: path.clone(),
                    problem: format!("not a properties file: {e}"),
                })?;
                settings.apply(|key| entries.iter().rev().find(|e| e.key == key).map(|e| e.value.clone()))?;
            }
            Err(source) if path.as_os_str() != CONFIG_FILE_DEFAULT => {
                return Err(TlsError::Read { key: FILE_KEY, path, source });
            }
            Err(_) => {}
        }
        // Apache stays in test mode until told otherwise, so that a configured certificate is ignored in silence.
        // Naming a certificate and a key says which ones are meant.
        if settings.cert_path.is_some() && settings.key_path.is_some() && settings.test_mode {
            tracing::info!("tls.server.certPath and keyPath are set: tls.test.mode.enable is taken as false");
            settings.test_mode = false;
        }
        Ok(settings)
    }

    fn apply(&mut self, get: impl Fn(&str) -> Option<String>) -> Result<(), TlsError> {
        let get = |key: &str| get(key).map(|v| v.trim().to_owned()).filter(|v| !v.is_empty());
        const MODE: &str = "tls.server.mode";
        if let Some(value) = get(MODE) {
            self.mode = match value.to_ascii_lowercase().as_str() {
                "disabled" => TlsMode::Disabled,
                "permissive" => TlsMode::Permissive,
                "enforcing" => TlsMode::Enforcing,
                _ => {
                    let allowed = "disabled, permissive, enforcing";
                    return Err(TlsError::Value { key: MODE, value, allowed });
                }
            };
        }
        const AUTH: &str = "tls.server.need.client.auth";
        if let Some(value) = get(AUTH) {
            self.client_auth = match value.to_ascii_lowercase().as_str() {
                "none" => ClientAuth::None,
                "optional" => ClientAuth::Optional,
                "require" => ClientAuth::Require,
                _ => {
                    let allowed = "none, optional, require";
                    return Err(TlsError::Value { key: AUTH, value, allowed });
                }
            };
        }
        if let Some(value) = get("tls.test.mode.enable") {
            self.test_mode = value.eq_ignore_ascii_case("true");
        }
        if let Some(value) = get("tls.server.authClient") {
            self.auth_client = value.eq_ignore_ascii_case("true");
        }
        let path = |key| get(key).map(PathBuf::from);
        self.cert_path = path("tls.server.certPath").or(self.cert_path.take());
        self.key_path = path("tls.server.keyPath").or(self.key_path.take());
        self.trust_cert_path = path("tls.server.trustCertPath").or(self.trust_cert_path.take());
        Ok(())
    }

    /// When the files were last changed.
    pub(super) fn stamps(&self) -> Vec<Option<SystemTime>> {
        let files = [&self.cert_path, &self.key_path, &self.trust_cert_path];
        files.iter().filter_map(|p| p.as_deref()).map(modified).collect()
    }
}

fn modified(path: &Path) -> Option<SystemTime> {
    std::fs::metadata(path).and_then(|m| m.modified()).ok()
}
