//! Which texts are no secrets: what is published, and what is not random.
//!
//! The checks are a seat belt. Each says how often it refuses a random text, so that nobody who did right is turned away.

use zeroize::Zeroizing;

use super::published::SAMPLES;

/// Fewer different bytes than this are no random text; 32 random digits have fewer in one case of 60 000, 32
/// random hex digits in one of 10^9.
pub(super) const MIN_DISTINCT: usize = 7;

/// The words that all the other samples are made of.
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

/// So many letters of a text may be of those words. Of 10^8 random texts of 43 base64 characters, one had nine, and none
/// had more.
const MAX_WORDS: usize = 11;

/// The rows of a keyboard.
const ROWS: [&[u8]; 4] = [b"1234567890", b"qwertyuiop", b"asdfghjkl", b"zxcvbnm"];

/// A variable that nobody replaced.
///
/// What stands between the brackets is a name, a command or words; random text hardly ever is.
pub(super) fn is_unexpanded(text: &[u8]) -> bool {
    let inside = |(start, end): (&str, &str)| {
        let rest = text.strip_prefix(start.as_bytes())?;
        rest.strip_suffix(end.as_bytes())
    };
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b" _-.:/?=|".contains(byte);
    [("${", "}"), ("$(", ")"), ("{{", "}}"), ("<", ">")]
        .into_iter()
        .filter_map(inside)
        .any(|inside| inside.iter().all(is_plain))
}

/// Whether it is a sample, or made of the words of samples. Case and punctuation do not count.
pub(super) fn is_published(text: &[u8]) -> bool {
    let letters = text.iter().filter(|byte| byte.is_ascii_alphanumeric());
    let folded: Zeroizing<Vec<u8>> = Zeroizing::new(letters.map(u8::to_ascii_lowercase).collect());
    // some tools want to be told the encoding, as in `base64:…`
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
    let count = covered.iter().filter(|&&covered| covered).count();
    count > MAX_WORDS || (count == folded.len() && count > 0)
}

/// How many different bytes there are.
pub(super) fn distinct(text: &[u8]) -> usize {
    let mut seen = [false; 256];
    text.iter().for_each(|&byte| seen[usize::from(byte)] = true);
    seen.iter().filter(|&&seen| seen).count()
}

/// Whether more than half of all pieces of four bytes stood there before. Of texts of 64 random hex digits, one in 36 has
/// a single such piece.
pub(super) fn repeats(text: &[u8]) -> bool {
    let mut pieces: Vec<&[u8]> = text.windows(4).collect();
    let count = pieces.len();
    pieces.sort_unstable();
    pieces.dedup();
    count - pieces.len() > count / 2
}

/// Whether more than three in four steps are to a neighbour in the alphabet, the digits or a row of the keyboard. Of texts
/// of 32 random digits, one in 10^11 has so many.
pub(super) fn is_sequence(text: &[u8]) -> bool {
    let follows =
        |row: &[u8], a, b| memchr::memchr(a, row).is_some_and(|at| row.get(at + 1) == Some(&b));
    let is_step = |pair: &[u8]| {
        let [a, b] = [pair[0], pair[1]].map(|byte| byte.to_ascii_lowercase());
        let in_order = a.is_ascii_alphanumeric() && b.is_ascii_alphanumeric() && a.abs_diff(b) == 1;
        in_order
            || ROWS
                .iter()
                .any(|row| follows(row, a, b) || follows(row, b, a))
    };
    let steps = text.windows(2).filter(|pair| is_step(pair)).count();
    4 * steps > 3 * text.len().saturating_sub(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_counted_once_whatever_stands_between_them() {
        for published in [
            "changeme",
            "Change-Me",
            "top.secret",
            "my-secret-password",
            "yOuR_sEcReT:kEy",
        ] {
            assert!(is_published(published.as_bytes()), "{published}");
        }
        // 11 letters, some of them of two words
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
    }

    #[test]
    fn samples_are_known_with_and_without_what_names_their_encoding() {
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
                "{sample} is known for its words"
            );
        }
    }

    #[test]
    fn a_variable_is_unexpanded_and_brackets_of_random_text_are_not() {
        for variable in [
            "${SESSION_SECRET}",
            "${SECRET:-none}",
            "$(openssl rand -hex 32)",
            "{{ .Values.secret }}",
            "<your secret>",
        ] {
            assert!(is_unexpanded(variable.as_bytes()), "{variable}");
        }
        for random in [
            "$()*vor)2q%x0b6&px&xd",
            "<fo\\HRKkQsP*2zwDU!8{sAgZ^W:O2<c>",
            "${x",
            "<x",
            "x>",
            "{{x}",
            "$(x&y)",
        ] {
            assert!(!is_unexpanded(random.as_bytes()), "{random}");
        }
    }

    #[test]
    fn three_steps_in_four_may_be_to_a_neighbour() {
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
        ] {
            assert_eq!(is_sequence(text.as_bytes()), wanted, "{text}");
        }
    }

    #[test]
    fn half_of_the_pieces_may_repeat() {
        // of 10 pieces, 5 and 6 stood there before
        assert!(!repeats(b"abcdeabcdeabc") && repeats(b"abcdabcdabcda"));
        assert!(!repeats(b"") && !repeats(b"abc"));
    }
}
