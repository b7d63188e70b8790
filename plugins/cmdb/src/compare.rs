//! Checks whether a record belongs to the account. A search by the account's id may return another
//! account's record, if the other system ignores the condition.

/// The digits of an account id.
const DIGITS: usize = 12;

/// Whether a value is this account's id. Blanks around it are ignored, and leading zeros may be
/// missing, as in a field that holds a number.
pub(crate) fn is_account_id(value: &str, account: &str) -> bool {
    let value = value.trim();
    let is_number = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
    value == account || is_number && format!("{value:0>DIGITS$}") == account
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::the_same("111122223333", "111122223333", true)]
    #[case::with_blanks(" 111122223333\n", "111122223333", true)]
    #[case::a_number("11122223333", "011122223333", true)]
    #[case::anothers("111122223334", "111122223333", false)]
    #[case::a_part("1111", "111122223333", false)]
    #[case::more("1111222233330", "111122223333", false)]
    #[case::within("account 111122223333", "111122223333", false)]
    #[case::blank(" ", "000000000000", false)]
    #[case::nothing("", "000000000000", false)]
    fn an_accounts_id(#[case] value: &str, #[case] account: &str, #[case] is_it: bool) {
        assert_eq!(is_account_id(value, account), is_it);
    }
}
