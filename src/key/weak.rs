//! Detects weak secrets, which are published or not random.
//!
//! The checks find common mistakes. They must not refuse a random secret: tests check 100 000
//! random secrets of each of 14 formats.

use zeroize::Zeroizing;

use super::published::SAMPLES;

/// The minimum number of different bytes. Of texts of 32 random digits, one in 60 000 has fewer. Of
/// texts of 32 random hex digits, one in 10^9 has.
pub(super) const MIN_DISTINCT: usize = 7;

/// The words of which most samples outside the list of published secrets consist.
const WORDS: [&str; 53] = [
    "atleast",
    "bits",
    "bytes",
    "change",
    "changeit",
    "changeme",
    "character",
    "cookie",
    "default",
    "demo",
    "development",
    "docs",
    "dont",
    "dummy",
    "encrypt",
    "enough",
    "example",
    "fake",
    "generate",
    "github",
    "insecure",
    "insert",
    "key",
    "long",
    "minimum",
    "must",
    "nobody",
    "passphrase",
    "passwd",
    "password",
    "placeholder",
    "please",
    "production",
    "random",
    "replace",
    "safe",
    "sample",
    "secret",
    "secure",
    "session",
    "should",
    "staging",
    "string",
    "super",
    "symbols",
    "test",
    "testing",
    "this",
    "token",
    "top",
    "value",
    "very",
    "your",
];

/// The maximum number of letters that may belong to those words. Of 10^8 random texts of 43 base64
/// characters, one had nine such letters, and none had more.
const MAX_WORDS: usize = 11;

/// A text with this many other letters and digits is accepted, whatever words it contains.
const ENOUGH: usize = 32;

/// The rows and columns of a keyboard.
const ROWS: [&[u8]; 14] = [
    b"1234567890",
    b"qwertyuiop",
    b"asdfghjkl",
    b"zxcvbnm",
    b"1qaz",
    b"2wsx",
    b"3edc",
    b"4rfv",
    b"5tgb",
    b"6yhn",
    b"7ujm",
    b"8ik",
    b"9ol",
    b"0p",
];

/// The start and the end of a variable, and the bytes that are allowed between them.
type Template = (&'static str, &'static str, fn(&u8) -> bool);

const TEMPLATES: [Template; 11] = [
    ("${", "}", is_expression),
    ("$(", ")", is_expression),
    ("{{", "}}", is_expression),
    ("${{", "}}", is_expression),
    ("<%", "%>", is_expression),
    ("#{", "}", is_expression),
    ("<", ">", is_words),
    ("%", "%", is_name),
    ("@@", "@@", is_name),
    ("__", "__", is_name),
    ("$", "", is_name),
];

/// The prefixes of locations of secrets.
const PLACES: [&str; 4] = ["/run/secrets/", "op://", "vault:", "arn:aws:"];

fn is_expression(byte: &u8) -> bool {
    byte.is_ascii_alphanumeric() || b" _-.:/?=|[]()\"'".contains(byte)
}

fn is_words(byte: &u8) -> bool {
    byte.is_ascii_alphanumeric() || b" _-".contains(byte)
}

fn is_name(byte: &u8) -> bool {
    byte.is_ascii_uppercase() || byte.is_ascii_digit() || *byte == b'_'
}

/// Whether the text is a variable that was not expanded, or the location of a secret.
///
/// Random text can start and end like a variable, but nearly always has other characters between.
pub(super) fn is_unexpanded(text: &[u8]) -> bool {
    let is_template = |(start, end, may): &Template| {
        let rest = text.strip_prefix(start.as_bytes());
        let inside = rest.and_then(|rest| rest.strip_suffix(end.as_bytes()));
        inside.is_some_and(|inside| inside.iter().all(may))
    };
    TEMPLATES.iter().any(is_template)
        || PLACES
            .iter()
            .any(|place| text.starts_with(place.as_bytes()))
}

/// Whether the text is a sample, or consists of the words of samples. Ignores case and punctuation.
pub(super) fn is_published(text: &[u8]) -> bool {
    // the full capacity, because a vector that grows leaves a copy of the secret behind
    let mut folded = Zeroizing::new(Vec::with_capacity(text.len()));
    let letters = text.iter().filter(|byte| byte.is_ascii_alphanumeric());
    folded.extend(letters.map(u8::to_ascii_lowercase));
    // some tools need the encoding as a prefix, as in `base64:…`
    let prefix = ["base64", "hex2bin"];
    let bare = prefix
        .iter()
        .find_map(|prefix| folded.strip_prefix(prefix.as_bytes()));
    let bare = bare.unwrap_or(&folded);
    is_made_of_words(&folded)
        || SAMPLES
            .binary_search_by(|sample| sample.as_bytes().cmp(bare))
            .is_ok()
}

fn is_made_of_words(folded: &[u8]) -> bool {
    let mut covered = Zeroizing::new(vec![false; folded.len()]);
    for (at, letter) in folded.iter().enumerate() {
        for word in &WORDS {
            if word.as_bytes()[0] == *letter && folded[at..].starts_with(word.as_bytes()) {
                covered[at..at + word.len()].fill(true);
            }
        }
    }
    let words = covered.iter().filter(|&&covered| covered).count();
    let others = folded.len() - words;
    others < ENOUGH && (words > MAX_WORDS || (others == 0 && words > 0))
}

