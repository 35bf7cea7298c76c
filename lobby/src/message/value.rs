//! The fields of a frame between their meaning and their bytes: one small tree, two forms.

use std::borrow::Cow;

use data_encoding::BASE64URL_NOPAD;
use identity::wire::{Kind, Reader, WireError, Writer};
use serde_json::{Map, Value as Json};

use super::FrameError;

/// How frames look on a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Form {
    /// Deterministic CBOR with small numbers as keys, in binary messages.
    Cbor,
    /// The same maps as JSON with names as keys, in text messages; bytes are base64url without padding.
    Json,
}

/// One field; bytes and text may lie where the frame has them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value<'a> {
    /// A number.
    Uint(u64),
    /// Bytes.
    Bytes(Cow<'a, [u8]>),
    /// Text; in JSON perhaps bytes.
    Text(Cow<'a, str>),
    /// A boolean.
    Bool(bool),
    /// A list.
    List(Vec<Value<'a>>),
}

impl<'a> From<&'a [u8]> for Value<'a> {
    fn from(bytes: &'a [u8]) -> Self {
        Self::Bytes(bytes.into())
    }
}

impl<'a> From<&'a str> for Value<'a> {
    fn from(text: &'a str) -> Self {
        Self::Text(text.into())
    }
}

/// The bytes before what an item holds.
const HEAD_BYTES_MAX: usize = 9;

/// The largest key of a field that anybody knows.
const KEYS: usize = 8;

/// The lists inside each other that a frame may have: `ice` needs three.
const DEPTH_MAX: usize = 4;

impl<'a> Value<'a> {
    /// Returns it with bytes and text of its own.
    pub fn into_owned(self) -> Value<'static> {
        match self {
            Self::Uint(value) => Value::Uint(value),
            Self::Bytes(value) => Value::Bytes(value.into_owned().into()),
            Self::Text(value) => Value::Text(value.into_owned().into()),
            Self::Bool(value) => Value::Bool(value),
            Self::List(values) => Value::List(values.into_iter().map(Value::into_owned).collect()),
        }
    }

    /// Returns it as a number.
    pub fn uint(&self) -> Result<u64, FrameError> {
        match self {
            Self::Uint(value) => Ok(*value),
            _ => Err(FrameError::BadFrame),
        }
    }

    /// Returns it as text.
    pub fn text(&self) -> Result<&str, FrameError> {
        match self {
            Self::Text(value) => Ok(value),
            _ => Err(FrameError::BadFrame),
        }
    }

    /// Returns it as a boolean.
    pub fn bool(&self) -> Result<bool, FrameError> {
        match self {
            Self::Bool(value) => Ok(*value),
            _ => Err(FrameError::BadFrame),
        }
    }

    /// Returns it as a list.
    pub fn list(&self) -> Result<&[Self], FrameError> {
        match self {
            Self::List(value) => Ok(value),
            _ => Err(FrameError::BadFrame),
        }
    }

    /// Returns it as at most `max` bytes.
    pub fn bytes(&self, form: Form, max: usize) -> Result<Vec<u8>, FrameError> {
        let bytes = match (self, form) {
            (Self::Bytes(bytes), Form::Cbor) => bytes.to_vec(),
            (Self::Text(text), Form::Json) => {
                BASE64URL_NOPAD.decode(text.as_bytes()).map_err(|_| FrameError::BadFrame)?
            }
            _ => return Err(FrameError::BadFrame),
        };
        if bytes.len() <= max { Ok(bytes) } else { Err(FrameError::BadFrame) }
    }

    /// Returns it as exactly `N` bytes.
    pub fn fixed<const N: usize>(&self, form: Form) -> Result<[u8; N], FrameError> {
        match (self, form) {
            (Self::Bytes(bytes), Form::Cbor) => bytes.as_ref().try_into().map_err(|_| FrameError::BadFrame),
            _ => self.bytes(form, N)?.try_into().map_err(|_| FrameError::BadFrame),
        }
    }

    /// Returns how many bytes it takes at most.
    fn room(&self) -> usize {
        HEAD_BYTES_MAX
            + match self {
                Self::Bytes(value) => value.len(),
                Self::Text(value) => value.len(),
                Self::List(values) => values.iter().map(Self::room).sum(),
                Self::Uint(_) | Self::Bool(_) => 0,
            }
    }

    pub(super) fn write(&self, writer: &mut Writer) {
        match self {
            Self::Uint(value) => {
                writer.uint(*value);
            }
            Self::Bytes(value) => {
                writer.bytes(value);
            }
            Self::Text(value) => {
                writer.text(value);
            }
            Self::Bool(value) => {
                writer.bool(*value);
            }
            Self::List(values) => {
                writer.array(values.len());
                values.iter().for_each(|value| value.write(writer));
            }
        }
    }

    pub(super) fn read(reader: &mut Reader<'a>, depth: usize) -> Result<Self, WireError> {
        if depth > DEPTH_MAX {
            return Err(WireError::Unexpected);
        }
        Ok(match reader.peek()? {
            Kind::Uint => Self::Uint(reader.uint()?),
            Kind::Bytes => reader.bytes()?.into(),
            Kind::Text => reader.text()?.into(),
            Kind::Bool => Self::Bool(reader.bool()?),
            Kind::Array => {
                let count = reader.array()?;
                Self::List((0..count).map(|_| Self::read(reader, depth + 1)).collect::<Result<_, _>>()?)
            }
            Kind::Map | Kind::Null => return Err(WireError::Unexpected),
        })
    }

    pub(super) fn to_json(&self) -> Json {
        match self {
            Self::Uint(value) => (*value).into(),
            Self::Bytes(value) => BASE64URL_NOPAD.encode(value).into(),
            Self::Text(value) => value.as_ref().into(),
            Self::Bool(value) => (*value).into(),
            Self::List(values) => values.iter().map(Self::to_json).collect(),
        }
    }

    pub(super) fn of_json(json: Json, depth: usize) -> Result<Self, FrameError> {
        if depth > DEPTH_MAX {
            return Err(FrameError::BadFrame);
        }
        Ok(match json {
            Json::Number(number) => Self::Uint(number.as_u64().ok_or(FrameError::BadFrame)?),
            Json::String(text) => Self::Text(text.into()),
            Json::Bool(value) => Self::Bool(value),
            Json::Array(values) => {
                Self::List(values.into_iter().map(|value| Self::of_json(value, depth + 1)).collect::<Result<_, _>>()?)
            }
            Json::Null | Json::Object(_) => return Err(FrameError::BadFrame),
        })
    }
}

