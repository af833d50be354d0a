//! Bodies of both directions in buffers that are wiped. Knows no field of the contract.

use bytes::Bytes;
use reqwest::Response;
use zeroize::Zeroizing;

use super::{CallError, Unusable};

/// A JSON object to be sent, in a buffer that is wiped once the connection has taken it.
pub struct JsonBody(Zeroizing<Vec<u8>>);

impl JsonBody {
    /// The object of these names and texts, in this order.
    ///
    /// # Errors
    /// [`CallError::Unsendable`], should the encoder fail.
    pub fn object(members: &[(&str, &str)]) -> Result<Self, CallError> {
        // An escape has at most 6 bytes for one (`\u001b`); with quotes, colon and comma that is room enough for the
        // buffer never to move and leave a copy behind.
        let room = members.iter().map(|(name, text)| 6 * (name.len() + text.len()) + 6).sum::<usize>() + 2;
        let mut buffer = Zeroizing::new(Vec::with_capacity(room));
        let mut serializer = serde_json::Serializer::new(&mut *buffer);
        serde::Serializer::collect_map(&mut serializer, members.iter().copied())
            .map_err(|_| CallError::Unsendable { what: "its body cannot be encoded" })?;
        Ok(Self(buffer))
    }

    pub(super) fn into_bytes(self) -> Bytes {
        Bytes::from_owner(self.0)
    }
}

/// Reads the rest of `response`, at most `max_bytes`. No outgrown buffer is left unwiped.
pub(super) async fn read(response: &mut Response, max_bytes: usize) -> Result<Zeroizing<Vec<u8>>, Unusable> {
    let announced = response.content_length().map_or(0, |length| usize::try_from(length).unwrap_or(usize::MAX));
    if announced > max_bytes {
        return Err(Unusable::TooLarge);
    }
    let mut body = Zeroizing::new(Vec::with_capacity(announced.max(READ_START_BYTES)));
    while let Some(chunk) = response.chunk().await.map_err(|error| lost(&error))? {
        let needed = body.len() + chunk.len();
        if needed > max_bytes {
            return Err(Unusable::TooLarge);
        }
        if needed > body.capacity() {
            let mut larger = Zeroizing::new(Vec::with_capacity(needed.max(2 * body.capacity())));
            larger.extend_from_slice(&body);
            body = larger;
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// What an error after the connection was made says of the answer.
pub(super) fn lost(error: &reqwest::Error) -> Unusable {
    if error.is_timeout() { Unusable::Timeout } else { Unusable::Closed }
}

/// First size of a buffer whose length was not announced, in bytes: one account fits.
const READ_START_BYTES: usize = 8 * 1024;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::JsonBody;

    #[test]
    fn an_object_keeps_its_order_and_escapes_its_texts() {
        let body =
            JsonBody::object(&[("cookie", "a=\"b\"; c=\\"), ("note", "đã\n\u{1}"), ("error_message", "")]).unwrap();
        let text = String::from_utf8(body.into_bytes().to_vec()).unwrap();
        assert_eq!(text, r#"{"cookie":"a=\"b\"; c=\\","note":"đã\n\u0001","error_message":""}"#);
    }

    #[test]
    fn the_buffer_of_the_worst_case_never_grows() {
        let text = "\u{1}".repeat(1000);
        let members = [(text.as_str(), text.as_str()), ("a", text.as_str())];
        let body = JsonBody::object(&members).unwrap();
        let room = members.iter().map(|(name, text)| 6 * (name.len() + text.len()) + 6).sum::<usize>() + 2;
        assert!(body.0.len() <= room);
        assert_eq!(body.0.capacity(), room);
    }
}
