//! What stdin brings.

use std::{
    io::{self, Read as _},
    sync::atomic::{AtomicBool, Ordering},
};

use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use zeroize::Zeroizing;

use crate::exit::{Failure, Outcome};

/// The largest text that is read: more than a browser sends.
const MAX: u64 = 1024 * 1024;

/// All of stdin. It can be only one of the things that can come from it.
pub(crate) fn stdin() -> Outcome<Zeroizing<String>> {
    static READ: AtomicBool = AtomicBool::new(false);
    if READ.swap(true, Ordering::Relaxed) {
        return Err(Failure::usage(
            "two arguments read stdin: give one of them in another way",
        ));
    }
    let mut text = Zeroizing::new(String::new());
    let read = io::stdin().take(MAX).read_to_string(&mut text);
    read.map_err(|error| Failure::input(format!("cannot read stdin: {error}")))?;
    Ok(text)
}

/// A time in an argument.
pub(crate) fn time(text: &str) -> Result<OffsetDateTime, String> {
    let error = |_| "use the form 2026-11-25T09:30:00Z".to_owned();
    OffsetDateTime::parse(text, &Rfc3339).map_err(error)
}

/// The owner, or what stdin has if it is `-`.
pub(crate) fn owner(argument: &str) -> Outcome<String> {
    let owner = match argument {
        "-" => stdin()?.trim_end_matches(['\n', '\r']).to_owned(),
        argument => argument.to_owned(),
    };
    match owner.len() {
        1..=255 => Ok(owner),
        len => Err(Failure::usage(format!(
            "an owner has 1 to 255 bytes, this one has {len}"
        ))),
    }
}
