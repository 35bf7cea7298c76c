//! Resolutions as bytes, strict both ways (PROTOCOL 11.1).

use identity::did::Did;
use identity::state::Subject;
use identity::wire::{Kind, Reader, WireError, Writer};

use super::{Answer, ChainRow, Malformed, Resolution, Written};
use crate::hash::Hash;
use crate::head::Head;
use crate::limits::{
    BODY_BYTES_MAX, CHAIN_ROWS_MAX, LOOKUP_LABELS_MAX, PATH_HASHES_MAX, PAYLOADS_MAX, RESOLUTION_BYTES_MAX, WRITTEN_MAX,
};
use crate::map::{LabelKind, MapProof, OpenedLeaf};

/// The value of key 0.
const FORMAT: u64 = 1;

impl Resolution {
    /// Returns the canonical bytes.
    pub fn encode(&self) -> Vec<u8> {
        let optional = [
            self.head.is_some(),
            !self.consistency.is_empty(),
            !self.written.is_empty(),
            !self.chain.is_empty(),
            !self.payloads.is_empty(),
        ];
        let mut w = Writer::new();
        w.map(4 + optional.iter().filter(|present| **present).count());
        w.uint(0).uint(FORMAT).uint(1);
        match &self.subject {
            Subject::Name(name) => w.text(name),
            Subject::Did(did) => w.bytes(did.as_bytes()),
            Subject::Alias(alias) => w.bytes(alias),
            Subject::LogConf => w.null(),
            Subject::Anchors => w.uint(LabelKind::Anchors as u64),
        };
        if let Some(head) = &self.head {
            w.uint(2).bytes(&head.encode());
        }
        w.uint(3).array(self.answers.len());
        self.answers.iter().for_each(|answer| answer.write(&mut w));
        w.uint(4).bytes(&self.map_proof.encode());
        if !self.consistency.is_empty() {
            write_path(w.uint(5), &self.consistency);
        }
        if !self.written.is_empty() {
            w.uint(6).array(self.written.len());
            for Written { index, path, envelope } in &self.written {
                write_path(w.array(3).uint(*index), path).bytes(envelope);
            }
        }
        if !self.chain.is_empty() {
            w.uint(7).array(self.chain.len());
            self.chain.iter().for_each(|row| row.write(&mut w));
        }
        if !self.payloads.is_empty() {
            w.uint(8).array(self.payloads.len());
            for payload in &self.payloads {
                w.bytes(payload);
            }
        }
        w.finish()
    }

    /// Reads a Resolution. The bytes are the only ones that say the same.
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        if bytes.len() > RESOLUTION_BYTES_MAX {
            return Err(Malformed);
        }
        let mut reader = Reader::new(bytes);
        let resolution = Self::read(&mut reader).map_err(|_| Malformed)?;
        reader.end().map_err(|_| Malformed)?;
        if resolution.encode() == bytes { Ok(resolution) } else { Err(Malformed) }
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, WireError> {
        let mut fields = reader.fields()?;
        fields.required(0, |r| r.uint_to(FORMAT))?;
        let subject = fields.required(1, read_subject)?;
        let head = fields.optional(2, |r| Head::decode(r.bytes()?).map_err(|_| WireError::Unexpected))?;
        let answers = fields.required(3, |r| r.list(LOOKUP_LABELS_MAX, Answer::read))?;
        let proof = fields.required(4, |r| r.bytes())?;
        let map_proof = MapProof::decode(proof, answers.len()).map_err(|_| WireError::Unexpected)?;
        let consistency = fields.optional(5, read_path)?.unwrap_or_default();
        let written = fields.optional(6, |r| r.list(WRITTEN_MAX, Written::read))?.unwrap_or_default();
        let chain = fields.optional(7, |r| r.list(CHAIN_ROWS_MAX, ChainRow::read))?.unwrap_or_default();
        let payloads = fields.optional(8, |r| r.list(PAYLOADS_MAX, read_body))?.unwrap_or_default();
        fields.end()?;
        Ok(Self { subject, head, answers, map_proof, consistency, written, chain, payloads })
    }
}

impl Answer {
    fn write(&self, w: &mut Writer) {
        w.array(3).uint(self.kind as u64);
        match &self.opened {
            Some(opened) => w.bytes(&opened.encode()),
            None => w.null(),
        };
        match &self.state {
            Some(state) => w.bytes(state),
            None => w.null(),
        };
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, WireError> {
        reader.array_of(3)?;
        let kind = match reader.uint()? {
            1 => LabelKind::Name,
            2 => LabelKind::Did,
            3 => LabelKind::Alias,
            4 => LabelKind::LogConf,
            5 => LabelKind::Anchors,
            _ => return Err(WireError::Unexpected),
        };
        let opened = reader.or_null(|r| r.fixed())?.map(|bytes| OpenedLeaf::decode(&bytes));
        let state = reader.or_null(|r| r.bytes())?.map(<[u8]>::to_vec);
        Ok(Self { kind, opened, state })
    }
}

impl Written {
    fn read(reader: &mut Reader<'_>) -> Result<Self, WireError> {
        reader.array_of(3)?;
        Ok(Self { index: reader.uint()?, path: read_path(reader)?, envelope: read_body(reader)? })
    }
}

/// A name is text, a DID 20 bytes, an alias 32, the log itself null, the anchors 5.
fn read_subject(reader: &mut Reader<'_>) -> Result<Subject, WireError> {
    match reader.peek()? {
        Kind::Text => Ok(Subject::Name(reader.text()?.to_owned())),
        Kind::Bytes => {
            let bytes = reader.bytes()?;
            match (<[u8; 20]>::try_from(bytes), <[u8; 32]>::try_from(bytes)) {
                (Ok(did), _) => Ok(Subject::Did(Did::from_bytes(did))),
                (_, Ok(alias)) => Ok(Subject::Alias(alias)),
                _ => Err(WireError::Unexpected),
            }
        }
        Kind::Uint => match reader.uint()? {
            number if number == LabelKind::Anchors as u64 => Ok(Subject::Anchors),
            _ => Err(WireError::Unexpected),
        },
        _ => reader.null().map(|()| Subject::LogConf),
    }
}

pub(super) fn write_path<'w>(w: &'w mut Writer, path: &[Hash]) -> &'w mut Writer {
    w.bytes(path.as_flattened())
}

/// Reads hashes one behind the other, at most 64.
pub(super) fn read_path(reader: &mut Reader<'_>) -> Result<Vec<Hash>, WireError> {
    let (hashes, spare) = reader.bytes()?.as_chunks::<32>();
    if !spare.is_empty() || hashes.len() > PATH_HASHES_MAX {
        return Err(WireError::Unexpected);
    }
    Ok(hashes.to_vec())
}

/// Reads the bytes of an envelope or payload, at most 4,096.
pub(super) fn read_body(reader: &mut Reader<'_>) -> Result<Vec<u8>, WireError> {
    let body = reader.bytes()?;
    if body.len() > BODY_BYTES_MAX { Err(WireError::Unexpected) } else { Ok(body.to_vec()) }
}
