//! Small valid pictures, a different one for each number.
//!
//! It does not know who fetches them.

use std::io::{self, Write};

use flate2::write::ZlibEncoder;
use flate2::{Compression, Crc};

/// An 8 by 8 PNG of one colour, which is `number` in red, green and blue (PNG specification, 5 and 11).
///
/// # Errors
///
/// None that can happen: the compressor writes to memory, but its interface is that of a file.
pub(crate) fn png(number: u32) -> io::Result<Vec<u8>> {
    let [_, red, green, blue] = number.to_be_bytes();
    let mut pixels = ZlibEncoder::new(Vec::new(), Compression::default());
    for _ in 0..SIDE {
        pixels.write_all(&[NO_FILTER])?;
        for _ in 0..SIDE {
            pixels.write_all(&[red, green, blue])?;
        }
    }
    let mut header = Vec::with_capacity(13);
    header.extend_from_slice(&SIDE.to_be_bytes());
    header.extend_from_slice(&SIDE.to_be_bytes());
    header.extend_from_slice(&[BITS_PER_CHANNEL, TRUECOLOUR, 0, 0, 0]);

    let mut png = SIGNATURE.to_vec();
    write_chunk(&mut png, *b"IHDR", &header);
    write_chunk(&mut png, *b"IDAT", &pixels.finish()?);
    write_chunk(&mut png, *b"IEND", &[]);
    Ok(png)
}

fn write_chunk(png: &mut Vec<u8>, kind: [u8; 4], data: &[u8]) {
    let mut crc = Crc::new();
    crc.update(&kind);
    crc.update(data);
    // Chunks here are some tens of bytes long.
    let length = u32::try_from(data.len()).unwrap_or(u32::MAX);
    png.extend_from_slice(&length.to_be_bytes());
    png.extend_from_slice(&kind);
    png.extend_from_slice(data);
    png.extend_from_slice(&crc.sum().to_be_bytes());
}

const SIGNATURE: [u8; 8] = *b"\x89PNG\r\n\x1a\n";

/// Pixels in each direction.
const SIDE: u32 = 8;

const BITS_PER_CHANNEL: u8 = 8;

/// Colour type 2: each pixel is red, green, blue.
const TRUECOLOUR: u8 = 2;

/// The filter byte in front of each row.
const NO_FILTER: u8 = 0;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use std::io::Read;

    use flate2::read::ZlibDecoder;

    use super::*;

    #[test]
    fn the_end_chunk_is_the_one_of_the_specification() {
        let end = [0, 0, 0, 0, b'I', b'E', b'N', b'D', 0xae, 0x42, 0x60, 0x82];
        assert!(png(1).unwrap().ends_with(&end));
    }

    #[test]
    fn pixels_read_back_in_the_colour_of_the_number() {
        let png = png(0x0001_0203).unwrap();
        let at = png.windows(4).position(|window| window == b"IDAT").unwrap();
        let mut rows = Vec::new();
        ZlibDecoder::new(&png[at + 4..]).read_to_end(&mut rows).unwrap();
        let row: Vec<u8> = std::iter::once(0).chain([1, 2, 3].into_iter().cycle().take(24)).collect();
        assert_eq!(rows, row.repeat(8));
    }

    #[test]
    fn pictures_of_different_numbers_differ() {
        assert_ne!(png(1).unwrap(), png(2).unwrap());
    }
}
