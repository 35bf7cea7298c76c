//! The fields of a frame between their meaning and their bytes: one small tree, two forms.

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

/// One field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// A number.
    Uint(u64),
    /// Bytes.
    Bytes(Vec<u8>),
    /// Text; in JSON perhaps bytes.
    Text(String),
    /// A boolean.
    Bool(bool),
    /// A list.
    List(Vec<Value>),
}

/// The lists inside each other that a frame may have: `ice` needs three.
const DEPTH_MAX: usize = 4;

impl Value {
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
    pub fn list(&self) -> Result<&[Value], FrameError> {
        match self {
            Self::List(value) => Ok(value),
            _ => Err(FrameError::BadFrame),
        }
    }

    /// Returns it as at most `max` bytes.
    pub fn bytes(&self, form: Form, max: usize) -> Result<Vec<u8>, FrameError> {
        let bytes = match (self, form) {
            (Self::Bytes(bytes), Form::Cbor) => bytes.clone(),
            (Self::Text(text), Form::Json) => {
                BASE64URL_NOPAD.decode(text.as_bytes()).map_err(|_| FrameError::BadFrame)?
            }
            _ => return Err(FrameError::BadFrame),
        };
        if bytes.len() <= max { Ok(bytes) } else { Err(FrameError::BadFrame) }
    }

    /// Returns it as exactly `N` bytes.
    pub fn fixed<const N: usize>(&self, form: Form) -> Result<[u8; N], FrameError> {
        self.bytes(form, N)?.try_into().map_err(|_| FrameError::BadFrame)
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

    pub(super) fn read(reader: &mut Reader<'_>, depth: usize) -> Result<Self, WireError> {
        if depth > DEPTH_MAX {
            return Err(WireError::Unexpected);
        }
        Ok(match reader.peek()? {
            Kind::Uint => Self::Uint(reader.uint()?),
            Kind::Bytes => Self::Bytes(reader.bytes()?.to_vec()),
            Kind::Text => Self::Text(reader.text()?.to_owned()),
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
            Self::Text(value) => value.as_str().into(),
            Self::Bool(value) => (*value).into(),
            Self::List(values) => values.iter().map(Self::to_json).collect(),
        }
    }

    pub(super) fn of_json(json: &Json, depth: usize) -> Result<Self, FrameError> {
        if depth > DEPTH_MAX {
            return Err(FrameError::BadFrame);
        }
        Ok(match json {
            Json::Number(number) => Self::Uint(number.as_u64().ok_or(FrameError::BadFrame)?),
            Json::String(text) => Self::Text(text.clone()),
            Json::Bool(value) => Self::Bool(*value),
            Json::Array(values) => {
                Self::List(values.iter().map(|value| Self::of_json(value, depth + 1)).collect::<Result<_, _>>()?)
            }
            Json::Null | Json::Object(_) => return Err(FrameError::BadFrame),
        })
    }
}

/// The type of a frame and its fields by key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fields {
    pub(super) kind: u64,
    pub(super) rows: Vec<(u64, Value)>,
}

/// What a type is called in JSON, and its keys.
pub(super) struct Names {
    pub(super) kind: u64,
    pub(super) name: &'static str,
    pub(super) keys: &'static [(u64, &'static str)],
}

impl Fields {
    pub(super) fn encode(&self, form: Form, table: &[Names]) -> Vec<u8> {
        match form {
            Form::Cbor => {
                let mut writer = Writer::new();
                writer.map(1 + self.rows.len()).uint(0).uint(self.kind);
                for (key, value) in &self.rows {
                    writer.uint(*key);
                    value.write(&mut writer);
                }
                writer.finish()
            }
            Form::Json => {
                let names = table.iter().find(|names| names.kind == self.kind).expect("every type has its names");
                let mut map = Map::new();
                map.insert("t".to_owned(), names.name.into());
                for (key, value) in &self.rows {
                    let name = names.keys.iter().find(|(named, _)| named == key).expect("every key has its name").1;
                    map.insert(name.to_owned(), value.to_json());
                }
                Json::Object(map).to_string().into_bytes()
            }
        }
    }

    /// Reads a frame. Keys that nobody knows stay, and nobody asks for them.
    pub(super) fn decode(bytes: &[u8], form: Form, table: &[Names]) -> Result<Self, FrameError> {
        match form {
            Form::Cbor => Self::of_cbor(bytes),
            Form::Json => Self::of_json(bytes, table),
        }
    }

    fn of_cbor(bytes: &[u8]) -> Result<Self, FrameError> {
        let mut reader = Reader::new(bytes);
        let count = reader.map()?;
        let mut rows: Vec<(u64, Value)> = Vec::new();
        for _ in 0..count {
            let key = reader.uint()?;
            if rows.last().is_some_and(|(last, _)| key <= *last) {
                return Err(FrameError::BadFrame);
            }
            rows.push((key, Value::read(&mut reader, 0)?));
        }
        reader.end()?;
        match rows.first() {
            Some((0, Value::Uint(kind))) => Ok(Self { kind: *kind, rows: rows.split_off(1) }),
            _ => Err(FrameError::BadFrame),
        }
    }

    fn of_json(bytes: &[u8], table: &[Names]) -> Result<Self, FrameError> {
        let json: Json = serde_json::from_slice(bytes).map_err(|_| FrameError::BadFrame)?;
        let map = json.as_object().ok_or(FrameError::BadFrame)?;
        let name = map.get("t").and_then(Json::as_str).ok_or(FrameError::BadFrame)?;
        let id = map.get("id").and_then(Json::as_u64);
        let names = table.iter().find(|names| names.name == name).ok_or(FrameError::UnknownType { id })?;
        let mut rows = Vec::new();
        for (key, name) in names.keys {
            if let Some(value) = map.get(*name) {
                rows.push((*key, Value::of_json(value, 0)?));
            }
        }
        Ok(Self { kind: names.kind, rows })
    }

    /// Returns the value of a key; the frame must have it.
    pub(super) fn required(&self, key: u64) -> Result<&Value, FrameError> {
        self.optional(key).ok_or(FrameError::BadFrame)
    }

    /// Returns the value of a key.
    pub(super) fn optional(&self, key: u64) -> Option<&Value> {
        self.rows.iter().find(|(named, _)| *named == key).map(|(_, value)| value)
    }
}
