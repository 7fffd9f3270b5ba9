//! What messages say, by their numbers: whoever knows the number knows the body, so none has to be remembered.

use penstock_tests::random::Random;

/// How many groups the FIFO queue has.
pub(crate) const GROUPS: u32 = 200;
/// How many messages of a group follow each other.
const RUN_OF_A_GROUP: u32 = 5;

/// Returns the group of a message.
pub(crate) fn group(number: u32) -> u32 {
    number / RUN_OF_A_GROUP % GROUPS
}

/// Returns the body of a message.
pub(crate) fn body(seed: u64, number: u32) -> String {
    let mut random = Random::new(seed ^ (u64::from(number) << 20));
    let bytes = size(&mut random);
    let mut body = format!("{{\"n\":{number},\"pad\":\"");
    let pad = format!("{:016x}", random.number());
    while body.len() + 2 < bytes {
        body.push_str(&pad);
    }
    body.push_str("\"}");
    body
}

/// Most messages are small, and the largest are as large as SQS takes.
fn size(random: &mut Random) -> usize {
    let (least, most) = match random.below(10_000) {
        0 => (900 << 10, 1000 << 10),
        1..20 => (100 << 10, 200 << 10),
        20..200 => (8 << 10, 24 << 10),
        200..1_000 => (1 << 10, 3 << 10),
        _ => (40, 400),
    };
    let more = random.below(most - least);
    usize::try_from(least + more).unwrap_or_default()
}

/// Returns the number of a body.
pub(crate) fn number(body: &[u8]) -> Option<u32> {
    let digits = body.strip_prefix(b"{\"n\":")?;
    let end = digits.iter().position(|byte| *byte == b',')?;
    std::str::from_utf8(&digits[..end]).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_tells_its_number_and_follows_from_it() {
        for number in [0, 7, 999_999] {
            let text = body(3, number);
            assert_eq!(super::number(text.as_bytes()), Some(number));
            assert_eq!(text, body(3, number));
            assert!(serde_json::from_str::<serde_json::Value>(&text).is_ok(), "{text}");
        }
        assert_eq!(number(b"something else"), None);
    }

    #[test]
    fn bodies_fit_sqs_and_most_are_small() {
        let sizes: Vec<usize> = (0..20_000).map(|number| body(1, number).len()).collect();
        assert!(sizes.iter().all(|size| *size <= 1 << 20));
        assert!(sizes.iter().filter(|size| **size < 500).count() > 17_000);
        assert!(sizes.iter().any(|size| *size > 500 << 10));
    }
}
