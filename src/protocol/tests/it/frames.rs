//! Frames and headers: what the SDK wrote is read to the same fields, and what is written from these is read alike.

use std::collections::BTreeMap;

use oxmq_protocol::ext::ExtFields;
use oxmq_protocol::frame::{self, FRAME_MAX_DEFAULT, Head, HeaderView, Language, SerializeType};
use oxmq_protocol::header::message::{
    CheckTransactionState, EndTransaction, Pull, PullReply, PushReply, Recall, ResumeCheckHalf, SendBack,
    SendReply, SendV1, SendV2,
};
use oxmq_protocol::json::Value;

use crate::{text, unhex, vectors};

type Ext = BTreeMap<String, String>;

fn ext(fields: &Value) -> Ext {
    let Some(Value::Object(members)) = fields.get("ext") else { return Ext::new() };
    members
        .iter()
        .map(|(k, v)| match (k, v) {
            (Value::Str(k), Value::Str(v)) => (k.clone(), v.clone()),
            other => panic!("{other:?}"),
        })
        .collect()
}

fn read_ext(head: &HeaderView<'_>) -> Ext {
    head.ext.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect()
}

fn int(fields: &Value, name: &str) -> i32 {
    match fields.get(name) {
        Some(Value::Int(n)) => *n as i32,
        other => panic!("{name} is {other:?}"),
    }
}

/// Reads one captured frame and checks it against its fields, then writes it anew and reads that.
fn check(vector: &Value, serialize: SerializeType) {
    let name = text(vector, "name");
    let key = if serialize == SerializeType::Json { "json" } else { "rocketmq" };
    let Some(Value::Str(hex)) = vector.get(key) else {
        // A code beyond 16 bits has no binary form.
        assert!(serialize == SerializeType::RocketMq, "{name} has no {key}");
        return;
    };
    let fields = vector.get("fields").unwrap();
    let mut expected = ext(fields);
    if serialize == SerializeType::RocketMq && vector.get("rocketmqExt").is_some() {
        let Some(Value::Object(_)) = vector.get("rocketmqExt") else { panic!("{name}") };
        expected = ext(&Value::Object(vec![(
            Value::Str("ext".into()),
            vector.get("rocketmqExt").cloned().unwrap(),
        )]));
    }
    let bytes = unhex(hex);
    let parts = frame::split(&bytes, FRAME_MAX_DEFAULT).unwrap().unwrap();
    assert_eq!((parts.total, parts.serialize), (bytes.len(), serialize), "{name}");
    assert_eq!(parts.body, unhex(text(fields, "body")), "{name}");
    let head = HeaderView::parse(serialize, parts.header).unwrap_or_else(|e| panic!("{name}: {e}"));
    assert_eq!(head.code, int(fields, "code"), "{name}");
    assert_eq!(head.opaque, int(fields, "opaque"), "{name}");
    assert_eq!(head.flag, int(fields, "flag"), "{name}");
    assert_eq!(head.version, int(fields, "version"), "{name}");
    assert_eq!(head.language, Language::from_name(text(fields, "language")), "{name}");
    let remark = match fields.get("remark") {
        Some(Value::Str(s)) if !(s.is_empty() && serialize == SerializeType::RocketMq) => Some(s.clone()),
        _ => None,
    };
    assert_eq!(head.remark.map(|r| r.to_string()), remark, "{name}");
    assert_eq!(read_ext(&head), expected, "{name}");

    let again =
        Head { serialize, code: head.code, flag: head.flag, opaque: head.opaque, remark: remark.as_deref() };
    let written = frame::build(&again, |w| expected.iter().for_each(|(k, v)| w.str(k, v)), parts.body);
    let parts = frame::split(&written, FRAME_MAX_DEFAULT).unwrap().unwrap();
    let reread = HeaderView::parse(serialize, parts.header).unwrap();
    assert_eq!(read_ext(&reread), expected, "{name}");
    assert_eq!((reread.code, reread.opaque, reread.flag), (head.code, head.opaque, head.flag), "{name}");
    // Header keys are in Apache's order already; only the order of the fields is a hash map's.
    // A header class without fields leaves an empty object there, which readers treat as none.
    if !expected.is_empty() && vector.get("rocketmqExt").is_none() {
        assert_eq!(written.len(), bytes.len(), "{name} {serialize:?}");
    }

    for cut in 0..parts.header.len() {
        assert!(HeaderView::parse(serialize, &parts.header[..cut]).is_err(), "{name} cut at {cut}");
    }
}