/// The number of different bytes.
pub(super) fn distinct(text: &[u8]) -> usize {
    let mut seen = [false; 256];
    text.iter().for_each(|&byte| seen[usize::from(byte)] = true);
    seen.iter().filter(|&&seen| seen).count()
}

/// Whether more than half of all pieces of four bytes occur earlier in the text. Of texts of 64
/// random hex digits, one in 36 has a single such piece.
pub(super) fn repeats(text: &[u8]) -> bool {
    let mut pieces: Vec<&[u8]> = text.windows(4).collect();
    let count = pieces.len();
    pieces.sort_unstable();
    pieces.dedup();
    count - pieces.len() > count / 2
}

/// Whether more than three in four steps lead to a neighbour in the alphabet, in the digits or on a
/// keyboard. Steps of one byte and of two bytes are counted apart. Of texts of 32 random digits,
/// one in 10^10 has that many.
pub(super) fn is_sequence(text: &[u8]) -> bool {
    let follows =
        |row: &[u8], a, b| memchr::memchr(a, row).is_some_and(|at| row.get(at + 1) == Some(&b));
    let are_neighbours = |a: u8, b: u8| {
        let (a, b) = (a.to_ascii_lowercase(), b.to_ascii_lowercase());
        let in_order = a.is_ascii_alphanumeric() && b.is_ascii_alphanumeric() && a.abs_diff(b) == 1;
        in_order
            || ROWS
                .iter()
                .any(|row| follows(row, a, b) || follows(row, b, a))
    };
    [1, 2].into_iter().any(|stride| {
        let pairs = text.iter().zip(text.iter().skip(stride));
        let steps = pairs.filter(|(a, b)| are_neighbours(**a, **b)).count();
        4 * steps > 3 * text.len().saturating_sub(stride)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_counted_once_and_punctuation_is_ignored() {
        for published in [
            "changeme",
            "Change-Me",
            "top.secret",
            "my-secret-password",
            "yOuR_sEcReT:kEy",
        ] {
            assert!(is_published(published.as_bytes()), "{published}");
        }
        // 11 letters, some of them in two words
        for other in [
            "",
            "-",
            "secret-1",
            "correct-horse-password",
            "xtestingx-your",
            "supersecurex",
            "insecurexyou",
        ] {
            assert!(!is_published(other.as_bytes()), "{other}");
        }
        assert!(is_published(b"insecurex-your-x"));
        // a label before a real secret
        let label = |others: usize| format!("session-secret-{}", "x1".repeat(others / 2));
        assert!(is_published(label(30).as_bytes()) && !is_published(label(32).as_bytes()));
    }

    #[test]
    fn samples_are_found_with_and_without_an_encoding_prefix() {
        assert!(SAMPLES.is_sorted());
        for sample in SAMPLES {
            for text in [
                sample,
                &format!("base64:{sample}="),
                &format!("'{sample}'"),
                &sample.to_uppercase(),
            ] {
                assert!(is_published(text.as_bytes()), "{text}");
            }
            let other = format!("x{sample}");
            assert!(
                !is_published(other.as_bytes()),
                "{sample} is found by its words already"
            );
        }
    }

    #[test]
    fn variables_are_unexpanded_and_random_text_in_brackets_is_not() {
        for unexpanded in [
            "${SESSION_SECRET}",
            "${SECRET:-none}",
            "$(openssl rand -hex 32)",
            "{{ .Values.secret }}",
            "${{ vars.SECRET }}",
            "<%= ENV[\"SECRET\"] %>",
            "#{ENV['SECRET']}",
            "<your secret>",
            "%SESSION_SECRET%",
            "@@SESSION_SECRET@@",
            "__SESSION_SECRET__",
            "$SESSION_SECRET",
            "/run/secrets/session",
            "op://vault/item/field",
        ] {
            assert!(is_unexpanded(unexpanded.as_bytes()), "{unexpanded}");
        }
        for random in [
            "$()*vor)2q%x0b6&px&xd",
            "<fo\\HRKkQsP*2zwDU!8{sAgZ^W:O2<c>",
            "${x",
            "<x",
            "x>",
            "{{x}",
            "$(x&y)",
            "$a",
            "%a%",
            "%A-%",
            "__a__",
            "/run/secret",
        ] {
            assert!(!is_unexpanded(random.as_bytes()), "{random}");
        }
    }

    #[test]
    fn up_to_three_in_four_steps_may_lead_to_a_neighbour() {
        for (text, wanted) in [
            ("abcde", true),
            ("edcba", true),
            ("QwErTy", true),
            ("0987654321", true),
            ("mnbvcxz", true),
            ("abcdx", false),
            ("abcdexy", true),
            ("a", false),
            ("", false),
            ("acegik", false),
            ("aaaaaa", false),
            ("1q2w3e4r5t", true),
            ("aabbccdd", true),
            ("1qaz2wsx3edc4rfv", true),
            ("a1c2e3g4i5", false),
        ] {
            assert_eq!(is_sequence(text.as_bytes()), wanted, "{text}");
        }
    }

    #[test]
    fn up_to_half_of_the_pieces_may_repeat() {
        // of 10 pieces, 5 and 6 occur earlier
        assert!(!repeats(b"abcdeabcdeabc") && repeats(b"abcdabcdabcda"));
        assert!(!repeats(b"") && !repeats(b"abc"));
    }
}
