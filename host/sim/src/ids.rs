//! Ids in the form of AWS's. They are made from numbers, so that the number can be read from the id
//! without a table.

/// Prefixes of the ids of Service Catalog.
pub(crate) const PRODUCT: &str = "prod-";
pub(crate) const ARTIFACT: &str = "pa-";
pub(crate) const LAUNCH_PATH: &str = "lpv2-";
pub(crate) const PORTFOLIO: &str = "port-";
pub(crate) const PROVISIONED_PRODUCT: &str = "pp-";
pub(crate) const RECORD: &str = "rec-";

/// Letters after the prefix of a Service Catalog id, as in `prod-abcdefghijklm`.
const LETTERS: usize = 13;

/// Writes `number` as an id: `pp-` and 13 letters.
pub(crate) fn write(prefix: &str, number: u32) -> String {
    let mut letters = [b'a'; LETTERS];
    let mut rest = number;
    for letter in letters.iter_mut().rev() {
        *letter = b'a' + (rest % 26) as u8;
        rest /= 26;
    }
    let mut id = String::with_capacity(prefix.len() + LETTERS);
    id.push_str(prefix);
    id.extend(letters.iter().map(|letter| char::from(*letter)));
    id
}

/// Reads the number of an id that [`write()`] made.
pub(crate) fn read(prefix: &str, id: &str) -> Option<u32> {
    let letters = id.strip_prefix(prefix)?.as_bytes();
    if letters.len() != LETTERS {
        return None;
    }
    letters.iter().try_fold(0_u32, |number, letter| {
        let digit = letter.checked_sub(b'a').filter(|digit| *digit < 26)?;
        number.checked_mul(26)?.checked_add(u32::from(digit))
    })
}

/// A version 4 UUID from the given random numbers.
pub(crate) fn uuid(rng: &mut fastrand::Rng) -> String {
    let (high, low) = (rng.u64(..), rng.u64(..));
    format!(
        "{:08x}-{:04x}-4{:03x}-{:04x}-{:012x}",
        high >> 32,
        (high >> 16) & 0xffff,
        high & 0xfff,
        0x8000 | ((low >> 48) & 0x3fff),
        low & 0xffff_ffff_ffff,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_read_back() {
        for number in [0, 1, 25, 26, 12_345, u32::MAX] {
            assert_eq!(read("rec-", &write("rec-", number)), Some(number));
        }
        assert_eq!(write("pp-", 27), "pp-aaaaaaaaaaabb");
        assert_eq!(read("rec-", "rec-AAAAAAAAAAAAA"), None);
        assert_eq!(read("rec-", "pp-aaaaaaaaaaaaa"), None);
        assert_eq!(read("rec-", "rec-zzzzzzzzzzzzz"), None);
    }

    #[test]
    fn a_uuid_has_its_form() {
        let id = uuid(&mut fastrand::Rng::with_seed(1));
        assert_eq!(id.len(), 36);
        assert_eq!(&id[14..15], "4");
    }
}
