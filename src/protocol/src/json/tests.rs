use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{DEPTH_MAX, Error, Value, from_slice, parse, to_vec, to_vec_pretty, to_vec_quoted};

#[derive(Debug, Default, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Queue {
    broker_name: String,
    queue_id: i32,
    topic: String,
}

#[derive(Debug, Default, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Sample {
    addrs: BTreeMap<i64, String>,
    flag: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<String>,
    offset_table: BTreeMap<Queue, i64>,
    tps: f64,
}

fn sample() -> Sample {
    let queue = Queue { broker_name: "a".into(), queue_id: 0, topic: "T".into() };
    Sample {
        addrs: [(0, "h:1".into())].into(),
        flag: true,
        note: None,
        offset_table: [(queue, 5)].into(),
        tps: 0.0,
    }
}

#[test]
fn writes_the_dialect() {
    let compact = r#"{"addrs":{0:"h:1"},"flag":true,"offsetTable":{{"brokerName":"a","queueId":0,"topic":"T"}:5},"tps":0.0}"#;
    assert_eq!(String::from_utf8(to_vec(&sample()).unwrap()).unwrap(), compact);
    let quoted = compact.replace("{0:", "{\"0\":");
    assert_eq!(String::from_utf8(to_vec_quoted(&sample()).unwrap()).unwrap(), quoted);
    let pretty = "{\n\t\"addrs\":{\n\t\t0:\"h:1\"\n\t},\n\t\"flag\":true,\n\t\"offsetTable\":{\n\t\t{\"brokerName\":\"a\",\"queueId\":0,\"topic\":\"T\"}:5\n\t},\n\t\"tps\":0.0\n}";
    assert_eq!(String::from_utf8(to_vec_pretty(&sample()).unwrap()).unwrap(), pretty);
}

#[test]
fn reads_what_clients_send() {
    for text in [
        // its own output, quoted keys, a quoted number, nulls and unknown fields, loose syntax
        r#"{"addrs":{0:"h:1"},"flag":true,"offsetTable":{{"brokerName":"a","queueId":0,"topic":"T"}:5},"tps":0.0}"#,
        r#"{"addrs":{"0":"h:1"},"flag":"TRUE","offsetTable":{{"topic":"T","queueId":"0","brokerName":"a"}:"5"},"tps":0}"#,
        r#" { 'addrs' : {0:"h:1",} , flag:1, "note":null, "x":[{},[1.5e3,-2]], "offsetTable":{{"brokerName":"a","topic":"T"}:5L} } "#,
    ] {
        assert_eq!(from_slice::<Sample>(text.as_bytes()).unwrap(), sample(), "{text}");
    }
}

#[test]
fn keeps_strings() {
    let text = "quote \" slash \\ line \n control \u{1}\u{2} 中文 😀";
    let written = to_vec(text).unwrap();
    assert_eq!(written, "\"quote \\\" slash \\\\ line \\n control \\u0001\\u0002 中文 😀\"".as_bytes());
    assert_eq!(from_slice::<String>(&written).unwrap(), text);
    assert_eq!(from_slice::<String>(br#""\ud83d\ude00 \ud83d \x41\/""#).unwrap(), "😀 \u{FFFD} A/");
}

#[test]
fn refuses_without_panicking() {
    let whole = br#"{"a":[1,{"b":"\u0041"},true],{"k":1}:null}"#;
    assert!(parse(whole).is_ok());
    for cut in 0..whole.len() {
        assert!(parse(&whole[..cut]).is_err(), "cut at {cut}");
    }
    let deep = [vec![b'['; DEPTH_MAX * 1000], vec![b']'; DEPTH_MAX * 1000]].concat();
    assert_eq!(parse(&deep), Err(Error::Depth));
    for bad in ["", "{", "tru", "1 2", "{1}", "[1 2]", "\"\\q\"", "\"\\u12\"", "--1"] {
        assert!(parse(bad.as_bytes()).is_err(), "{bad}");
    }
    assert_eq!(parse(b"9223372036854775808").unwrap(), Value::Float(9223372036854775808.0));
    assert!(from_slice::<Sample>(br#"{"flag":[]}"#).is_err());
}
