//! The bodies of a sign-in: deterministic CBOR (PROTOCOL 19.3).

use identity::did::Did;
use identity::evidence::Purpose;
use identity::hash::Hash;
use identity::wire::{Reader, WireError, Writer};

/// The most bytes of a request: a passkey's answer with its extensions.
pub const POST_BYTES_MAX: usize = 32_768;

/// The body is not of the documented form. Code `bad_post`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the body is not the CBOR map that PROTOCOL 19.3 describes")]
pub struct SigninFormError;

impl From<WireError> for SigninFormError {
    fn from(_: WireError) -> Self {
        Self
    }
}

/// Begins a sign-in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Start {
    /// What for.
    pub purpose: Purpose,
    /// The device's signing key.
    pub sign: [u8; 32],
    /// The device's sealing key.
    pub kex: [u8; 32],
    /// The issuer, as the server's list of them calls it; empty for passkeys.
    pub issuer: String,
    /// The port on loopback that the browser is led back to; absent: the server's own page.
    pub port: Option<u16>,
    /// The blinded element of a recovery.
    pub blinded: Option<[u8; 32]>,
}

/// What a begun sign-in goes on with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Started {
    /// What the browser carries, and what finishes it.
    pub state: [u8; 32],
    /// What the nonce was made with.
    pub random: [u8; 16],
    /// When it is too late, in seconds since 1970.
    pub until_s: u64,
    /// Where the browser goes; or, for passkeys, the options of WebAuthn as JSON.
    pub go: String,
}

/// Ends a sign-in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finish {
    /// The state.
    pub state: [u8; 32],
    /// The device's signature over it ([`identity::evidence::sign_finish`]).
    pub signature: [u8; 64],
    /// The issuer's code; or, for passkeys, the credential of WebAuthn as JSON.
    pub answer: String,
}

/// Whom a sign-in leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Branch {
    /// Nobody: the person is new here.
    New,
    /// This DID: one of its devices may add the new one.
    Existing(Did),
    /// The e-mail address is known under another subject: an old device has to speak for the person.
    NewSubject,
}

/// Asks that the account of a sign-in lead to the DID that asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    /// The evidence hash of the sign-in.
    pub evidence: Hash,
}

/// What a sign-in is worth.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finished {
    /// The evidence hash.
    pub evidence: Hash,
    /// What it was made with.
    pub random: [u8; 16],
    /// What was judged: the id_token, or the passkey's answer.
    pub statement: Vec<u8>,
    /// Who said it.
    pub issuer: String,
    /// Whom it leads to.
    pub branch: Branch,
    /// The names it may be used for.
    pub names: u64,
    /// When it is too late to use it, in seconds since 1970.
    pub until_s: u64,
    /// The boxes of the person's user key, if a passkey may open one of them.
    pub boxes: Option<Vec<u8>>,
    /// The key of the passkey, x and y, where it signed in to be listed as a way to begin a recovery.
    pub passkey: Option<[u8; 64]>,
}

impl Start {
    /// Returns the body.
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        writer.map(4 + usize::from(self.port.is_some()) + usize::from(self.blinded.is_some()));
        writer.uint(1).uint(self.purpose as u64).uint(2).bytes(&self.sign).uint(3).bytes(&self.kex);
        writer.uint(4).text(&self.issuer);
        if let Some(port) = self.port {
            writer.uint(5).uint(port.into());
        }
        if let Some(blinded) = &self.blinded {
            writer.uint(6).bytes(blinded);
        }
        writer.finish()
    }

    /// Reads the body. A blinded element stands in a recovery, and there alone.
    pub fn decode(body: &[u8]) -> Result<Self, SigninFormError> {
        let mut reader = Reader::new(body);
        let mut fields = reader.fields()?;
        let start = Self {
            purpose: Purpose::of(fields.required(1, Reader::uint)?).ok_or(SigninFormError)?,
            sign: fields.required(2, Reader::fixed)?,
            kex: fields.required(3, Reader::fixed)?,
            issuer: fields.required(4, |reader| reader.text().map(str::to_owned))?,
            port: fields.optional(5, |reader| reader.uint_to(65_535))?.map(|port| port as u16),
            blinded: fields.optional(6, Reader::fixed)?,
        };
        fields.end()?;
        reader.end()?;
        let recovery = start.purpose == Purpose::Recovery;
        if start.port == Some(0) || start.blinded.is_some() != recovery || start.issuer.len() > 64 {
            return Err(SigninFormError);
        }
        Ok(start)
    }
}

impl Started {
    /// Returns the body.
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        writer.map(4).uint(1).bytes(&self.state).uint(2).bytes(&self.random);
        writer.uint(3).uint(self.until_s).uint(4).text(&self.go);
        writer.finish()
    }

    /// Reads the body.
    pub fn decode(body: &[u8]) -> Result<Self, SigninFormError> {
        let mut reader = Reader::new(body);
        let mut fields = reader.fields()?;
        let started = Self {
            state: fields.required(1, Reader::fixed)?,
            random: fields.required(2, Reader::fixed)?,
            until_s: fields.required(3, Reader::uint)?,
            go: fields.required(4, |reader| reader.text().map(str::to_owned))?,
        };
        fields.end()?;
        reader.end()?;
        Ok(started)
    }
}

