//! What a client keeps of one log between lookups, so that the log cannot show it another past.

use std::collections::BTreeMap;

use identity::did::Did;
use identity::hash::Hash;
use identity::name::Origin;
use identity::state::DidState;
use identity::wire::{Reader, WireError, Writer};

use crate::entry::Epoch;
use crate::head::Head;
use crate::policy::Policy;

/// The newest head met of one log, and each DID met in it.
///
/// [`crate::resolve::verify`] alone changes it. Two lookups of one log must not run on copies of one memory, or the later writer
/// forgets what the other saw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Memory {
    origin: Origin,
    newest: Option<Met>,
    dids: BTreeMap<Did, KnownDid>,
}

/// A head that was verified, with its Epoch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Met {
    pub(crate) head: Head,
    pub(crate) epoch: Epoch,
    /// Which witnesses were known when its cosignatures were verified ([`Policy::cosigners_hash`]).
    pub(crate) cosigners: Hash,
}

/// A DID as it was when last proved, or as far as its chain was followed since.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownDid {
    state: DidState,
    from_genesis: bool,
}

/// The bytes are not a memory. Delete the file and meet the log anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not the bytes of a memory")]
pub struct NotAMemory;

/// The value of key 0.
const FORMAT: u64 = 1;

impl Memory {
    /// Returns the memory of a log never met.
    pub fn new(origin: Origin) -> Self {
        Self { origin, newest: None, dids: BTreeMap::new() }
    }

    /// Returns whose memory it is.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Returns the newest head, for evidence and for others who ask.
    pub fn head(&self) -> Option<&Head> {
        self.newest.as_ref().map(|met| &met.head)
    }

    /// Returns the size of the newest head, what a lookup sends as `have` and `from`.
    pub fn size(&self) -> Option<u64> {
        self.head().map(|head| head.size)
    }

    /// Returns a DID met before.
    pub fn known(&self, did: &Did) -> Option<&KnownDid> {
        self.dids.get(did)
    }

    /// Returns every DID met, ascending.
    pub fn dids(&self) -> impl Iterator<Item = &KnownDid> {
        self.dids.values()
    }

    pub(crate) fn newest(&self) -> Option<&Met> {
        self.newest.as_ref()
    }

    pub(crate) fn keep_head(&mut self, met: Met) {
        self.newest = Some(met);
    }

    pub(crate) fn keep_did(&mut self, state: DidState, from_genesis: bool) {
        self.dids.insert(state.did, KnownDid { state, from_genesis });
    }

    /// Returns the memory of who never met this DID: it is followed from its genesis then.
    #[must_use]
    pub fn without(&self, did: &Did) -> Self {
        let mut memory = self.clone();
        memory.dids.remove(did);
        memory
    }

    /// Returns the bytes: CBOR `{0 format 1, 1 origin, 2? head, 3? [State of each DID met, ascending by DID], 4? cosigners, 5? [DID
    /// of those that were followed from the genesis, ascending]}`.
    pub fn encode(&self) -> Vec<u8> {
        let cosigners =
            self.newest.as_ref().map(|met| met.cosigners).filter(|known| known != Policy::none().cosigners_hash());
        let mut w = Writer::new();
        let whole: Vec<&Did> = self.dids.iter().filter(|(_, known)| known.from_genesis).map(|(did, _)| did).collect();
        let optional = [self.newest.is_some(), !self.dids.is_empty(), cosigners.is_some(), !whole.is_empty()];
        w.map(2 + optional.map(usize::from).iter().sum::<usize>());
        w.uint(0).uint(FORMAT).uint(1).text(self.origin.as_str());
        if let Some(met) = &self.newest {
            w.uint(2).bytes(&met.head.encode());
        }
        if !self.dids.is_empty() {
            w.uint(3).array(self.dids.len());
            for known in self.dids.values() {
                w.bytes(&known.state.encode());
            }
        }
        if let Some(cosigners) = cosigners {
            w.uint(4).bytes(&cosigners);
        }
        if !whole.is_empty() {
            w.uint(5).array(whole.len());
            for did in whole {
                w.bytes(did.as_bytes());
            }
        }
        w.finish()
    }

    /// Reads a memory. It is the client's own file: what is checked is that it was written whole.
    pub fn decode(bytes: &[u8]) -> Result<Self, NotAMemory> {
        let mut reader = Reader::new(bytes);
        let memory = Self::read(&mut reader).map_err(|_| NotAMemory)?;
        reader.end().map_err(|_| NotAMemory)?;
        if memory.encode() == bytes { Ok(memory) } else { Err(NotAMemory) }
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, WireError> {
        let mut fields = reader.fields()?;
        fields.required(0, |r| r.uint_to(FORMAT))?;
        let origin = fields.required(1, |r| Origin::parse(r.text()?).map_err(|_| WireError::Unexpected))?;
        let mut newest = fields.optional(2, |r| Met::decode(r.bytes()?))?;
        let states = fields.optional(3, |r| {
            let read = |r: &mut Reader<'_>| DidState::decode(r.bytes()?).map_err(|_| WireError::Unexpected);
            r.list(usize::MAX, read)
        })?;
        let cosigners = fields.optional(4, |r| r.bytes()?.try_into().map_err(|_| WireError::Unexpected))?;
        if let (Some(met), Some(cosigners)) = (&mut newest, cosigners) {
            met.cosigners = cosigners;
        }
        let whole =
            fields.optional(5, |r| r.list(usize::MAX, |r| Ok(Did::from_bytes(r.fixed()?))))?.unwrap_or_default();
        fields.end()?;
        let known = states.unwrap_or_default().into_iter().map(|state| {
            let from_genesis = whole.binary_search(&state.did).is_ok();
            (state.did, KnownDid { state, from_genesis })
        });
        Ok(Self { origin, newest, dids: known.collect() })
    }
}

impl Met {
    fn decode(bytes: &[u8]) -> Result<Self, WireError> {
        let head = Head::decode(bytes).map_err(|_| WireError::Unexpected)?;
        let epoch = head.epoch().map_err(|_| WireError::Unexpected)?;
        head.edge().map_err(|_| WireError::Unexpected)?;
        Ok(Self { head, epoch, cosigners: *Policy::none().cosigners_hash() })
    }
}

impl KnownDid {
    /// Returns the version, what a lookup sends as `known`.
    pub fn version(&self) -> u64 {
        self.state.version
    }

    /// Returns the sid of the newest certificate of its chain then.
    pub fn head_hash(&self) -> &Hash {
        &self.state.head.sid
    }

    /// Returns the state as it was proved then, or as its chain had made it at the last certificate followed.
    pub fn state(&self) -> &DidState {
        &self.state
    }

    /// Returns whether its chain was followed from the genesis.
    pub fn is_from_genesis(&self) -> bool {
        self.from_genesis
    }
}
