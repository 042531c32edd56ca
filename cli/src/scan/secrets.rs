//! Recognises secrets of sessions, and passwords in URLs, that were committed by mistake.
//!
//! Values that only show where a secret belongs, such as `$SECRET` and `<your secret>`, do not
//! count.

use memchr::memmem;

const VARIABLES: [&[u8]; 3] = [
    b"SESSION_SECRET_FALLBACKS",
    b"SESSION_SECRET",
    b"SESSION_ENCRYPTION_KEY",
];

/// The shortest value that is taken for a secret, in bytes.
const MIN_SECRET: usize = 32;

/// A value with fewer different bytes is not random.
const MIN_DISTINCT: usize = 7;

const SCHEMES: [&[u8]; 7] = [
    b"redis",
    b"rediss",
    b"valkey",
    b"postgres",
    b"postgresql",
    b"mysql",
    b"mariadb",
];

/// The longest part of a URL before the host that is looked at, in bytes.
const MAX_AUTHORITY: usize = 1024;

/// Starts of values that show where a secret belongs, in lower case.
const SAMPLES: [&[u8]; 9] = [
    b"changeme",
    b"change-me",
    b"change_me",
    b"your-",
    b"your_",
    b"replace",
    b"placeholder",
    b"example",
    b"/run/secrets/",
];

/// The whole passwords of URLs in documentation, in lower case.
const SAMPLE_PASSWORDS: [&[u8]; 10] = [
    b"password",
    b"passwd",
    b"pass",
    b"pwd",
    b"pw",
    b"secret",
    b"mypassword",
    b"hunter2",
    b"...",
    b"\xe2\x80\xa6",
];

/// Whether a variable such as `SESSION_SECRET` has a value.
pub(super) fn has_session_secret(text: &[u8]) -> bool {
    memmem::find_iter(text, b"SESSION_").any(|at| {
        let found = VARIABLES
            .iter()
            .find_map(|name| text[at..].strip_prefix(*name));
        found.and_then(value).is_some_and(is_secret)
    })
}

/// Whether the URL of a database or of Redis contains a password.
pub(super) fn has_url_password(text: &[u8]) -> bool {
    memmem::find_iter(text, b"://").any(|at| {
        let before = &text[..at];
        let is_scheme = |byte: &u8| byte.is_ascii_alphanumeric() || b"+-".contains(byte);
        let length = before
            .iter()
            .rev()
            .take_while(|byte| is_scheme(byte))
            .count();
        // A driver can follow, as in `postgresql+asyncpg`.
        let scheme = before[at - length..].split(|byte| *byte == b'+').next();
        let known = |scheme: &[u8]| SCHEMES.iter().any(|one| one.eq_ignore_ascii_case(scheme));
        scheme.is_some_and(known) && url_has_password(&text[at + 3..])
    })
}

/// The text after `=` or `:`, up to its closing quote or to the next space.
fn value(after_name: &[u8]) -> Option<&[u8]> {
    // The name may be quoted itself, as in JSON.
    let rest = match after_name {
        [b'"' | b'\'', rest @ ..] => rest,
        rest => rest,
    };
    let rest = skip_blanks(rest);
    let (b'=' | b':', rest) = rest.split_first()? else {
        return None;
    };
    let rest = skip_blanks(rest);
    let end = match rest.first()? {
        quote @ (b'"' | b'\'' | b'`') => {
            let rest = &rest[1..];
            let end = rest
                .iter()
                .position(|byte| byte == quote || *byte == b'\n')?;
            return Some(&rest[..end]);
        }
        _ => rest.iter().position(u8::is_ascii_whitespace),
    };
    let value = &rest[..end.unwrap_or(rest.len())];
    (!is_expression(value)).then_some(value)
}

fn skip_blanks(text: &[u8]) -> &[u8] {
    let blanks = text.iter().take_while(|byte| matches!(byte, b' ' | b'\t'));
    &text[blanks.count()..]
}

/// Whether the value is program text, such as `os.environ["SESSION_SECRET"]`.
fn is_expression(value: &[u8]) -> bool {
    let is_path = |byte: &u8| byte.is_ascii_alphanumeric() || b"_.:&!".contains(byte);
    let end = value.iter().position(|byte| !is_path(byte));
    end.is_some_and(|end| end > 0 && matches!(value[end], b'(' | b'['))
}

fn is_secret(value: &[u8]) -> bool {
    if value.len() < MIN_SECRET || is_placeholder(value) {
        return false;
    }
    let mut seen = [false; 256];
    value
        .iter()
        .for_each(|byte| seen[usize::from(*byte)] = true);
    seen.iter().filter(|seen| **seen).count() >= MIN_DISTINCT
}

fn is_placeholder(value: &[u8]) -> bool {
    let lower = value.to_ascii_lowercase();
    let inside = |start: &[u8], end: &[u8]| value.starts_with(start) && value.ends_with(end);
    inside(b"<", b">")
        || inside(b"{", b"}")
        || inside(b"%", b"%")
        || inside(b"${", b"}")
        || inside(b"$(", b")")
        || inside(b"`", b"`")
        || is_variable(value)
        || SAMPLES.iter().any(|sample| lower.starts_with(sample))
}

/// `$NAME`
fn is_variable(value: &[u8]) -> bool {
    let Some(name) = value.strip_prefix(b"$") else {
        return false;
    };
    name.iter()
        .all(|byte| byte.is_ascii_alphanumeric() || *byte == b'_')
}

