//! The body of a batch send (code 320, or `m=true`): messages of one topic and queue, one after the other.
//!
//! ```text
//! i32 storeSize | i32 magic | i32 bodyCRC | i32 flag | i32 bodyLen, body | i16 propsLen, props
//! ```
//! Java MessageExtEncoder reads and ignores the first three; so does this.

/// One message of a batch body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchEntry<'a> {
    /// The application's flag.
    pub flag: i32,
    /// The message's body.
    pub body: &'a [u8],
    /// Its property string.
    pub properties: &'a [u8],
}

/// Why a batch body does not parse; `at` is the entry's byte offset in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BatchError {
    /// The body ends inside an entry.
    #[error("batch entry at byte {at} is cut off")]
    Truncated {
        /// Where the entry starts.
        at: usize,
    },
    /// A length is negative.
    #[error("batch entry at byte {at} has a negative length")]
    NegativeLength {
        /// Where the entry starts.
        at: usize,
    },
}

/// Bytes of an entry beside body and properties.
pub const ENTRY_FIXED: usize = 4 * 5 + 2;

/// Walks a batch body; stops after the first error.
#[derive(Debug, Clone)]
pub struct BatchIter<'a> {
    body: &'a [u8],
    at: usize,
}

/// Walks `body`.
pub const fn iter(body: &[u8]) -> BatchIter<'_> {
    BatchIter { body, at: 0 }
}

/// Appends one entry as Java's MessageDecoder.encodeMessage does; the lengths must fit their fields.
pub fn encode(out: &mut Vec<u8>, entry: &BatchEntry<'_>) {
    let size = ENTRY_FIXED + entry.body.len() + entry.properties.len();
    out.extend_from_slice(&(size as i32).to_be_bytes());
    out.extend_from_slice(&[0; 8]);
    out.extend_from_slice(&entry.flag.to_be_bytes());
    out.extend_from_slice(&(entry.body.len() as i32).to_be_bytes());
    out.extend_from_slice(entry.body);
    out.extend_from_slice(&(entry.properties.len() as i16).to_be_bytes());
    out.extend_from_slice(entry.properties);
}

impl<'a> Iterator for BatchIter<'a> {
    type Item = Result<BatchEntry<'a>, BatchError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.at >= self.body.len() {
            return None;
        }
        let at = self.at;
        let entry = entry(self.body, at);
        self.at = match &entry {
            Ok(e) => at + ENTRY_FIXED + e.body.len() + e.properties.len(),
            Err(_) => self.body.len(),
        };
        Some(entry)
    }
}

fn entry(all: &[u8], at: usize) -> Result<BatchEntry<'_>, BatchError> {
    let cut = BatchError::Truncated { at };
    let negative = |_| BatchError::NegativeLength { at };
    let rest = all.get(at..).and_then(|r| r.get(12..)).ok_or(cut)?;
    let (flag, rest) = rest.split_first_chunk::<4>().ok_or(cut)?;
    let (len, rest) = rest.split_first_chunk::<4>().ok_or(cut)?;
    let len = usize::try_from(i32::from_be_bytes(*len)).map_err(negative)?;
    let (body, rest) = rest.split_at_checked(len).ok_or(cut)?;
    let (len, rest) = rest.split_first_chunk::<2>().ok_or(cut)?;
    let len = usize::try_from(i16::from_be_bytes(*len)).map_err(negative)?;
    let properties = rest.get(..len).ok_or(cut)?;
    Ok(BatchEntry { flag: i32::from_be_bytes(*flag), body, properties })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trips_and_is_cut_at_every_byte() {
        let entries = [
            BatchEntry { flag: 7, body: b"one", properties: b"a\x01b\x02" },
            BatchEntry { flag: -1, body: b"", properties: b"" },
        ];
        let mut body = Vec::new();
        let mut ends = vec![0];
        for e in &entries {
            encode(&mut body, e);
            ends.push(body.len());
        }
        assert_eq!(iter(&body).collect::<Result<Vec<_>, _>>().unwrap(), entries);
        for cut in 0..body.len() {
            let got: Vec<_> = iter(&body[..cut]).collect();
            assert_eq!(got.iter().all(Result::is_ok), ends.contains(&cut), "cut at {cut}");
        }
    }

    #[test]
    fn negative_lengths_are_refused() {
        let mut body = Vec::new();
        encode(&mut body, &BatchEntry { flag: 0, body: b"x", properties: b"" });
        body[16] = 0x80;
        assert_eq!(iter(&body).next(), Some(Err(BatchError::NegativeLength { at: 0 })));
        body[16] = 0;
        body[21] = 0xFF;
        assert_eq!(iter(&body).next(), Some(Err(BatchError::NegativeLength { at: 0 })));
        assert_eq!(iter(&body).count(), 1);
    }
}
