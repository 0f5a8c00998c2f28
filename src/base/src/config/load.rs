//! Loading: one file, the environment and the command line feed all tables of a role at once.
//!
//! Order of precedence, lowest first: Apache's defaults, NAMESRV_ADDR and ROCKETMQ_HOME, the file of `tls.config.file`,
//! the configuration file, `ROCKETMQ_<KEY>` variables, the command line (`-n`, `-Dkey=value`).

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::path::{Path, PathBuf};

use super::refuse;
use super::suggest::nearest;
use super::table::{BadValue, Effect, Key, Table};
use super::{
    AuthConfig, BrokerConfig, BrokerRole, ControllerConfig, MessageStoreConfig, NamesrvConfig,
    NettyClientConfig, NettyServerConfig, TieredStoreConfig, TlsConfig,
};
use crate::properties;

/// Where settings come from.
#[derive(Debug, Clone, Default)]
pub struct Inputs {
    /// The file given with `-c`.
    pub file: Option<PathBuf>,
    /// The environment.
    pub env: Vec<(String, String)>,
    /// Keys and values of the command line.
    pub flags: Vec<(String, String)>,
}

/// Where one value was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// A line of a file, from 1.
    Line(PathBuf, usize),
    /// An environment variable.
    Env(String),
    /// The command line.
    Flag,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Line(path, line) => write!(f, "{}, line {line}", path.display()),
            Place::Env(name) => write!(f, "environment variable {name}"),
            Place::Flag => write!(f, "command line"),
        }
    }
}

/// A reason not to start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// One line for the operator: place, key, value, reason.
    pub text: String,
    /// The line that Apache's program prints in this case, for scripts that look for it.
    pub apache_line: Option<String>,
    /// The exit code of the process.
    pub exit: i32,
}

impl Refusal {
    pub(super) fn new(place: Option<&Place>, text: impl fmt::Display) -> Self {
        let text = match place {
            Some(place) => format!("{place}: {text}"),
            None => text.to_string(),
        };
        Self { text, apache_line: None, exit: 2 }
    }
}

/// The settings of a role, and what the operator should hear about them.
#[derive(Debug, Clone)]
pub struct Loaded<S> {
    /// The settings.
    pub settings: S,
    /// One line each; logged once at start.
    pub warnings: Vec<String>,
    /// Which keys were given, and where.
    pub given: BTreeMap<String, Place>,
}

impl<S> Loaded<S> {
    /// One line: the keys that were given, with their values among `entries`.
    pub fn describe(&self, entries: &[(String, String)]) -> String {
        let value = |key: &String| entries.iter().find(|(k, _)| k == key).map_or("", |(_, v)| v.as_str());
        self.given.keys().map(|key| format!("{key}={}", value(key))).collect::<Vec<_>>().join(", ")
    }

    /// Whether a key was given (rather than left to its default).
    pub fn is_given(&self, key: &str) -> bool {
        self.given.contains_key(key)
    }
}

/// Everything a broker is configured by.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct BrokerSettings {
    /// The broker proper.
    pub broker: BrokerConfig,
    /// The store.
    pub store: MessageStoreConfig,
    /// The listening side.
    pub server: NettyServerConfig,
    /// Outgoing connections.
    pub client: NettyClientConfig,
    /// TLS.
    pub tls: TlsConfig,
    /// Access control.
    pub auth: AuthConfig,
    /// Tiered storage.
    pub tiered: TieredStoreConfig,
    /// Keys that no table has; kept because Apache answers them in getBrokerConfig.
    pub unknown: BTreeMap<String, String>,
}

impl BrokerSettings {
    /// The tables, in the order in which they are printed.
    pub fn tables(&self) -> [&dyn Table; 7] {
        [&self.broker, &self.server, &self.client, &self.auth, &self.store, &self.tls, &self.tiered]
    }

    fn tables_mut(&mut self) -> [&mut dyn Table; 7] {
        [
            &mut self.broker,
            &mut self.server,
            &mut self.client,
            &mut self.auth,
            &mut self.store,
            &mut self.tls,
            &mut self.tiered,
        ]
    }

    /// Sets a key in every table that has it; `Ok(None)` for a key that none has, which is then kept as unknown.
    pub fn set(&mut self, key: &str, value: &str) -> Result<Option<Key>, BadValue> {
        let known = set_in(&mut self.tables_mut(), key, value)?;
        if known.is_none() {
            self.unknown.insert(key.to_owned(), value.to_owned());
        }
        Ok(known)
    }

