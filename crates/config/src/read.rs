//! Reading small files with a bound. Errors are the end of a sentence that starts with the path.

use std::{fs, io::Read as _, path::Path};

/// A Kubernetes Secret, the usual source, may have no more.
const MAX_BYTES: u64 = 1 << 20;

/// The content of a file of at most 1 MiB. Links are followed: Kubernetes mounts are full of them.
pub(crate) fn read_bytes(path: &Path) -> Result<Vec<u8>, String> {
    let unreadable = |why: std::io::Error| format!("cannot be read: {why}");
    // Looked at before it is opened, because opening a pipe may wait for ever.
    if !fs::metadata(path).map_err(unreadable)?.is_file() {
        return Err("is not a regular file".to_owned());
    }
    let mut bytes = Vec::new();
    let file = fs::File::open(path).map_err(unreadable)?;
    let read = file
        .take(MAX_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(unreadable)?;
    if u64::try_from(read).is_ok_and(|read| read > MAX_BYTES) {
        return Err("is larger than 1 MiB".to_owned());
    }
    Ok(bytes)
}

/// The same for text.
pub(crate) fn read_text(path: &Path) -> Result<String, String> {
    String::from_utf8(read_bytes(path)?).map_err(|error| {
        let valid_up_to = error.utf8_error().valid_up_to();
        let valid = error.as_bytes().get(..valid_up_to).unwrap_or_default();
        let valid = String::from_utf8_lossy(valid);
        let line = valid.matches('\n').count() + 1;
        let column = valid
            .rsplit('\n')
            .next()
            .map_or(0, |line| line.chars().count())
            + 1;
        format!("is not valid UTF-8: line {line} column {column}")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_small_readable_text_files_are_read() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        let most = usize::try_from(MAX_BYTES).unwrap();
        let cases = [
            ("text", b"a\nb".to_vec(), Ok("a\nb")),
            ("empty", Vec::new(), Ok("")),
            (
                "not UTF-8",
                b"one\ntw\xc3\xbc\xff".to_vec(),
                Err("is not valid UTF-8: line 2 column 4"),
            ),
            (
                "too large",
                vec![b' '; most + 1],
                Err("is larger than 1 MiB"),
            ),
        ];
        for (name, content, expected) in cases {
            fs::write(&path, content).unwrap();
            let read = read_text(&path);
            assert_eq!(
                read.as_deref().map_err(String::as_str),
                expected,
                "case `{name}`"
            );
        }
        fs::write(&path, vec![b' '; most]).unwrap();
        assert_eq!(read_text(&path).map(|text| text.len()), Ok(most));
        assert_eq!(
            read_bytes(directory.path()),
            Err("is not a regular file".to_owned())
        );
        let missing = read_bytes(&directory.path().join("none")).unwrap_err();
        assert!(
            missing.starts_with("cannot be read: No such file"),
            "{missing}"
        );
    }
}
