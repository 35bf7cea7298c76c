//! The fields of each frame, written and read back (PROTOCOL 23.1).

use bytes::Bytes;
use identity::token::Token;

use super::value::{Fields, Form, Value};
use super::{Challenge, Frame, FrameError, IceServer, Presence, Signal, Subscription, Visible, Welcome};
use crate::guard::Guard;
use crate::limits::{
    CARD_BYTES_MAX, DATA_BYTES_MAX, ENDPOINT_BYTES_MAX, ENTRIES_MAX, ENVELOPE_BYTES_MAX, GUARDED_MAX, NEWS_MAX,
    PROOF_BYTES_MAX, SHOWN_HEAD_BYTES_MAX, WATCHES_MAX,
};
use crate::news::{Change, News};

fn bytes(bytes: &[u8]) -> Value<'_> {
    bytes.into()
}

fn text(text: &str) -> Value<'_> {
    text.into()
}

fn texts(texts: &[String]) -> Value<'_> {
    Value::List(texts.iter().map(|it| text(it)).collect())
}

impl Frame {
    /// Puts its fields by their keys, in the order of these.
    pub(super) fn fields(&self, put: &mut dyn FnMut(u64, Value<'_>)) {
        match self {
            Self::Challenge(challenge) => {
                put(1, bytes(&challenge.challenge));
                put(2, text(&challenge.url));
                put(3, text(&challenge.node));
                put(4, Value::Uint(challenge.time_ms));
                put(5, texts(&challenge.features));
                put(6, Value::List(challenge.limits.iter().copied().map(Value::Uint).collect()));
            }
            Self::Hello { envelope, token, head } => {
                put(1, bytes(envelope));
                token.iter().for_each(|token| put(3, text(token)));
                head.iter().for_each(|head| put(4, bytes(head)));
            }
            Self::Welcome(welcome) => {
                put(1, bytes(&welcome.sid));
                put(2, Value::Bool(welcome.resumed));
                put(3, Value::Uint(welcome.next));
                put(4, Value::Uint(welcome.heartbeat_ms));
                put(5, Value::List(welcome.ice.iter().map(IceServer::to_value).collect()));
                put(6, Value::Uint(welcome.ttl_s));
                welcome.head.iter().for_each(|head| put(8, bytes(head)));
            }
            Self::Seen { n } => put(1, Value::Uint(*n)),
            Self::Ping { id } | Self::Pong { id } | Self::Ice { id } | Self::Joined { id } => put(1, Value::Uint(*id)),
            Self::Restarting { in_ms, try_ms } => {
                put(1, Value::Uint(*in_ms));
                put(2, Value::Uint(*try_ms));
            }
            Self::Ok { id, value } => {
                put(1, Value::Uint(*id));
                value.iter().for_each(|value| put(2, value.clone()));
            }
            Self::Err { id, code, retry_ms, sess } => {
                id.iter().for_each(|id| put(1, Value::Uint(*id)));
                put(2, text(code));
                retry_ms.iter().for_each(|retry| put(3, Value::Uint(*retry)));
                sess.iter().for_each(|sess| put(4, bytes(sess)));
            }
            Self::Register { id, name, visible, guard } => {
                put(1, Value::Uint(*id));
                put(2, text(name));
                put(3, Value::Uint(*visible as u64));
                guard.iter().for_each(|guard| put(4, guard_value(guard)));
            }
            Self::Renew { id, name } | Self::Unregister { id, name } => {
                put(1, Value::Uint(*id));
                put(2, text(name));
            }
            Self::Knock { id, name, card, proof } => {
                put(1, Value::Uint(*id));
                put(2, text(name));
                put(3, bytes(card));
                proof.iter().for_each(|proof| put(4, bytes(proof)));
            }
            Self::Signal(signal) => {
                put(1, bytes(&signal.peer));
                put(2, bytes(&signal.sess));
                put(3, Value::Uint(signal.seq));
                put(4, bytes(&signal.card));
                signal.proof.iter().for_each(|proof| put(5, bytes(proof)));
            }
            Self::Ack { peer, sess, seq } => {
                put(1, bytes(peer));
                put(2, bytes(sess));
                put(3, Value::Uint(*seq));
            }
            Self::Update { id, version, changes } => {
                put(1, Value::Uint(*id));
                put(2, Value::Uint(*version));
                put(3, Value::List(changes.iter().map(Change::to_value).collect()));
            }
            Self::Notify { news } => put(1, Value::List(news.iter().map(News::to_value).collect())),
            Self::ReadTo { id, news } | Self::Publish { id, news } => {
                put(1, Value::Uint(*id));
                put(2, Value::List(news.iter().map(News::to_value).collect()));
            }
            Self::Push { id, subscription } => {
                put(1, Value::Uint(*id));
                if let Some(Subscription { endpoint, p256dh, auth }) = subscription {
                    put(2, text(endpoint));
                    put(3, bytes(p256dh));
                    put(4, bytes(auth));
                }
            }
            Self::Attest { id, envelope } => {
                put(1, Value::Uint(*id));
                put(2, bytes(envelope));
            }
            Self::Redirect { id, url } => {
                put(1, Value::Uint(*id));
                put(2, text(url));
            }
            Self::Lease { id, site, log, rights } => {
                put(1, Value::Uint(*id));
                put(2, text(site));
                put(3, text(log));
                put(4, Value::Uint(*rights));
            }
            Self::Handle { id, handle, rights, size, until_s } => {
                let numbers = [*id, *handle, *rights, *size, *until_s];
                (1..).zip(numbers).for_each(|(key, number)| put(key, Value::Uint(number)));
            }
            Self::Write { id, handle, lsn, entries } => {
                (1..).zip([*id, *handle, *lsn]).for_each(|(key, number)| put(key, Value::Uint(number)));
                put(4, Value::List(entries.iter().map(|entry| bytes(entry)).collect()));
            }
            Self::Read { id, handle, from } => {
                put(1, Value::Uint(*id));
                put(2, Value::Uint(*handle));
                put(3, Value::Uint(*from));
            }
            Self::Data { id, from, entries } => {
                put(1, Value::Uint(*id));
                put(2, Value::Uint(*from));
                put(3, Value::List(entries.iter().map(|entry| bytes(entry)).collect()));
            }
            Self::Watch { id, names } | Self::Unwatch { id, names } => {
                put(1, Value::Uint(*id));
                put(2, texts(names));
            }
            Self::Presence { name, state, epoch } => {
                put(1, text(name));
                put(2, Value::Uint(*state as u64));
                put(3, Value::Uint(*epoch));
            }
            Self::Revoke { name, code, handle } => {
                name.iter().for_each(|name| put(1, text(name)));
                put(2, text(code));
                handle.iter().for_each(|handle| put(3, Value::Uint(*handle)));
            }
        }
    }
}

/// Reads the fields of a frame as its type has them.
pub(super) fn read(fields: Fields, form: Form) -> Result<Frame, FrameError> {
    let uint = |key| fields.required(key)?.uint();
    let text = |key| fields.required(key)?.text().map(str::to_owned);
    let bytes = |key, max| fields.required(key)?.bytes(form, max);
    let perhaps = |key, max| fields.optional(key).map(|value| value.bytes(form, max)).transpose();
    let texts = |key, max: usize| {
        let list = fields.required(key)?.list()?;
        if list.len() > max {
            return Err(FrameError::BadFrame);
        }
        list.iter().map(|text| text.text().map(str::to_owned)).collect::<Result<Vec<_>, _>>()
    };
    let id = || uint(1);
    Ok(match fields.kind {
        0x01 => Frame::Challenge(Challenge {
            challenge: fields.required(1)?.fixed(form)?,
            url: text(2)?,
            node: text(3)?,
            time_ms: uint(4)?,
            features: texts(5, 64)?,
            limits: fields.required(6)?.list()?.iter().map(Value::uint).collect::<Result<_, _>>()?,
        }),
        0x02 => Frame::Hello {
            envelope: bytes(1, 1_024)?,
            token: fields
                .optional(3)
                .map(|token| token.text().and_then(|text| bounded(text, Token::TEXT_BYTES_MAX)))
                .transpose()?,
            head: perhaps(4, SHOWN_HEAD_BYTES_MAX)?,
        },
        0x03 => Frame::Welcome(Welcome {
            sid: fields.required(1)?.fixed(form)?,
            resumed: fields.required(2)?.bool()?,
            next: uint(3)?,
            heartbeat_ms: uint(4)?,
            ice: fields.required(5)?.list()?.iter().map(IceServer::of_value).collect::<Result<_, _>>()?,
            ttl_s: uint(6)?,
            head: perhaps(8, SHOWN_HEAD_BYTES_MAX)?,
        }),
        0x04 => Frame::Seen { n: uint(1)? },
        0x05 => Frame::Ping { id: id()? },
        0x06 => Frame::Pong { id: id()? },
        0x07 => Frame::Restarting { in_ms: uint(1)?, try_ms: uint(2)? },
        0x08 => Frame::Ok { id: id()?, value: fields.optional(2).map(|value| value.clone().into_owned()) },
        0x09 => Frame::Err {
            id: fields.optional(1).map(Value::uint).transpose()?,
            code: text(2)?,
            retry_ms: fields.optional(3).map(Value::uint).transpose()?,
            sess: fields.optional(4).map(|sess| sess.fixed(form)).transpose()?,
        },
        0x10 => Frame::Register {
            id: id()?,
            name: text(2)?,
            visible: match uint(3)? {
                0 => Visible::Hidden,
                1 => Visible::Authorised,
                2 => Visible::Public,
                _ => return Err(FrameError::BadFrame),
            },
            guard: fields.optional(4).map(|guard| read_guard(guard, form)).transpose()?,
        },
        0x11 => Frame::Renew { id: id()?, name: text(2)? },
        0x12 => Frame::Unregister { id: id()?, name: text(2)? },
        0x13 => Frame::Knock {
            id: id()?,
            name: text(2)?,
            card: bytes(3, CARD_BYTES_MAX)?.into(),
            proof: perhaps(4, PROOF_BYTES_MAX)?.map(Bytes::from),
        },
        0x14 => Frame::Signal(Signal {
            peer: fields.required(1)?.fixed(form)?,
            sess: fields.required(2)?.fixed(form)?,
            seq: uint(3)?,
            card: bytes(4, CARD_BYTES_MAX)?.into(),
            proof: perhaps(5, PROOF_BYTES_MAX)?.map(Bytes::from),
        }),
        0x15 => {
            Frame::Ack { peer: fields.required(1)?.fixed(form)?, sess: fields.required(2)?.fixed(form)?, seq: uint(3)? }
        }
        0x16 => Frame::Watch { id: id()?, names: texts(2, WATCHES_MAX)? },
        0x17 => Frame::Unwatch { id: id()?, names: texts(2, WATCHES_MAX)? },
        0x18 => Frame::Presence {
            name: text(1)?,
            state: match uint(2)? {
                0 => Presence::Offline,
                1 => Presence::Away,
                2 => Presence::Online,
                _ => return Err(FrameError::BadFrame),
            },
            epoch: uint(3)?,
        },
        0x19 => Frame::Ice { id: id()? },
        0x20 => {
            Frame::Update { id: id()?, version: uint(2)?, changes: rows(fields.required(3)?, form, Change::of_value)? }
        }
        0x21 => Frame::Notify { news: rows(fields.required(1)?, form, News::of_value)? },
        0x22 => Frame::ReadTo { id: id()?, news: rows(fields.required(2)?, form, News::of_value)? },
        0x23 => Frame::Push {
            id: id()?,
            subscription: match fields.optional(2) {
                None => None,
                Some(endpoint) => Some(Subscription {
                    endpoint: Some(endpoint.text()?)
                        .filter(|endpoint| endpoint.len() <= ENDPOINT_BYTES_MAX)
                        .ok_or(FrameError::BadFrame)?
                        .to_owned(),
                    p256dh: fields.required(3)?.fixed(form)?,
                    auth: fields.required(4)?.fixed(form)?,
                }),
            },
        },
        0x25 => Frame::Joined { id: id()? },
        0x26 => Frame::Publish { id: id()?, news: rows(fields.required(2)?, form, News::of_value)? },
        0x30 => Frame::Attest { id: id()?, envelope: bytes(2, ENVELOPE_BYTES_MAX)? },
        0x32 => Frame::Redirect { id: id()?, url: text(2)? },
        0x33 => Frame::Lease { id: id()?, site: text(2)?, log: text(3)?, rights: uint(4)? },
        0x36 => Frame::Handle { id: id()?, handle: uint(2)?, rights: uint(3)?, size: uint(4)?, until_s: uint(5)? },
        0x46 => Frame::Write {
            id: id()?,
            handle: uint(2)?,
            lsn: uint(3)?,
            entries: {
                let entries = fields.required(4)?.list()?;
                if entries.len() > ENTRIES_MAX {
                    return Err(FrameError::BadFrame);
                }
                entries.iter().map(|entry| entry.bytes(form, DATA_BYTES_MAX)).collect::<Result<_, _>>()?
            },
        },
        0x34 => Frame::Read { id: id()?, handle: uint(2)?, from: uint(3)? },
        0x35 => Frame::Data {
            id: id()?,
            from: uint(2)?,
            entries: {
                let entries = fields.required(3)?.list()?;
                entries.iter().map(|entry| entry.bytes(form, DATA_BYTES_MAX)).collect::<Result<_, _>>()?
            },
        },
        0x31 => Frame::Revoke {
            name: fields.optional(1).map(|name| name.text().map(str::to_owned)).transpose()?,
            code: text(2)?,
            handle: fields.optional(3).map(Value::uint).transpose()?,
        },
        _ => return Err(FrameError::UnknownType { id: fields.optional(1).and_then(|id| id.uint().ok()) }),
    })
}

fn bounded(text: &str, max: usize) -> Result<String, FrameError> {
    if (1..=max).contains(&text.len()) { Ok(text.to_owned()) } else { Err(FrameError::BadFrame) }
}

/// A list of rows, as many as one frame has.
fn rows<T>(
    value: &Value,
    form: Form,
    read: impl Fn(&Value, Form) -> Result<T, FrameError>,
) -> Result<Vec<T>, FrameError> {
    let rows = value.list()?;
    if rows.len() > NEWS_MAX {
        return Err(FrameError::BadFrame);
    }
    rows.iter().map(|row| read(row, form)).collect()
}

/// `[mode, salt 16, [prefix 8, ...]]`.
fn guard_value(guard: &Guard) -> Value<'_> {
    match guard {
        Guard::Certified => Value::List(vec![Value::Uint(0)]),
        Guard::Guests => Value::List(vec![Value::Uint(2)]),
        Guard::Listed(list) => {
            let prefixes = list.prefixes().iter().map(|prefix| bytes(prefix)).collect();
            Value::List(vec![Value::Uint(1), bytes(list.salt()), Value::List(prefixes)])
        }
    }
}

fn read_guard(value: &Value, form: Form) -> Result<Guard, FrameError> {
    match value.list()? {
        [Value::Uint(0)] => Ok(Guard::Certified),
        [Value::Uint(2)] => Ok(Guard::Guests),
        [Value::Uint(1), salt, prefixes] => {
            let prefixes = prefixes.list()?;
            if prefixes.len() > GUARDED_MAX {
                return Err(FrameError::BadFrame);
            }
            let prefixes = prefixes.iter().map(|prefix| prefix.fixed(form)).collect::<Result<_, _>>()?;
            Ok(Guard::listed_prefixes(salt.fixed(form)?, prefixes))
        }
        _ => Err(FrameError::BadFrame),
    }
}
