use std::collections::BTreeMap;

use serde_json::value::RawValue;

use super::{
    entry::{Entry, Id, Owner},
    json,
    reason::Reason,
    split::Member,
};

const OWNER: &str = "user_id";
const MAX_FIELD_NAME: usize = 255;

type Fields = BTreeMap<String, Box<RawValue>>;

/// Parses the text of one member.
pub(super) fn entry(member: &Member<'_>) -> Result<Entry, Reason> {
    let text = str::from_utf8(member.text?).map_err(|_| Reason::Utf8)?;
    let (key, value) = key_and_value(text)?;
    let id = json::string(key)?;
    let mut fields = fields(value)?;
    let id = Id::new(id).ok_or(Reason::IdLength)?;
    let owner = match fields.remove(OWNER) {
        Some(value) => owner(value.get())?,
        None => None,
    };
    Ok(Entry {
        position: member.position,
        offset: member.offset,
        id,
        owner,
        fields,
    })
}

/// Splits at the colon. There is no white space around it.
fn key_and_value(text: &str) -> Result<(&str, &str), Reason> {
    let Some(rest) = text.strip_prefix('"') else {
        return Err(match text.is_empty() {
            true => Reason::Missing,
            false => Reason::NoId,
        });
    };
    let mut escaped = false;
    let end = rest.bytes().position(|byte| {
        let closes = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        closes
    });
    let Some(end) = end else {
        return Err(Reason::Syntax);
    };
    let (key, rest) = text.split_at(end + 2);
    match rest.strip_prefix(':') {
        Some(value) => Ok((key, value)),
        None => Err(Reason::Syntax),
    }
}

fn fields(value: &str) -> Result<Fields, Reason> {
    // `RawValue` accepts lone surrogates, and numbers that no program can read.
    json::check(value)?;
    if !value.starts_with('{') {
        return Err(Reason::NotAnObject);
    }
    let fields: Fields = serde_json::from_str(value).map_err(|_| Reason::Syntax)?;
    let are_named = fields
        .keys()
        .all(|name| (1..=MAX_FIELD_NAME).contains(&name.len()));
    match are_named {
        true => Ok(fields),
        false => Err(Reason::FieldName),
    }
}

fn owner(value: &str) -> Result<Option<Owner>, Reason> {
    if value == "null" {
        return Ok(None);
    }
    let text = match value {
        // Python reads it as the whole number 0.
        "-0" => "0".to_owned(),
        _ if value.starts_with('"') => json::string(value)?,
        _ if is_integer(value) => value.to_owned(),
        _ => return Err(Reason::OwnerType),
    };
    Owner::new(text).map(Some).ok_or(Reason::OwnerLength)
}

/// Whether a valid JSON value is a number without fraction and exponent.
fn is_integer(value: &str) -> bool {
    let digits = value.strip_prefix('-').unwrap_or(value);
    digits.bytes().all(|b| b.is_ascii_digit())
}