#[test]
fn frames_and_headers_of_the_sdk() {
    let all: Vec<_> = ["frames.json", "headers.json"].iter().flat_map(|f| vectors(f)).collect();
    assert!(all.len() > 200);
    for vector in all.iter().filter(|v| v.get("fields").is_some()) {
        check(vector, SerializeType::Json);
        check(vector, SerializeType::RocketMq);
    }
}

/// Decodes a captured header into its struct and back, and compares the fields that the struct has.
pub fn typed<'a, T: ExtFields<'a>>(head: &'a HeaderView<'a>, name: &str) {
    let header = T::decode(&head.ext).unwrap_or_else(|e| panic!("{name}: {e}"));
    let again = Head { serialize: SerializeType::Json, code: head.code, flag: 0, opaque: 0, remark: None };
    let written = frame::build(&again, |w| header.encode(w), b"");
    let parts = frame::split(&written, FRAME_MAX_DEFAULT).unwrap().unwrap();
    let reread = read_ext(&HeaderView::parse(SerializeType::Json, parts.header).unwrap());
    let sent = read_ext(head);
    assert!(!reread.is_empty(), "{name}");
    for (key, value) in reread {
        // A field that was not sent is written as its default.
        if let Some(original) = sent.get(&key) {
            assert_eq!(&value, original, "{name} {key}");
        }
    }
}

#[test]
fn typed_headers_of_the_hot_path() {
    let mut seen = 0;
    for vector in vectors("headers.json") {
        let name = text(&vector, "name");
        let bytes = unhex(text(&vector, "json"));
        let parts = frame::split(&bytes, FRAME_MAX_DEFAULT).unwrap().unwrap();
        let head = HeaderView::parse(parts.serialize, parts.header).unwrap();
        match name.split('/').next().unwrap_or_default() {
            "SendMessageRequestHeader" => typed::<SendV1<'_>>(&head, name),
            "SendMessageRequestHeaderV2" => typed::<SendV2<'_>>(&head, name),
            "SendMessageResponseHeader" => typed::<SendReply>(&head, name),
            "ReplyMessageRequestHeader" => typed::<PushReply<'_>>(&head, name),
            "PullMessageRequestHeader" => typed::<Pull<'_>>(&head, name),
            "PullMessageResponseHeader" => typed::<PullReply>(&head, name),
            "RecallMessageRequestHeader" => typed::<Recall>(&head, name),
            "ConsumerSendMsgBackRequestHeader" => typed::<SendBack>(&head, name),
            "EndTransactionRequestHeader" => typed::<EndTransaction>(&head, name),
            "CheckTransactionStateRequestHeader" => typed::<CheckTransactionState>(&head, name),
            "ResumeCheckHalfMessageRequestHeader" => typed::<ResumeCheckHalf>(&head, name),
            _ => continue,
        }
        seen += 1;
    }
    assert!(seen >= 10, "{seen}");
}

#[test]
fn odd_frames() {
    for vector in vectors("frames.json").iter().filter(|v| v.get("fields").is_none()) {
        for (key, serialize) in [("json", SerializeType::Json), ("rocketmq", SerializeType::RocketMq)] {
            let bytes = unhex(text(vector, key));
            let parts = frame::split(&bytes, FRAME_MAX_DEFAULT).unwrap().unwrap();
            let head = HeaderView::parse(serialize, parts.header).unwrap();
            match text(vector, "name") {
                "odd/other-language" => {
                    let expected = (34, -4, -1, 513, Language::CPP);
                    assert_eq!((head.code, head.flag, head.opaque, head.version, head.language), expected);
                }
                "odd/text" => {
                    let mut expected = ext(vector);
                    if serialize == SerializeType::RocketMq {
                        expected.remove("empty");
                    }
                    assert_eq!(read_ext(&head), expected);
                    assert_eq!(head.remark.unwrap().to_str(), text(vector, "remark"));
                }
                other => panic!("{other} has no test"),
            }
        }
    }
}
