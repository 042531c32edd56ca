//! Values as JSON. What is written can be read again: values that `serde_json` would write but not
//! read are refused.

mod buffer;
mod checked;

use std::{cell::Cell, collections::BTreeMap, fmt, io};

use serde::{
    Serialize, Serializer,
    de::DeserializeOwned,
    ser::{self, SerializeMap as _},
};
use serde_json::Value;

pub(super) use self::buffer::Buffer;
use self::checked::Checked;

const NOT_A_KEY: &str = "a key is neither text, a number, a bool nor a variant";

/// A value was refused. The reason is known, unless its own `Serialize` or `serde_json` refused it.
#[derive(Debug)]
pub(super) struct Refused(pub(super) Option<&'static str>);

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.unwrap_or("the value does not serialize to JSON"))
    }
}

impl std::error::Error for Refused {}

impl ser::Error for Refused {
    /// Drops the text, which can hold values.
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self(None)
    }
}

/// Appends the JSON of a value.
pub(super) fn append<T: Serialize + ?Sized>(
    out: &mut impl io::Write,
    value: &T,
) -> Result<(), Refused> {
    let fault = Cell::new(None);
    let mut json = serde_json::Serializer::new(out);
    let checked = Checked::new(&mut json, &fault);
    value.serialize(checked).map_err(|_| Refused(fault.get()))
}

/// The text that a map's key becomes.
pub(super) fn key<T: Serialize + ?Sized>(key: &T) -> Result<String, Refused> {
    // most keys are text
    if let Ok(Value::String(text)) = serde_json::to_value(key) {
        return Ok(text);
    }
    let member = serde_json::to_vec(&Member(key)).map_err(|_| Refused(Some(NOT_A_KEY)))?;
    let member: BTreeMap<String, ()> = parse(&member).ok_or(Refused(None))?;
    member.into_keys().next().ok_or(Refused(None))
}

/// An object with one key.
struct Member<'a, T: ?Sized>(&'a T);

impl<T: Serialize + ?Sized> Serialize for Member<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(1))?;
        map.serialize_entry(self.0, &())?;
        map.end()
    }
}

/// Parses the JSON of a value. serde's errors quote the value, so they are dropped.
pub(super) fn parse<T: DeserializeOwned>(json: &[u8]) -> Option<T> {
    serde_json::from_slice(json).ok()
}
