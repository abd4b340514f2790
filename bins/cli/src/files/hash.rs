//! Hash and size of a file, without holding it in memory.

use std::{
    fs::File,
    io::{self, Read as _},
    path::Path,
};

use favonius_contract::{AssetHasher, AssetRef};

const PIECE: usize = 64 * 1024;

/// The identity of the file under this path.
pub(super) fn hash_file(file: &Path, path: &str) -> io::Result<AssetRef> {
    let mut file = File::open(file)?;
    let mut hasher = AssetHasher::default();
    let mut piece = vec![0; PIECE];
    loop {
        let read = match file.read(&mut piece) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        hasher.update(piece.get(..read).unwrap_or_default());
    }
    let size = hasher.size();
    Ok(AssetRef {
        hash: hasher.finish(path),
        size,
    })
}

#[cfg(test)]
mod tests {
    use favonius_contract::AssetHash;

    use super::*;

    #[test]
    fn files_larger_than_a_piece_are_hashed_whole() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("large.bin");
        for size in [0, 1, PIECE, PIECE + 1, 3 * PIECE - 1] {
            let content: Vec<u8> = (0..=250).cycle().take(size).collect();
            std::fs::write(&file, &content).unwrap();
            let expected = AssetRef {
                hash: AssetHash::of(&content, "a/b"),
                size: content.len() as u64,
            };
            assert_eq!(hash_file(&file, "a/b").unwrap(), expected, "{size} bytes");
        }
    }
}
