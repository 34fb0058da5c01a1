//! The canonical JSON of protobuf, with fields under the names of their definitions, as Envoy's admin interface writes it.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use prost::Message as _;
use prost_types::Any;
use serde_json::{Map, Value, json};

use super::table::{Field, Kind, Label, Message, Messages};
use super::well_known;
use super::wire::{self, Form, Wire};

/// How deep messages may stand in each other: as deep as `prost` reads them.
const DEEPEST: u32 = 100;

/// Why a message cannot be told.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// It is of a type that no configuration has.
    #[error("{0} is not known")]
    Unknown(String),
    /// Its bytes are not those of a message of that type.
    #[error("a {0} does not parse")]
    Malformed(&'static str),
    /// Messages stand in messages without end.
    #[error("a {0} is too deep in others")]
    TooDeep(&'static str),
}

impl Messages {
    /// The message of the type `name`, such as `envoy.config.cluster.v3.Cluster`, as JSON. Fields that are not set are
    /// not there, nor are those that the type has not. In it a message of any type that no configuration has is told by
    /// its bytes.
    ///
    /// # Errors
    /// If the type is unknown, or `bytes` is no message of it.
    pub fn json(&self, name: &str, bytes: &[u8]) -> Result<Value, Unreadable> {
        let message = self.message(name).ok_or_else(|| Unreadable::Unknown(name.to_owned()))?;
        Reader { table: self, message, left: DEEPEST }.message(bytes)
    }
}

/// Reads messages of one type, so many messages deep.
struct Reader<'a> {
    table: &'a Messages,
    message: &'a Message,
    left: u32,
}

impl<'a> Reader<'a> {
    /// A reader of what stands in these messages.
    fn inside(&self, message: &'a Message) -> Result<Self, Unreadable> {
        let left = self.left.checked_sub(1).ok_or(Unreadable::TooDeep(message.name))?;
        Ok(Self { table: self.table, message, left })
    }

    fn malformed(&self) -> Unreadable {
        Unreadable::Malformed(self.message.name)
    }

    fn message(&self, bytes: &[u8]) -> Result<Value, Unreadable> {
        if self.message.name == well_known::ANY {
            return self.any(bytes);
        }
        Ok(well_known::form(self.message.name, self.fields(bytes)?))
    }

    fn fields(&self, mut bytes: &[u8]) -> Result<Map<String, Value>, Unreadable> {
        let mut members = Map::new();
        while !bytes.is_empty() {
            let (number, wire) = wire::field(&mut bytes).ok_or_else(|| self.malformed())?;
            if let Some(field) = self.message.fields.get(&number) {
                self.add(&mut members, field, wire)?;
            }
        }
        Ok(members)
    }

    /// Puts a value of a field where it belongs. Of a field that is not repeated the last one counts.
    fn add(&self, members: &mut Map<String, Value>, field: &Field, wire: Wire<'_>) -> Result<(), Unreadable> {
        let member = members.entry(field.name);
        match field.label {
            Label::One => {
                let value = self.value(field.kind, wire)?;
                *member.or_insert(Value::Null) = value;
            }
            Label::Repeated => {
                let values = self.values(field.kind, wire)?;
                if let Value::Array(all) = member.or_insert_with(|| json!([])) {
                    all.extend(values);
                }
            }
            Label::Map => {
                let mut entry = self.value(field.kind, wire)?;
                // What an entry does not say is the default of its type.
                let part = |entry: &mut Value, number: u32, name| match entry[name].take() {
                    Value::Null => self.default_in(field.kind, number),
                    said => said,
                };
                let (key, value) = (part(&mut entry, 1, "key"), part(&mut entry, 2, "value"));
                let key = key.as_str().map_or_else(|| key.to_string(), str::to_owned);
                member.or_insert_with(|| json!({}))[key] = value;
            }
        }
        Ok(())
    }

    /// One value of a repeated field, or all that are packed in one.
    fn values(&self, kind: Kind, wire: Wire<'_>) -> Result<Vec<Value>, Unreadable> {
        let (Some(form), &Wire::Bytes(mut packed)) = (kind.packed(), &wire) else {
            return Ok(vec![self.value(kind, wire)?]);
        };
        let mut all = Vec::new();
        while !packed.is_empty() {
            let wire = wire::value(form, &mut packed).ok_or_else(|| self.malformed())?;
            all.push(self.value(kind, wire)?);
        }
        Ok(all)
    }

