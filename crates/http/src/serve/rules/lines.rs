//! The lines of a file that say something: no blank ones, no comments.

/// More of a file is not read.
const MAX_FILE: usize = 512 * 1024;
/// In characters.
const MAX_LINE: usize = 2000;

/// One line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line<'a> {
    /// From 1.
    pub(super) number: usize,
    /// Whether it begins with white space.
    pub(super) indented: bool,
    /// Without white space around it and without control characters but tabs; else why it cannot be used.
    pub(super) text: Result<&'a str, &'static str>,
}

/// Splits a file. When it is too long, the last line says so.
pub(super) fn of(file: &[u8]) -> impl Iterator<Item = Line<'_>> {
    // Editors on Windows put a byte order mark at the beginning.
    let file = file.strip_prefix(b"\xef\xbb\xbf").unwrap_or(file);
    let mut read = 0_usize;
    let mut whole = true;
    file.split(|&byte| byte == b'\n')
        .enumerate()
        .map_while(move |(index, bytes)| {
            if !whole {
                return None;
            }
            read += bytes.len() + 1;
            whole = read <= MAX_FILE + 1;
            Some((index + 1, bytes, whole))
        })
        .filter_map(|(number, bytes, whole)| {
            let trimmed = bytes.trim_ascii();
            if whole && (trimmed.is_empty() || trimmed.starts_with(b"#")) {
                return None;
            }
            Some(Line {
                number,
                indented: bytes.first().is_some_and(u8::is_ascii_whitespace),
                text: if whole {
                    usable(trimmed)
                } else {
                    Err("the file has more than 512 KiB: it is ignored from this line on")
                },
            })
        })
}

fn usable(line: &[u8]) -> Result<&str, &'static str> {
    let text = str::from_utf8(line).map_err(|_| "the line is not UTF-8: save the file as UTF-8")?;
    if text.chars().nth(MAX_LINE).is_some() {
        return Err("the line has more than 2,000 characters");
    }
    if text.chars().any(|c| c.is_control() && c != '\t') {
        return Err("the line has a control character: remove it");
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn texts(file: &[u8]) -> Vec<(usize, bool, Result<&str, &'static str>)> {
        of(file)
            .map(|line| (line.number, line.indented, line.text))
            .collect()
    }

    #[test]
    fn lines() {
        assert_eq!(
            texts(b"\xef\xbb\xbf# first\r\n/a  \r\n\r\n \t b c\r\n  # last\n/d"),
            [
                (2, false, Ok("/a")),
                (4, true, Ok("b c")),
                (6, false, Ok("/d"))
            ]
        );
        assert_eq!(texts(b""), []);
        let long = "x".repeat(MAX_LINE);
        assert_eq!(texts(long.as_bytes()), [(1, false, Ok(long.as_str()))]);
        let not_usable: [(&str, &[u8]); 3] = [
            ("not UTF-8", b"/\xff"),
            ("control character", b"/\x1b"),
            ("too long", &[b'x'; MAX_LINE + 1]),
        ];
        for (name, line) in not_usable {
            assert!(of(line).all(|line| line.text.is_err()), "case `{name}`");
        }
    }

    #[test]
    fn a_long_file_is_read_up_to_a_line() {
        let line = "/".repeat(1023) + "\n";
        let full = line.repeat(512);
        assert!(of(full.as_bytes()).all(|line| line.text.is_ok()));
        let too_long = line.repeat(600);
        let found = texts(too_long.as_bytes())
            .into_iter()
            .map(|(number, _, text)| (number, text.is_ok()));
        let expected = (1..=512).map(|number| (number, true)).chain([(513, false)]);
        assert!(found.eq(expected));
    }

    proptest! {
        #[test]
        fn any_bytes_are_split(file: Vec<u8>) {
            for line in of(&file) {
                prop_assert!(!line.text.is_ok_and(|text| text.is_empty() || text.contains('\n')));
            }
        }
    }
}
