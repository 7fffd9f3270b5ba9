//! Base64 as AWS writes blobs: the standard alphabet, padded.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// Returns `bytes` as text.
pub(crate) fn encode(bytes: impl AsRef<[u8]>) -> String {
    STANDARD.encode(bytes)
}

/// Returns the bytes of `text`.
pub(crate) fn decode(text: &str) -> Result<Vec<u8>, base64::DecodeError> {
    STANDARD.decode(text)
}
