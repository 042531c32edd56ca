//! A serializer that refuses what `serde_json` would write but not read.

use std::cell::Cell;

use serde::{
    Serialize, Serializer,
    ser::{
        self, SerializeMap, SerializeSeq, SerializeStruct, SerializeStructVariant, SerializeTuple,
        SerializeTupleStruct, SerializeTupleVariant,
    },
};

/// The maximum nesting of a value. `serde_json` reads 127 levels, and [`Session::read`] needs one
/// for the session.
///
/// [`Session::read`]: crate::Session::read
const MAX_DEPTH: u8 = 126;

const NOT_FINITE: &str = "JSON has no NaN and no infinity";
const TOO_DEEP: &str = "it is nested more than 126 levels deep";

/// A serializer, or a part of one, that refuses what cannot be read again.
pub(super) struct Checked<'a, S> {
    inner: S,
    /// The number of lists and objects around the value.
    depth: u8,
    fault: &'a Cell<Option<&'static str>>,
}

/// A value that is serialized with [`Checked`].
struct Inside<'a, T: ?Sized> {
    value: &'a T,
    depth: u8,
    fault: &'a Cell<Option<&'static str>>,
}

impl<T: Serialize + ?Sized> Serialize for Inside<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.value.serialize(Checked {
            inner: serializer,
            depth: self.depth,
            fault: self.fault,
        })
    }
}

impl<'a, S> Checked<'a, S> {
    /// Sets `fault` to the reason if it refuses a value.
    pub(super) fn new(inner: S, fault: &'a Cell<Option<&'static str>>) -> Self {
        let depth = 0;
        Self {
            inner,
            depth,
            fault,
        }
    }

    fn inside<'v, T: ?Sized>(&self, value: &'v T) -> Inside<'v, T>
    where
        'a: 'v,
    {
        Inside {
            value,
            depth: self.depth,
            fault: self.fault,
        }
    }

    fn refuse<T, E: ser::Error>(&self, fault: &'static str) -> Result<T, E> {
        self.fault.set(Some(fault));
        Err(E::custom(fault))
    }
}

impl<'a, S: Serializer> Checked<'a, S> {
    /// Serializes something with `levels` more lists and objects around its parts.
    fn nest<T>(
        self,
        levels: u8,
        serialize: impl FnOnce(S) -> Result<T, S::Error>,
    ) -> Result<Checked<'a, T>, S::Error> {
        let depth = self.depth + levels;
        if depth > MAX_DEPTH {
            return self.refuse(TOO_DEEP);
        }
        Ok(Checked {
            inner: serialize(self.inner)?,
            depth,
            fault: self.fault,
        })
    }
}

macro_rules! pass {
    ($($method:ident($($argument:ident: $type:ty),*);)*) => {
        $(fn $method(self, $($argument: $type),*) -> Result<S::Ok, S::Error> {
            self.inner.$method($($argument),*)
        })*
    };
}

macro_rules! nest {
    ($($method:ident($($argument:ident: $type:ty),*) -> $part:ident, $levels:literal;)*) => {
        $(fn $method(self, $($argument: $type),*) -> Result<Self::$part, S::Error> {
            self.nest($levels, |inner| inner.$method($($argument),*))
        })*
    };
}

impl<'a, S: Serializer> Serializer for Checked<'a, S> {
    type Ok = S::Ok;
    type Error = S::Error;
    type SerializeSeq = Checked<'a, S::SerializeSeq>;
    type SerializeTuple = Checked<'a, S::SerializeTuple>;
    type SerializeTupleStruct = Checked<'a, S::SerializeTupleStruct>;
    type SerializeTupleVariant = Checked<'a, S::SerializeTupleVariant>;
    type SerializeMap = Checked<'a, S::SerializeMap>;
    type SerializeStruct = Checked<'a, S::SerializeStruct>;
    type SerializeStructVariant = Checked<'a, S::SerializeStructVariant>;

