//! Compressed bodies, which the SDKs send for large PutMetricData calls.

use std::io::Read;

use flate2::read::GzDecoder;

/// Unpacks `body`; more than `limit` bytes is refused, whatever the packed size.
pub(super) fn unpack(body: &[u8], limit: usize) -> Result<Vec<u8>, String> {
    let mut unpacked = Vec::new();
    let bound = limit as u64 + 1;
    GzDecoder::new(body)
        .take(bound)
        .read_to_end(&mut unpacked)
        .map_err(|error| format!("the body is not gzip: {error}"))?;
    if unpacked.len() > limit {
        return Err(format!("the body unpacks to more than {limit} bytes"));
    }
    Ok(unpacked)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::unpack;

    #[test]
    fn a_body_that_unpacks_to_too_much_is_refused() {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder
            .write_all(&[b'a'; 1000])
            .expect("a Vec takes whatever is written");
        let packed = encoder.finish().expect("a Vec takes whatever is written");
        assert_eq!(unpack(&packed, 1000).expect("it fits").len(), 1000);
        assert!(unpack(&packed, 999).is_err());
        assert!(unpack(b"plain", 999).is_err());
    }
}
