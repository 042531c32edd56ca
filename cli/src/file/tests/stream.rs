use std::io::Read;

use super::super::{Entries, sample::Generated, survey};

const KIB: usize = 1024;

/// A file of `count` entries of 10 KB, with one of `large` bytes after the first.
fn stream(count: usize, large: usize) -> impl Read {
    let value = r#""A_VARIABLE": "some text, as it is in the environment", "#.repeat(180);
    let filler = vec![b'x'; 64 * KIB];
    let (mut made, mut filled) = (0, 0);
    Generated::new(move || {
        if made == 1 && filled < large {
            filled += filler.len();
            return Some(filler.clone());
        }
        made += 1;
        let n = made;
        match n {
            1 => Some(br#"{"1": {}, "large": {"a": ""#.to_vec()),
            2 => Some(br#""}"#.to_vec()),
            _ if n < count + 3 => Some(
                format!(r#", "session-{n}": {{"env_vars": {{{value}"N": {n}}}, "user_id": {n}}}"#)
                    .into_bytes(),
            ),
            _ if n == count + 3 => Some(b"}".to_vec()),
            _ => None,
        }
    })
}

/// Reads 200 MB, and returns the number of good entries.
fn read_with_bounded_memory(count: usize, large: usize) -> (usize, u64) {
    let mut entries = Entries::new(stream(count, large));
    let (mut good, mut bad) = (0, 0);
    while let Some(entry) = entries.next() {
        match entry.expect("a whole file") {
            Ok(_) => good += 1,
            Err(_) => bad += 1,
        }
        assert!(entries.allocated() <= 64 * KIB + Entries::<&[u8]>::MAX_ENTRY);
    }
    (good, bad)
}

#[test]
fn memory_does_not_grow_with_the_file() {
    assert_eq!(read_with_bounded_memory(5_000, 150_000_000), (5_001, 1));
    let limit = 10 * KIB;
    let mut entries = Entries::new(stream(10, 10_000_000)).max_entry(limit);
    while entries.next().is_some() {
        assert!(entries.allocated() <= 64 * KIB + limit);
    }
}

/// Run it with `cargo test --release -- --ignored --nocapture speed`.
#[test]
#[ignore = "`.ci/nightly cli` runs it: it only measures"]
fn speed() {
    let mut file = Vec::new();
    stream(30_000, 0).read_to_end(&mut file).expect("memory");
    let mut small = Vec::new();
    small.push(b'{');
    for n in 0..1_500_000 {
        let comma = if n == 0 { "" } else { ", " };
        small.extend_from_slice(
            format!(
                r#"{comma}"session-{n}": {{"env_vars": {{"LANG": "de_DE.UTF-8", "TZ": "Europe/Berlin", "N": {n}, "A": "Zo\u00eb \ud83d\ude00", "B": [1, 2.5, true]}}, "user_id": {n}}}"#
            )
            .as_bytes(),
        );
    }
    small.push(b'}');
    for (name, file) in [("entries of 10 KB", file), ("entries of 150 bytes", small)] {
        let size = file.len() as f64 / 1e6;
        let start = std::time::Instant::now();
        let count = Entries::new(&file[..])
            .filter(|item| matches!(item, Ok(Ok(_))))
            .count();
        let read = size / start.elapsed().as_secs_f64();
        let start = std::time::Instant::now();
        let survey = survey(&file[..]).expect("a whole file");
        let surveyed = size / start.elapsed().as_secs_f64();
        assert_eq!(survey.entries, count as u64);
        println!("{name}, {size:.0} MB: entries {read:.0} MB/s, survey {surveyed:.0} MB/s");
    }
}
