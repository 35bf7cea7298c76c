//! Names as DNS carries them: labels behind their lengths, folded to lower case.

use core::iter;

use identity::limits::NAME_LABELS_MAX;

/// The most bytes of a name, lengths and the final zero included (RFC 1035 section 2.3.4).
pub(crate) const NAME_BYTES_MAX: usize = 255;

/// A name in wire form, lower case, the final zero included; kept on the stack.
#[derive(Clone, Copy)]
pub(crate) struct WireName {
    bytes: [u8; NAME_BYTES_MAX],
    length: u8,
}

impl WireName {
    /// Returns the uncompressed name that `wire` begins with, folded; `None` if it is no such name.
    pub(crate) fn read(wire: &[u8]) -> Option<Self> {
        let mut at = 0;
        loop {
            let label = *wire.get(at)? as usize;
            at += 1 + label;
            if label > 63 || at > NAME_BYTES_MAX {
                return None;
            }
            if label == 0 {
                break;
            }
        }
        let mut name = Self { bytes: [0; NAME_BYTES_MAX], length: at as u8 };
        name.bytes[..at].copy_from_slice(wire.get(..at)?);
        // A length is at most 63 and so never a capital letter.
        name.bytes[..at].make_ascii_lowercase();
        Some(name)
    }

    /// Returns the bytes, the final zero included.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.length as usize]
    }

    /// Returns the number of bytes, the final zero included: what the name took in the message.
    pub(crate) fn wire_len(&self) -> usize {
        self.length as usize
    }
}

impl core::fmt::Debug for WireName {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(&text_of(self.as_bytes()))
    }
}

impl PartialEq for WireName {
    fn eq(&self, other: &Self) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl Eq for WireName {}

/// Returns `text`, labels between dots without a final one, as wire labels without the final zero, folded.
///
/// The empty text is the empty name. `None` if a label is empty or above 63 bytes, or the whole too long.
pub(crate) fn labels_of(text: &str) -> Option<Vec<u8>> {
    let mut labels = Vec::with_capacity(text.len() + 1);
    if text.is_empty() {
        return Some(labels);
    }
    for label in text.split('.') {
        if label.is_empty() || label.len() > 63 {
            return None;
        }
        labels.push(label.len() as u8);
        labels.extend(label.bytes().map(|byte| byte.to_ascii_lowercase()));
    }
    (labels.len() < NAME_BYTES_MAX).then_some(labels)
}

/// Returns wire labels as text, dots between them; bytes that are no graphic ASCII become `?`.
pub(crate) fn text_of(labels: &[u8]) -> String {
    let mut text = String::with_capacity(labels.len());
    let mut rest = labels;
    while let Some((&length, tail)) = rest.split_first()
        && length > 0
        && tail.len() >= length as usize
    {
        if !text.is_empty() {
            text.push('.');
        }
        let (label, next) = tail.split_at(length as usize);
        text.extend(label.iter().map(|&b| if b.is_ascii_graphic() { b as char } else { '?' }));
        rest = next;
    }
    text
}

/// Returns the labels without the first; the empty name has no parent.
pub(crate) fn parent(labels: &[u8]) -> Option<&[u8]> {
    let (&length, tail) = labels.split_first()?;
    tail.get(length as usize..)
}

/// Returns a name below the zone and those above it, the longest first, as far as somebody may have claimed them: at most [`NAME_LABELS_MAX`] of them,
/// however long the name is.
pub(crate) fn claimable(labels: &[u8]) -> impl Iterator<Item = &[u8]> {
    let is_name = |labels: &&[u8]| !labels.is_empty();
    let names = iter::successors(Some(labels).filter(is_name), move |labels| parent(labels).filter(is_name));
    let longer = names.clone().count().saturating_sub(NAME_LABELS_MAX);
    names.skip(longer)
}

/// A name of the zone, cut where the underscores end: `_db._tcp` and `photos.alice`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place<'n> {
    /// The labels up to the last one that begins with an underscore; empty for a claimed name itself.
    pub(crate) owner: &'n [u8],
    /// The claimed name, relative to the zone; empty at the apex.
    pub(crate) name: &'n [u8],
}