/// What was read of a frame: its type, and its fields by key. Keys that nobody knows were read too, and are not kept.
#[derive(Debug)]
pub(super) struct Fields<'a> {
    pub(super) kind: u64,
    values: [Option<Value<'a>>; KEYS],
}

/// What a type is called in JSON, and its keys.
pub(super) struct Names {
    pub(super) kind: u64,
    pub(super) name: &'static str,
    pub(super) keys: &'static [(u64, &'static str)],
}

/// Writes a frame of a type; `fields` puts its fields in the order of their keys, as often as it is asked.
pub(super) fn encode(
    kind: u64,
    fields: impl Fn(&mut dyn FnMut(u64, Value<'_>)),
    form: Form,
    table: &[Names],
) -> Vec<u8> {
    match form {
        Form::Cbor => {
            let (mut count, mut room) = (1, 2 * HEAD_BYTES_MAX);
            fields(&mut |_, value| (count, room) = (count + 1, room + 1 + value.room()));
            let mut writer = Writer::with_capacity(room);
            writer.map(count).uint(0).uint(kind);
            fields(&mut |key, value| value.write(writer.uint(key)));
            writer.finish()
        }
        Form::Json => {
            let names = table.iter().find(|names| names.kind == kind).expect("every type has its names");
            let mut map = Map::new();
            map.insert("t".to_owned(), names.name.into());
            fields(&mut |key, value| {
                let name = names.keys.iter().find(|(named, _)| *named == key).expect("every key has its name").1;
                map.insert(name.to_owned(), value.to_json());
            });
            Json::Object(map).to_string().into_bytes()
        }
    }
}

impl<'a> Fields<'a> {
    /// Reads a frame.
    pub(super) fn decode(bytes: &'a [u8], form: Form, table: &[Names]) -> Result<Self, FrameError> {
        match form {
            Form::Cbor => Self::of_cbor(bytes),
            Form::Json => Self::of_json(bytes, table),
        }
    }

    fn of_cbor(bytes: &'a [u8]) -> Result<Self, FrameError> {
        let mut reader = Reader::new(bytes);
        let count = reader.map()?;
        if count == 0 || reader.uint()? != 0 {
            return Err(FrameError::BadFrame);
        }
        let kind = reader.uint()?;
        let (mut last, mut fields) = (0, Self::of_kind(kind));
        for _ in 1..count {
            let key = reader.uint()?;
            if key <= last {
                return Err(FrameError::BadFrame);
            }
            fields.put(key, Value::read(&mut reader, 0)?);
            last = key;
        }
        reader.end()?;
        Ok(fields)
    }

    fn of_json(bytes: &[u8], table: &[Names]) -> Result<Self, FrameError> {
        let json: Json = serde_json::from_slice(bytes).map_err(|_| FrameError::BadFrame)?;
        let Json::Object(mut map) = json else { return Err(FrameError::BadFrame) };
        let name = map.get("t").and_then(Json::as_str).ok_or(FrameError::BadFrame)?;
        let id = map.get("id").and_then(Json::as_u64);
        let names = table.iter().find(|names| names.name == name).ok_or(FrameError::UnknownType { id })?;
        let mut fields = Self::of_kind(names.kind);
        for (key, name) in names.keys {
            if let Some(value) = map.remove(*name) {
                fields.put(*key, Value::of_json(value, 0)?);
            }
        }
        Ok(fields)
    }

    fn of_kind(kind: u64) -> Self {
        Self { kind, values: [const { None }; KEYS] }
    }

    fn put(&mut self, key: u64, value: Value<'a>) {
        if let Some(place) = place(key).and_then(|place| self.values.get_mut(place)) {
            *place = Some(value);
        }
    }

    /// Returns the value of a key; the frame must have it.
    pub(super) fn required(&self, key: u64) -> Result<&Value<'a>, FrameError> {
        self.optional(key).ok_or(FrameError::BadFrame)
    }

    /// Returns the value of a key.
    pub(super) fn optional(&self, key: u64) -> Option<&Value<'a>> {
        place(key).and_then(|place| self.values.get(place)?.as_ref())
    }
}

/// Where the value of a key is: the first is 1.
fn place(key: u64) -> Option<usize> {
    usize::try_from(key).ok()?.checked_sub(1)
}
