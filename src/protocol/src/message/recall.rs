//! The handle by which a producer recalls a message that waits for its delivery time: `v1 topic broker time key`, in
//! base64 for URLs. Java: `RecallMessageHandle`.

use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use base64::{Engine as _, alphabet};

/// What a handle says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecallHandle {
    /// Topic that the message was sent to.
    pub topic: String,
    /// Broker that has it.
    pub broker: String,
    /// One more than its TIMER_OUT_MS.
    pub time: String,
    /// Its UNIQ_KEY.
    pub key: String,
}

/// Why a handle is none. Its text is what clients are answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("recall handle is invalid")]
pub struct BadHandle;

/// Base64 for URLs, read with its padding or without.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::URL_SAFE,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// Appends a handle to `out`.
pub fn push_handle(out: &mut Vec<u8>, topic: &str, broker: &str, time_ms: i64, key: &[u8]) {
    let time = time_ms.to_string();
    let mut text = Vec::with_capacity(8 + topic.len() + broker.len() + time.len() + key.len());
    for (i, part) in [b"v1", topic.as_bytes(), broker.as_bytes(), time.as_bytes(), key].iter().enumerate() {
        if i > 0 {
            text.push(b' ');
        }
        text.extend_from_slice(part);
    }
    out.extend_from_slice(BASE64.encode(text).as_bytes());
}

impl RecallHandle {
    /// Reads a handle. More than its five words are ignored, as in Java.
    pub fn parse(handle: &str) -> Result<Self, BadHandle> {
        // Half a padding is none.
        if handle.ends_with('=') && !handle.len().is_multiple_of(4) {
            return Err(BadHandle);
        }
        let bytes = BASE64.decode(handle).map_err(|_| BadHandle)?;
        let text = String::from_utf8_lossy(&bytes);
        // Java's split drops empty words at the end.
        let mut words = text.trim_end_matches(' ').split(' ');
        let mut next = || words.next().map(str::to_owned).ok_or(BadHandle);
        if next()? != "v1" {
            return Err(BadHandle);
        }
        Ok(Self { topic: next()?, broker: next()?, time: next()?, key: next()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn handles_read_as_they_were_written() {
        for key in ["7F0000010001070DEA4E000000000000", "k", "ke", "key"] {
            let mut out = Vec::new();
            push_handle(&mut out, "TopicTest", "broker-a", 1_700_000_000_001, key.as_bytes());
            let text = String::from_utf8(out).unwrap();
            let handle = RecallHandle::parse(&text).unwrap();
            assert_eq!((&*handle.topic, &*handle.broker, &*handle.key), ("TopicTest", "broker-a", key));
            assert_eq!(handle.time, "1700000000001");
            assert_eq!(RecallHandle::parse(text.trim_end_matches('=')).unwrap(), handle);
        }
    }

    #[test]
    fn the_text_is_javas() {
        let mut out = Vec::new();
        push_handle(&mut out, "T", "b", 12, b"k");
        assert_eq!(String::from_utf8(out).unwrap(), "djEgVCBiIDEyIGs=");
    }

    #[test]
    fn what_is_no_handle_is_refused() {
        // "v2 T b 1 k", "v1 T b 1", "v1 T b 1 ", not base64, padding that does not fit.
        for bad in [
            "",
            "djIgVCBiIDEgaw==",
            "djEgVCBiIDE=",
            "djEgVCBiIDEg",
            "djEg+CBi",
            "=",
            "djEgVCBiIDEgaw=",
            "abcde",
        ] {
            assert_eq!(RecallHandle::parse(bad), Err(BadHandle), "{bad}");
        }
    }
}