    /// Every key that is not null with its value in force, secrets hidden: what getBrokerConfig answers.
    pub fn entries(&self) -> Vec<(String, String)> {
        entries_of(&self.tables(), &self.unknown)
    }
}

/// Everything a nameserver is configured by.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct NamesrvSettings {
    /// The nameserver proper.
    pub namesrv: NamesrvConfig,
    /// The listening side.
    pub server: NettyServerConfig,
    /// Outgoing connections.
    pub client: NettyClientConfig,
    /// TLS.
    pub tls: TlsConfig,
    /// The controller.
    pub controller: ControllerConfig,
    /// Keys that no table has; kept because Apache answers them in getNamesrvConfig.
    pub unknown: BTreeMap<String, String>,
}

impl NamesrvSettings {
    /// The tables, in the order in which they are printed.
    pub fn tables(&self) -> [&dyn Table; 5] {
        [&self.namesrv, &self.server, &self.client, &self.tls, &self.controller]
    }

    fn tables_mut(&mut self) -> [&mut dyn Table; 5] {
        [&mut self.namesrv, &mut self.server, &mut self.client, &mut self.tls, &mut self.controller]
    }

    /// Sets a key in every table that has it; `Ok(None)` for a key that none has, which is then kept as unknown.
    pub fn set(&mut self, key: &str, value: &str) -> Result<Option<Key>, BadValue> {
        let known = set_in(&mut self.tables_mut(), key, value)?;
        if known.is_none() {
            self.unknown.insert(key.to_owned(), value.to_owned());
        }
        Ok(known)
    }

    /// Every key that is not null with its value in force, secrets hidden: what getNamesrvConfig answers.
    pub fn entries(&self) -> Vec<(String, String)> {
        entries_of(&self.tables(), &self.unknown)
    }
}

/// Loads what a broker is configured by.
pub fn load_broker(inputs: &Inputs) -> Result<Loaded<BrokerSettings>, Vec<Refusal>> {
    let mut settings = BrokerSettings::default();
    let defaults = default_values(&settings.tables());
    let foreign = NamesrvSettings::default().tables().iter().flat_map(|t| t.keys()).map(|k| k.name).collect();
    let mut filled =
        fill(&mut settings.tables_mut(), inputs, true, &Foreign { keys: foreign, role: "nameserver" });
    settings.unknown = std::mem::take(&mut filled.unknown);
    if !filled.given.contains_key("listenPort") {
        settings.server.listen_port = 10911;
    }
    if settings.store.ha_listen_port == 0 || !filled.given.contains_key("haListenPort") {
        let derived = if settings.server.listen_port == 0 { 0 } else { settings.server.listen_port + 1 };
        settings.store.ha_listen_port = derived.min(65535);
    }
    if let Some(file) = &inputs.file {
        settings.broker.broker_config_path = Some(file.to_string_lossy().into_owned());
    }
    filled.refusals.extend(refuse::broker(&settings, &filled.given));
    if settings.store.broker_role != BrokerRole::Slave && settings.broker.broker_id != 0 {
        let id = std::mem::take(&mut settings.broker.broker_id);
        let role = settings.store.broker_role.as_str();
        filled.warnings.push(format!("brokerId={id} is taken as 0, as brokerRole is {role}"));
    }
    filled.warn_inert(&settings.tables(), &defaults);
    filled.finish(settings)
}

/// Loads what a nameserver is configured by.
pub fn load_namesrv(inputs: &Inputs) -> Result<Loaded<NamesrvSettings>, Vec<Refusal>> {
    let mut settings = NamesrvSettings::default();
    let defaults = default_values(&settings.tables());
    let foreign = BrokerSettings::default().tables().iter().flat_map(|t| t.keys()).map(|k| k.name).collect();
    let mut filled =
        fill(&mut settings.tables_mut(), inputs, false, &Foreign { keys: foreign, role: "broker" });
    settings.unknown = std::mem::take(&mut filled.unknown);
    if !filled.given.contains_key("listenPort") {
        settings.server.listen_port = 9876;
    }
    if let Some(file) = &inputs.file {
        settings.namesrv.config_store_path = file.to_string_lossy().into_owned();
    }
    filled.warn_inert(&settings.tables(), &defaults);
    filled.finish(settings)
}

fn set_in(tables: &mut [&mut dyn Table], key: &str, value: &str) -> Result<Option<Key>, BadValue> {
    let mut known = None;
    for table in tables {
        if table.set(key, value)? {
            known = known.or(table.keys().into_iter().find(|k| k.name == key));
        }
    }
    Ok(known)
}

