//! COMPAT.md against what is really served: a code that is served and not listed, or the other way round, fails.

mod results;

use std::collections::BTreeMap;
use std::path::Path;

use oxmq_protocol::code::RequestCode;

struct Line {
    name: String,
    served_by: String,
    state: String,
}

fn ledger() -> BTreeMap<i32, Line> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("COMPAT.md");
    let text = std::fs::read_to_string(path).expect("COMPAT.md");
    let section = text
        .split("## Request codes")
        .nth(1)
        .expect("COMPAT.md has it")
        .split("\n## ")
        .next()
        .expect("split gives one");
    section
        .lines()
        .filter_map(|line| {
            let cells: Vec<&str> = line.split('|').map(str::trim).collect();
            let code = cells.get(1)?.parse().ok()?;
            let [_, _, name, served_by, state, ..] = cells[..] else { panic!("{line}") };
            let line = Line { name: name.into(), served_by: served_by.into(), state: state.into() };
            Some((code, line))
        })
        .collect()
}

#[test]
fn every_code_is_listed_with_who_serves_it() {
    let ledger = ledger();
    for code in RequestCode::ALL {
        let line = ledger.get(&code.0).unwrap_or_else(|| panic!("COMPAT.md lacks {code}"));
        assert_eq!(code.name(), Some(&*line.name), "{code}");
        let mut served = Vec::new();
        if oxmq_namesrv::dispatch::route(*code).is_some() {
            served.push("nameserver");
        }
        if oxmq_broker::dispatch::route(*code).is_some() {
            served.push("broker");
        }
        let to_clients = line.served_by == "to clients";
        let expected = if served.is_empty() && !to_clients { "—".to_owned() } else { served.join(", ") };
        if !to_clients {
            assert_eq!(line.served_by, expected, "{code}");
        }
        match &*line.state {
            "works" => assert!(!served.is_empty() || to_clients, "{code} is said to work and is not served"),
            "refused (3)" | "dead" | "not yet" => {
                assert!(served.is_empty(), "{code} is served and said not to be")
            }
            other => panic!("{code}: state {other:?}"),
        }
    }
    assert_eq!(ledger.len(), RequestCode::ALL.len());
}
