//! Configuration: files, settings of a running broker, lists of addresses.

use oxmq_base::config::{
    BrokerSettings, Inputs, NamesrvSettings, delay_levels_ms, delete_hours, load_broker, load_namesrv,
};
use oxmq_base::{java, names, properties};

use super::Source;

fn pairs(text: &str) -> Vec<(String, String)> {
    properties::parse(text).expect("parses").into_iter().map(|e| (e.key, e.value)).collect()
}

/// Any text as a `.properties` file: setting a key changes that key alone.
pub fn properties(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let Ok(entries) = properties::parse(&text) else {
        properties::rewrite(&text, &[("k", "v")]);
        return;
    };
    assert!(entries.iter().map(|e| e.key.len() + e.value.len()).sum::<usize>() <= text.len());
    assert!(entries.windows(2).all(|w| w[0].line < w[1].line));
    assert_eq!(properties::rewrite(&text, &[]), text);
    let first = entries.first().map_or("k", |e| &e.key);
    for key in ["namesrvAddr", first] {
        let mut expected = pairs(&text);
        match expected.iter_mut().rfind(|(k, _)| k == key) {
            Some(pair) => pair.1 = "new".to_owned(),
            None => expected.push((key.to_owned(), "new".to_owned())),
        }
        let written = properties::rewrite(&text, &[(key, "new")]);
        assert_eq!(pairs(&written), expected, "{written:?}");
    }
}

/// Any keys and values are read as they were written.
pub fn properties_made(bytes: &[u8]) {
    let mut source = Source::new(bytes);
    let list: Vec<_> = (0..source.below(6)).map(|_| (source.text(), source.text())).collect();
    let changes: Vec<_> = list.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    let text = properties::rewrite("# a comment\n", &changes);
    assert_eq!(pairs(&text), list, "{text:?}");
    // Once more: every key has its last value then, and no line is added.
    let again = properties::rewrite(&text, &changes);
    let last = |key: &str| list.iter().rfind(|(k, _)| k == key).map(|(_, v)| v.clone());
    let read = pairs(&again);
    assert_eq!(read.len(), list.len());
    for (key, _) in &read {
        assert_eq!(read.iter().rfind(|(k, _)| k == key).map(|(_, v)| v.clone()), last(key), "{again:?}");
    }
}

macro_rules! settings {
    ($name:ident: $settings:ty) => {
        /// Sets what can be set; what is shown then can be set again and changes nothing.
        fn $name(list: &[(String, String)]) {
            let mut settings = <$settings>::default();
            for (key, value) in list {
                let before = settings.entries();
                if let Err(error) = settings.set(key, value) {
                    assert!(!error.to_string().is_empty());
                    assert_eq!(settings.entries(), before, "a bad value changes nothing");
                }
            }
            let shown = settings.entries();
            for (key, value) in shown.iter().filter(|(key, _)| list.iter().any(|(k, _)| k == key)) {
                if let Err(error) = settings.set(key, value) {
                    panic!("{error}");
                }
            }
            assert_eq!(settings.entries(), shown);
        }
    };
}

settings!(broker: BrokerSettings);
settings!(nameserver: NamesrvSettings);

/// Any text as settings, as delays, as hours, as a list of addresses.
pub fn config(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    java::hash_code(&text);
    if let Some(delays) = delay_levels_ms(&text) {
        assert!(delays.iter().all(|ms| *ms >= 0));
    }
    if let Some(hours) = delete_hours(&text) {
        assert!(hours.iter().all(|hour| *hour < 24));
    }
    if let Ok(list) = names::parse_list(&text) {
        let shown = list.iter().map(names::HostPort::to_string).collect::<Vec<_>>().join(";");
        assert_eq!(names::parse_list(&shown), Ok(list));
    }
    let Ok(entries) = properties::parse(&text) else { return };
    // No check opens a file whose name it was given.
    let entries = entries.into_iter().filter(|e| e.key != "tls.config.file");
    let list: Vec<_> = entries.map(|e| (e.key, e.value)).collect();
    broker(&list);
    nameserver(&list);
    let env = list.iter().map(|(k, v)| (format!("ROCKETMQ_{k}"), v.clone())).collect();
    let env = Inputs { env, ..Inputs::default() };
    let flags = Inputs { flags: list, ..Inputs::default() };
    for refusal in
        [load_broker(&flags).err(), load_namesrv(&flags).err(), load_broker(&env).err()].into_iter().flatten()
    {
        assert!(!refusal.is_empty() && refusal.iter().all(|r| r.exit != 0 && !r.text.is_empty()));
    }
}