fn entries_of(tables: &[&dyn Table], unknown: &BTreeMap<String, String>) -> Vec<(String, String)> {
    let mut seen = std::collections::HashSet::new();
    let mut entries: Vec<(String, String)> = Vec::new();
    for (key, value) in tables.iter().flat_map(|t| t.values()) {
        if let Some(value) = value
            && seen.insert(key)
        {
            entries.push((key.to_owned(), shown(key, &value)));
        }
    }
    entries.extend(unknown.iter().map(|(k, v)| (k.clone(), v.clone())));
    entries
}

/// Keys whose values are secrets.
const SECRETS: [&str; 5] = [
    "initAuthenticationUser",
    "innerClientAuthenticationCredentials",
    "objectStoreSecretKey",
    "tls.client.keyPassword",
    "tls.server.keyPassword",
];

/// What may be shown of a value, in a log or to an administrator on the network: of a secret, that it is set.
pub fn shown(key: &str, value: &str) -> String {
    if SECRETS.contains(&key) && !value.is_empty() { "******".to_owned() } else { value.to_owned() }
}

fn default_values(tables: &[&dyn Table]) -> HashMap<&'static str, Option<String>> {
    tables.iter().flat_map(|t| t.values()).collect()
}

/// Keys of the other role, which a shared file may hold.
struct Foreign {
    keys: Vec<&'static str>,
    role: &'static str,
}

struct Assignment {
    key: String,
    value: String,
    place: Place,
}

#[derive(Default)]
struct Filled {
    given: BTreeMap<String, Place>,
    unknown: BTreeMap<String, String>,
    warnings: Vec<String>,
    refusals: Vec<Refusal>,
}

impl Filled {
    /// One line for every key that was set to something and has no effect yet.
    fn warn_inert(&mut self, tables: &[&dyn Table], defaults: &HashMap<&'static str, Option<String>>) {
        for table in tables {
            for (key, (name, value)) in table.keys().into_iter().zip(table.values()) {
                let (Effect::Later(feature), Some(place)) = (key.effect, self.given.get(name)) else {
                    continue;
                };
                if defaults.get(name) != Some(&value) {
                    let value = shown(name, &value.unwrap_or_default());
                    self.warnings
                        .push(format!("{place}: {name}={value} has no effect: {feature}: not built yet"));
                }
            }
        }
        if tables
            .iter()
            .flat_map(|t| t.values())
            .any(|(k, v)| k == "aclEnable" && v.as_deref() == Some("true"))
        {
            self.warnings.push(
                "aclEnable is the access control of RocketMQ 4, which 5.x has dropped: it protects nothing"
                    .into(),
            );
        }
    }

    fn finish<S>(self, settings: S) -> Result<Loaded<S>, Vec<Refusal>> {
        if self.refusals.is_empty() {
            Ok(Loaded { settings, warnings: self.warnings, given: self.given })
        } else {
            Err(self.refusals)
        }
    }
}

fn fill(tables: &mut [&mut dyn Table], inputs: &Inputs, broker: bool, foreign: &Foreign) -> Filled {
    let mut filled = Filled::default();
    let known: Vec<&'static str> = tables.iter().flat_map(|t| t.keys()).map(|k| k.name).collect();
    let mut assignments = Vec::new();
    base_environment(inputs, broker, &mut assignments);
    if let Some(file) = &inputs.file {
        read_assignments(file, &mut assignments, &mut filled);
    }
    overrides(inputs, &known, foreign, &mut assignments, &mut filled);
    tls_file(&mut assignments, &mut filled);

    // The last assignment of a key counts; earlier ones are not even looked at.
    let mut last: HashMap<&str, usize> = HashMap::new();
    for (at, assignment) in assignments.iter().enumerate() {
        if let Some(former) = last.insert(&assignment.key, at) {
            warn_repeated(&assignments[former], assignment, &mut filled.warnings);
        }
    }
    for (at, Assignment { key, value, place }) in assignments.iter().enumerate() {
        if last.get(key.as_str()) != Some(&at) {
            continue;
        }
        filled.given.insert(key.clone(), place.clone());
        match set_in(tables, key, value) {
            Ok(Some(_)) => {}
            Ok(None) => {
                filled.unknown.insert(key.clone(), value.trim().to_owned());
                filled.warnings.push(unknown_key(place, key, &known, foreign));
            }
            Err(bad) => filled.refusals.push(Refusal::new(Some(place), bad)),
        }
    }
    filled
}

