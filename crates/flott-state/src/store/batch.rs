//! What is written to a store at once.

/// Entries to be put or removed, in a buffer of their own. No key is in it twice.
#[derive(Debug, Default)]
pub struct Batch {
    bytes: Vec<u8>,
    changes: Vec<Change>,
}

#[derive(Clone, Copy, Debug)]
struct Change {
    key: usize,
    value: usize,
    end: usize,
    is_removal: bool,
}

impl Batch {
    /// Puts a value.
    pub fn put(&mut self, key: &[u8], value: &[u8]) {
        self.push(key, value, false);
    }

    /// Removes a key.
    pub fn remove(&mut self, key: &[u8]) {
        self.push(key, &[], true);
    }

    fn push(&mut self, key: &[u8], value: &[u8], is_removal: bool) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(key);
        self.bytes.extend_from_slice(value);
        let (value, end) = (start + key.len(), self.bytes.len());
        self.changes.push(Change { key: start, value, end, is_removal });
    }

    /// Sorts the changes by key: stores like that better.
    pub fn sort(&mut self) {
        let Self { bytes, changes } = self;
        changes.sort_unstable_by(|a, b| bytes[a.key..a.value].cmp(&bytes[b.key..b.value]));
    }

    /// The changes: a key, and the value to be put, or nothing if it is to be removed.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], Option<&[u8]>)> {
        self.changes.iter().map(|change| {
            let key = &self.bytes[change.key..change.value];
            (key, (!change.is_removal).then(|| &self.bytes[change.value..change.end]))
        })
    }

    /// How many changes there are.
    pub fn len(&self) -> usize {
        self.changes.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.changes.clear();
    }
}
