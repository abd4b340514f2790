//! The codings themselves. Slow and thorough: each form is made once and served often.

use std::io::{self, Write};

use favonius_storage::Coding;
use flate2::{Compression, write::GzEncoder};

/// Up to this size, in bytes, the best that a coding can do is worth its time.
const THOROUGH: usize = 1024 * 1024;

/// The bytes in this coding.
pub(super) fn encode(coding: Coding, bytes: &[u8]) -> io::Result<Vec<u8>> {
    let thorough = bytes.len() <= THOROUGH;
    match coding {
        Coding::Gzip => {
            // No time of modification and no name: equal bytes have equal forms.
            let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
            encoder.write_all(bytes)?;
            encoder.finish()
        }
        Coding::Zstd => zstd::bulk::compress(bytes, if thorough { 19 } else { 12 }),
        Coding::Brotli => {
            let parameters = brotli::enc::BrotliEncoderParams {
                quality: if thorough { 11 } else { 9 },
                size_hint: bytes.len(),
                ..Default::default()
            };
            let mut out = Vec::new();
            brotli::BrotliCompress(&mut &*bytes, &mut out, &parameters)?;
            Ok(out)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use proptest::prelude::*;

    use super::*;

    fn decode(coding: Coding, bytes: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        match coding {
            Coding::Gzip => {
                flate2::read::GzDecoder::new(bytes)
                    .read_to_end(&mut out)
                    .unwrap();
            }
            Coding::Zstd => zstd::stream::copy_decode(bytes, &mut out).unwrap(),
            Coding::Brotli => brotli::BrotliDecompress(&mut &*bytes, &mut out).unwrap(),
        }
        out
    }

    const ALL: [Coding; 3] = [Coding::Brotli, Coding::Zstd, Coding::Gzip];

    #[test]
    fn text_gets_smaller_and_large_text_too() {
        let text = "export const greet = (name) => `Hello, ${name}!`;\n".repeat(30_000);
        for size in [2_000, text.len()] {
            let bytes = text.get(..size).unwrap().as_bytes();
            for coding in ALL {
                let coded = encode(coding, bytes).unwrap();
                assert!(coded.len() * 10 < size, "{coding:?}: {}", coded.len());
                assert_eq!(decode(coding, &coded), bytes, "{coding:?}");
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn decoded_it_is_what_it_was(bytes: Vec<u8>) {
            for coding in ALL {
                let coded = encode(coding, &bytes).unwrap();
                prop_assert_eq!(&encode(coding, &bytes).unwrap(), &coded, "{:?}", coding);
                prop_assert_eq!(&decode(coding, &coded), &bytes, "{:?}", coding);
            }
        }
    }
}
