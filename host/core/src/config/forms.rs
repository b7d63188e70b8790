//! Forms of values as types: each defines how a value is written and what type it is parsed to. A
//! key is declared with one form, so it can't be parsed as another type.
//!
//! If a value does not have its form, the problem says what it is, as in "`updates.reserve` is
//! true, expected a whole number from 0 to 9".

use std::marker::PhantomData;
use std::str::FromStr;
use std::time;

use strum::VariantNames;
use toml::de::DeValue;

use super::keys::Form;
use crate::http::{
    self, HttpSecret, SecretLocation, UrlError, UrlSecret, is_framing, placeholders,
};

/// The bounds of all durations.
const SHORTEST: time::Duration = time::Duration::from_millis(1);
const LONGEST: time::Duration = time::Duration::from_secs(366 * 24 * 3600);

/// A form, as a type.
pub trait Parse {
    /// The type that a value of this form is parsed to.
    type Value;
    /// The form, for documentation, schema and problems.
    const FORM: Form;
    /// Parses a value.
    ///
    /// # Errors A description of the value, if it does not have the form.
    fn parse(value: &DeValue<'_>) -> Result<Self::Value, String>;
}

/// Declares the type of a form, the type of its values, and the function that parses them. `Flag ->
/// bool = flag` makes a type `Flag` that stands for [`Form::Flag`].
macro_rules! forms {
    ($($form:ident -> $value:ty = $parse:expr;)*) => {$(
        #[doc = concat!("[`Form::", stringify!($form), "`]")]
        pub enum $form {}

        impl Parse for $form {
            type Value = $value;
            const FORM: Form = Form::$form;

            fn parse(value: &DeValue<'_>) -> Result<$value, String> {
                let parse: fn(&DeValue<'_>) -> Result<$value, String> = $parse;
                parse(value)
            }
        }
    )*};
}

forms! {
    Text -> String = |value| text(value, is_written);
    Texts -> Vec<String> = |value| texts(value, is_written);
    Name -> String = |value| text(value, is_name);
    Duration -> time::Duration = duration;
    Bytes -> u64 = |value| value.as_str().and_then(bytes).ok_or_else(|| show(value));
    Sha256 -> String = |value| Ok(text(value, is_sha256)?.to_ascii_lowercase());
    QueueUrl -> String = |value| text(value, is_queue_url);
    TopicArn -> String = |value| text(value, is_topic_arn);
    Flag -> bool = |value| value.as_bool().ok_or_else(|| show(value));
    Url -> http::Url = |value| url(value, http::Url::parse);
    GrantUrl -> (http::Url, Vec<String>) = |value| url(value, grant_url);
    Secret -> HttpSecret = secret;
    UrlSecrets -> Vec<UrlSecret> = url_secrets;
    Secrets -> Vec<(String, HttpSecret)> = secrets;
}

/// [`Form::Integer`]: a number from `MIN` to `MAX`.
pub struct Integer<T, const MIN: u32, const MAX: u32>(PhantomData<T>);

impl<T: TryFrom<u32>, const MIN: u32, const MAX: u32> Parse for Integer<T, MIN, MAX> {
    type Value = T;
    const FORM: Form = Form::Integer { min: MIN, max: MAX };

    fn parse(value: &DeValue<'_>) -> Result<T, String> {
        integer(value)
            .filter(|number| (MIN..=MAX).contains(number))
            .and_then(|number| T::try_from(number).ok())
            .ok_or_else(|| show(value))
    }
}

/// [`Form::Seconds`]: from `MIN` to `MAX` seconds.
pub enum Seconds<const MIN: u32, const MAX: u32> {}

impl<const MIN: u32, const MAX: u32> Parse for Seconds<MIN, MAX> {
    type Value = time::Duration;
    const FORM: Form = Form::Seconds { min: MIN, max: MAX };

    fn parse(value: &DeValue<'_>) -> Result<time::Duration, String> {
        let read = match integer(value) {
            Some(seconds) => time::Duration::from_secs(seconds.into()),
            None => duration(value)?,
        };
        let [min, max] = [MIN, MAX].map(|bound| time::Duration::from_secs(bound.into()));
        (min..=max).contains(&read).then_some(read).ok_or_else(|| show(value))
    }
}

/// [`Form::Choice`]: the name of a variant of `T`.
pub struct Choice<T>(PhantomData<T>);

impl<T: VariantNames + FromStr> Parse for Choice<T> {
    type Value = T;
    const FORM: Form = Form::Choice(T::VARIANTS);

    fn parse(value: &DeValue<'_>) -> Result<T, String> {
        value.as_str().and_then(|text| text.parse().ok()).ok_or_else(|| show(value))
    }
}

/// [`Form::Choices`]: a list of names of variants of `T`.
pub struct Choices<T>(PhantomData<T>);

impl<T: VariantNames + FromStr> Parse for Choices<T> {
    type Value = Vec<T>;
    const FORM: Form = Form::Choices(T::VARIANTS);

    fn parse(value: &DeValue<'_>) -> Result<Vec<T>, String> {
        list(value, |text| text.parse().ok())
    }
}

/// [`Form::Choices`]: a list of names that stay texts, because they have no enum.
pub struct Names<T>(PhantomData<T>);

/// The names of [`Names`].
pub trait KnownNames {
    /// All of them.
    const NAMES: &'static [&'static str];
}

impl<T: KnownNames> Parse for Names<T> {
    type Value = Vec<String>;
    const FORM: Form = Form::Choices(T::NAMES);

