//! AWS Support cases, which the host opens for a notifier. The host uses its own credentials; the
//! config grants the service codes.

pub use crate::bindings::deliver::groundcrew::plugin::support_cases::SupportCase;

use crate::Failure;

/// Opens the case, or finds the one that was opened earlier for this notification, and returns its
/// id. The host appends a reference line to the body; together they have at most 8000 characters.
///
/// In native tests the closure given to [`mock_with`] returns the result.
///
/// # Errors
/// Why there is no case: a service code that is not granted, a case that AWS Support would refuse,
/// or the error of AWS Support. Return it with `?` unless the plugin can handle it.
pub fn open(case: &SupportCase) -> Result<String, Failure> {
    #[cfg(target_arch = "wasm32")]
    return crate::bindings::deliver::groundcrew::plugin::support_cases::open_case(case);
    #[cfg(not(target_arch = "wasm32"))]
    mock::answer(case)
}

#[cfg(not(target_arch = "wasm32"))]
pub use mock::mock_with;

#[cfg(not(target_arch = "wasm32"))]
mod mock {
    use std::cell::RefCell;

    use super::{Failure, SupportCase};

    type Mock = Box<dyn FnMut(&SupportCase) -> Result<String, Failure>>;

    thread_local! {
        static MOCK: RefCell<Option<Mock>> = const { RefCell::new(None) };
    }

    /// In native tests: the result of [`open`](super::open) on this thread from now on.
    pub fn mock_with(answer: impl FnMut(&SupportCase) -> Result<String, Failure> + 'static) {
        MOCK.with(|slot| *slot.borrow_mut() = Some(Box::new(answer)));
    }

    pub(super) fn answer(case: &SupportCase) -> Result<String, Failure> {
        MOCK.with(|slot| match &mut *slot.borrow_mut() {
            Some(answer) => answer(case),
            None => Err(Failure::denied(
                "no-host",
                "there is no host here: a test says with `support_cases::mock_with` what is \
                 answered",
            )),
        })
    }
}

#[cfg(all(test, not(target_arch = "wasm32")))]
mod tests {
    use super::*;

    #[test]
    fn a_test_answers_for_the_host() {
        let case = SupportCase {
            subject: "New account".to_owned(),
            body: "It has landed.".to_owned(),
            service_code: "service".to_owned(),
            category_code: "category".to_owned(),
            severity_code: "low".to_owned(),
            cc_email_addresses: vec![],
            language: "en".to_owned(),
            issue_type: "technical".to_owned(),
        };
        assert_eq!(open(&case).unwrap_err().code, "no-host");
        mock_with(|case| Ok(format!("case for {}", case.subject)));
        assert_eq!(open(&case), Ok("case for New account".to_owned()));
    }
}
