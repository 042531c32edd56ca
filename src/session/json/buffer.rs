use std::io;

/// The number of bytes that need no allocation.
const INLINE: usize = 128;

/// The JSON of one value.
pub(in crate::session) struct Buffer {
    inline: [u8; INLINE],
    /// The number of bytes in `inline`, unless there are bytes in `long`.
    len: usize,
    /// All bytes, if they do not fit in `inline`.
    long: Vec<u8>,
}

impl Buffer {
    #[inline]
    pub(in crate::session) fn new() -> Self {
        Self {
            inline: [0; INLINE],
            len: 0,
            long: Vec::new(),
        }
    }

    #[inline]
    pub(in crate::session) fn as_bytes(&self) -> &[u8] {
        match self.long.is_empty() {
            true => &self.inline[..self.len],
            false => &self.long,
        }
    }

    #[cold]
    fn spill(&mut self, bytes: &[u8]) {
        self.long.reserve(4 * INLINE);
        self.long.extend_from_slice(&self.inline[..self.len]);
        self.long.extend_from_slice(bytes);
    }
}

impl io::Write for Buffer {
    #[inline]
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_all(bytes).map(|()| bytes.len())
    }

    #[inline]
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        let end = self.len + bytes.len();
        if !self.long.is_empty() {
            self.long.extend_from_slice(bytes);
        } else if let Some(place) = self.inline.get_mut(self.len..end) {
            place.copy_from_slice(bytes);
            self.len = end;
        } else {
            self.spill(bytes);
        }
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn short_and_long_values_are_kept_whole() {
        for len in [0, 1, 126, 127, 128, 129, 130, 1000] {
            for part in [1, 7, 128, 200] {
                let bytes: Vec<u8> = (0..len).map(|n: u32| n as u8).collect();
                let mut buffer = Buffer::new();
                for part in bytes.chunks(part) {
                    buffer.write_all(part).expect("memory");
                }
                assert_eq!(buffer.as_bytes(), bytes);
                assert_eq!(buffer.long.is_empty(), len <= 128);
            }
        }
    }
}