fn url_has_password(after_scheme: &[u8]) -> bool {
    let text = &after_scheme[..after_scheme.len().min(MAX_AUTHORITY)];
    let is_end = |byte: &u8| b"/?#\"'`<>\\".contains(byte) || byte.is_ascii_whitespace();
    let end = text.iter().position(is_end).unwrap_or(text.len());
    let Some(at) = memchr::memrchr(b'@', &text[..end]) else {
        return false;
    };
    let (login, host) = (&text[..at], &text[at + 1..end]);
    let Some(colon) = memchr::memchr(b':', login) else {
        return false;
    };
    let (user, password) = (&login[..colon], &login[colon + 1..]);
    if password.is_empty() || is_sample_password(password) {
        return false;
    }
    // Such as `postgres:postgres@localhost`, which nearly every test setup contains.
    !(user == password && is_local(host))
}

fn is_sample_password(password: &[u8]) -> bool {
    let lower = password.to_ascii_lowercase();
    let one_byte = password.iter().all(|byte| *byte == password[0]);
    password[0] == b'%' && !is_percent_encoded(password)
        || one_byte && matches!(password[0], b'x' | b'X' | b'*' | b'.')
        || is_placeholder(password)
        || SAMPLE_PASSWORDS.contains(&lower.as_slice())
}

fn is_percent_encoded(password: &[u8]) -> bool {
    let hex = password.get(1..3);
    hex.is_some_and(|hex| hex.iter().all(u8::is_ascii_hexdigit))
}

fn is_local(host: &[u8]) -> bool {
    [b"localhost".as_slice(), b"127.0.0.1", b"[::1]"]
        .iter()
        .any(|local| {
            host.strip_prefix(*local)
                .is_some_and(|rest| matches!(rest, [] | [b':', ..]))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    const VALUE: &str = "q8Zr3vX0bN5kT1mW7yL2cJ9hF4gD6sA0pE";

    #[test]
    fn secrets_in_the_usual_files_are_found() {
        for text in [
            format!("SESSION_SECRET={VALUE}"),
            format!("export SESSION_SECRET='{VALUE}'\n"),
            format!("A=b\r\nSESSION_ENCRYPTION_KEY = \"{VALUE}\"\r\n"),
            format!("SESSION_SECRET_FALLBACKS={VALUE},{VALUE}"),
            format!("  - SESSION_SECRET={VALUE}\n"),
            format!("  SESSION_SECRET: {VALUE}\n"),
            format!("{{\"SESSION_SECRET\": \"{VALUE}\"}}"),
            format!("APP_SESSION_SECRET={VALUE}"),
            format!("SESSION_SECRET=base64:{VALUE}="),
            format!("SESSION_SECRET=$SESSION_SECRET\nSESSION_SECRET={VALUE}"),
            format!("SESSION_SECRET=${VALUE}&x"),
        ] {
            assert!(has_session_secret(text.as_bytes()), "{text}");
        }
    }

    #[test]
    fn placeholders_and_program_text_are_no_secrets() {
        for text in [
            "SESSION_SECRET=".to_owned(),
            "SESSION_SECRET".to_owned(),
            "SESSION_SECRET=short".to_owned(),
            format!("SESSION_SECRET_FILE={VALUE}"),
            format!("SESSION_SECRETS={VALUE}"),
            "SESSION_SECRET=$SESSION_SECRET_OF_THE_PRODUCTION_SERVER".to_owned(),
            "SESSION_SECRET=${SESSION_SECRET:?set it before the start}".to_owned(),
            "SESSION_SECRET=${{secrets.PRODUCTION_SESSION_SECRET}}".to_owned(),
            "SESSION_SECRET=\"{{ .Values.production.session.secret }}\"".to_owned(),
            "SESSION_SECRET=\"<the output of openssl rand -base64 32>\"".to_owned(),
            "SESSION_SECRET=changeme-changeme-changeme-changeme".to_owned(),
            "SESSION_SECRET=/run/secrets/production_session_secret".to_owned(),
            "SESSION_SECRET = os.environ[\"SESSION_SECRET_FOR_THE_APP\"]".to_owned(),
            "SESSION_SECRET: std::env::var(\"SESSION_SECRET_FOR_THE_APP\")".to_owned(),
            format!("SESSION_SECRET={}", "x".repeat(64)),
            format!("SESSION_SECRET=\"never closed {VALUE}"),
        ] {
            assert!(!has_session_secret(text.as_bytes()), "{text}");
        }
    }

    #[test]
    fn urls_with_a_password_are_found() {
        for text in [
            "REDIS_URL=redis://:hunter2x@cache:6379/0",
            "rediss://default:hunter2x@cache",
            "\"postgres://app:hunter2x@db/app\"",
            "postgresql+asyncpg://app:hunter2x@db/app",
            "mysql://root:p%40ss@db",
            "mysql://root:%40ss@db",
            "MariaDB://root:a@b@db",
            "postgres://postgres:postgres@db.example.com/app",
            "http://x:y@z redis://:hunter2x@cache",
        ] {
            assert!(has_url_password(text.as_bytes()), "{text}");
        }
    }

    #[test]
    fn urls_without_a_password_or_with_a_sample_are_not_found() {
        for text in [
            "redis://cache:6379",
            "redis://default@cache",
            "redis://:@cache",
            "redis://:${REDIS_PASSWORD}@cache",
            "redis://:$REDIS_PASSWORD@cache",
            "redis://:%s@cache",
            "redis://:<password>@cache",
            "postgres://user:password@localhost/db",
            "postgres://{user}:{password}@{host}/db",
            "postgres://user:***@localhost/db",
            "postgres://postgres:postgres@localhost:5432/db",
            "mysql://root:changeme@db",
            "mysql://root:hunter2@db",
            "https://user:hunter2x@example.com",
            "xredis://:hunter2x@cache",
            "redis:// :hunter2x@cache",
            "://",
        ] {
            assert!(!has_url_password(text.as_bytes()), "{text}");
        }
    }
}
