//! The templates of subject and body, checked before they are used.

use groundcrew_sdk::{Failure, Notification, Problem};
use groundcrew_templates::{reject_blank, render_failure};

/// The JSON pointers of the settings that are templates.
const SUBJECT_POINTER: &str = "/subject";
const BODY_POINTER: &str = "/body";

/// Longest body that AWS Support accepts, in characters, including the host's reference line.
const MAX_BODY: usize = 8000;

/// Both templates.
pub(crate) struct Templates(groundcrew_templates::Templates);

impl Templates {
    /// Compiles the templates and renders them with samples.
    ///
    /// # Errors
    /// The problems of the templates: for each template every unknown name, or else its first other
    /// problem.
    pub(crate) fn new(subject: &str, body: &str) -> Result<Self, Vec<Problem>> {
        let mut templates = groundcrew_templates::Templates::new();
        let mut problems = templates.add_text(SUBJECT_POINTER, subject, &[], reject_blank);
        problems.extend(templates.add_text(BODY_POINTER, body, &[], check_body));
        if problems.is_empty() { Ok(Self(templates)) } else { Err(problems) }
    }

    /// Renders subject and body for a notification.
    ///
    /// # Errors
    /// When a rendered text can't be sent.
    pub(crate) fn render(&self, notification: &Notification) -> Result<(String, String), Failure> {
        let render = |at, accept: fn(&Notification, &str) -> Result<(), String>| {
            let text = self.0.render(at, notification, &[])?;
            accept(notification, &text).map_err(|problem| render_failure(at, &problem))?;
            Ok::<_, Failure>(text)
        };
        Ok((render(SUBJECT_POINTER, reject_blank)?, render(BODY_POINTER, check_body)?))
    }
}

/// Whether AWS Support accepts the text as the body of a case.
fn check_body(notification: &Notification, body: &str) -> Result<(), String> {
    reject_blank(notification, body)?;
    let length = body.trim_end().chars().count() + reference_line_length(&notification.key);
    match length > MAX_BODY {
        true => Err(format!(
            "renders to {length} characters, the host's reference line included: AWS Support \
             takes {MAX_BODY}"
        )),
        false => Ok(()),
    }
}

/// How many characters the host appends to the body.
fn reference_line_length(key: &str) -> usize {
    "\n\nRef: groundcrew/".len() + key.chars().count()
}