    pass! {
        serialize_bool(v: bool);
        serialize_i8(v: i8);
        serialize_i16(v: i16);
        serialize_i32(v: i32);
        serialize_i64(v: i64);
        serialize_i128(v: i128);
        serialize_u8(v: u8);
        serialize_u16(v: u16);
        serialize_u32(v: u32);
        serialize_u64(v: u64);
        serialize_u128(v: u128);
        serialize_char(v: char);
        serialize_str(v: &str);
        serialize_none();
        serialize_unit();
        serialize_unit_struct(name: &'static str);
        serialize_unit_variant(name: &'static str, index: u32, variant: &'static str);
    }

    fn serialize_f32(self, v: f32) -> Result<S::Ok, S::Error> {
        match v.is_finite() {
            true => self.inner.serialize_f32(v),
            false => self.refuse(NOT_FINITE),
        }
    }

    fn serialize_f64(self, v: f64) -> Result<S::Ok, S::Error> {
        match v.is_finite() {
            true => self.inner.serialize_f64(v),
            false => self.refuse(NOT_FINITE),
        }
    }

    /// JSON has no bytes: they become a list of numbers.
    fn serialize_bytes(self, v: &[u8]) -> Result<S::Ok, S::Error> {
        let list = self.nest(1, |inner| inner.serialize_bytes(v))?;
        Ok(list.inner)
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<S::Ok, S::Error> {
        let inside = self.inside(value);
        self.inner.serialize_some(&inside)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        value: &T,
    ) -> Result<S::Ok, S::Error> {
        let inside = self.inside(value);
        self.inner.serialize_newtype_struct(name, &inside)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<S::Ok, S::Error> {
        let object = self.nest(1, Ok)?;
        let inside = object.inside(value);
        let inner = object.inner;
        inner.serialize_newtype_variant(name, index, variant, &inside)
    }

    nest! {
        serialize_seq(len: Option<usize>) -> SerializeSeq, 1;
        serialize_tuple(len: usize) -> SerializeTuple, 1;
        serialize_tuple_struct(name: &'static str, len: usize) -> SerializeTupleStruct, 1;
        serialize_map(len: Option<usize>) -> SerializeMap, 1;
        serialize_struct(name: &'static str, len: usize) -> SerializeStruct, 1;
        // a list or an object in an object
        serialize_tuple_variant(
            name: &'static str, index: u32, variant: &'static str, len: usize
        ) -> SerializeTupleVariant, 2;
        serialize_struct_variant(
            name: &'static str, index: u32, variant: &'static str, len: usize
        ) -> SerializeStructVariant, 2;
    }

    fn collect_str<T: std::fmt::Display + ?Sized>(self, value: &T) -> Result<S::Ok, S::Error> {
        self.inner.collect_str(value)
    }

    fn is_human_readable(&self) -> bool {
        self.inner.is_human_readable()
    }
}

macro_rules! sequence {
    ($($trait:ident::$method:ident,)*) => {
        $(impl<S: $trait> $trait for Checked<'_, S> {
            type Ok = S::Ok;
            type Error = S::Error;

            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), S::Error> {
                let inside = self.inside(value);
                self.inner.$method(&inside)
            }

            fn end(self) -> Result<S::Ok, S::Error> {
                self.inner.end()
            }
        })*
    };
}

sequence! {
    SerializeSeq::serialize_element,
    SerializeTuple::serialize_element,
    SerializeTupleStruct::serialize_field,
    SerializeTupleVariant::serialize_field,
}

macro_rules! fields {
    ($($trait:ident,)*) => {
        $(impl<S: $trait> $trait for Checked<'_, S> {
            type Ok = S::Ok;
            type Error = S::Error;

            fn serialize_field<T: Serialize + ?Sized>(
                &mut self,
                key: &'static str,
                value: &T,
            ) -> Result<(), S::Error> {
                let inside = self.inside(value);
                self.inner.serialize_field(key, &inside)
            }

            fn skip_field(&mut self, key: &'static str) -> Result<(), S::Error> {
                self.inner.skip_field(key)
            }

            fn end(self) -> Result<S::Ok, S::Error> {
                self.inner.end()
            }
        })*
    };
}

fields! {
    SerializeStruct,
    SerializeStructVariant,
}

impl<S: SerializeMap> SerializeMap for Checked<'_, S> {
    type Ok = S::Ok;
    type Error = S::Error;

    /// Keys are not nested, and `serde_json` refuses keys that are not finite.
    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), S::Error> {
        self.inner.serialize_key(key)
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), S::Error> {
        let inside = self.inside(value);
        self.inner.serialize_value(&inside)
    }

    fn end(self) -> Result<S::Ok, S::Error> {
        self.inner.end()
    }
}