    fn parse(value: &DeValue<'_>) -> Result<Vec<String>, String> {
        texts(value, |text| T::NAMES.contains(&text))
    }
}

fn integer(value: &DeValue<'_>) -> Option<u32> {
    let number = value.as_integer()?;
    u32::from_str_radix(&number.as_str().replace('_', ""), number.radix()).ok()
}

fn duration(value: &DeValue<'_>) -> Result<time::Duration, String> {
    value
        .as_str()
        .and_then(|text| humantime::parse_duration(text).ok())
        .filter(|duration| (SHORTEST..=LONGEST).contains(duration))
        .ok_or_else(|| show(value))
}

fn is_written(text: &str) -> bool {
    !text.trim().is_empty()
}

fn is_sha256(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn is_queue_url(text: &str) -> bool {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    rest.is_some_and(|rest| rest.split('/').filter(|part| !part.is_empty()).count() >= 3)
}

fn is_topic_arn(text: &str) -> bool {
    let parts: Vec<&str> = text.split(':').collect();
    matches!(parts.as_slice(), ["arn", _, "sns", region, account, name]
        if !region.is_empty() && account.len() == 12 && !name.is_empty())
}

/// A URL, or why a text is not one.
fn url<T>(value: &DeValue<'_>, parse: fn(&str) -> Result<T, UrlError>) -> Result<T, String> {
    let text = value.as_str().ok_or_else(|| show(value))?;
    parse(text).map_err(|error| format!("{} ({error})", show(value)))
}

/// The URL of a grant. Its query has only parameters with a placeholder: the plugin chooses the
/// others.
fn grant_url(text: &str) -> Result<(http::Url, Vec<String>), UrlError> {
    let (url, query) = match text.split_once('?') {
        Some((url, query)) => (url, query.split('&').map(str::to_owned).collect()),
        None => (text, vec![]),
    };
    let has_placeholder = |parameter: &String| placeholders(parameter).next().is_some();
    if !query.iter().all(has_placeholder) || text.contains('#') {
        return Err(UrlError::Query);
    }
    Ok((http::Url::parse(url)?, query))
}

/// The location of a secret. An invalid value may be the secret itself, and is not shown.
fn secret(value: &DeValue<'_>) -> Result<HttpSecret, String> {
    let kind = match value {
        DeValue::String(_) => "a text",
        DeValue::Table(_) => "another table",
        _ => "no table",
    };
    let found = || format!("{kind} (not shown here, since it may be a secret)");
    let table = value.as_table().ok_or_else(found)?;
    let text = |name: &str| match table.get(name) {
        None => Ok(None),
        Some(value) => {
            let text = value.get_ref().as_str().filter(|text| !text.is_empty());
            text.map(|text| Some(text.to_owned())).ok_or_else(found)
        }
    };
    let known = ["env", "file", "secret", "prefix", "field"];
    if table.keys().any(|key| !known.contains(&key.get_ref().as_ref())) {
        return Err(found());
    }
    let location = match (text("env")?, text("file")?, text("secret")?, text("field")?) {
        (Some(name), None, None, None) => SecretLocation::EnvironmentVariable(name),
        (None, Some(path), None, None) => SecretLocation::File(path.into()),
        (None, None, Some(id), field) => SecretLocation::SecretsManager { id, field },
        _ => return Err(found()),
    };
    Ok(HttpSecret { prefix: text("prefix")?.unwrap_or_default(), location })
}

fn secrets(value: &DeValue<'_>) -> Result<Vec<(String, HttpSecret)>, String> {
    let table = value.as_table().ok_or("no table (not shown here, since it may be a secret)")?;
    table
        .iter()
        .map(|(key, value)| {
            let name = key.get_ref().as_ref();
            if !is_header(name) {
                return Err(format!("a table with {name:?}, which is no header field to add"));
            }
            let secret = secret(value.get_ref())
                .map_err(|found| format!("a table in which `{name}` is {found}"))?;
            Ok((name.to_ascii_lowercase(), secret))
        })
        .collect()
}

fn url_secrets(value: &DeValue<'_>) -> Result<Vec<UrlSecret>, String> {
    let table = value.as_table().ok_or("no table (not shown here, since it may be a secret)")?;
    table
        .iter()
        .map(|(key, value)| {
            let name = key.get_ref().as_ref();
            if !is_name(name) {
                return Err(format!("a table with {name:?}, which is not {}", Form::Name));
            }
            let within = |found| format!("a table in which `{name}` is {found}");
            let secret = secret(value.get_ref()).map_err(within)?;
            if !secret.prefix.is_empty() {
                return Err(within("one with a `prefix`, which belongs into the URL".to_owned()));
            }
            Ok(UrlSecret { name: name.to_owned(), secret })
        })
        .collect()
}

/// Whether a text is the name of a header field (RFC 9110, 5.1) that the host does not set itself.
pub(super) fn is_header(name: &str) -> bool {
    let fit = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !name.is_empty() && name.bytes().all(fit) && !is_framing(name)
}

fn text(value: &DeValue<'_>, accept: impl Fn(&str) -> bool) -> Result<String, String> {
    let text = value.as_str().filter(|text| accept(text));
    text.map(str::to_owned).ok_or_else(|| show(value))
}

fn texts(value: &DeValue<'_>, accept: impl Fn(&str) -> bool) -> Result<Vec<String>, String> {
    list(value, |text| accept(text).then(|| text.to_owned()))
}

/// A list that is not empty, of texts that can be parsed.
fn list<T>(value: &DeValue<'_>, read: impl Fn(&str) -> Option<T>) -> Result<Vec<T>, String> {
    let items = value.as_array().into_iter().flatten();
    let items: Option<Vec<T>> = items.map(|item| item.get_ref().as_str().and_then(&read)).collect();
    items.filter(|items| !items.is_empty()).ok_or_else(|| show(value))
}

/// Whether a text is fit for the ledger's keys and for the last line of a support case.
pub(super) fn is_name(text: &str) -> bool {
    let fit = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    (1..=40).contains(&text.len()) && text.bytes().all(fit)
}

/// `64MiB`, `64KiB`, `1GiB`, or bytes such as `4096B`.
fn bytes(text: &str) -> Option<u64> {
    let digits = text.find(|character: char| !character.is_ascii_digit())?;
    let (number, unit) = text.split_at(digits);
    let factor: u64 = match unit.trim() {
        "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(factor).filter(|bytes| *bytes > 0)
}

/// A value as a problem shows it; long values are cut.
pub(super) fn show(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => {
            let short: String = text.chars().take(60).collect();
            format!("\"{short}\"")
        }
        DeValue::Integer(number) => number.as_str().to_owned(),
        DeValue::Float(number) => number.as_str().to_owned(),
        DeValue::Boolean(flag) => flag.to_string(),
        DeValue::Datetime(_) => "a date".to_owned(),
        DeValue::Array(items) => {
            let items: Vec<String> = items.iter().map(|item| show(item.get_ref())).collect();
            format!("[{}]", items.join(", "))
        }
        DeValue::Table(_) => "a table".to_owned(),
    }
}
