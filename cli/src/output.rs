//! What the commands print: tables or JSON on stdout, and times and sizes in words.

use std::{
    fmt::Display,
    io::{self, Write as _},
};

use serde::Serialize;
use time::{OffsetDateTime, format_description::well_known::Rfc3339, macros::format_description};

use crate::exit::Outcome;

/// Lines of a name and a value, in two columns.
#[derive(Default)]
pub(crate) struct Lines(Vec<(String, String)>);

impl Lines {
    pub(crate) fn push(&mut self, name: impl Into<String>, value: impl ToString) {
        self.0.push((name.into(), value.to_string()));
    }

    pub(crate) fn print(self) -> Outcome<()> {
        let width = self.0.iter().map(|(name, _)| name.chars().count()).max();
        let width = width.unwrap_or(0);
        let mut text = String::new();
        for (name, value) in &self.0 {
            text.push_str(&format!("{name:width$}  {value}\n"));
        }
        print(&text)
    }
}

/// Prints a value as one line of JSON.
pub(crate) fn print_json(value: &impl Serialize) -> Outcome<()> {
    let mut text = serde_json::to_string(value).expect("its keys are texts");
    text.push('\n');
    print(&text)
}

pub(crate) fn print(text: &str) -> Outcome<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    Ok(out.flush()?)
}

/// Writes a line to stderr. A reader that is gone is no reason to end.
pub(crate) fn note(text: impl Display) {
    let _ = writeln!(io::stderr(), "{text}");
}

/// A text from outside without what a terminal would obey, such as colours and cursor moves.
pub(crate) fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for char in text.chars() {
        match char {
            '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
                out.extend(char.escape_unicode());
            }
            _ if char.is_control() => out.extend(char.escape_default()),
            _ => out.push(char),
        }
    }
    out
}

/// As in `1 session` and `2 sessions`.
pub(crate) fn count(number: u64, what: &str) -> String {
    let end = if number == 1 { "" } else { "s" };
    format!("{number} {what}{end}")
}

/// As in `2026-11-25 09:30:00 UTC`.
pub(crate) fn moment(moment: OffsetDateTime) -> String {
    let form = format_description!("[year]-[month]-[day] [hour]:[minute]:[second] UTC");
    let utc = moment.to_offset(time::UtcOffset::UTC);
    utc.format(form).expect("a moment has all parts")
}

/// A moment, and how far it is from now.
pub(crate) fn moment_from(moment_: OffsetDateTime, now: OffsetDateTime) -> String {
    let seconds = (moment_ - now).whole_seconds();
    let distance = span(seconds.unsigned_abs());
    match seconds {
        0 => format!("{} (now)", moment(moment_)),
        1.. => format!("{} (in {distance})", moment(moment_)),
        _ => format!("{} ({distance} ago)", moment(moment_)),
    }
}

/// Seconds in the two largest units, as in `2 h 5 min`.
fn span(seconds: u64) -> String {
    const UNITS: [(&str, u64); 4] = [("d", 86_400), ("h", 3600), ("min", 60), ("s", 1)];
    let first = UNITS.iter().position(|(_, size)| seconds >= *size);
    let first = first.unwrap_or(UNITS.len() - 1);
    let (unit, size) = UNITS[first];
    let whole = format!("{} {unit}", seconds / size);
    let rest = UNITS
        .get(first + 1)
        .map(|(unit, part)| (seconds % size / part, unit));
    match rest {
        Some((count @ 1.., unit)) => format!("{whole} {count} {unit}"),
        _ => whole,
    }
}

/// For JSON, as in `2026-11-25T09:30:00Z`.
pub(crate) fn rfc3339(moment: OffsetDateTime) -> String {
    let utc = moment.to_offset(time::UtcOffset::UTC);
    let seconds = utc.replace_nanosecond(0).expect("zero is in range");
    seconds.format(&Rfc3339).expect("its year has four digits")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_have_two_units_at_most() {
        let spans = [
            (0, "0 s"),
            (59, "59 s"),
            (60, "1 min"),
            (61, "1 min 1 s"),
            (3600, "1 h"),
            (7500, "2 h 5 min"),
            (7205, "2 h"),
            (90_000, "1 d 1 h"),
            (2_592_000, "30 d"),
        ];
        for (seconds, text) in spans {
            assert_eq!(span(seconds), text);
        }
    }

    #[test]
    fn terminal_codes_are_escaped() {
        assert_eq!(plain("a\u{1b}[31mb\r\n"), "a\\u{1b}[31mb\\r\\n");
        assert_eq!(plain("über \u{202e}x"), "über \\u{202e}x");
    }
}