fn warn_repeated(former: &Assignment, later: &Assignment, warnings: &mut Vec<String>) {
    if let (Place::Line(path, first), Place::Line(other, second)) = (&former.place, &later.place)
        && path == other
    {
        warnings.push(format!(
            "{}, line {second}: {} was set in line {first} already; this line counts",
            path.display(),
            later.key
        ));
    }
}

fn unknown_key(place: &Place, key: &str, known: &[&'static str], foreign: &Foreign) -> String {
    if foreign.keys.contains(&key) {
        return format!("{place}: {key} is a key of the {}; it has no effect here", foreign.role);
    }
    match nearest(key, known.iter().copied()) {
        Some(meant) => format!("{place}: unknown key {key}, did you mean {meant}?"),
        None => format!("{place}: unknown key {key}"),
    }
}

/// What Apache's scripts give by the environment; lower than the file.
fn base_environment(inputs: &Inputs, broker: bool, assignments: &mut Vec<Assignment>) {
    for (variable, key) in [("ROCKETMQ_HOME", "rocketmqHome"), ("NAMESRV_ADDR", "namesrvAddr")] {
        if key == "namesrvAddr" && !broker {
            continue;
        }
        if let Some((_, value)) =
            inputs.env.iter().find(|(name, value)| name == variable && !value.trim().is_empty())
        {
            let place = Place::Env(variable.into());
            assignments.push(Assignment { key: key.into(), value: value.clone(), place });
        }
    }
}

/// `ROCKETMQ_<KEY>` variables, the key in any of the spellings `BROKER_NAME`, `brokerName`; then the command line.
fn overrides(
    inputs: &Inputs,
    known: &[&'static str],
    foreign: &Foreign,
    assignments: &mut Vec<Assignment>,
    filled: &mut Filled,
) {
    // Variables of Apache's programs that are not keys.
    const TAKEN: [&str; 5] = ["HOME", "SERIALIZE_TYPE", "ZONE", "ZONE_MODE", "NAMESRV_DOMAIN"];
    for (name, value) in &inputs.env {
        let Some(written) = name.strip_prefix("ROCKETMQ_") else { continue };
        let plain = plain(written);
        if let Some(key) = known.iter().find(|k| self::plain(k) == plain) {
            let place = Place::Env(name.clone());
            assignments.push(Assignment { key: (*key).into(), value: value.clone(), place });
        } else if !TAKEN.contains(&written)
            && !foreign.keys.iter().any(|k| self::plain(k) == plain)
            && let Some(meant) = nearest(written, known.iter().copied())
        {
            filled.warnings.push(format!("environment variable {name}: unknown key, did you mean {meant}?"));
        }
    }
    for (key, value) in &inputs.flags {
        assignments.push(Assignment { key: key.clone(), value: value.clone(), place: Place::Flag });
    }
}

/// Letters and digits of a key, in lower case: what is the same in `brokerName`, `BROKER_NAME`, `tls.server.mode`.
fn plain(key: &str) -> String {
    key.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect()
}

fn read_assignments(file: &Path, assignments: &mut Vec<Assignment>, filled: &mut Filled) {
    let text = match properties::read_file(file) {
        Ok(text) => text,
        Err(e) => {
            filled.refusals.push(Refusal::new(None, format_args!("cannot read {}: {e}", file.display())));
            return;
        }
    };
    match properties::parse(&text) {
        Ok(entries) => assignments.extend(entries.into_iter().map(|e| Assignment {
            place: Place::Line(file.to_path_buf(), e.line),
            key: e.key,
            value: e.value,
        })),
        Err(e) => filled.refusals.push(Refusal::new(None, format_args!("{}, {e}", file.display()))),
    }
}

/// Puts the settings of the file that `tls.config.file` names before all others. Apache's default path need not exist.
fn tls_file(assignments: &mut Vec<Assignment>, filled: &mut Filled) {
    const KEY: &str = "tls.config.file";
    let named = assignments.iter().rfind(|a| a.key == KEY).map(|a| PathBuf::from(a.value.trim()));
    let path = named.clone().unwrap_or_else(|| PathBuf::from(TlsConfig::default().tls_config_file));
    if named.is_none() && !path.exists() {
        return;
    }
    let mut lower = Vec::new();
    read_assignments(&path, &mut lower, filled);
    lower.append(assignments);
    *assignments = lower;
}
