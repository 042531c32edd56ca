//! The session as one struct, whose fields are the entries.

use std::{borrow::Cow, ops::Range};

use serde::{
    Serialize, Serializer,
    ser::{Impossible, SerializeMap, SerializeStruct},
};

use super::json::{self, Refused};
use crate::entries::Entries;

/// Fields as entries: each key with its JSON, or with `None` for a skipped field.
#[derive(Default)]
pub(super) struct Fields {
    list: Vec<(Cow<'static, str>, Option<Range<usize>>)>,
    json: Vec<u8>,
}

impl Fields {
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, Option<&[u8]>)> {
        let pairs = self.list.iter();
        pairs.map(|(key, json)| (&**key, json.clone().map(|json| &self.json[json])))
    }

    fn push<T: Serialize + ?Sized>(
        &mut self,
        key: Cow<'static, str>,
        value: &T,
    ) -> Result<(), Refused> {
        let start = self.json.len();
        json::append(&mut self.json, value)?;
        self.list.push((key, Some(start..self.json.len())));
        Ok(())
    }
}

/// The entries as the text of one JSON object.
pub(super) fn to_object(entries: Entries<'_>) -> Vec<u8> {
    let mut object = vec![b'{'];
    for (n, (key, value)) in entries.iter().enumerate() {
        if n > 0 {
            object.push(b',');
        }
        serde_json::to_writer(&mut object, key).expect("a vector takes every string");
        object.push(b':');
        object.extend_from_slice(value);
    }
    object.push(b'}');
    object
}

/// The fields of a struct, or the pairs of a map. Any other value is an error.
///
/// This needs its own serializer: `serde_json` does not report skipped fields.
pub(super) fn to_fields<T: Serialize + ?Sized>(whole: &T) -> Result<Fields, Refused> {
    whole.serialize(Collect::default())
}

#[derive(Default)]
struct Collect {
    fields: Fields,
    key: Option<String>,
}

impl SerializeStruct for Collect {
    type Ok = Fields;
    type Error = Refused;

    fn serialize_field<T: Serialize + ?Sized>(
        &mut self,
        key: &'static str,
        value: &T,
    ) -> Result<(), Refused> {
        self.fields.push(key.into(), value)
    }

    fn skip_field(&mut self, key: &'static str) -> Result<(), Refused> {
        self.fields.list.push((key.into(), None));
        Ok(())
    }

    fn end(self) -> Result<Fields, Refused> {
        Ok(self.fields)
    }
}

impl SerializeMap for Collect {
    type Ok = Fields;
    type Error = Refused;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), Refused> {
        self.key = Some(json::key(key)?);
        Ok(())
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Refused> {
        let key = self.key.take().ok_or(Refused(None))?;
        self.fields.push(key.into(), value)
    }

    fn end(self) -> Result<Fields, Refused> {
        Ok(self.fields)
    }
}

fn not_a_struct<T>() -> Result<T, Refused> {
    Err(Refused(Some("it is neither a struct nor a map")))
}

macro_rules! refuse {
    ($($method:ident($($argument:ty),*) -> $ok:ty;)*) => {
        $(fn $method(self, $(_: $argument),*) -> Result<$ok, Refused> { not_a_struct() })*
    };
}

impl Serializer for Collect {
    type Ok = Fields;
    type Error = Refused;
    type SerializeSeq = Impossible<Fields, Refused>;
    type SerializeTuple = Impossible<Fields, Refused>;
    type SerializeTupleStruct = Impossible<Fields, Refused>;
    type SerializeTupleVariant = Impossible<Fields, Refused>;
    type SerializeMap = Self;
    type SerializeStruct = Self;
    type SerializeStructVariant = Impossible<Fields, Refused>;

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Self, Refused> {
        Ok(self)
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Self, Refused> {
        Ok(self)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<Fields, Refused> {
        value.serialize(self)
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<Fields, Refused> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: &T,
    ) -> Result<Fields, Refused> {
        not_a_struct()
    }

    refuse! {
        serialize_bool(bool) -> Fields;
        serialize_i8(i8) -> Fields;
        serialize_i16(i16) -> Fields;
        serialize_i32(i32) -> Fields;
        serialize_i64(i64) -> Fields;
        serialize_u8(u8) -> Fields;
        serialize_u16(u16) -> Fields;
        serialize_u32(u32) -> Fields;
        serialize_u64(u64) -> Fields;
        serialize_f32(f32) -> Fields;
        serialize_f64(f64) -> Fields;
        serialize_char(char) -> Fields;
        serialize_str(&str) -> Fields;
        serialize_bytes(&[u8]) -> Fields;
        serialize_none() -> Fields;
        serialize_unit() -> Fields;
        serialize_unit_struct(&'static str) -> Fields;
        serialize_unit_variant(&'static str, u32, &'static str) -> Fields;
        serialize_seq(Option<usize>) -> Self::SerializeSeq;
        serialize_tuple(usize) -> Self::SerializeTuple;
        serialize_tuple_struct(&'static str, usize) -> Self::SerializeTupleStruct;
        serialize_tuple_variant(&'static str, u32, &'static str, usize) -> Self::SerializeTupleVariant;
        serialize_struct_variant(&'static str, u32, &'static str, usize) -> Self::SerializeStructVariant;
    }
}