    /// The default of a field of this message.
    fn default_in(&self, message: Kind, number: u32) -> Value {
        let Kind::Message(place) = message else { return Value::Null };
        let field = self.table.message_at(place).and_then(|message| message.fields.get(&number));
        match field.map(|field| field.kind) {
            Some(Kind::String | Kind::Bytes) => "".into(),
            Some(Kind::Bool) => false.into(),
            Some(Kind::Int64 | Kind::Uint64 | Kind::Fixed64 | Kind::Sfixed64 | Kind::Sint64) => "0".into(),
            Some(Kind::Enum(place)) => self.table.value_of(place, 0).into(),
            Some(Kind::Message(place)) => {
                let name = self.table.message_at(place).map_or("", |message| message.name);
                well_known::form(name, Map::new())
            }
            Some(_) => 0.into(),
            None => Value::Null,
        }
    }

    /// Numbers of 64 bits are text, for JSON's readers have not so many.
    fn value(&self, kind: Kind, wire: Wire<'_>) -> Result<Value, Unreadable> {
        Ok(match (kind, wire) {
            (Kind::Bool, Wire::Varint(number)) => (number != 0).into(),
            (Kind::Int32, Wire::Varint(number)) => low(number).cast_signed().into(),
            (Kind::Int64, Wire::Varint(number)) => number.cast_signed().to_string().into(),
            (Kind::Uint32, Wire::Varint(number)) => low(number).into(),
            (Kind::Uint64, Wire::Varint(number)) => number.to_string().into(),
            (Kind::Sint32, Wire::Varint(number)) => wire::zigzag(number).into(),
            (Kind::Sint64, Wire::Varint(number)) => wire::zigzag(number).to_string().into(),
            (Kind::Enum(place), Wire::Varint(number)) => {
                let number = low(number).cast_signed();
                self.table.value_of(place, number).map_or_else(|| number.into(), Value::from)
            }
            (Kind::Float, Wire::Four(bytes)) => floating(&f32::from_le_bytes(bytes).to_string()),
            (Kind::Fixed32, Wire::Four(bytes)) => u32::from_le_bytes(bytes).into(),
            (Kind::Sfixed32, Wire::Four(bytes)) => i32::from_le_bytes(bytes).into(),
            (Kind::Double, Wire::Eight(bytes)) => floating(&f64::from_le_bytes(bytes).to_string()),
            (Kind::Fixed64, Wire::Eight(bytes)) => u64::from_le_bytes(bytes).to_string().into(),
            (Kind::Sfixed64, Wire::Eight(bytes)) => i64::from_le_bytes(bytes).to_string().into(),
            (Kind::String, Wire::Bytes(text)) => str::from_utf8(text).map_err(|_| self.malformed())?.into(),
            (Kind::Bytes, Wire::Bytes(bytes)) => STANDARD.encode(bytes).into(),
            (Kind::Message(place), Wire::Bytes(bytes)) => {
                let inner = self.table.message_at(place).ok_or_else(|| self.malformed())?;
                self.inside(inner)?.message(bytes)?
            }
            _ => return Err(self.malformed()),
        })
    }

    /// A message of any type: its type beside its fields, or beside the one value that a well-known type is.
    fn any(&self, bytes: &[u8]) -> Result<Value, Unreadable> {
        let Any { type_url, value } = Any::decode(bytes).map_err(|_| self.malformed())?;
        let name = type_url.rsplit('/').next().unwrap_or_default();
        let told = match self.table.message(name) {
            Some(inner) => self.inside(inner)?.message(&value)?,
            None => STANDARD.encode(value).into(),
        };
        Ok(match told {
            Value::Object(mut members) if !well_known::is(name) => {
                members.insert("@type".to_owned(), type_url.into());
                members.into()
            }
            told => json!({"@type": type_url, "value": told}),
        })
    }
}

impl Kind {
    /// How an element of a packed field travels; nothing for what is never packed.
    fn packed(self) -> Option<Form> {
        match self {
            Self::String | Self::Bytes | Self::Message(_) => None,
            Self::Double | Self::Fixed64 | Self::Sfixed64 => Some(Form::Eight),
            Self::Float | Self::Fixed32 | Self::Sfixed32 => Some(Form::Four),
            _ => Some(Form::Varint),
        }
    }
}

/// The low 32 bits, which are what a longer number in a field of 32 bits means.
fn low(number: u64) -> u32 {
    let [a, b, c, d, ..] = number.to_le_bytes();
    u32::from_le_bytes([a, b, c, d])
}

/// A number, by the digits that it is shown with; what JSON has no number for is a word.
fn floating(digits: &str) -> Value {
    match digits {
        "inf" => "Infinity".into(),
        "-inf" => "-Infinity".into(),
        digits => digits.parse::<f64>().ok().and_then(serde_json::Number::from_f64).map_or("NaN".into(), Value::Number),
    }
}

#[cfg(test)]
mod tests;