/// Returns where `full` lies in the zone `apex` (both with the final zero); `None` if outside.
pub(crate) fn place<'n>(full: &'n [u8], apex: &[u8]) -> Option<Place<'n>> {
    let (mut at, mut owner_end) = (0, 0);
    loop {
        let rest = &full[at..];
        if rest.len() <= apex.len() {
            return (rest == apex).then(|| Place { owner: &full[..owner_end], name: &full[owner_end..at] });
        }
        let next = at + 1 + rest[0] as usize;
        if rest[1] == b'_' {
            owner_end = next;
        }
        at = next;
    }
}

/// Returns whether `labels` ends with the labels of `suffix` and has more before them.
pub(crate) fn is_below(labels: &[u8], suffix: &[u8]) -> bool {
    let mut rest = labels;
    while rest.len() > suffix.len() {
        match parent(rest) {
            Some(up) => rest = up,
            None => return false,
        }
        if rest == suffix {
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn place_cuts_at_the_last_underscore_label() {
        // Goal: the claimed name and the labels below it are told apart by the underscore alone.
        let apex = WireName::read(b"\x04dgns\x04test\0").expect("a name");
        let cut = |text: &str| {
            let mut wire = labels_of(text).expect("labels");
            wire.push(0);
            place(&wire, apex.as_bytes()).map(|p| (text_of(p.owner), text_of(p.name)))
        };
        let of = |owner: &str, name: &str| Some((owner.to_owned(), name.to_owned()));
        assert_eq!(cut("dgns.test"), of("", ""));
        assert_eq!(cut("alice.dgns.test"), of("", "alice"));
        assert_eq!(cut("_db._tcp.photos.alice.dgns.test"), of("_db._tcp", "photos.alice"));
        assert_eq!(cut("x._tcp.alice.dgns.test"), of("x._tcp", "alice"));
        assert_eq!(cut("_checkpoint.dgns.test"), of("_checkpoint", ""));
        assert_eq!(cut("test"), None);
        assert_eq!(cut("xdgns.test"), None);
        assert_eq!(cut("alice.example"), None);
    }

    #[test]
    fn read_folds_letters_and_refuses_pointers_and_long_names() {
        assert_eq!(WireName::read(b"\x05AlIcE\0rest").expect("a name").as_bytes(), b"\x05alice\0");
        assert!(WireName::read(b"\xc0\x0c").is_none());
        assert!(WireName::read(b"\x05ali").is_none());
        let mut long = [b"\x3f".as_slice(), &[b'a'; 63]].concat().repeat(3);
        long.extend_from_slice(&[b"\x3d".as_slice(), &[b'a'; 61], b"\0"].concat());
        assert_eq!(WireName::read(&long).expect("255 bytes are a name").wire_len(), 255);
        long.splice(192..193, [62, b'a']);
        assert!(WireName::read(&long).is_none());
    }

    #[test]
    fn a_long_name_has_no_more_names_to_ask_for_than_a_claimed_one() {
        // Goal: what a query costs does not grow with its labels. Method: a name of one label, of as many as a claimed one has, of one more, of the most there are.
        let of = |text: &str| claimable(&labels_of(text).expect("labels")).map(text_of).collect::<Vec<_>>();
        assert_eq!(of(""), [""; 0]);
        assert_eq!(of("alice"), ["alice"]);
        let four = ["c.b.a.alice", "b.a.alice", "a.alice", "alice"];
        assert_eq!(of("c.b.a.alice"), four);
        assert_eq!(of("d.c.b.a.alice"), four);
        assert_eq!(of(&format!("{}c.b.a.alice", "x.".repeat(120))), four);
    }

    #[test]
    fn below_counts_whole_labels() {
        assert!(is_below(b"\x03_db\x04_tcp", b"\x04_tcp"));
        assert!(!is_below(b"\x04_tcp", b"\x04_tcp"));
        assert!(!is_below(b"\x03_db\x05x_tcp", b"\x04_tcp"));
    }
}
