//! Bytes to lines of a bounded length.

/// Bytes of a line; what is longer is cut.
pub(crate) const LINE_BYTES_MAX: usize = 64 << 10;

/// The line that is not complete yet.
#[derive(Default)]
pub(crate) struct Lines {
    begun: Vec<u8>,
    /// The line was cut, and the rest of it is thrown away.
    is_cut: bool,
}

impl Lines {
    /// Takes bytes, and gives each line that they complete, without its end.
    pub(crate) fn push(&mut self, bytes: &[u8], mut each: impl FnMut(&[u8])) {
        for piece in bytes.split_inclusive(|&byte| byte == b'\n') {
            let (text, is_whole) = piece.strip_suffix(b"\n").map_or((piece, false), |text| (text, true));
            if is_whole && self.begun.is_empty() && !self.is_cut && text.len() <= LINE_BYTES_MAX {
                each(text.strip_suffix(b"\r").unwrap_or(text));
                continue;
            }
            let room = LINE_BYTES_MAX - self.begun.len();
            self.begun.extend_from_slice(&text[..text.len().min(room)]);
            self.is_cut |= text.len() > room;
            if is_whole {
                self.finish(&mut each);
            }
        }
    }

    /// Gives the last line, which has no end.
    pub(crate) fn finish(&mut self, mut each: impl FnMut(&[u8])) {
        if !self.begun.is_empty() {
            each(self.begun.strip_suffix(b"\r").unwrap_or(&self.begun));
        }
        // A single long line is no reason to keep its memory.
        self.begun = Vec::new();
        self.is_cut = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(pieces: &[&[u8]]) -> Vec<Vec<u8>> {
        let (mut lines, mut found) = (Lines::default(), Vec::new());
        for piece in pieces {
            lines.push(piece, |line| found.push(line.to_vec()));
        }
        lines.finish(|line| found.push(line.to_vec()));
        found
    }

    #[test]
    fn lines_do_not_depend_on_how_they_arrive() {
        let text = b"one\ntwo\r\n\nthree";
        let whole = split(&[text]);
        assert_eq!(whole, [b"one".to_vec(), b"two".to_vec(), b"".to_vec(), b"three".to_vec()]);
        for cut in 0..text.len() {
            let (a, b) = text.split_at(cut);
            let parts: Vec<_> = split(&[a, b]).into_iter().filter(|line| !line.is_empty()).collect();
            assert_eq!(parts, whole.iter().filter(|line| !line.is_empty()).cloned().collect::<Vec<_>>(), "{cut}");
        }
    }

    #[test]
    fn long_lines_are_cut_and_the_next_one_is_whole() {
        let long = vec![b'x'; LINE_BYTES_MAX + 10];
        for pieces in [vec![&long[..], b"\nnext\n"], vec![&long[..100], &long[100..], b"y\nnext\n"]] {
            let found = split(&pieces);
            assert_eq!(found.iter().map(Vec::len).collect::<Vec<_>>(), [LINE_BYTES_MAX, 4]);
        }
    }
}