impl Finish {
    /// Returns the body.
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        writer.map(3).uint(1).bytes(&self.state).uint(2).bytes(&self.signature).uint(3).text(&self.answer);
        writer.finish()
    }

    /// Reads the body.
    pub fn decode(body: &[u8]) -> Result<Self, SigninFormError> {
        let mut reader = Reader::new(body);
        let mut fields = reader.fields()?;
        let finish = Self {
            state: fields.required(1, Reader::fixed)?,
            signature: fields.required(2, Reader::fixed)?,
            answer: fields.required(3, |reader| reader.text().map(str::to_owned))?,
        };
        fields.end()?;
        reader.end()?;
        Ok(finish)
    }
}

impl Link {
    /// Returns the body.
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        writer.map(1).uint(1).bytes(&self.evidence);
        writer.finish()
    }

    /// Reads the body.
    pub fn decode(body: &[u8]) -> Result<Self, SigninFormError> {
        let mut reader = Reader::new(body);
        let mut fields = reader.fields()?;
        let link = Self { evidence: fields.required(1, Reader::fixed)? };
        fields.end()?;
        reader.end()?;
        Ok(link)
    }
}

impl Finished {
    /// Returns the body.
    pub fn encode(&self) -> Vec<u8> {
        let (branch, did) = match self.branch {
            Branch::New => (1, None),
            Branch::Existing(did) => (2, Some(did)),
            Branch::NewSubject => (3, None),
        };
        let mut writer = Writer::new();
        let optional = [did.is_some(), self.boxes.is_some(), self.passkey.is_some()];
        writer.map(7 + optional.into_iter().filter(|is_there| *is_there).count());
        writer.uint(1).bytes(&self.evidence).uint(2).bytes(&self.random).uint(3).bytes(&self.statement);
        writer.uint(4).text(&self.issuer).uint(5).uint(branch);
        if let Some(did) = did {
            writer.uint(6).bytes(did.as_bytes());
        }
        writer.uint(7).uint(self.names).uint(8).uint(self.until_s);
        if let Some(boxes) = &self.boxes {
            writer.uint(9).bytes(boxes);
        }
        if let Some(key) = &self.passkey {
            writer.uint(10).bytes(key);
        }
        writer.finish()
    }

    /// Reads the body.
    pub fn decode(body: &[u8]) -> Result<Self, SigninFormError> {
        let mut reader = Reader::new(body);
        let mut fields = reader.fields()?;
        let evidence = fields.required(1, Reader::fixed)?;
        let random = fields.required(2, Reader::fixed)?;
        let statement = fields.required(3, Reader::bytes)?.to_vec();
        let issuer = fields.required(4, |reader| reader.text().map(str::to_owned))?;
        let branch = fields.required(5, Reader::uint)?;
        let did = fields.optional(6, Reader::fixed)?.map(Did::from_bytes);
        let branch = match (branch, did) {
            (1, None) => Branch::New,
            (2, Some(did)) => Branch::Existing(did),
            (3, None) => Branch::NewSubject,
            _ => return Err(SigninFormError),
        };
        let names = fields.required(7, Reader::uint)?;
        let until_s = fields.required(8, Reader::uint)?;
        let boxes = fields.optional(9, Reader::bytes)?.map(<[u8]>::to_vec);
        let passkey = fields.optional(10, Reader::fixed)?;
        fields.end()?;
        reader.end()?;
        Ok(Self { evidence, random, statement, issuer, branch, names, until_s, boxes, passkey })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Holds that a body comes back as it went, and that no part of it does.
    fn check<T: PartialEq + std::fmt::Debug>(
        value: T,
        body: &[u8],
        decode: impl Fn(&[u8]) -> Result<T, SigninFormError>,
    ) {
        assert_eq!(decode(body).as_ref(), Ok(&value));
        for end in 0..body.len() {
            assert_eq!(decode(&body[..end]), Err(SigninFormError), "cut at {end}");
        }
        assert_eq!(decode(&[body, &[0]].concat()), Err(SigninFormError), "a byte too many");
    }

    fn start() -> Start {
        let purpose = Purpose::SignIn;
        Start { purpose, sign: [1; 32], kex: [2; 32], issuer: "google".into(), port: None, blinded: None }
    }

    #[test]
    fn bodies_come_back_as_they_went() {
        let recovery = Start { purpose: Purpose::Recovery, port: Some(8_400), blinded: Some([3; 32]), ..start() };
        for start in [start(), recovery] {
            check(start.clone(), &start.encode(), Start::decode);
        }
        let started =
            Started { state: [1; 32], random: [2; 16], until_s: 600, go: "https://issuer.example/?a=b".into() };
        check(started.clone(), &started.encode(), Started::decode);
        let finish = Finish { state: [1; 32], signature: [2; 64], answer: "code".into() };
        check(finish.clone(), &finish.encode(), Finish::decode);
        let link = Link { evidence: [1; 32] };
        check(link, &link.encode(), Link::decode);
        for branch in [Branch::New, Branch::Existing(Did::from_bytes([5; 20])), Branch::NewSubject] {
            let finished = Finished {
                evidence: [1; 32],
                random: [2; 16],
                statement: b"a.b.c".to_vec(),
                issuer: "https://issuer.example".into(),
                branch,
                names: 5,
                until_s: 600,
                boxes: (branch != Branch::New).then(|| vec![1, 2, 3]),
                passkey: (branch == Branch::NewSubject).then_some([7; 64]),
            };
            check(finished.clone(), &finished.encode(), Finished::decode);
        }
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let blinded = Some([3; 32]);
        for start in [
            Start { blinded, ..start() },
            Start { purpose: Purpose::Recovery, ..start() },
            Start { port: Some(0), ..start() },
            Start { issuer: "x".repeat(65), ..start() },
        ] {
            assert_eq!(Start::decode(&start.encode()), Err(SigninFormError));
        }
    }
}
